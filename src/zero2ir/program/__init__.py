"""The trained program, and how it is trained."""
