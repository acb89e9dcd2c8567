"""Retrieval systems from scratch, with as few as ten relevance judgments."""

from zero2ir.errors import InputError
from zero2ir.library import Compared, compare, label, load, train

__version__ = "0.1.0"
__all__ = ["Compared", "InputError", "compare", "label", "load", "train"]
