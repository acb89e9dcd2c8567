"""The one exception that people are meant to read."""


class InputError(ValueError):
    """Bad input: one line that says what is wrong, where (file, line or key) and what to do."""
