"""Evaluates one program on the test queries, and logs its training and measures to MLflow."""

import json
from typing import Any

from zero2ir.config import EvaluateConfig, built, read_panel, stage
from zero2ir.data.judgments import read_judgments, test_queries
from zero2ir.data.own_documents import own_documents
from zero2ir.data.store import read_collection
from zero2ir.evaluation.answers import AnswerKey
from zero2ir.evaluation.checks import check_run, check_ties
from zero2ir.evaluation.results import SystemIdentity, ranking_measures, write_results
from zero2ir.io import paths
from zero2ir.io.files import check_output, sha256
from zero2ir.models.capabilities import notes
from zero2ir.program.card import CARD_FILE
from zero2ir.program.cost import lm_cost, timed
from zero2ir.program.program import load_program, program_digest
from zero2ir.program.ranking import answer_queries, rank_queries, translated_query_run
from zero2ir.tracking.provenance import code_revision, describe_runtime
from zero2ir.tracking.run_metadata import run_metadata
from zero2ir.tracking.runs import (
    DatasetInput,
    TrainingRecord,
    check_store,
    collect_telemetry,
    log_evaluation,
    log_training,
)


def main(config: EvaluateConfig) -> None:
    names = config.system.model_dump()
    training_folder, results = paths.training_folder(**names), paths.results(**names)
    check_output(results)
    check_store(config.tracking.uri)
    built("model", [config.system.model])  # imports the classes that the program is made of
    program = load_program(training_folder / paths.PROGRAM_FOLDER, allow_endpoints=None)  # of this pipeline
    training = json.loads((training_folder / paths.TRAINING_FILE).read_text(encoding="utf-8"))
    collection = read_collection(paths.COLLECTION_FOLDER)
    judgments = read_judgments(paths.judgments(config.system.seed))
    queries, qrels = test_queries(collection, judgments)

    depth = config.evaluation.depth
    candidates = collection.candidates_of([query.query_id for query in queries])
    texts = {query.query_id: query.text for query in queries}
    own = own_documents(texts, collection.documents, qrels) if config.task.leave_out_own_documents else {}
    scope = queries, depth, candidates, own
    language = collection.metadata["language"]
    ceiling = translated_query_run(collection.documents, *scope, language) if config.task.ceiling else None
    with collect_telemetry(config.tracking) as telemetry:
        (run, confidence), seconds = timed(lambda: rank_queries(program, *scope))
    check_run(run, [query.query_id for query in queries], {document.doc_id for document in collection.documents})
    check_ties(run, qrels, ranking_measures(config.evaluation.measures)[0], config.evaluation.tie_limit)
    key = AnswerKey(
        {query.query_id: query.answers for query in queries},
        {document.doc_id: document.body for document in program.documents},
        answer_queries(program, queries, run),
    )
    system = SystemIdentity(
        **names,
        dataset=collection.metadata["name"],
        notes={"chosen": training["chosen"], "reason": training["reason"], "code": code_revision()}
        | notes(program.retriever),
        prompts=training.get("prompts", []),
        model_choice=training.get("model_choice"),
        judged_queries=len({row.query_id for row in judgments}),
        parts=training["parts"],
        sources=training["sources"],
        runtime=describe_runtime(),
        model_order=training["model_order"],
        strategy_order=training["strategy_order"],
    )
    record = TrainingRecord.model_validate_json((training_folder / paths.TRACKING_FILE).read_text(encoding="utf-8"))
    cost = (
        training["cost"]
        | {"milliseconds_per_query": round(1000 * seconds / len(queries), 2)}
        | lm_cost(program.language_model, "search_lm_")
    )
    metrics = write_results(
        results,
        system=system,
        run=run,
        qrels=qrels,
        confidence=confidence,
        cost=cost,
        settings=config.evaluation,
        seed=config.system.seed,
        key=key,
        ceiling=ceiling,
        topics={query.query_id: query.topic for query in queries if query.topic},
        metadata=run_metadata(system, program, collection, record, config.evaluation, cost),
    )
    program.about["evaluation"] = card_figures(
        system, metrics, config.evaluation.confidence_level
    )  # the logged program's card states them
    panel, test = read_panel(), paths.COLLECTION_FOLDER / "qrels.parquet"
    card = (training_folder / paths.PROGRAM_FOLDER / CARD_FILE).read_text(encoding="utf-8")
    record = TrainingRecord.model_validate_json((training_folder / paths.TRACKING_FILE).read_text(encoding="utf-8"))
    run_id = log_training(
        config.tracking,
        paths.run_name(**names),
        program,
        program_digest(training_folder / paths.PROGRAM_FOLDER),
        record,
        {paths.TRAINING_FILE: training},
        card,
    )
    log_evaluation(
        config.tracking,
        run_id,
        metrics=figures(metrics) | record.metrics,
        measure=config.evaluation.measures[0],
        card=card,
        folder=results,
        tags={key: str(value) for key, value in names.items()} | {"test_queries": str(len(queries))},
        data=[DatasetInput(f"{panel.dataset} test queries", test, sha256(test), "test")],
        telemetry=(record.telemetry, telemetry),
    )


def card_figures(system: SystemIdentity, metrics: dict[str, Any], level: float) -> dict[str, Any]:
    """Returns what a model card states of an evaluation: means and intervals of a level, without costs."""
    means = {name: value for name, value in metrics.items() if isinstance(value, dict) and "mean" in value}
    return {"dataset": system.dataset, "measures": means, "confidence": metrics["confidence"], "level": level}


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    """Returns metrics by name: the measures with intervals, and the means of the groups.

    Costs are logged with the training; the other intervals are in the results folder.
    """
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict) and "mean" in value:
            flat |= {name: value["mean"], f"{name} ci_low": value["ci_low"], f"{name} ci_high": value["ci_high"]}
        elif isinstance(value, float):
            flat[name] = value
    for group in ("condensed", "confidence", "ceiling", "ceiling_share"):
        for name, value in metrics.get(group, {}).items():
            mean = value["mean"] if isinstance(value, dict) else value
            if isinstance(mean, float):
                flat[f"{group}/{name}"] = mean
    return flat


if __name__ == "__main__":
    stage(main, "evaluate")
