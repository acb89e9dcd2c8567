"""Converts feedback to weighted judgments: grades as they are, clicks corrected for position bias."""

from collections.abc import Iterable, Sequence
from statistics import median_high
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.data.judgments import normalised
from zero2ir.io.settings import Settings
from zero2ir.online.feedback.position_bias import ImpressionCounts, count_impressions, examination

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent


class ClickSettings(Settings):
    """How clicks are turned into judgments.

    Attributes:
        clip: maximum weight of a click, however low the examination probability of its rank.
        min_certainty: probability that a document's attraction is above (below) the average of the shown documents,
            required to count it as relevant (non-relevant).
        prior_impressions: number of examinations of an average document added to each document as a prior.
        debias: whether to correct for position bias; without it every click counts 1.
    """

    clip: Annotated[float, Field(ge=1)] = 10.0
    min_certainty: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    prior_impressions: Annotated[float, Field(gt=0)] = 1.0
    debias: bool = True


class WeightedJudgment(NamedTuple):
    """A judgment of one document of a query, derived from feedback.

    Attributes:
        query: text as first submitted.
        relevance: the grade; 1 or 0 for clicks.
        weight: weight, at least 0: the grade; for clicks, the attraction above average as a share of the possible
            excess.
        attraction: estimated probability of a click once examined; None for a grade.
    """

    query: str
    doc_id: str
    relevance: int
    weight: float
    attraction: float | None = None


def from_feedback(events: Iterable["FeedbackEvent"], settings: ClickSettings) -> list[WeightedJudgment]:
    """Converts feedback to judgments; grades take precedence over clicks on the same document."""
    events = list(events)
    grades = from_grades(events)
    graded = {(normalised(row.query), row.doc_id) for row in grades}
    clicked = from_clicks(count_impressions(events), settings)
    return [*grades, *(row for row in clicked if (normalised(row.query), row.doc_id) not in graded)]


def from_grades(events: Iterable["FeedbackEvent"]) -> list[WeightedJudgment]:
    """Returns the median of the users' last grades, the higher one if it lies between two grades."""
    queries: dict[str, str] = {}
    last: dict[tuple[str, str], dict[str, int]] = {}
    for event in events:
        if event.kind == "grade" and event.grade is not None:
            query = queries.setdefault(normalised(event.query), event.query)
            anonymous = event.event_id if not event.user else ""
            last.setdefault((query, event.doc_id), {})[f"{event.user}\0{anonymous}"] = event.grade
    medians = {key: median_high(by_user.values()) for key, by_user in last.items()}
    return [WeightedJudgment(*key, grade, float(grade)) for key, grade in medians.items()]


def from_clicks(tally: Sequence[ImpressionCounts], settings: ClickSettings) -> list[WeightedJudgment]:
    """Returns the documents that clicks show to be relevant, or not relevant, with enough certainty.

    A click is weighted by the inverse examination probability of its rank, w = min(1 / examination, clip). A document's
    attraction is the sum of w * click divided by the sum of w * examination, over its impressions; with this
    normalisation, clipping lowers the variance without bias. The uncertainty is that of a Beta distribution with the
    effective number of examinations (Kish), shrunk toward the average document.

    Source: Joachims, Swaminathan and Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 4; self-normalising:
    Swaminathan and Joachims, NeurIPS 2015, "The self-normalized estimator for counterfactual learning", where the
    expectation of the normaliser is known.
    """
    from scipy.stats import beta

    if not tally:
        return []
    examined = examination(tally) if settings.debias else np.ones(max(row.position for row in tally))
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys((row.query, row.doc_id) for row in tally))}
    pair = np.array([pairs[row.query, row.doc_id] for row in tally])
    theta = examined[[row.position - 1 for row in tally]]
    weight = np.minimum(1 / theta, settings.clip)
    clicks = np.bincount(pair, weight * [row.clicks for row in tally])
    examinations = np.bincount(pair, weight * theta * [row.impressions for row in tally])
    # effective sample size per examination, at most 1
    effective = examinations / np.bincount(pair, weight**2 * theta * [row.impressions for row in tally])
    average = min(float(clicks.sum() / examinations.sum()), 1.0)
    for_it = settings.prior_impressions * average + effective * clicks
    against = settings.prior_impressions * (1 - average) + effective * np.maximum(examinations - clicks, 0.0)
    attraction = for_it / (for_it + against)
    above = beta.sf(average, for_it, against) if 0 < average < 1 else np.full(len(pairs), 0.5)
    return [
        _judged(key, float(level), float(average), share >= settings.min_certainty)
        for key, level, share in zip(pairs, attraction, above, strict=True)
        if share >= settings.min_certainty or share <= 1 - settings.min_certainty
    ]


def _judged(pair: tuple[str, str], attraction: float, average: float, relevant: bool) -> WeightedJudgment:
    weight = max(attraction - average, 0.0) / (1 - average) if relevant else 0.0
    return WeightedJudgment(*pair, int(relevant), weight, attraction)
