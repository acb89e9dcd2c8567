"""Improves a program with user feedback, and replaces it only if the new one is better on held-out queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
from pydantic import Field

from zero2ir.data.checks import about_quality
from zero2ir.data.inputs import Judgments, as_judgments, as_query_ids
from zero2ir.data.judgments import normalised
from zero2ir.data.own_documents import own_documents
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.evaluation.significance import Comparison, compare_scores
from zero2ir.io.settings import Settings
from zero2ir.models.capabilities import search_without
from zero2ir.models.encoder_based import encoders
from zero2ir.models.initialization import Initialization, with_initialization
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

EVALUATION_DEPTH = 100  # depth of the evaluated rankings
SPLIT_BUCKETS = 100  # integer value of a gain of 1, as measures need integer gains; nDCG does not depend on the unit
MIN_HELD_OUT_QUERIES = 5  # with fewer queries no difference can be significant


class ImproveSettings(Settings):
    """Settings for improving a program.

    Attributes:
        clicks: how clicks are turned into judgments.
        held_out: share of queries used only for the comparison, never for training.
        level: significance level that the new program has to reach.
        resamples: number of resamples of the test and the interval.
        tuning: how the strategy tunes.
    """

    clicks: ClickSettings = ClickSettings()
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.3
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    resamples: Annotated[int, Field(ge=100)] = 10_000
    tuning: TuningSettings = TuningSettings()


@dataclass(frozen=True)
class ImprovementResult:
    """Result of an attempt to improve a program.

    Attributes:
        program: the new program, whether it is better or not.
        better: whether it is significantly better than the old one on held-out queries.
        comparison: new minus old on the held-out queries; None if there are too few.
        text: summary in words.
        figures: number of training judgments by kind and of held-out queries, and the measure of old and new.
    """

    program: "Program"
    better: bool
    comparison: Comparison | None
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


def improve(
    program: "Program",
    events: Iterable["FeedbackEvent"],
    judgments: Judgments = (),
    *,
    settings: ImproveSettings | None = None,
    strategy: Strategy | None = None,
    seed: int = 0,
    query_ids: Mapping[str, str] | None = None,
) -> ImprovementResult:
    """Trains a program on judgments and feedback, and compares it with the old one on held-out queries.

    A hash of its text decides whether a query is held out, so a held-out query is never used for training later. The
    old program may have been trained on held-out judgments before, which favours it.

    Args:
        program: the program in use.
        events: impressions, clicks and grades.
        judgments: (query, doc_id, grade) rows, as for ``zero2ir.train``, ideally those that it was trained on; they
            take precedence over feedback on the same document.
        settings: how to improve.
        strategy: the training strategy; None for fine_tune, which keeps the old model unless training improves it.
        seed: seed of all random choices.
        query_ids: ids of queries by text, as for ``zero2ir.train``.

    Raises:
        InputError: a judgment is invalid, or there is nothing to learn from.
    """
    settings = settings or ImproveSettings()
    corpus = Corpus(
        program.documents,
        encoders(program.retriever),
        language_model=program.language_model,
        language=program.language,
    )
    current = [event for event in events if event.doc_id in corpus.number_of]  # skip documents removed since
    # position bias is estimated separately for training and held-out queries
    feedback = [row for part in _split(current, settings.held_out) for row in from_feedback(part, settings.clicks)]
    judged, quality = as_judgments(judgments, corpus.number_of)
    rows = _merged(judged, feedback)
    training, held_out = _split(rows, settings.held_out)
    if not any(row.relevance > 0 for row in training):
        raise InputError(
            f"nothing to learn from: {len(training)} judgments, none of them of a relevant document; collect more "
            "feedback, with clicks and the impressions with their positions"
        )
    queries = [event.query for event in current if not is_held_out(event.query, settings.held_out)]
    ids = as_query_ids(query_ids)
    texts = dict.fromkeys([row.query for row in rows] + queries)
    graded = [Judgment(row.query, row.doc_id, row.relevance) for row in rows]
    asked = {text: ids.get(normalised(text), "") for text in texts}
    own = own_documents({text: text for text in texts}, program.documents, graded, asked)
    inputs = _inputs(corpus, training, queries, own, settings, seed)
    new = _trained(program, inputs, strategy or FineTune())
    new.about = {key: value for key, value in new.about.items() if key != "quality"} | about_quality(quality)
    clicked = sum(row.attraction is not None for row in training)
    figures = {"learned_from": float(len(training)), "learned_from_clicks": float(clicked)}
    values, old = (_values(one.retriever, inputs, held_out) for one in (new, program))
    return _compared(new, values, old, figures, settings, seed)


def _compared(
    new: "Program",
    values: Mapping[str, float],
    old: Mapping[str, float],
    figures: Mapping[str, float],
    settings: ImproveSettings,
    seed: int,
) -> ImprovementResult:
    """Compares two programs by their values on the held-out queries."""
    chosen = str(new.about["chosen"])
    because = f"{chosen[:1].upper()}{chosen[1:]}: {new.about['reason']}."
    if len(values) < MIN_HELD_OUT_QUERIES:
        text = (
            f"Not compared: {len(values)} held-out queries, at least {MIN_HELD_OUT_QUERIES} are needed; "
            f"the old program stays. {because}"
        )
        return ImprovementResult(new, False, None, text, {**figures, "held_out_queries": float(len(values))})
    comparison = compare_scores(
        {seed: values}, {seed: old}, resamples=settings.resamples, level=1 - settings.level, seed=seed
    )
    better = comparison.difference.mean > 0 and comparison.p_value <= settings.level
    compared = {
        "held_out_queries": float(len(values)),
        "new": float(np.mean(list(values.values()))),
        "old": float(np.mean(list(old.values()))),
        "difference": comparison.difference.mean,
        "p_value": comparison.p_value,
    }
    difference = comparison.difference
    text = (
        f"{'Better' if better else 'Not better'}: {settings.tuning.measure} {compared['new']:.3f} against "
        f"{compared['old']:.3f} on {difference.n} held-out queries, {difference.mean:+.3f} "
        f"[{difference.ci_low:+.3f}, {difference.ci_high:+.3f}], p = {comparison.p_value:.4f}. {because}"
    )
    return ImprovementResult(new, better, comparison, text, {**figures, **compared})


def is_held_out(query: str, share: float) -> bool:
    """Returns whether a query is held out, now and in every later run: by a hash of its text."""
    return uniform("held out", normalised(query)) < share


def _split(rows: Sequence[QueryRow], share: float) -> tuple[list[QueryRow], list[QueryRow]]:
    """Splits rows into those of training and those of held-out queries."""
    parts: tuple[list[QueryRow], list[QueryRow]] = ([], [])
    for row in rows:
        parts[is_held_out(row.query, share)].append(row)
    return parts


def _merged(judged: Sequence[JudgedDocument], feedback: Sequence[WeightedJudgment]) -> list[WeightedJudgment]:
    """Merges judgments and feedback, one text per query; drops feedback on judged documents."""
    texts = {normalised(row.query): row.query for row in judged}
    judged_pairs = {(row.query, row.doc_id) for row in judged}
    feedback_rows = [row._replace(query=texts.setdefault(normalised(row.query), row.query)) for row in feedback]
    return [
        *(WeightedJudgment(row.query, row.doc_id, row.relevance, float(row.relevance)) for row in judged),
        *(row for row in feedback_rows if (row.query, row.doc_id) not in judged_pairs),
    ]


def _inputs(
    corpus: Corpus,
    rows: Sequence[WeightedJudgment],
    queries: Sequence[str],
    own: Mapping[str, str],
    settings: ImproveSettings,
    seed: int,
) -> TrainingInputs:
    """Returns the training inputs; ``own`` is the own documents by query text."""
    query_ids = {query: f"q{number}" for number, query in enumerate(dict.fromkeys(row.query for row in rows))}
    judged = [JudgedDocument(query_ids[row.query], row.query, row.doc_id, row.relevance) for row in rows]
    labelled = set(map(normalised, query_ids))
    unlabelled = {normalised(query): query for query in queries if normalised(query) not in labelled}
    weights = {(query_ids[row.query], row.doc_id): row.weight for row in rows}
    return TrainingInputs(
        corpus.with_queries([*query_ids, *unlabelled.values()]),
        judged,
        tuning=settings.tuning,
        seed=seed,
        unlabelled_queries=list(unlabelled.values()),
        weights=weights,
        own_documents={**own, **{query_ids[text]: doc_id for text, doc_id in own.items() if text in query_ids}},
    )


def _trained(program: "Program", inputs: TrainingInputs, strategy: Strategy) -> "Program":
    """Trains a program; keeps its policy and fallback."""
    from zero2ir.program.program import Program, reader_of
    from zero2ir.program.training import calibrate, describe_training

    # Weights trained on these very queries would look better on them than any cross-validated alternative.
    unlearned = with_initialization(program.retriever, Initialization())
    fitted = strategy.fit(unlearned, inputs)
    return Program(
        fitted.retriever,
        program.documents,
        calibrate(fitted.retriever, inputs, fitted.learner),
        {key: value for key, value in program.about.items() if key != "evaluation"}  # it was of the weights before
        | describe_training(fitted, inputs),
        program.language_model,
        reader_of(fitted.retriever, inputs.corpus) if program.reader is not None else None,
        program.policy,
        program.links,
        program.fallback,
    )


def _values(retriever: "Retriever", inputs: TrainingInputs, rows: Sequence[WeightedJudgment]) -> dict[str, float]:
    """Returns the measure of each query with a relevant document; clicks are weighted as in training.

    A query with clicks only is evaluated on its judged documents alone (condensed lists): nobody can click a document
    that the old program never showed, and counting it as non-relevant would favour the old program.

    Source: Sakai, SIGIR 2007, doi:10.1145/1277741.1277756.
    """
    judged: dict[str, list[WeightedJudgment]] = {}
    for row in rows:
        judged.setdefault(row.query, []).append(row)
    useful = {query: rated for query, rated in judged.items() if any(row.weight > 0 for row in rated)}
    clicked = {query: rated for query, rated in useful.items() if all(row.attraction is not None for row in rated)}
    whole = {query: rated for query, rated in useful.items() if query not in clicked}
    return {
        **_measured(retriever, inputs, whole, alone=False),
        **_measured(retriever, inputs, clicked, alone=True),
    }


def _measured(
    retriever: "Retriever", inputs: TrainingInputs, judged: Mapping[str, Sequence[WeightedJudgment]], alone: bool
) -> dict[str, float]:
    if not judged:
        return {}
    corpus, texts = inputs.corpus, list(judged)
    numbers = [corpus.numbers_of([row.doc_id for row in rows]) for rows in judged.values()] if alone else None
    ranking = search_without(retriever, texts, EVALUATION_DEPTH, numbers, inputs.own_of(texts))
    qrels = [
        Judgment(query, row.doc_id, round(SPLIT_BUCKETS * row.weight)) for query, rows in judged.items() for row in rows
    ]
    values = judged_values(ranking, corpus, texts, qrels, inputs.tuning.measure)
    return dict(zip(judged, map(float, values), strict=True))
