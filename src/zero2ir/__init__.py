"""Retrieval systems from scratch, with as few as ten relevance judgments."""

from zero2ir.api import Compared, compare, label, load, train
from zero2ir.errors import InputError

__version__ = "0.1.0"
__all__ = ["Compared", "InputError", "compare", "label", "load", "train"]
