"""Pretext tasks, one module each: training data made from documents alone."""

from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.base import Pair, PairTask, sentences
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.tasks import DEFAULT, PairTasks
from zero2ir.encoders.pretext.title import Title
from zero2ir.encoders.pretext.written import Written

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
