"""User feedback: storage, click models, position bias, and improving a program with it."""
