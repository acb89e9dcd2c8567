"""The enabled pretext tasks."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Self

import numpy as np
from pydantic import model_validator

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.base import PairTask, TextPair
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.synthetic_pairs import SyntheticPairs
from zero2ir.encoders.pretext.title import Title
from zero2ir.io.settings import Settings


class PairTasks(Settings):
    """The schema of ``pairs`` in ``conf/pretraining/*.yaml``; tasks with null are disabled.

    Attributes:
        inverse_cloze: a sentence retrieves the rest of its document.
        title: a title retrieves its text.
        cropping: a span of a document retrieves another span of it.
        adjacency: a passage or document retrieves the next one.
        synthetic: a synthetic query retrieves its document.
    """

    inverse_cloze: InverseCloze | None = None
    title: Title | None = None
    cropping: Cropping | None = None
    adjacency: Adjacency | None = None
    synthetic: SyntheticPairs | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.enabled:
            raise ValueError(f"no task is enabled; list at least one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def enabled(self) -> list[PairTask]:
        """The enabled tasks, in a fixed order."""
        return [task for _, task in self if task is not None]

    @property
    def names(self) -> list[str]:
        """The names of the enabled tasks in ``conf/pretraining``."""
        return [name for name, task in self if task is not None]

    def check(self, documents: Sequence[Document]) -> None:
        """Raises ``InputError`` if one of the tasks does not apply to these documents."""
        for task in self.enabled:
            task.check(documents)

    def pairs(
        self, documents: Sequence[Document], rng: np.random.Generator, most: int | None = None
    ) -> Iterator[TextPair]:
        """Yields the pairs of one epoch, task by task, so that a batch rarely has a document twice.

        At most ``most`` pairs are drawn, as many from each task; what a task lacks goes to those after it.
        """
        tasks, left = self.enabled, most
        for place, task in enumerate(tasks):
            share = None if left is None else left // (len(tasks) - place)
            for pair in islice(task.pairs(documents, rng), share):
                left = None if left is None else left - 1
                yield pair

    def without_queries(self, ordered: bool) -> "PairTasks":
        """Returns the tasks for documents alone, ``ordered`` or not; the default ones if none is left."""
        left = self.model_copy(update={"synthetic": None}).with_collection(ordered, ())
        return left if left.enabled else DEFAULT_PAIR_TASKS

    def with_collection(self, ordered: bool, written: Sequence[tuple[str, str]]) -> "PairTasks":
        """Returns a copy with properties of a collection.

        Args:
            ordered: whether the order of its documents is meaningful.
            written: (query, doc_id) of the accepted synthetic queries.
        """
        known: dict[str, PairTask] = {}
        if self.adjacency is not None:
            known["adjacency"] = self.adjacency.model_copy(update={"ordered": ordered})
        if self.synthetic is not None:
            known["synthetic"] = self.synthetic.model_copy(update={"queries": tuple(written)})
        return self.model_copy(update=known)


DEFAULT_PAIR_TASKS = PairTasks(inverse_cloze=InverseCloze(), title=Title())
