"""The exceptions that people are meant to read."""


class InputError(ValueError):
    """Bad input: one line that says what is wrong, where (file, line or key) and what to do."""


class StorageError(InputError):
    """A file of one's own that cannot be used just now: no space, no right, or somebody else has it."""
