"""Hybrid retrieval: the weighted sum of several retrievers' normalised scores."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeFloat

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.errors import InputError
from zero2ir.io.settings import Fraction, PositiveInt
from zero2ir.models.base import Retriever, copy_with
from zero2ir.models.capabilities import (
    FeedbackSearch,
    Shardable,
    Tunable,
    Updatable,
    is_exhaustive,
    learn,
    search_with_feedback,
)
from zero2ir.models.initialization import Initializable, Initialization
from zero2ir.models.normalization import Normalization, ScoreStatistics
from zero2ir.models.ranking import (
    NO_DOCUMENT,
    Candidates,
    Ranking,
    concatenate_rankings,
    moments,
    moments_with_others,
    rank_listed,
    reference_sample,
    search_scope,
    top_k,
)

MAX_COMPETITORS = 100  # negatives of an example when weights are learned
MIN_WEIGHT = 1e-3  # lower weights are raised to this before the logarithm

# Searches by the retriever at a place, to a depth, among candidates.
PartSearch = Callable[[int, int, Candidates | None], Ranking]


class Hybrid(Tunable, Initializable, Updatable, Shardable, FeedbackSearch):
    """Adds up the normalised scores of several retrievers.

    With z-scores, a document that a retriever did not return gets the mean score of all documents that it did not
    return: 0 if they do not match, else the expected score below the depth. With min-max and reciprocal rank it gets
    0. A retriever without results for a query adds nothing.

    An exhaustive retriever, such as exact late interaction, scores only the best documents of the others, if there are
    others.

    Args:
        retrievers: two or more.
        weights: one fusion weight per retriever, at least 0; they are divided by their sum.
        normalization: "z-score", "min-max" or "reciprocal-rank".
        depth: number of documents per retriever.
        first_stage_depth: number of documents of each other retriever that exhaustive ones score; they score all
            documents for a query of which the others find fewer together.
        steps: the grid of fusion weights has multiples of 1 / ``steps``.
        min_weight: the lowest weight in the grid.
        feedback_weights: each retriever's factor on the feedback weight, 0 to 1; None for 1.
        learning: "retrievers" trains each one by itself; "weights" also fits the fusion weights by logistic regression
            on the normalised scores.
        penalty: of the squared distance between learned and initial weights; see ``learned_weights``.

    Source: z-score and min-max fusion as in Montague and Aslam, CIKM 2001, doi:10.1145/502585.502657; reciprocal rank
    fusion (k = 60) by Cormack, Clarke and Buettcher, SIGIR 2009, doi:10.1145/1571941.1572114.
    """

    kind = "hybrid"
    order = 50
    tunable = ("weights", "normalization")
    initialization = Initialization()

    def __init__(
        self,
        retrievers: Annotated[Sequence[Retriever], Field(min_length=2)],
        weights: Sequence[NonNegativeFloat] | None = None,
        normalization: Normalization = "z-score",
        depth: PositiveInt = 1000,
        first_stage_depth: PositiveInt = 200,
        steps: Annotated[int, Field(ge=1, le=100)] = 10,
        min_weight: Fraction = 0.1,
        feedback_weights: Sequence[Fraction] | None = None,
        learning: Literal["retrievers", "weights"] = "retrievers",
        penalty: NonNegativeFloat = 2.0,
    ) -> None:
        for name, values in (("weights", weights), ("feedback_weights", feedback_weights)):
            if values is not None and len(values) != len(retrievers):
                raise InputError(f"{name}={list(values)} for {len(retrievers)} retrievers; give one each")
        if weights is not None and not sum(weights):
            raise InputError(f"weights={list(weights)}: all are 0; give one above 0")
        self.retrievers = list(retrievers)
        self.weights = list(weights) if weights is not None else [1 / len(self.retrievers)] * len(self.retrievers)
        self.normalization: Normalization = normalization
        self.depth = depth
        self.first_stage_depth = first_stage_depth
        self.steps = steps
        self.min_weight = min_weight
        self.feedback_weights = list(feedback_weights) if feedback_weights is not None else [1.0] * len(self.retrievers)
        self.learning = learning
        self.penalty = penalty

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        for retriever in self.retrievers:
            retriever.index(corpus)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self._fuse(self._found(queries, candidates), k, candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Moves each retriever's query by its feedback weight, and fuses the rankings."""

        def search(place: int, depth: int, scored: Candidates | None) -> Ranking:
            part, share = self.retrievers[place], self.feedback_weights[place]
            if not share:
                return part.search(queries, depth, scored)
            return search_with_feedback(part, queries, documents, weight * share, depth, scored)

        return self._fuse(self._rankings(search, candidates), k, candidates)

    def _found(self, queries: Sequence[str], candidates: Candidates | None = None) -> list[Ranking]:
        return self._rankings(lambda place, *scope: self.retrievers[place].search(queries, *scope), candidates)

    def _rankings(self, search: PartSearch, candidates: Candidates | None) -> list[Ranking]:
        """Returns each retriever's ranking; the exhaustive ones search last."""
        depth, scored = search_scope(self.depth, self.n_documents, candidates)
        places = range(len(self.retrievers))
        last = [place for place in places if is_exhaustive(self.retrievers[place])]
        found = {place: search(place, depth, scored) for place in places if place not in last}
        if found and scored is None:
            scored = self._first_stage(list(found.values()))
        found |= {place: search(place, depth, scored) for place in last}
        return [found[place] for place in places]

    def _first_stage(self, rankings: Sequence[Ranking]) -> list[np.ndarray]:
        """Returns the best documents of all rankings for each query; all documents for a query with too few of them."""
        best = np.concatenate([ranking.numbers[:, : self.first_stage_depth] for ranking in rankings], axis=1)
        found = [row[row != NO_DOCUMENT] for row in map(np.unique, best)]
        return [row if len(row) >= self.first_stage_depth else np.arange(self.n_documents) for row in found]

    def _fuse(self, rankings: Sequence[Ranking], k: int, candidates: Candidates | None = None) -> Ranking:
        rows = []
        for row in range(len(rankings[0].numbers)):
            references = [ScoreStatistics.from_ranking(ranking, row) for ranking in rankings]
            own = None if candidates is None else candidates[row]
            rows.append(fused(references, self.weights, self.n_documents, self.normalization, k, own))
        return concatenate_rankings(rows) if rows else top_k(np.zeros((0, self.n_documents)), k)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores texts on the scale of ``search``, normalised by each retriever's ranking of the collection."""
        totals = [np.zeros(len(texts), dtype=np.float32) for texts in candidates]
        for weight, retriever, ranking in zip(self.weights, self.retrievers, self._found(queries), strict=True):
            for row, (total, scores) in enumerate(zip(totals, retriever.score(queries, candidates), strict=True)):
                reference = ScoreStatistics.from_ranking(ranking, row)
                if len(reference.scores):
                    total += weight / sum(self.weights) * reference.normalize(scores, self.normalization)
        return totals

    @property
    def n_documents(self) -> int:
        return len(self.corpus.documents)

    def alternative_settings(self) -> list[dict[str, Any]]:
        least = math.ceil(self.min_weight * self.steps - 1e-9)
        grid = [
            [step / self.steps for step in steps]
            for steps in product(range(least, self.steps + 1), repeat=len(self.retrievers))
            if sum(steps) == self.steps
        ]
        return [{**self.settings(), "weights": weights} for weights in grid if weights != self.weights]

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Returns the shares of the weights' sum but the first, which follows from the others."""
        weights = settings["weights"]
        return {f"weight {number}": weight / sum(weights) for number, weight in enumerate(weights[1:], 2)}

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns the retrievers' parameters, and the logarithms of the fusion weights if they are learned."""
        own = {"weights": np.log(np.maximum(self.weights, MIN_WEIGHT))} if self.learning == "weights" else {}
        return super().parameters() | own

    def head_mask(self) -> dict[str, np.ndarray]:
        """Selects the fusion weights alone if they are learned."""
        return {"weights": np.ones(len(self.weights))} if self.learning == "weights" else super().head_mask()

    def with_initialization(self, initialization: Initialization) -> Self:
        changed = super().with_initialization(initialization)
        if self.learning == "weights" and "weights" in initialization.parameters:
            weights = np.exp(initialization.parameters["weights"])
            changed = changed.with_params(weights=(weights / weights.sum()).tolist())
        changed.initialization = initialization
        return changed

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting's ranking; the retrievers search once for all settings."""
        rankings = self._found(queries, candidates)
        for settings in [self.settings(), *self.alternative_settings()]:
            yield settings, self.with_settings(settings)._fuse(rankings, k, candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Trains each retriever that can learn, and then the fusion weights if they are learned."""
        if not weighted_examples(examples):
            return None
        learned = [learn(retriever, examples, seed) for retriever in self.retrievers]
        if self.learning == "retrievers" and all(one is None for one in learned):
            return None
        retrievers = [new or old for new, old in zip(learned, self.retrievers, strict=True)]
        hybrid = copy_with(self, retrievers=retrievers)
        hybrid = hybrid._learn_weights(examples) if self.learning == "weights" else hybrid
        hybrid.initialization = Initialization()
        return hybrid

    def _learn_weights(self, examples: Sequence[Example]) -> Self:
        """Fits the fusion weights on each example's positive against the best documents that are not positives."""
        positives: dict[str, set[int]] = {}
        for example in examples:
            positives.setdefault(example.query, set()).add(example.positive)
        spreads = dict(zip(positives, self._spreads(list(positives)), strict=True))
        initial = np.array(self.weights) / sum(self.weights)
        tables = []
        for example in examples:
            spread, relevant = spreads[example.query], positives[example.query]
            best_first = np.argsort(-(initial @ spread), kind="stable")[: MAX_COMPETITORS + len(relevant)]
            negatives = [number for number in best_first if number not in relevant][:MAX_COMPETITORS]
            tables.append(spread[:, [example.positive, *negatives]].T)
        penalty = self.initialization.penalty(self.penalty, "weights")
        weights = learned_weights(tables, np.array([example.weight for example in examples]), initial, penalty)
        return self.with_params(weights=weights)

    def _spreads(self, queries: Sequence[str]) -> list[np.ndarray]:
        """Returns (n_retrievers, n_documents) normalised scores of each query."""
        rankings = self._found(queries)
        n, how = self.n_documents, self.normalization
        rows = [[ScoreStatistics.from_ranking(one, row) for one in rankings] for row in range(len(queries))]
        return [np.stack([reference.spread(n, how) for reference in row]) for row in rows]


def fused(
    references: Sequence[ScoreStatistics],
    weights: Sequence[float],
    n_documents: int,
    normalization: Normalization,
    k: int,
    candidates: np.ndarray | None = None,
) -> Ranking:
    """Fuses several rankings of one query by the weighted mean of their normalised scores.

    ``candidates`` are the numbers of the documents to rank, None for all ``n_documents``. Documents in none of the
    rankings share a score, so that the cost depends on the depth of the rankings only.
    """
    sample = np.zeros(0, dtype=np.int64) if candidates is None else reference_sample(n_documents)
    own = sample if candidates is None else candidates
    numbers = np.unique(np.concatenate([*(one.numbers for one in references), own, sample]))
    total, rest, found = np.zeros(len(numbers)), 0.0, np.zeros(len(numbers), dtype=bool)
    for weight, reference in zip(weights, references, strict=True):
        scores, missing = reference.spread_over(numbers, n_documents, normalization)
        total, rest = total + weight * scores, rest + weight * missing
        found[np.searchsorted(numbers, reference.numbers)] |= weight > 0
    total, rest = total / sum(weights), rest / sum(weights)
    if candidates is None:
        mean, deviation = moments_with_others(total, n_documents - len(numbers), rest)
    else:
        mean, deviation = moments(total[np.searchsorted(numbers, sample)])
    kept = found if candidates is None else np.isin(numbers, candidates)
    ranking = rank_listed(numbers[kept], total[kept], k, n_documents)
    return ranking._replace(mean=np.array([mean]), deviation=np.array([deviation]))


def learned_weights(
    tables: Sequence[np.ndarray], counts: np.ndarray, initial: np.ndarray, penalty: float | np.ndarray
) -> list[float]:
    """Fits fusion weights by logistic regression of each example's positive against its negatives.

    Ten queries drawn 15 times from the train queries of scifact and nfcorpus, with two or three retrievers, moved
    nDCG@10 by -0.003 to +0.003 on average at a penalty of 2, and lowered it by 0.001 to 0.028 at 0.5 and less.

    Args:
        tables: one (1 + n_negatives, n_retrievers) table of normalised scores per example, the positive first.
        counts: (n_examples,) the examples' weights, at least 0.
        initial: (n_retrievers,) the initial weights, which sum to 1; they stay if all fitted weights are 0.
        penalty: of the squared distance from ``initial``, (n_retrievers,) or the same for all.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    share = counts / max(counts.sum(), 1e-12)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = float((penalty * np.square(weights - initial)).sum()), 2 * penalty * (weights - initial)
        for each, table in zip(share, tables, strict=True):
            log_likely = log_softmax(table @ weights)
            value -= each * log_likely[0]
            slope = slope - each * (table[0] - np.exp(log_likely) @ table)
        return value, slope

    fitted = minimize(loss, initial, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(initial)).x
    return [float(weight) for weight in (fitted / fitted.sum() if fitted.sum() > 0 else initial)]
