"""Query selection: each method is a class with one method, ``choose``, which receives a ``SelectionState``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from zero2ir.labelling.committee import TOP_DOCUMENTS
from zero2ir.labelling.selection_state import SelectionState
from zero2ir.models.hybrid import learned_weights
from zero2ir.models.normalization import ScoreStatistics
from zero2ir.models.ranking import NO_DOCUMENT

PERSISTENCE = 0.9  # of rank-biased overlap: the first ten ranks have 86 % of the weight


class Selection(ABC):
    """Chooses the next queries to judge."""

    @abstractmethod
    def choose(self, state: SelectionState, number: int) -> list[int]:
        """Returns the positions of ``number`` unjudged queries, or of all of them if there are fewer."""


class Random(Selection):
    """Chooses uniformly at random."""

    def choose(self, state: SelectionState, number: int) -> list[int]:
        return [state.open[place] for place in state.rng().permutation(len(state.open))[:number]]


class ScoredSelection(Selection):
    """Chooses the queries with the highest acquisition scores; the first of equal ones wins."""

    @abstractmethod
    def acquisition_scores(self, state: SelectionState) -> np.ndarray:
        """Returns (n_open,) scores of the queries that may be chosen; higher is better."""

    def choose(self, state: SelectionState, number: int) -> list[int]:
        if not state.open:
            return []
        return [state.open[place] for place in np.argsort(-self.acquisition_scores(state), kind="stable")[:number]]


class Uncertainty(ScoredSelection):
    """Chooses queries whose ranking the current model is least certain of.

    Args:
        by: "margin", the difference of the first two documents' scores in standard deviations of the query's scores;
            or "entropy", the mean entropy of the first ten documents' calibrated probabilities.

    Source: Lewis and Gale, SIGIR 1994, doi:10.1007/978-1-4471-2099-5_1; Settles 2009, "Active learning literature
    survey", section 3.1.
    """

    def __init__(self, by: Literal["margin", "entropy"] = "entropy") -> None:
        self.by = by

    def acquisition_scores(self, state: SelectionState) -> np.ndarray:
        fit = state.fit()
        if self.by == "entropy":
            p = np.clip(fit.probabilities[state.open, :TOP_DOCUMENTS], 1e-9, 1 - 1e-9)
            return -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(axis=1)
        ranking = fit.ranking.select_queries(np.array(state.open))
        scores = np.where(ranking.numbers != NO_DOCUMENT, ranking.scores, ranking.mean[:, None])
        return -(scores[:, 0] - scores[:, 1]) / np.maximum(ranking.deviation, 1e-12)


class Disagreement(ScoredSelection):
    """Chooses queries for which the committee's members retrieve different documents.

    Args:
        by: "overlap", the share of common documents among two members' first ten; or "rbo", their rank-biased overlap
            truncated at ten and divided by its maximum. Both are means over the pairs of members.

    Source: Seung, Opper and Sompolinsky, COLT 1992, doi:10.1145/130385.130417; rank-biased overlap by Webber, Moffat
    and Zobel, TOIS 2010, doi:10.1145/1852102.1852106.
    """

    def __init__(self, by: Literal["overlap", "rbo"] = "rbo") -> None:
        self.by = by

    def acquisition_scores(self, state: SelectionState) -> np.ndarray:
        likeness = overlap if self.by == "overlap" else rank_biased_overlap
        tops = [ranking.numbers[:, :TOP_DOCUMENTS] for ranking in state.committee.rankings.values()]
        return np.array(
            [1 - np.mean([likeness(one[row], two[row]) for one, two in combinations(tops, 2)]) for row in state.open]
        )


class ModelChange(ScoredSelection):
    """Chooses queries with the largest expected model change.

    The model used here is small and refits in milliseconds: the weights that fuse the committee's members. It is fitted
    to the judgments and then, for each query, to the documents that the current model considers relevant, weighted by
    their calibrated probabilities. The expected change is the distance the weights move times the probability that the
    query has a relevant document to learn from.

    Args:
        penalty: weight of the squared distance from the previous weights for one judged query; it grows in proportion
            to the number of judged queries.

    Source: Settles, Craven and Ray, NIPS 2007, "Multiple-instance active learning", section 3.3, with a refit instead
    of the gradient.
    """

    def __init__(self, penalty: float = 0.5) -> None:
        self.penalty = penalty

    def acquisition_scores(self, state: SelectionState) -> np.ndarray:
        members = len(state.committee.members)
        fit, even = state.fit(), np.full(members, 1 / members)
        grades = {(row.query, row.doc_id): row.relevance for row in fit.judgments if row.relevance > 0}
        tables, counts = [], []
        for place in state.judged:
            numbers, scores = self._pool(state, place)
            ids = [state.committee.corpus.documents[number].doc_id for number in numbers]
            relevance = [grades.get((state.committee.queries[place], doc_id), 0) for doc_id in ids]
            tables += [_first(scores, at) for at, grade in enumerate(relevance) if grade]
            counts += [float(grade) for grade in relevance if grade]
        held = self.penalty * (1 + len(state.judged))
        present = np.array(learned_weights(tables, np.array(counts), even, self.penalty)) if tables else even
        return np.array([self._change(state, place, present, held) for place in state.open])

    def _change(self, state: SelectionState, place: int, present: np.ndarray, penalty: float) -> float:
        numbers, scores = self._pool(state, place)
        fit = state.fit()
        probability_of = dict(zip(fit.ranking.numbers[place].tolist(), fit.probabilities[place].tolist(), strict=True))
        p = np.array([probability_of.get(number, 0.0) for number in numbers])
        kept = np.flatnonzero(p > 0)
        if not len(kept):
            return 0.0
        moved = learned_weights([_first(scores, at) for at in kept.tolist()], p[kept], present, penalty)
        return float((1 - np.prod(1 - p)) * np.abs(np.array(moved) - present).sum())

    @staticmethod
    def _pool(state: SelectionState, place: int) -> tuple[list[int], np.ndarray]:
        """Returns the pool of a query and each member's scores of it, (n_pool, n_members)."""
        numbers = state.committee.pool(place, "round-robin", 2 * TOP_DOCUMENTS)
        size = len(state.committee.corpus.documents)
        statistics = [ScoreStatistics.from_ranking(ranking, place) for ranking in state.committee.rankings.values()]
        return numbers, np.stack([one.spread(size, "z-score")[numbers] for one in statistics], axis=1)


class Diversity(Selection):
    """Chooses queries that differ from each other and from the judged ones, by query and document vectors.

    Args:
        by: "k-centre" repeatedly takes the query farthest from all chosen ones; "k-means" takes one query from each
            cluster without a judged query, largest clusters first, the query nearest to the cluster mean.

    Source: Sener and Savarese, ICLR 2018, arXiv 1708.00489, for k-centre; Xu et al., ECIR 2003,
    doi:10.1007/3-540-36618-0_28, for clusters.
    """

    def __init__(self, by: Literal["k-centre", "k-means"] = "k-means") -> None:
        self.by = by

    def choose(self, state: SelectionState, number: int) -> list[int]:
        number = min(number, len(state.open))
        if number == 0:
            return []
        return self._far(state, number) if self.by == "k-centre" else self._means(state, number)

    @staticmethod
    def _far(state: SelectionState, number: int) -> list[int]:
        points = state.committee.features
        chosen: list[int] = []
        if state.judged:
            nearest = _distances(points, points[list(state.judged)]).min(axis=1)
        else:  # start in the middle
            nearest = -_distances(points, points[state.open].mean(axis=0, keepdims=True))[:, 0]
        for _ in range(number):
            left = [place for place in state.open if place not in chosen]
            chosen.append(left[int(nearest[left].argmax())])
            away = _distances(points, points[chosen[-1:]])[:, 0]
            nearest = away if len(chosen) == 1 and not state.judged else np.minimum(nearest, away)
        return chosen

    @staticmethod
    def _means(state: SelectionState, number: int) -> list[int]:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        places = sorted({*state.open, *state.judged})
        points = state.committee.features[places]
        clusters = min(len(state.judged) + number, len(np.unique(points, axis=0)))
        random_state = int(state.rng().integers(2**31))
        with threadpool_limits(1):  # same order of summation on every machine
            means = KMeans(clusters, n_init=1, random_state=random_state).fit(points)
        away = np.linalg.norm(points - means.cluster_centers_[means.labels_], axis=1)
        members: dict[int, list[int]] = {}
        for at in np.argsort(away, kind="stable").tolist():
            members.setdefault(int(means.labels_[at]), []).append(places[at])
        judged = set(state.judged)
        fresh = sorted(
            (c for c, rows in members.items() if judged.isdisjoint(rows)), key=lambda c: (-len(members[c]), c)
        )
        first = [members[cluster][0] for cluster in fresh][:number]
        rest = [place for place in state.open if place not in first]  # equal texts can leave too few clusters
        return first + rest[: number - len(first)]


class TwoStageSelection(Selection):
    """Shortlists queries with one selection and chooses among them with another, e.g. uncertainty, then diversity.

    Args:
        first: scores the queries.
        then: chooses from the shortlist.
        times: size of the shortlist as a multiple of the number of queries to choose.

    Source: Xu et al., ECIR 2003, doi:10.1007/3-540-36618-0_28; Zhdanov 2019, arXiv 1901.05954.
    """

    def __init__(self, first: ScoredSelection, then: Selection, times: int = 5) -> None:
        self.first = first
        self.then = then
        self.times = times

    def choose(self, state: SelectionState, number: int) -> list[int]:
        return self.then.choose(state.restricted_to(self.first.choose(state, number * self.times)), number)


class Bandit(Selection):
    """Chooses among selections by Thompson sampling; the reward is the rise of the expected gain.

    The mean reward of a selection has a normal prior around 0; rewards have normal noise.

    Args:
        arms: the selections, by name.
        prior_deviation: prior standard deviation of the mean rewards, in units of the measure.
        noise_deviation: standard deviation of a reward.

    Source: Thompson 1933, doi:10.1093/biomet/25.3-4.285; for active learning Baram, El-Yaniv and Luz, JMLR 5, 2004,
    "Online choice of active learning algorithms".
    """

    def __init__(
        self, arms: Mapping[str, Selection], prior_deviation: float = 0.01, noise_deviation: float = 0.02
    ) -> None:
        self.arms = dict(arms)
        self.prior_deviation = prior_deviation
        self.noise_deviation = noise_deviation

    def choose(self, state: SelectionState, number: int) -> list[int]:
        pulled = self.pulled(list(state.changes()), state.seed)
        return list(self.arms.values())[pulled[-1]].choose(state, number)

    def pulled(self, rewards: Sequence[float], seed: int) -> list[int]:
        """Returns the arm used for each batch with a reward and the arm for the next batch, (n_rewards + 1,)."""
        pulled: list[int] = []
        sums, counts = np.zeros(len(self.arms)), np.zeros(len(self.arms))
        for batch in range(len(rewards) + 1):
            precision = self.prior_deviation**-2 + counts * self.noise_deviation**-2
            mean = sums * self.noise_deviation**-2 / precision
            drawn = np.random.default_rng([seed, batch]).normal(mean, precision**-0.5)
            pulled.append(int(drawn.argmax()))
            if batch < len(rewards):
                sums[pulled[-1]] += rewards[batch]
                counts[pulled[-1]] += 1
        return pulled


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Returns the share of documents common to two lists, (k,) numbers each; 1 if both are empty."""
    first, second = set(one[one != NO_DOCUMENT].tolist()), set(two[two != NO_DOCUMENT].tolist())
    return len(first & second) / max(len(first), len(second), 1) if first or second else 1.0


def rank_biased_overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Returns the rank-biased overlap of two rankings, (k,) numbers each, best first: 0 to 1, 1 for equal ones."""
    weights = PERSISTENCE ** np.arange(len(one))
    shares = [overlap(one[:depth], two[:depth]) for depth in range(1, len(one) + 1)]
    return float(weights @ np.array(shares) / weights.sum())


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None] - 2 * points @ centres.T
    return np.sqrt(np.maximum(squares, 0.0))


def _first(scores: np.ndarray, at: int) -> np.ndarray:
    return np.concatenate([scores[at : at + 1], np.delete(scores, at, axis=0)])
