"""The inputs, results and base class of training strategies."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from zero2ir.data.auxiliary import AuxiliaryCollection
from zero2ir.data.digest import content_digest
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.title import Title
from zero2ir.models.base import Retriever
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.prior import suite
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.negatives import hard_negatives
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings

Need = Literal["lm", "synthetic", "synthetic with lm"]  # the last: synthetic queries if there is a language model
Learner = Callable[[Sequence[str]], Retriever | None]  # trains on the judgments of the queries with these ids


@dataclass(frozen=True)
class TrainingInputs:
    """The data and settings of training, without any test query or test judgment.

    Attributes:
        judgments: the judged documents of the training queries.
        synthetic: queries written by an LM.
        synthetic_settings: for a strategy that writes more of them.
        auxiliary_collections: other collections with judgments, for meta-learning.
        candidates: the ids of the documents to rank, by query id; None for the whole collection.
        unlabelled_queries: user queries without judgments, to which dense models adapt.
        weights: of judgments, by query and document id; the grade by default.
        name: of the collection, by which it is left out of what other collections teach.
        own_documents: the ids of the queries' own documents (see ``zero2ir.data.own_documents``), by query id, and by
            text for ``unlabelled_queries``.
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
    own_documents: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @cached_property
    def digest(self) -> str:
        """The content digest of the documents."""
        return content_digest(self.corpus.documents)

    @property
    def alike_collections(self) -> set[str]:
        """The names of the development suite's collections with the name or the documents of this one."""
        return suite().alike(self.name, self.digest)

    @cached_property
    def queries(self) -> dict[str, str]:
        """The judged queries' texts by id, in the order of the judgments."""
        return {row.query_id: row.query for row in self.judgments}

    @cached_property
    def measured_queries(self) -> list[str]:
        """The ids of the judged queries with a relevant document; every ranking of the others measures 0."""
        relevant = {row.query_id for row in self.judgments if row.relevance > 0}
        return [query_id for query_id in self.queries if query_id in relevant]

    @cached_property
    def qrels(self) -> list[Judgment]:
        return [Judgment(row.query_id, row.doc_id, row.relevance) for row in self.judgments]

    def candidates_of(self, query_ids: Sequence[str]) -> list[np.ndarray] | None:
        """Returns the document numbers to rank for some judged queries; None for the whole collection."""
        if self.candidates is None:
            return None
        return [self.corpus.numbers_of(self.candidates.get(query_id, ())) for query_id in query_ids]

    def own_of(self, keys: Sequence[str]) -> np.ndarray:
        """Returns (n_queries,), the numbers of the queries' own documents; -1 for none."""
        numbers = {key: self.corpus.number_of[doc_id] for key, doc_id in self.own_documents.items()}
        return np.array([numbers.get(key, NO_DOCUMENT) for key in keys], dtype=np.int64)

    def folds(self) -> list[tuple[list[str], list[str]]]:
        """Draws folds of the judged queries; see ``draw_folds``."""
        return draw_folds(list(self.queries), self.tuning.folds, self.seed)

    def judged_examples(self, query_ids: Sequence[str]) -> list[Example]:
        """Returns an example per relevant document of some queries.

        Its negatives are the documents judged irrelevant, and hard negatives of BM25 among the query's candidates. The
        query's own document is none of them.
        """
        numbers = self.corpus.number_of
        chosen = [row for row in self.judgments if row.query_id in set(query_ids)]
        relevant = [row for row in chosen if row.relevance > 0]
        known = {query_id: {numbers[doc_id]} for query_id, doc_id in self.own_documents.items()}
        for row in chosen:
            known.setdefault(row.query_id, set()).add(numbers[row.doc_id])
        drawn = hard_negatives(
            self._sparse,
            [row.translation or row.query for row in relevant],
            [known[row.query_id] for row in relevant],
            number=self.tuning.negatives,
            ranks=self.tuning.negatives_from,
            rng=np.random.default_rng(self.seed),
            candidates=self.candidates_of([row.query_id for row in relevant]),
        )
        irrelevant = [
            [numbers[other.doc_id] for other in chosen if other.query_id == row.query_id and other.relevance <= 0]
            for row in relevant
        ]
        return [
            Example(
                row.query,
                numbers[row.doc_id],
                tuple(judged_negatives + hard),
                self.weights.get((row.query_id, row.doc_id), float(row.relevance)),
                translation=row.translation,
                answers=row.answers,
            )
            for row, judged_negatives, hard in zip(relevant, irrelevant, drawn, strict=True)
        ]

    def synthetic_examples(self) -> list[Example]:
        """Returns the examples of the accepted synthetic queries."""
        numbers, accepted = self.corpus.number_of, [row for row in self.synthetic if not row.rejected]
        return [
            Example(
                row.query,
                numbers[row.doc_id],
                tuple(map(numbers.__getitem__, row.negatives)),
                margins=tuple(row.margins),
            )
            for row in accepted
        ]

    def pretext_examples(self, number: int, rng: np.random.Generator) -> list[Example]:
        """Returns a sentence and the title of at most ``number`` documents as queries, without negatives."""
        examples = []
        for place in rng.permutation(len(self.corpus.documents))[:number]:
            pairs = [task.pair(self.corpus.documents[place], rng) for task in (InverseCloze(), Title())]
            examples += [Example(pair[0], int(place)) for pair in pairs if pair is not None]
        return examples

    def with_judgments(self, judgments: Sequence[JudgedDocument]) -> "TrainingInputs":
        """Returns the inputs with other judgments and what was computed from the documents."""
        changed = replace(self, judgments=judgments)
        changed.__dict__.update(_sparse=self._sparse, digest=self.digest)
        return changed

    @cached_property
    def _sparse(self) -> Sparse:
        return Sparse().index(self.corpus)


@dataclass(frozen=True)
class FitResult:
    """The result of a strategy.

    Attributes:
        retriever: trained and indexed.
        chosen: describes the choice, e.g. "zero_shot" or "learned from synthetic queries".
        reason: one sentence with figures.
        values: (n_queries,) the tuning measure on the ``measured_queries``; empty if it was not measured.
        report: further figures, JSON.
        labels: number of judged documents that the strategy used.
        learner: trains the retriever on the judgments of some queries; None if it did not learn from judgments.
    """

    retriever: Retriever
    chosen: str
    reason: str
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    report: Mapping[str, Any] = field(default_factory=dict)
    labels: int = 0
    learner: Learner | None = None

    def retrained_on(self, query_ids: Sequence[str]) -> Retriever:
        """Returns the retriever trained on the judgments of these queries only, if it learned from judgments."""
        return (self.learner(query_ids) if self.learner else None) or self.retriever

    def with_reason(self, reason: str, further: Mapping[str, Any] | None = None) -> "FitResult":
        """Returns the result with another reason and further figures, for a strategy that falls back to it."""
        return replace(self, reason=reason, report={**(further or {}), **self.report})


class Strategy(ABC):
    """A training strategy for any model. Its constructor stores its arguments under their own names.

    Attributes:
        needs: what it needs of a language model.
        roles: of the encoders that it needs beside the model's.
        order: the position in reports, lowest first.
    """

    needs: frozenset[Need] = frozenset()
    roles: frozenset[str] = frozenset()
    order: ClassVar[int] = 100

    @property
    def corpus_needs(self) -> frozenset[str]:
        """What the documents need for it: a language model, and encoders beside the model's."""
        return (self.needs & {"lm"}) | self.roles

    @abstractmethod
    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        """Trains a model that is indexed on ``inputs.corpus``.

        Raises:
            InputError: a required input is missing.
        """


def needs_synthetic_queries(strategy: Strategy, has_language_model: bool) -> bool:
    """Whether a strategy uses synthetic queries."""
    return "synthetic" in strategy.needs or (has_language_model and "synthetic with lm" in strategy.needs)


def draw_folds(query_ids: Sequence[str], number: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Draws at most ``number`` folds: the query ids of each one and those of the others; none for one query."""
    number = min(number, len(query_ids))
    if number < 2:
        return []
    places = np.random.default_rng(seed).permutation(len(query_ids)) % number
    fold_of = dict(zip(query_ids, places.tolist(), strict=True))
    return [
        ([one for one in query_ids if fold_of[one] == fold], [one for one in query_ids if fold_of[one] != fold])
        for fold in range(number)
    ]
