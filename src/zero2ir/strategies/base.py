"""What every training strategy is given, and what it gives back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from zero2ir.data.auxiliary import AuxiliaryCollection
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import Retriever
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.negatives import hard_negatives
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings

# A language model; synthetic queries; synthetic queries where there is a language model to write them.
Need = Literal["lm", "synthetic", "synthetic with lm"]
Learner = Callable[[Sequence[str]], Retriever | None]  # from the judgments of some queries, by their ids


@dataclass(frozen=True)
class TrainingInputs:
    """Everything that training may see; no test query and no test judgment is among it.

    Attributes:
        corpus: the documents, the encoders and the embeddings.
        judgments: the few.
        synthetic: queries that an LM wrote; empty where there are none.
        tuning: how to choose on few judgments.
        seed: of everything that draws.
        synthetic_settings: as what the synthetic queries were written, for a strategy that has more written.
        auxiliary_collections: other collections with judgments, to practise on.
        candidates: the documents that each judged query ranks, ids by query id, as test queries will rank theirs; None
            where that is the whole collection.
        unlabelled_queries: further queries that people asked, of which nothing is judged: they tell how scores spread.
        weights: how much the judgment of a document counts, by query and document id, where that is not its grade.
    """

    corpus: Corpus
    judgments: Sequence[JudgedDocument]
    synthetic: Sequence[SyntheticQuery] = ()
    tuning: TuningSettings = field(default_factory=TuningSettings)
    seed: int = 0
    synthetic_settings: SyntheticSettings = field(default_factory=SyntheticSettings)
    auxiliary_collections: Sequence[AuxiliaryCollection] = ()
    candidates: Mapping[str, Sequence[str]] | None = None
    unlabelled_queries: Sequence[str] = ()
    weights: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @cached_property
    def queries(self) -> dict[str, str]:
        """The judged queries' texts by id, in the order of the judgments."""
        return {row.query_id: row.query for row in self.judgments}

    @cached_property
    def qrels(self) -> list[Judgment]:
        """The judgments as qrels."""
        return [Judgment(row.query_id, row.doc_id, row.relevance) for row in self.judgments]

    def candidates_of(self, query_ids: Sequence[str]) -> list[np.ndarray] | None:
        """What some of the judged queries rank, document numbers; None where that is the whole collection."""
        if self.candidates is None:
            return None
        return [self.corpus.numbers_of(self.candidates.get(query_id, ())) for query_id in query_ids]

    def folds(self) -> list[tuple[list[str], list[str]]]:
        """The judged queries in parts, drawn by seed: the ids of each part, and those of all others; nothing of a
        single query."""
        query_ids = list(self.queries)
        number = min(self.tuning.folds, len(query_ids))
        if number < 2:
            return []
        place = np.random.default_rng(self.seed).permutation(len(query_ids)) % number
        part_of = dict(zip(query_ids, place.tolist(), strict=True))
        return [
            ([one for one in query_ids if part_of[one] == part], [one for one in query_ids if part_of[one] != part])
            for part in range(number)
        ]

    def judged_examples(self, query_ids: Sequence[str]) -> list[Example]:
        """What the judgments of some queries teach: each relevant document before those judged not relevant, and
        before unjudged ones that BM25 ranks high, among the query's candidates where it has any."""
        numbers = self.corpus.number_of
        chosen = [row for row in self.judgments if row.query_id in set(query_ids)]
        relevant = [row for row in chosen if row.relevance > 0]
        judged: dict[str, set[int]] = {}
        for row in chosen:
            judged.setdefault(row.query_id, set()).add(numbers[row.doc_id])
        drawn = hard_negatives(
            self._sparse,
            [row.translation or row.query for row in relevant],
            [judged[row.query_id] for row in relevant],
            number=self.tuning.negatives,
            ranks=self.tuning.negatives_from,
            rng=np.random.default_rng(self.seed),
            candidates=self.candidates_of([row.query_id for row in relevant]),
        )
        known = [
            [numbers[other.doc_id] for other in chosen if other.query_id == row.query_id and other.relevance <= 0]
            for row in relevant
        ]
        return [
            Example(
                row.query,
                numbers[row.doc_id],
                tuple(bad + more),
                self.weights.get((row.query_id, row.doc_id), float(row.relevance)),
                translation=row.translation,
                answers=row.answers,
            )
            for row, bad, more in zip(relevant, known, drawn, strict=True)
        ]

    def synthetic_examples(self) -> list[Example]:
        """What the accepted synthetic queries teach."""
        numbers = self.corpus.number_of
        return [
            Example(
                row.query,
                numbers[row.doc_id],
                tuple(numbers[doc_id] for doc_id in row.negatives),
                margins=tuple(row.margins),
            )
            for row in self.synthetic
            if not row.rejected
        ]

    def with_judgments(self, judgments: Sequence[JudgedDocument]) -> "TrainingInputs":
        """The same with other judgments; the index that negatives come from is shared."""
        changed = replace(self, judgments=judgments)
        changed.__dict__["_sparse"] = self._sparse
        return changed

    @cached_property
    def _sparse(self) -> Sparse:
        return Sparse().index(self.corpus)


@dataclass(frozen=True)
class FitResult:
    """What a strategy ends in.

    Attributes:
        retriever: indexed and ready.
        chosen: what was chosen, in words, e.g. "zero_shot" or "learned from synthetic queries".
        reason: why, in one sentence with its figures.
        values: (n_queries,) the measure that tunes on the judged queries; empty where nothing was measured.
        report: further figures for the record, JSON; e.g. the cross-validated measure.
        labels: how many judged documents decided anything about the ranking.
        learner: makes the retriever from the judgments of some queries alone; None where it did not learn from them.
    """

    retriever: Retriever
    chosen: str
    reason: str
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    report: Mapping[str, Any] = field(default_factory=dict)
    labels: int = 0
    learner: Learner | None = None

    def retrained_on(self, query_ids: Sequence[str]) -> Retriever:
        """The retriever as it would have come out of the judgments of these queries, as far as it learned from any."""
        return (self.learner(query_ids) if self.learner else None) or self.retriever

    def with_reason(self, reason: str) -> "FitResult":
        """The same with another reason, for a strategy that falls back to this one."""
        return replace(self, reason=reason)


class Strategy(ABC):
    """A way to train; it knows no model's internals. Its constructor stores its arguments under their own names.

    Attributes:
        needs: what it cannot do without, and what it learns from where it is there.
        order: reports list strategies by it, the lowest first.
    """

    needs: frozenset[Need] = frozenset()
    order: ClassVar[int] = 100

    @abstractmethod
    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        """Trains a model that is indexed on ``inputs.corpus``.

        Raises:
            InputError: something that this strategy needs is missing.
        """


def needs_synthetic_queries(strategy: Strategy, has_language_model: bool) -> bool:
    """Whether synthetic queries are to be written for a strategy."""
    return "synthetic" in strategy.needs or (has_language_model and "synthetic with lm" in strategy.needs)
