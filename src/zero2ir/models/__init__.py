"""The model types, one module each."""
