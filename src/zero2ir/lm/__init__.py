"""Opens and calls language models."""
