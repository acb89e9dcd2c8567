"""What is known when the next queries are chosen."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from zero2ir.data.records import JudgedDocument
from zero2ir.labelling.committee import TOP_DOCUMENTS, Committee
from zero2ir.models.base import NO_DOCUMENT, Ranking, Retriever
from zero2ir.program.confidence import CONFIDENCE_DEPTH, Confidence


@dataclass(frozen=True)
class FittedModel:
    """The model as it is fitted to the judgments of some moment.

    Attributes:
        retriever: the model.
        queries: (n_queries,) the candidates.
        judgments: that it was fitted to.
        confidence: calibrated on them; None where they are too few.
        value: the measure on the judged queries, cross-validated.
        gain: how much of it was gained over the model as it was given, cross-validated, too.
    """

    retriever: Retriever
    queries: Sequence[str]
    judgments: Sequence[JudgedDocument] = ()
    confidence: Confidence | None = None
    value: float = 0.0
    gain: float = 0.0

    @cached_property
    def ranking(self) -> Ranking:
        """Of all candidates, (n_queries, 20)."""
        return self.retriever.search(self.queries, CONFIDENCE_DEPTH)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n_queries, 20) that the documents of ``ranking`` are relevant; 0 where there is none."""
        return (self.confidence or Confidence.unfitted(self.ranking)).probabilities(self.ranking)

    def changed_share(self, before: "FittedModel") -> float:
        """The mean share of the candidates' first ten documents that the other fit had not among its first ten."""
        shares = []
        for new, old in zip(
            self.ranking.numbers[:, :TOP_DOCUMENTS], before.ranking.numbers[:, :TOP_DOCUMENTS], strict=True
        ):
            now, then = set(new[new != NO_DOCUMENT].tolist()), set(old[old != NO_DOCUMENT].tolist())
            shares.append(len(now - then) / max(1, len(now)))
        return float(np.mean(shares)) if shares else 0.0


@dataclass(frozen=True)
class SelectionState:
    """What is known when the next queries are chosen. What costs something is computed at the first use.

    Attributes:
        committee: and with it the candidate queries; a query is named by its place among them.
        judged: the places of the queries that are judged, in the order in which they were.
        seed: of everything that draws.
        fit: the present model.
        changes: by how much each finished batch changed the cross-validated gain.
        within: what may be chosen; all where None.
    """

    committee: Committee
    judged: Sequence[int] = ()
    seed: int = 0
    fit: Callable[[], FittedModel] = field(kw_only=True)
    changes: Callable[[], Sequence[float]] = field(default=lambda: (), kw_only=True)
    within: Collection[int] | None = None

    @cached_property
    def open(self) -> list[int]:
        """The places of the queries that may be chosen, in order."""
        places = range(len(self.committee.queries)) if self.within is None else sorted(self.within)
        judged = set(self.judged)
        return [place for place in places if place not in judged]

    def restricted_to(self, places: Collection[int]) -> "SelectionState":
        """The same where only these may be chosen."""
        return replace(self, within=places)

    def rng(self) -> np.random.Generator:
        """The source of chance of one choice; it depends on the seed and on how much is judged."""
        return np.random.default_rng([self.seed, len(self.judged)])
