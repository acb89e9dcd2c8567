"""A searcher learns from what people do with it, and is replaced only by one that is better on what neither saw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.data.inputs import as_judgments
from zero2ir.data.judgments import normalised
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.evaluation.significance import Comparison, compare_scores
from zero2ir.models.base import Initialization
from zero2ir.online.assignment import uniform
from zero2ir.online.feedback.judgments import ClickSettings, WeightedJudgment, from_feedback
from zero2ir.strategies.base import Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.tuning import TuningSettings, judged_values

if TYPE_CHECKING:
    from zero2ir.models.base import Retriever
    from zero2ir.online.feedback.store import FeedbackEvent
    from zero2ir.program.program import Program

QueryRow = TypeVar("QueryRow", "FeedbackEvent", WeightedJudgment)

EVALUATION_DEPTH = 100  # of the rankings that are measured
SPLIT_BUCKETS = 100  # a gain of 1 in whole numbers, as measures want them; nDCG does not depend on the unit
MIN_HELD_OUT_QUERIES = 5  # queries; with fewer no difference can be significant


class ImproveSettings(BaseModel):
    """How a searcher is improved.

    Attributes:
        clicks: how clicks are read.
        held_out: the share of queries that nothing is learned from, and that decide.
        level: the better one has to be significantly better at this level.
        resamples: of the test and the interval.
        tuning: how the strategy chooses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    clicks: ClickSettings = ClickSettings()
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.3
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    resamples: Annotated[int, Field(ge=100)] = 10_000
    tuning: TuningSettings = TuningSettings()


@dataclass(frozen=True)
class ImprovementResult:
    """What came of an attempt to improve a searcher.

    Attributes:
        program: the new searcher, whether it is better or not.
        better: whether it is significantly better than the old one on held-out queries.
        comparison: new minus old on these; None where there are too few.
        text: all of it in words.
        figures: how many judgments of which kind were learned from and held out, and the measure of old and new.
    """

    program: "Program"
    better: bool
    comparison: Comparison | None
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


def improve(
    program: "Program",
    events: Iterable["FeedbackEvent"],
    judgments: Sequence[tuple[str, str, int]] = (),
    *,
    settings: ImproveSettings | None = None,
    strategy: Strategy | None = None,
    seed: int = 0,
) -> ImprovementResult:
    """Trains a searcher on, with judgments and feedback, and compares it with the old one on held-out queries.

    Which queries are held out follows from their texts: one that decides today never teaches tomorrow. The old searcher
    may have learned from held-out judgments before, which speaks for it.

    Args:
        program: the searcher in use.
        events: impressions, clicks and grades. Where a document has a judgment, that counts.
        judgments: (query, doc_id, grade) rows, as for ``zero2ir.train``; best those that it was trained with.
        settings: how.
        strategy: trains; fine_tune where None, which keeps the old one where learning does not pay.
        seed: of everything that draws.

    Raises:
        InputError: a judgment is bad, or there is nothing to learn from.
    """
    settings = settings or ImproveSettings()
    corpus = Corpus(program.documents, program.retriever.encoders(), language_model=program.language_model)
    known = [event for event in events if event.doc_id in corpus.number_of]  # others are gone
    rows = _joined(judgments, _read(known, settings), corpus)
    taught, tested = _parted(rows, settings.held_out)
    if not any(row.relevance > 0 for row in taught):
        raise InputError(
            f"nothing to learn from: {len(taught)} judgments and none of a relevant document; collect more feedback, "
            "with impressions and their positions beside the clicks"
        )
    asked = [event.query for event in known if not is_held_out(event.query, settings.held_out)]
    new = _trained(program, _inputs(corpus, taught, asked, settings, seed), strategy or FineTune())
    clicked = sum(row.attraction is not None for row in taught)
    figures = {"learned_from": float(len(taught)), "learned_from_clicks": float(clicked)}
    values, old = (_values(one.retriever, corpus, tested, settings.tuning.measure) for one in (new, program))
    return _decided(new, values, old, figures, settings, seed)


def _decided(
    new: "Program",
    values: Mapping[str, float],
    old: Mapping[str, float],
    figures: Mapping[str, float],
    settings: ImproveSettings,
    seed: int,
) -> ImprovementResult:
    """Whether the new searcher is better, by its measure and the old one's on each held-out query."""
    because = f"{new.about['chosen']}: {new.about['reason']}."
    because = f"{because[0].upper()}{because[1:]}"
    if len(values) < MIN_HELD_OUT_QUERIES:
        said = f"Not compared: {len(values)} held-out queries, {MIN_HELD_OUT_QUERIES} are the least; the old one stays"
        return ImprovementResult(
            new, False, None, f"{said}. {because}", {**figures, "held_out_queries": float(len(values))}
        )
    options: dict[str, Any] = {"resamples": settings.resamples, "level": 1 - settings.level, "seed": seed}
    comparison = compare_scores({seed: values}, {seed: old}, **options)
    better = comparison.difference.mean > 0 and comparison.p_value <= settings.level
    compared = {
        "held_out_queries": float(len(values)),
        "new": float(np.mean(list(values.values()))),
        "old": float(np.mean(list(old.values()))),
        "difference": comparison.difference.mean,
        "p_value": comparison.p_value,
    }
    text = f"{_said(better, comparison, compared, settings.tuning.measure)}. {because}"
    return ImprovementResult(new, better, comparison, text, {**figures, **compared})


def is_held_out(query: str, share: float) -> bool:
    """Whether a query decides rather than teaches: by a hash of its text, for ever."""
    return uniform("held out", normalised(query)) < share


def _read(events: Sequence["FeedbackEvent"], settings: ImproveSettings) -> list[WeightedJudgment]:
    """What feedback amounts to. Who looks where is estimated apart for what teaches and for what decides."""
    parts = _parted(events, settings.held_out)
    return [row for part in parts for row in from_feedback(part, settings.clicks)]


def _parted(rows: Sequence[QueryRow], share: float) -> tuple[list[QueryRow], list[QueryRow]]:
    """What teaches, and what decides."""
    parts: tuple[list[QueryRow], list[QueryRow]] = ([], [])
    for row in rows:
        parts[is_held_out(row.query, share)].append(row)
    return parts


def _joined(
    judgments: Sequence[tuple[str, str, int]], feedback: Sequence[WeightedJudgment], corpus: Corpus
) -> list[WeightedJudgment]:
    """All rows, each query under one text; what feedback says of a judged document is left out."""

    judged = as_judgments(judgments, corpus.number_of)
    texts = {normalised(row.query): row.query for row in judged}
    known = {(row.query, row.doc_id) for row in judged}
    told = [row._replace(query=texts.setdefault(normalised(row.query), row.query)) for row in feedback]
    return [
        *(WeightedJudgment(row.query, row.doc_id, row.relevance, float(row.relevance)) for row in judged),
        *(row for row in told if (row.query, row.doc_id) not in known),
    ]


def _inputs(
    corpus: Corpus, rows: Sequence[WeightedJudgment], asked: Sequence[str], settings: ImproveSettings, seed: int
) -> TrainingInputs:
    """What a strategy learns from: the rows that teach, and the queries of which they say nothing."""
    query_ids = {query: f"q{number}" for number, query in enumerate(dict.fromkeys(row.query for row in rows))}
    judged = [JudgedDocument(query_ids[row.query], row.query, row.doc_id, row.relevance) for row in rows]
    known = set(map(normalised, query_ids))
    return TrainingInputs(
        corpus,
        judged,
        tuning=settings.tuning,
        seed=seed,
        unlabelled_queries=list(
            {normalised(query): query for query in asked if normalised(query) not in known}.values()
        ),
        weights={(query_ids[row.query], row.doc_id): row.weight for row in rows},
    )


def _trained(program: "Program", inputs: TrainingInputs, strategy: Strategy) -> "Program":
    """The program that a strategy makes of what is there; its policy is chosen anew, its fallback stays."""
    from zero2ir.program.program import Program, reader_of
    from zero2ir.program.training import calibrate, fit_policy

    # What it has learned from these very queries would look better on them than anything that is cross-validated.
    unlearned = program.retriever.with_initialization(Initialization())
    fitted = strategy.fit(unlearned, inputs)
    calibration = calibrate(fitted.retriever, inputs, fitted.learner)
    new = Program(
        fitted.retriever,
        program.documents,
        calibration.confidence or program.confidence,
        {**program.about, "chosen": fitted.chosen, "reason": fitted.reason, "labels": fitted.labels},
        program.language_model,
        reader_of(fitted.retriever, inputs.corpus) if program.reader is not None else None,
        links=program.links,
        fallback=program.fallback,
    )
    policy = program.policy
    return new if policy is None else fit_policy(new, calibration, policy.risk, policy.max_risk)


def _values(retriever: "Retriever", corpus: Corpus, rows: Sequence[WeightedJudgment], measure: str) -> dict[str, float]:
    """The measure of each query with a relevant document; clicks count by their weights, as they do in learning.

    Where clicks are all that is known of a query, its judged documents are ranked alone (condensed lists): nobody could
    click on what the old searcher never showed, and if that counted as not relevant, no other one could be better.

    Source: Sakai, SIGIR 2007, doi:10.1145/1277741.1277756.
    """
    judged: dict[str, list[WeightedJudgment]] = {}
    for row in rows:
        judged.setdefault(row.query, []).append(row)
    useful = {query: known for query, known in judged.items() if any(row.weight > 0 for row in known)}
    clicked = {query: known for query, known in useful.items() if all(row.attraction is not None for row in known)}
    whole = {query: known for query, known in useful.items() if query not in clicked}
    return {
        **_measured(retriever, corpus, whole, measure, alone=False),
        **_measured(retriever, corpus, clicked, measure, alone=True),
    }


def _measured(
    retriever: "Retriever", corpus: Corpus, judged: Mapping[str, Sequence[WeightedJudgment]], measure: str, alone: bool
) -> dict[str, float]:
    """The measure of each query, in the whole collection, or with its judged documents ranked alone."""
    if not judged:
        return {}
    numbers = [corpus.numbers_of([row.doc_id for row in rows]) for rows in judged.values()]
    ranking = retriever.search(list(judged), EVALUATION_DEPTH, numbers if alone else None)
    qrels = [
        Judgment(query, row.doc_id, round(SPLIT_BUCKETS * row.weight)) for query, rows in judged.items() for row in rows
    ]
    values = judged_values(ranking, corpus, list(judged), qrels, measure)
    return dict(zip(judged, map(float, values), strict=True))


def _said(better: bool, comparison: Comparison, figures: Mapping[str, float], measure: str) -> str:
    """The comparison in words."""
    difference = comparison.difference
    return (
        f"{'Better' if better else 'Not better'}: {measure} {figures['new']:.3f} against {figures['old']:.3f} on "
        f"{difference.n} held-out queries, {difference.mean:+.3f} [{difference.ci_low:+.3f}, "
        f"{difference.ci_high:+.3f}], p = {comparison.p_value:.4f}"
    )
