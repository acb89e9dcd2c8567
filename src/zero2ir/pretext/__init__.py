"""Pretext tasks, one module each: training data made from documents alone."""

from zero2ir.pretext.adjacency import Adjacency
from zero2ir.pretext.base import Pair, PairTask, sentences
from zero2ir.pretext.cropping import Cropping
from zero2ir.pretext.inverse_cloze import InverseCloze
from zero2ir.pretext.tasks import DEFAULT, PairTasks
from zero2ir.pretext.title import Title
from zero2ir.pretext.written import Written

__all__ = [
    "DEFAULT",
    "Adjacency",
    "Cropping",
    "InverseCloze",
    "Pair",
    "PairTask",
    "PairTasks",
    "Title",
    "Written",
    "sentences",
]
