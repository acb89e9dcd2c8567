"""Exceptions whose messages are written for users."""


class InputError(ValueError):
    """Raised for invalid input; the message is one line: what is wrong, where (file, line or key), what to do."""


class StorageError(InputError):
    """Raised when a local file cannot be used: no disk space, no permission, or locked by another process."""
