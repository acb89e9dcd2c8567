"""Writes and reads the results folder of one evaluated system."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from zero2ir.data.inputs import Qrels, as_qrels
from zero2ir.data.records import Judgment
from zero2ir.errors import InputError, one_line
from zero2ir.evaluation.answers import AnswerKey, answer_cutoff, is_answer_measure, score_answers
from zero2ir.evaluation.calibration import calibration
from zero2ir.evaluation.intervals import bootstrap_interval, share_interval, topics_of
from zero2ir.evaluation.ir_metadata import IR_METADATA_FILE, RunMetadata, write_ir_metadata
from zero2ir.evaluation.measures import (
    DEFAULT_MEASURES,
    QueryScore,
    Run,
    condensed,
    parse_measures,
    score_run,
    top_relevant,
    write_trec_run,
)
from zero2ir.io.files import finished_folder, write_json
from zero2ir.io.parquet import read_records, write_records
from zero2ir.io.settings import Settings, read_state
from zero2ir.io.terminal import progress

PRETRAINED_WEIGHTS = "pretrained weights"
LANGUAGE_MODEL = "a language model"


class EvaluationSettings(Settings):
    """Evaluation settings, shared by all systems, so that they can be compared.

    Attributes:
        measures: ir-measures names, AnswerRecall@k, EM and F1; the default depends on the task.
        depth: number of documents ranked per query; 1000 is the convention for average precision.
        resamples: number of resamples of each bootstrap and randomisation test.
        confidence_level: confidence level of the intervals.
        tie_limit: a run is rejected if the order of ties can change the first measure's mean by more than this.
    """

    measures: tuple[str, ...] = DEFAULT_MEASURES
    depth: Annotated[int, Field(ge=1)] = 1000
    resamples: Annotated[int, Field(ge=100)] = 10_000
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    tie_limit: Annotated[float, Field(ge=0, le=1)] = 0.05

    @field_validator("measures")
    @classmethod
    def _known(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        if ranking := ranking_measures(measures):
            parse_measures(ranking)
        if not ranking or len(set(measures)) < len(measures):
            raise InputError(
                f"measures: {list(measures)} has no ranking measure or has repetitions; "
                "name at least one ranking measure and each measure once"
            )
        return measures

    @model_validator(mode="after")
    def _deep_enough(self) -> "EvaluationSettings":
        cutoffs = {str(one): one.params.get("cutoff", 0) for one in parse_measures(ranking_measures(self.measures))}
        cutoffs |= {name: answer_cutoff(name) for name in self.measures if is_answer_measure(name)}
        for measure, cutoff in cutoffs.items():
            if cutoff > self.depth:
                raise InputError(f"depth: {self.depth} is less than the cutoff of {measure}; raise it")
        return self


def ranking_measures(measures: Sequence[str]) -> list[str]:
    """Returns the measures of rankings, which ir-measures computes."""
    return [name for name in measures if not is_answer_measure(name)]


def graded_measures(measures: Sequence[str]) -> list[str]:
    """Returns the ranking measures that depend on grades, i.e. all but Judged@k."""
    return [name for name in ranking_measures(measures) if not name.startswith("Judged")]


class SystemIdentity(Settings):
    """The identity of an evaluated system.

    Attributes:
        model: the model type.
        strategy: the training strategy.
        seed: the seed of the draw of the judgments.
        dataset: the evaluated dataset.
        notes: free text, such as the choices of the training and their reasons, and the code revision.
        prompts: the prompts tried in training, each with its scores and cost; empty for most strategies.
        model_choice: what was expected of each candidate of model=auto; None for another model.
        judged_queries: number of judged queries used for training; None if unknown.
        parts: what the model is made of: encoder roles, kinds of models, and "lm"; empty if unknown.
        sources: what it learned from beside the collection's documents and judgments, of ``PRETRAINED_WEIGHTS`` and
            ``LANGUAGE_MODEL``; None if unknown.
        runtime: machine, interpreter and package versions of the evaluation, by name.
        model_order: position of the model type in reports, ascending.
        strategy_order: position of the strategy in reports, ascending.
    """

    model: str
    strategy: str
    seed: int
    dataset: str
    notes: dict[str, str] = Field(default_factory=dict)
    prompts: list[dict[str, Any]] = Field(default_factory=list)
    model_choice: dict[str, Any] | None = None
    judged_queries: int | None = None
    parts: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    runtime: dict[str, str] = Field(default_factory=dict)
    model_order: int = 100
    strategy_order: int = 100

    @property
    def name(self) -> str:
        """The name of its folder: model-strategy-seed<seed>."""
        return f"{self.model}-{self.strategy}-seed{self.seed}"


class QueryConfidence(NamedTuple):
    """The stated probability that a query's first document is relevant, and whether it is relevant."""

    query_id: str
    confidence: float
    correct: bool


@dataclass(frozen=True)
class Results:
    """The content of a results folder.

    Attributes:
        per_query: values by measure and query id.
        condensed: the same for the ranking without unjudged documents.
        topics: the topics of the queries that share one, by query id; of ``data.records.Query``.
    """

    system: SystemIdentity
    metrics: dict[str, Any]
    per_query: dict[str, dict[str, float]]
    confidence: list[QueryConfidence]
    condensed: dict[str, dict[str, float]] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)


def write_results(
    folder: Path,
    *,
    system: SystemIdentity,
    run: Run,
    qrels: Qrels,
    confidence: Mapping[str, float],
    cost: Mapping[str, float],
    settings: EvaluationSettings,
    seed: int,
    key: AnswerKey | None = None,
    ceiling: Run | None = None,
    topics: Mapping[str, str] | None = None,
    metadata: RunMetadata | None = None,
) -> dict[str, Any]:
    """Evaluates a run and writes the results folder atomically; the same inputs give the same bytes.

    Args:
        folder: replaced if it exists; contains run.trec.gz, per_query.parquet, condensed.parquet, confidence.parquet,
            system.json and metrics.json, and with ``metadata`` ir-metadata.yml.
        qrels: the judgments of the test queries, held out from training.
        confidence: query id → probability that its first document is relevant; empty if the system states none.
        cost: the costs of the system by name with unit, e.g. ``train_seconds``, ``lm_calls``, ``labels``.
        seed: seed of the resampling.
        key: the answers, for answer measures.
        ceiling: a run relative to which the measures are also reported; None for none.
        topics: query id → topic, of the queries that share one; intervals resample whole topics.
        metadata: describes the run.

    Returns:
        The content of metrics.json: mean, ci_low, ci_high and n of each measure; the same without unjudged documents
        under ``condensed``; ``confidence`` and ``cost``; with a ceiling, its measures under ``ceiling`` and the shares
        under ``ceiling_share``.

    Raises:
        InputError: the run is malformed, some but not all judged queries have a confidence, or a cost is not a finite
            number of at least 0.
    """
    for name, value in cost.items():
        if not 0 <= value < math.inf:
            raise InputError(f"cost: {name} is {value}; pass a finite number of at least 0, or omit it")
    qrels = as_qrels(qrels)
    scores = score_run(run, qrels, ranking_measures(settings.measures))
    scores += score_answers(run, key or AnswerKey(), [name for name in settings.measures if is_answer_measure(name)])
    scores.sort(key=lambda row: settings.measures.index(row.measure))
    graded = graded_measures(settings.measures)
    without_unjudged = score_run(condensed(run, qrels), qrels, graded) if graded else []
    query_confidences = _confidence(confidence, top_relevant(run, qrels)) if confidence else []
    options: dict[str, Any] = {"resamples": settings.resamples, "level": settings.confidence_level, "seed": seed}
    topics = topics or {}
    scores, without_unjudged = (
        [row._replace(topic=topics.get(row.query_id, "")) for row in rows] for rows in (scores, without_unjudged)
    )
    metrics: dict[str, Any] = _intervals(scores, progress(settings.measures, "intervals"), options)
    metrics["condensed"] = _intervals(without_unjudged, graded, options)
    if ceiling is not None:
        metrics |= _against(ceiling, scores, qrels, settings, options)
    stated, right = [row.confidence for row in query_confidences], [row.correct for row in query_confidences]
    labels = topics_of([row.query_id for row in query_confidences], topics)
    metrics["confidence"] = calibration(stated, right, **options, topics=labels).rounded() if stated else {}
    metrics["cost"] = dict(cost)
    with finished_folder(folder) as part:
        write_trec_run(part / "run.trec.gz", run, tag=system.name, depth=settings.depth)
        write_records(scores, QueryScore, part / "per_query.parquet")
        write_records(without_unjudged, QueryScore, part / "condensed.parquet")
        write_records(query_confidences, QueryConfidence, part / "confidence.parquet")
        write_json(part / "system.json", system.model_dump())
        write_json(part / "metrics.json", metrics)
        if metadata is not None:
            write_ir_metadata(part / IR_METADATA_FILE, metadata)
    return metrics


def _intervals(scores: Sequence[QueryScore], measures: Iterable[str], options: dict[str, Any]) -> dict[str, Any]:
    by_measure = {name: [row for row in scores if row.measure == name] for name in measures}
    return {
        name: bootstrap_interval([row.value for row in rows], **options, topics=_topics(rows)).rounded()
        for name, rows in by_measure.items()
    }


def _topics(rows: Sequence[QueryScore]) -> list[str] | None:
    return topics_of([row.query_id for row in rows], {row.query_id: row.topic for row in rows if row.topic})


def _against(
    ceiling: Run,
    scores: Sequence[QueryScore],
    qrels: Sequence[Judgment],
    settings: EvaluationSettings,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Returns the graded measures of the ceiling and the run's shares of them."""
    measures = graded_measures(settings.measures)
    highest = {(row.measure, row.query_id): row.value for row in score_run(ceiling, qrels, measures)}
    reached: dict[str, Any] = {}
    shares: dict[str, Any] = {}
    for name in measures:
        rows = [row for row in scores if row.measure == name]
        whole = [highest[name, row.query_id] for row in rows]
        reached[name] = bootstrap_interval(whole, **options, topics=_topics(rows)).rounded()
        if any(whole):
            values = [row.value for row in rows]
            shares[name] = share_interval(values, whole, **options, topics=_topics(rows)).rounded()
    return {"ceiling": reached, "ceiling_share": shares}


def _confidence(confidence: Mapping[str, float], correct: Mapping[str, bool]) -> list[QueryConfidence]:
    missing = [query_id for query_id in correct if query_id not in confidence]
    if missing:
        raise InputError(f"confidence: {len(missing)} judged queries have none, e.g. {missing[0]}; pass one for each")
    return [QueryConfidence(query_id, float(confidence[query_id]), right) for query_id, right in correct.items()]


def read_results(folder: Path) -> Results:
    """Reads a results folder.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        system = SystemIdentity.model_validate_json((folder / "system.json").read_text(encoding="utf-8"))
        metrics = read_state(folder / "metrics.json", dict[str, Any])
        scores = read_records(folder / "per_query.parquet", QueryScore)
        without_unjudged = read_records(folder / "condensed.parquet", QueryScore)
        confidence = read_records(folder / "confidence.parquet", QueryConfidence)
    except (OSError, ValueError, TypeError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{folder}: incomplete or damaged results folder ({reason}); run evaluate again") from error
    topics = {row.query_id: row.topic for row in scores if row.topic}
    return Results(system, metrics, _by_measure(scores), confidence, _by_measure(without_unjudged), topics)


def _by_measure(scores: Sequence[QueryScore]) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for row in scores:
        values.setdefault(row.measure, {})[row.query_id] = row.value
    return values


def all_topics(results: Iterable[Results]) -> dict[str, str]:
    """Returns the topics of all results of one collection, by query id."""
    return {query_id: topic for each in results for query_id, topic in each.topics.items()}


def read_all(folders: Sequence[Path]) -> list[Results]:
    """Reads results folders, ordered by model, strategy and seed.

    Raises:
        InputError: there are none, two have the same system, or they have different datasets.
    """
    results = [read_results(folder) for folder in folders]
    if not results:
        raise InputError("there are no results; run evaluate first")
    datasets = sorted({each.system.dataset for each in results})
    if len(datasets) > 1:
        raise InputError(f"results of several datasets ({', '.join(datasets)}); keep those of one dataset")
    names = [each.system.name for each in results]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two results folders have the system {repeated}; remove one")
    return sorted(results, key=lambda each: (each.system.model, each.system.strategy, each.system.seed))
