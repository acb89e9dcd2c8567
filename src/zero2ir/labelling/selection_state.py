"""The information that a selection uses to choose the next queries."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from zero2ir.data.records import JudgedDocument
from zero2ir.labelling.committee import TOP_DOCUMENTS, Committee
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import search_without
from zero2ir.models.ranking import NO_DOCUMENT, Ranking
from zero2ir.program.confidence import CONFIDENCE_DEPTH, Confidence
from zero2ir.strategies.prior import family_of


@dataclass(frozen=True)
class FittedModel:
    """The model fitted to the judgments up to some answer.

    Attributes:
        retriever: the fitted model.
        queries: (n_queries,) the candidate queries.
        judgments: the judgments that the model was fitted to.
        confidence: calibrated on these judgments; None for the prior of the development suite.
        value: expected measure on the judged queries: that of the default, and the expected gain.
        gain: expected gain over the model before training.
        own: (n_queries,) numbers of the queries' own documents, -1 for none; None if no query has one.
    """

    retriever: Retriever
    queries: Sequence[str]
    judgments: Sequence[JudgedDocument] = ()
    confidence: Confidence | None = None
    value: float = 0.0
    gain: float = 0.0
    own: np.ndarray | None = None

    @cached_property
    def ranking(self) -> Ranking:
        """Ranking of all candidates, (n_queries, 20)."""
        own = np.full(len(self.queries), NO_DOCUMENT) if self.own is None else self.own
        return search_without(self.retriever, self.queries, CONFIDENCE_DEPTH, None, own)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n_queries, 20) probabilities that the documents of ``ranking`` are relevant; 0 for empty positions."""
        return (self.confidence or Confidence.prior(family_of(self.retriever))).probabilities(self.ranking)

    def changed_share(self, before: "FittedModel") -> float:
        """Returns the mean share of the candidates' first ten documents that are new relative to ``before``."""
        now, then = (
            [set(row[row != NO_DOCUMENT].tolist()) for row in model.ranking.numbers[:, :TOP_DOCUMENTS]]
            for model in (self, before)
        )
        shares = [len(new - old) / max(1, len(new)) for new, old in zip(now, then, strict=True)]
        return float(np.mean(shares)) if shares else 0.0


@dataclass(frozen=True)
class SelectionState:
    """The information available when the next queries are chosen; expensive parts are computed at first use.

    Attributes:
        committee: the committee with the candidate queries; queries are identified by their positions.
        judged: positions of the judged queries, in the order of judging.
        seed: seed of all random choices.
        fit: returns the current model.
        changes: returns the change of the expected gain after each finished batch.
        within: positions that may be chosen; None for all.
    """

    committee: Committee
    judged: Sequence[int] = ()
    seed: int = 0
    fit: Callable[[], FittedModel] = field(kw_only=True)
    changes: Callable[[], Sequence[float]] = field(default=lambda: (), kw_only=True)
    within: Collection[int] | None = None

    @cached_property
    def open(self) -> list[int]:
        """Positions of the unjudged queries that may be chosen, in order."""
        places = range(len(self.committee.queries)) if self.within is None else self.within
        return sorted(set(places) - set(self.judged))

    def restricted_to(self, places: Collection[int]) -> "SelectionState":
        """Returns a copy that allows only these positions."""
        return replace(self, within=places)

    def rng(self) -> np.random.Generator:
        """Returns the random generator of one choice; it depends on the seed and the number of judged queries."""
        return np.random.default_rng([self.seed, len(self.judged)])
