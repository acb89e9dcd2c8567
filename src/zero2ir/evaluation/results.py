"""What one evaluation leaves behind: a folder that anybody can measure again, and its reading."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, field_validator, model_validator

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.answers import AnswerKey, answer_cutoff, is_answer_measure, score_answers
from zero2ir.evaluation.calibration import calibration
from zero2ir.evaluation.intervals import bootstrap_interval, share_interval
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
from zero2ir.io.settings import Settings
from zero2ir.io.terminal import progress


class EvaluationSettings(Settings):
    """How every system is measured: the same for all, or they could not be compared.

    Attributes:
        measures: ir-measures names, and AnswerRecall@k, EM, F1; the task's, where nothing else is set.
        depth: documents ranked per query; average precision is by custom measured to 1000.
        resamples: of every bootstrap and randomisation test.
        confidence_level: coverage of the intervals.
        tie_limit: a run is refused where the order of equal scores alone moves the first measure's mean by more.
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
            raise InputError(f"measures: name a ranking measure at least and each once, not {list(measures)}")
        return measures

    @model_validator(mode="after")
    def _deep_enough(self) -> "EvaluationSettings":
        cutoffs = {str(one): one.params.get("cutoff", 0) for one in parse_measures(ranking_measures(self.measures))}
        cutoffs |= {name: answer_cutoff(name) for name in self.measures if is_answer_measure(name)}
        for measure, cutoff in cutoffs.items():
            if cutoff > self.depth:
                raise InputError(f"depth: {self.depth} is less than {measure} looks at; raise it")
        return self


def ranking_measures(measures: Sequence[str]) -> list[str]:
    """Those that look at documents alone, by ir-measures."""
    return [name for name in measures if not is_answer_measure(name)]


def graded_measures(measures: Sequence[str]) -> list[str]:
    """Those of them that look at grades: not Judged@k, which counts who was judged at all."""
    return [name for name in ranking_measures(measures) if not name.startswith("Judged")]


class SystemIdentity(Settings):
    """Which system was measured.

    Attributes:
        model: its type.
        strategy: that trained it.
        seed: of the draw of the judgments.
        dataset: that it was measured on.
        notes: free text such as what was chosen, why, and the code revision.
        prompts: those that its training tried, each with its scores and cost; none for most strategies.
        judged_queries: how many judged queries its training was given; None where nobody says.
        runtime: the machine, the interpreter and the packages that measured it, by name.
        model_order: where reports list its model type, the lowest first.
        strategy_order: where reports list its strategy, the lowest first.
    """

    model: str
    strategy: str
    seed: int
    dataset: str
    notes: dict[str, str] = Field(default_factory=dict)
    prompts: list[dict[str, Any]] = Field(default_factory=list)
    judged_queries: int | None = None
    runtime: dict[str, str] = Field(default_factory=dict)
    model_order: int = 100
    strategy_order: int = 100

    @property
    def name(self) -> str:
        """model-strategy-seed, as its folder is called."""
        return f"{self.model}-{self.strategy}-seed{self.seed}"


class QueryConfidence(NamedTuple):
    """The stated probability that a query's first document is relevant, and whether it is."""

    query_id: str
    confidence: float
    correct: bool


@dataclass(frozen=True)
class Results:
    """One results folder, read back; ``per_query`` and ``condensed`` map a measure to query id → value."""

    system: SystemIdentity
    metrics: dict[str, Any]
    per_query: dict[str, dict[str, float]]
    confidence: list[QueryConfidence]
    condensed: dict[str, dict[str, float]] = field(default_factory=dict)


def write_results(
    folder: Path,
    *,
    system: SystemIdentity,
    run: Run,
    qrels: Sequence[Judgment],
    confidence: Mapping[str, float],
    cost: Mapping[str, float],
    settings: EvaluationSettings,
    seed: int,
    key: AnswerKey | None = None,
    ceiling: Run | None = None,
) -> dict[str, Any]:
    """Measures a run and writes the whole results folder, or nothing; the same inputs give the same bytes.

    Args:
        folder: replaced if it exists; holds run.trec.gz, per_query.parquet, condensed.parquet, confidence.parquet,
            system.json and metrics.json.
        qrels: the judgments of the test queries, never those that training saw.
        confidence: query id → probability that its first document is relevant; empty for a system that states none.
        cost: what the system took, by name and unit, e.g. ``train_seconds``, ``lm_calls``, ``labels``.
        seed: of the resampling.
        key: the answers, for measures that look at them.
        ceiling: a run that this one is stated as a share of; None for none.

    Returns:
        What metrics.json holds: each measure's mean, ci_low, ci_high and n, the same without unjudged documents under
        ``condensed``, then ``confidence`` and ``cost``; where there is a ceiling, also its measures under ``ceiling``
        and the shares under ``ceiling_share``.

    Raises:
        InputError: the run is malformed, a judged query has no confidence while others have, or a cost is no number.
    """
    scores = score_run(run, qrels, ranking_measures(settings.measures))
    scores += score_answers(run, key or AnswerKey(), [name for name in settings.measures if is_answer_measure(name)])
    scores.sort(key=lambda row: settings.measures.index(row.measure))
    graded = graded_measures(settings.measures)
    without_unjudged = score_run(condensed(run, qrels), qrels, graded) if graded else []
    query_confidences = _confidence(confidence, top_relevant(run, qrels)) if confidence else []
    options: dict[str, Any] = {"resamples": settings.resamples, "level": settings.confidence_level, "seed": seed}
    metrics: dict[str, Any] = _intervals(scores, progress(settings.measures, "intervals"), options)
    metrics["condensed"] = _intervals(without_unjudged, graded, options)
    if ceiling is not None:
        metrics |= _against(ceiling, scores, qrels, settings, options)
    metrics["confidence"] = _calibration(query_confidences, options)
    metrics["cost"] = _checked_cost(cost)
    with finished_folder(folder) as part:
        write_trec_run(part / "run.trec.gz", run, tag=system.name, depth=settings.depth)
        write_records(scores, QueryScore, part / "per_query.parquet")
        write_records(without_unjudged, QueryScore, part / "condensed.parquet")
        write_records(query_confidences, QueryConfidence, part / "confidence.parquet")
        write_json(part / "system.json", system.model_dump())
        write_json(part / "metrics.json", metrics)
    return metrics


def _intervals(scores: Sequence[QueryScore], measures: Iterable[str], options: dict[str, Any]) -> dict[str, Any]:
    """Each measure's mean with its interval, as it stands in metrics.json."""
    return {
        name: bootstrap_interval([row.value for row in scores if row.measure == name], **options).rounded()
        for name in measures
    }


def _against(
    ceiling: Run,
    scores: Sequence[QueryScore],
    qrels: Sequence[Judgment],
    settings: EvaluationSettings,
    options: dict[str, Any],
) -> dict[str, Any]:
    """What the ceiling reaches, and the share of it, by measure of a ranking's quality."""
    measures = graded_measures(settings.measures)
    highest = {(row.measure, row.query_id): row.value for row in score_run(ceiling, qrels, measures)}
    reached: dict[str, Any] = {}
    shares: dict[str, Any] = {}
    for name in measures:
        rows = [row for row in scores if row.measure == name]
        whole = [highest[name, row.query_id] for row in rows]
        reached[name] = bootstrap_interval(whole, **options).rounded()
        if any(whole):
            shares[name] = share_interval([row.value for row in rows], whole, **options).rounded()
    return {"ceiling": reached, "ceiling_share": shares}


def _confidence(confidence: Mapping[str, float], correct: Mapping[str, bool]) -> list[QueryConfidence]:
    missing = [query_id for query_id in correct if query_id not in confidence]
    if missing:
        raise InputError(f"confidence: none for {len(missing)} judged queries, e.g. {missing[0]}; give one for each")
    return [QueryConfidence(query_id, float(confidence[query_id]), right) for query_id, right in correct.items()]


def _checked_cost(cost: Mapping[str, float]) -> dict[str, float]:
    for name, value in cost.items():
        if not 0 <= value < math.inf:
            raise InputError(f"cost: {name} is {value}; give a finite number, 0 or more, or leave it out")
    return dict(cost)


def _calibration(query_confidences: Sequence[QueryConfidence], options: dict[str, Any]) -> dict[str, Any]:
    if not query_confidences:
        return {}
    return calibration(
        [row.confidence for row in query_confidences], [row.correct for row in query_confidences], **options
    ).rounded()


def read_results(folder: Path) -> Results:
    """Reads a results folder.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    try:
        system = SystemIdentity.model_validate_json((folder / "system.json").read_text(encoding="utf-8"))
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        scores = read_records(folder / "per_query.parquet", QueryScore)
        without_unjudged = read_records(folder / "condensed.parquet", QueryScore)
        confidence = read_records(folder / "confidence.parquet", QueryConfidence)
    except (OSError, ValidationError, json.JSONDecodeError, InputError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: not a whole results folder ({reason}); run evaluate again") from error
    return Results(system, metrics, _by_measure(scores), confidence, _by_measure(without_unjudged))


def _by_measure(scores: Sequence[QueryScore]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in scores:
        found.setdefault(row.measure, {})[row.query_id] = row.value
    return found


def read_all(folders: Sequence[Path]) -> list[Results]:
    """Reads results folders, ordered by model, strategy and seed.

    Raises:
        InputError: there is none, two name the same system, or they are not all of one dataset.
    """
    found = [read_results(folder) for folder in folders]
    if not found:
        raise InputError("no results to read; run evaluate first")
    datasets = sorted({each.system.dataset for each in found})
    if len(datasets) > 1:
        raise InputError(f"results of several datasets ({', '.join(datasets)}); leave out those of the others")
    names = [each.system.name for each in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two results folders hold {twice}; leave one out")
    return sorted(found, key=lambda each: (each.system.model, each.system.strategy, each.system.seed))
