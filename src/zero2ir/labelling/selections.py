"""Which queries are judged next: each way is a class with one method, which sees a ``SelectionState``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from zero2ir.labelling.committee import TOP_DOCUMENTS
from zero2ir.labelling.selection_state import SelectionState
from zero2ir.models.base import NO_DOCUMENT
from zero2ir.models.hybrid import learned_weights
from zero2ir.models.normalization import ScoreStatistics

PERSISTENCE = 0.9  # of rank-biased overlap: the first ten ranks have 86 % of the weight


class Selection(ABC):
    """A way to choose."""

    @abstractmethod
    def choose(self, state: SelectionState, number: int) -> list[int]:
        """The places of ``number`` queries that are not judged; of all of them where there are fewer."""


class Random(Selection):
    """Any, with equal chance."""

    def choose(self, state: SelectionState, number: int) -> list[int]:
        return [state.open[place] for place in state.rng().permutation(len(state.open))[:number]]


class ScoredSelection(Selection):
    """Those that a figure says to be worth most; the earlier of equal ones."""

    @abstractmethod
    def acquisition_scores(self, state: SelectionState) -> np.ndarray:
        """(n_open,) how much each query that may be chosen is worth, higher is better."""

    def choose(self, state: SelectionState, number: int) -> list[int]:
        if not state.open:
            return []
        return [state.open[place] for place in np.argsort(-self.acquisition_scores(state), kind="stable")[:number]]


class Uncertainty(ScoredSelection):
    """Queries whose ranking the present model is least sure of.

    Args:
        by: "margin", by how little the first document's score stands above the second's, in standard deviations of the
            query's scores; or "entropy", the mean entropy of the first ten documents' calibrated probabilities.

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
    """Queries for which the committee's members find different documents.

    Args:
        by: "overlap", the share of the first ten documents that two members have in common; or "rbo", rank-biased
            overlap of the same, cut there and divided by its highest value. Both are means over the pairs of members.

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
    """Queries that are expected to change the model most.

    The model is a small one, whose refit takes milliseconds: the weights that fuse the committee's members. They are
    fitted to the judgments; then, for each query, to documents that the present model holds relevant, each with its
    calibrated probability as its weight. What is expected is how far the weights move, times the chance that there is a
    relevant document to learn from.

    Args:
        penalty: of the squared distance from the weights before, for one judged query; more hold them in proportion.

    Source: Settles, Craven and Ray, NIPS 2007, "Multiple-instance active learning", section 3.3, by a refit in place of
    the gradient.
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
            found = [grades.get((state.committee.queries[place], doc_id), 0) for doc_id in ids]
            tables += [_first(scores, at) for at, grade in enumerate(found) if grade]
            counts += [float(grade) for grade in found if grade]
        held = self.penalty * (1 + len(state.judged))
        present = np.array(learned_weights(tables, np.array(counts), even, self.penalty)) if tables else even
        return np.array([self._change(state, place, present, held) for place in state.open])

    def _change(self, state: SelectionState, place: int, present: np.ndarray, penalty: float) -> float:
        numbers, scores = self._pool(state, place)
        fit = state.fit()
        known = dict(zip(fit.ranking.numbers[place].tolist(), fit.probabilities[place].tolist(), strict=True))
        p = np.array([known.get(number, 0.0) for number in numbers])
        kept = np.flatnonzero(p > 0)
        if not len(kept):
            return 0.0
        moved = learned_weights([_first(scores, at) for at in kept.tolist()], p[kept], present, penalty)
        return float((1 - np.prod(1 - p)) * np.abs(np.array(moved) - present).sum())

    @staticmethod
    def _pool(state: SelectionState, place: int) -> tuple[list[int], np.ndarray]:
        """What the committee finds for a query, and how each member scores it, (n_pool, n_members)."""
        numbers = state.committee.pool(place, "round-robin", 2 * TOP_DOCUMENTS)
        rows = [
            ScoreStatistics.from_ranking(ranking, place).spread(len(state.committee.corpus.documents), "z-score")[
                numbers
            ]
            for ranking in state.committee.rankings.values()
        ]
        return numbers, np.stack(rows, axis=1)


class Diversity(Selection):
    """Queries that are unlike each other and unlike those that are judged, by their own vectors and their documents'.

    Args:
        by: "k-centre", in turn the one that is farthest from all chosen ones; or "k-means", one from each of the
            clusters without a judged query, the largest clusters first, the query nearest to the mean.

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
        else:  # begin in the middle
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
        with threadpool_limits(1):  # the same sums in the same order, whatever the machine
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
        rest = [place for place in state.open if place not in first]  # where texts are equal there are too few clusters
        return first + rest[: number - len(first)]


class TwoStageSelection(Selection):
    """Chooses by one way among the best of another: uncertainty, then diversity.

    Args:
        first: ranks the queries.
        then: chooses among the best of them.
        times: so many times the number that is to be chosen are left to it.

    Source: Xu et al., ECIR 2003, doi:10.1007/3-540-36618-0_28; Zhdanov 2019, arXiv 1901.05954.
    """

    def __init__(self, first: ScoredSelection, then: Selection, times: int = 5) -> None:
        self.first = first
        self.then = then
        self.times = times

    def choose(self, state: SelectionState, number: int) -> list[int]:
        return self.then.choose(state.restricted_to(self.first.choose(state, number * self.times)), number)


class Bandit(Selection):
    """Tries several ways and comes back to those after which the cross-validated gain rose: Thompson sampling.

    A way's mean reward has a normal prior around 0, a reward normal noise around it.

    Args:
        arms: the ways, by name.
        prior_deviation: of the ways' mean rewards, in units of the measure.
        noise_deviation: of a reward.

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
        """Which way was taken for each batch that has a reward, and which one is for the next; (n_rewards + 1,)."""
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
    """The share of two lists of documents, (k,) numbers each, that they have in common; 1 where both are empty."""
    first, second = set(one[one != NO_DOCUMENT].tolist()), set(two[two != NO_DOCUMENT].tolist())
    return len(first & second) / max(len(first), len(second), 1) if first or second else 1.0


def rank_biased_overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Rank-biased overlap of two rankings, (k,) numbers each, best first: 0 to 1, 1 for equal ones."""
    weights = PERSISTENCE ** np.arange(len(one))
    shares = [overlap(one[:depth], two[:depth]) for depth in range(1, len(one) + 1)]
    return float(weights @ np.array(shares) / weights.sum())


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n_points, n_centres) Euclidean distances."""
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None] - 2 * points @ centres.T
    return np.sqrt(np.maximum(squares, 0.0))


def _first(scores: np.ndarray, at: int) -> np.ndarray:
    """The table of a pool's scores with one document in front."""
    return np.concatenate([scores[at : at + 1], np.delete(scores, at, axis=0)])
