"""Feedback becomes weighted judgments: grades as they are, clicks with the bias of ranks taken out."""

from collections.abc import Iterable, Sequence
from statistics import median_high
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.data.judgments import normalised
from zero2ir.online.feedback.position_bias import ImpressionCounts, count_impressions, examination

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent


class ClickSettings(BaseModel):
    """How clicks are read.

    Attributes:
        clip: the most that a click may count, however rarely its rank is looked at.
        min_certainty: how probable it has to be that a document attracts more, or less, clicks than the documents that
            are shown do on average, for it to count as relevant, or as not relevant.
        shown: looks at an average document that every document is given beforehand.
        debias: whether ranks are told apart at all; without it, every click counts 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: Annotated[float, Field(ge=1)] = 10.0
    min_certainty: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    prior_impressions: Annotated[float, Field(gt=0)] = 1.0
    debias: bool = True


class WeightedJudgment(NamedTuple):
    """What feedback says of one document of a query.

    Attributes:
        query: as it was first asked.
        doc_id: of the document.
        relevance: a grade; of clicks 1 or 0.
        weight: how much it counts, at least 0: the grade; of clicks, how far its attraction stands above the average
            one, as a share of what is possible.
        attraction: the estimated probability of a click once it was looked at; None for a grade.
    """

    query: str
    doc_id: str
    relevance: int
    weight: float
    attraction: float | None = None


def from_feedback(events: Iterable["FeedbackEvent"], settings: ClickSettings) -> list[WeightedJudgment]:
    """The judgments that all feedback amounts to; grades count where a document has grades and clicks."""
    events = list(events)
    grades = from_grades(events)
    graded = {(normalised(row.query), row.doc_id) for row in grades}
    clicked = from_clicks(count_impressions(events), settings)
    return [*grades, *(row for row in clicked if (normalised(row.query), row.doc_id) not in graded)]


def from_grades(events: Iterable["FeedbackEvent"]) -> list[WeightedJudgment]:
    """The median of the last grades that users gave, the higher one where it lies between two."""
    queries: dict[str, str] = {}
    last: dict[tuple[str, str], dict[str, int]] = {}
    for event in events:
        if event.kind == "grade" and event.grade is not None:
            query = queries.setdefault(normalised(event.query), event.query)
            nameless = event.event_id if not event.user else ""
            last.setdefault((query, event.doc_id), {})[f"{event.user}\0{nameless}"] = event.grade
    medians = {key: median_high(by_user.values()) for key, by_user in last.items()}
    return [WeightedJudgment(*key, grade, float(grade)) for key, grade in medians.items()]


def from_clicks(tally: Sequence[ImpressionCounts], settings: ClickSettings) -> list[WeightedJudgment]:
    """The documents that clicks tell to be relevant, or not to be, with enough certainty.

    A click counts by the inverse of how likely its rank is to be looked at, w = min(1 / examination, clip), and a
    document's attraction is the sum of w * click over the sum of w * examination, over the times that it was shown: so
    normalised, clipping lowers the variance and brings no bias. Its uncertainty is that of a Beta distribution with the
    effective number of looks behind it (Kish), shrunk toward the average document.

    Source: Joachims, Swaminathan and Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 4; self-normalising:
    Swaminathan and Joachims, NeurIPS 2015, "The self-normalized estimator for counterfactual learning", where the
    expectation of the normaliser is known.
    """
    from scipy.stats import beta

    if not tally:
        return []
    looked = examination(tally) if settings.debias else np.ones(max(row.position for row in tally))
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys((row.query, row.doc_id) for row in tally))}
    pair = np.array([pairs[row.query, row.doc_id] for row in tally])
    theta = looked[[row.position - 1 for row in tally]]
    weight = np.minimum(1 / theta, settings.clip)
    clicks = np.bincount(pair, weight * [row.clicks for row in tally])
    looks = np.bincount(pair, weight * theta * [row.impressions for row in tally])
    effective = looks / np.bincount(pair, weight**2 * theta * [row.impressions for row in tally])  # per look, at most 1
    average = min(float(clicks.sum() / looks.sum()), 1.0)
    for_it = settings.prior_impressions * average + effective * clicks
    against = settings.prior_impressions * (1 - average) + effective * np.maximum(looks - clicks, 0.0)
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
