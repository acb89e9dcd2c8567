"""Trains one model by one strategy on one sample of judgments."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from zero2ir.config import TrainConfig, build, chosen, complete, stage
from zero2ir.data.auxiliary import read_auxiliary_collections
from zero2ir.data.judgments import judgment_counts, read_candidates, read_judgments, read_unlabelled_queries
from zero2ir.data.store import read_documents, stored_facts, stored_language
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoded
from zero2ir.evaluation.results import LANGUAGE_MODEL
from zero2ir.io import paths
from zero2ir.io.files import check_output, finished_folder, read_json, sha256, write_json
from zero2ir.lm.factory import LanguageModel, open_lm
from zero2ir.models.auto import Auto
from zero2ir.models.base import encoder_roles
from zero2ir.models.encoder_based import part_names
from zero2ir.program.program import index_bytes
from zero2ir.program.training import TrainingResult, train_program
from zero2ir.strategies.base import Strategy, TrainingInputs, needs_synthetic_queries
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.synthetic.store import read_settings, read_synthetic
from zero2ir.tracking.provenance import code_revision
from zero2ir.tracking.runs import DatasetInput, NestedRun, TrainingRecord, collect_telemetry
from zero2ir.tracking.telemetry import Telemetry


def main(config: TrainConfig) -> None:
    model, strategy = build(config.model, "model"), build(config.strategy, "strategy")
    names = {"model": chosen("model"), "strategy": chosen("strategy"), "seed": config.seed}
    check_output(paths.training_folder(**names))
    roles = sorted({*encoder_roles(model), *strategy.roles})
    optional = model.optional_needs() if isinstance(model, Auto) and config.lm.available else set()
    needs_lm = "lm" in strategy.needs | model.needs() | optional
    with open_lm(config.lm, paths.CACHE_FOLDER / "lm", config.seed) if needs_lm else nullcontext() as language_model:
        inputs = training_inputs(config, roles, language_model, writes="lm" in strategy.needs)
        with collect_telemetry(config.tracking) as telemetry:
            about = names | {"data": stored_facts(paths.COLLECTION_FOLDER)}
            trained = train_program(model, strategy, inputs, about, answers=config.task.answers)
    cost = total(pretraining_cost(config.seed, needs_synthetic_queries(strategy, True), roles), trained.cost)
    record = {
        "chosen": trained.fitted.chosen,
        "reason": trained.fitted.reason,
        "cost": cost,
        "measure": config.tuning.measure,
        "parts": part_names(trained.program.retriever),
        "sources": sources(trained.program.retriever.needs(), strategy, config),
        "model_order": model.order,
        "strategy_order": strategy.order,
        **trained.fitted.report,
    }
    with finished_folder(paths.training_folder(**names)) as folder:
        trained.program.save(folder / paths.PROGRAM_FOLDER)
        cost["bytes_per_document"] = index_bytes(folder / paths.PROGRAM_FOLDER) / len(trained.program.documents)
        write_json(folder / paths.TRAINING_FILE, record)
        tracking = tracking_record(config, names, trained, cost, telemetry)
        write_json(folder / paths.TRACKING_FILE, tracking.model_dump(mode="json"))


def sources(needs: set[str], strategy: Strategy, config: TrainConfig) -> list[str]:
    """Returns ``SystemIdentity.sources`` of a program with these needs that a strategy trained."""
    roles = needs | strategy.roles
    known = {
        one for role in roles - {"lm"} for one in read_json(encoder_folder(role, config.seed) / paths.SOURCES_FILE)
    }
    asks = "lm" in needs | strategy.needs or needs_synthetic_queries(strategy, config.lm.available)
    return sorted(known | {LANGUAGE_MODEL} if asks else known)


def tracking_record(
    config: TrainConfig,
    names: Mapping[str, Any],
    trained: TrainingResult,
    cost: Mapping[str, Any],
    telemetry: Telemetry,
) -> TrainingRecord:
    """Returns the record of this training, which the stage evaluate logs to MLflow."""
    fitted, panel = trained.fitted, config.panel
    documents, judged = paths.COLLECTION_FOLDER / "documents.parquet", paths.judgments(config.seed)
    digest = sha256(documents)
    choices = {"dataset", "task", "lm", "encoder", "pretraining", "budget"}
    values = {"model": stated(config.model), "strategy": stated(config.strategy)}  # MLflow sorts them to the end
    prompts = fitted.report.get("prompts", ())
    return TrainingRecord(
        panel=panel.model_dump(mode="json"),
        revision=code_revision(),
        parameters={**names, **panel.model_dump(mode="json", include=choices), "values": values},
        settings={
            "model": complete(config.model),
            "strategy": complete(config.strategy),
            "tuning": config.tuning.model_dump(mode="json"),
        },
        metrics={f"cost/{key}": value for key, value in cost.items()}
        | {f"judgments/{key}": value for key, value in judgment_counts(read_judgments(judged)).items()}
        | tuning_metrics(fitted.report.get("decisions", ()))
        | {f"prompts/{key}": value for key, value in fitted.report.get("prompt_choice", {}).items()},
        tags={key: str(value) for key, value in names.items()}
        | {"documents": digest, "chosen": fitted.chosen, "reason": fitted.reason},
        seconds=cost["train_seconds"],
        ended=time.time(),
        nested_runs=tuple(prompt_run(record) for record in prompts),
        prompts=tuple(record for record in prompts if record["chosen"]),
        data=(
            DatasetInput(f"{panel.dataset} documents", documents, digest, "training"),
            DatasetInput(f"{panel.dataset} judgments, seed {config.seed}", judged, sha256(judged), "training"),
        ),
        telemetry=telemetry,
    )


def stated(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that the file of a model or strategy states: names and lists of objects are left out."""
    kept: dict[str, Any] = {}
    for key, value in choice.items():
        if isinstance(value, Mapping):
            kept[key] = stated(value)
        elif key != "_target_" and not (isinstance(value, list) and any(isinstance(one, Mapping) for one in value)):
            kept[key] = value
    return kept


def tuning_metrics(decisions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the figures of each decision of the training by its subject."""
    kept = ("prior", "observed", "expected_gain", "low", "high", "collections")
    return {f"tuning/{one['subject']}/{key}": float(one[key]) for one in decisions for key in kept}


def training_inputs(
    config: TrainConfig, roles: Sequence[str], language_model: LanguageModel | None, writes: bool
) -> TrainingInputs:
    """Reads the training inputs, but no test queries or test judgments.

    Args:
        config: the stage's configuration.
        roles: the encoders of the model.
        language_model: loaded, if needed.
        writes: whether the strategy writes further synthetic queries and needs the settings of the existing ones.
    """
    documents = read_documents(paths.COLLECTION_FOLDER)
    loaded = {role: load_encoded(encoder_folder(role, config.seed), len(documents)) for role in roles}
    corpus = Corpus(
        documents,
        encoders={role: encoder for role, (encoder, _) in loaded.items()},
        encoded={role: vectors for role, (_, vectors) in loaded.items()},
        language_model=language_model,
        language=stored_language(paths.COLLECTION_FOLDER),
    )
    judgments = read_judgments(paths.judgments(config.seed))
    unlabelled = read_unlabelled_queries(paths.unlabelled_queries(config.seed))
    return TrainingInputs(
        corpus.with_queries([*(row.query for row in judgments), *unlabelled]),
        judgments,
        read_synthetic(paths.synthetic(config.seed)),
        config.tuning,
        config.seed,
        read_settings(paths.synthetic(config.seed)) if writes else SyntheticSettings(),
        read_auxiliary_collections(paths.AUXILIARY_FOLDER),
        read_candidates(paths.candidates(config.seed)),
        unlabelled,
        own_documents=read_json(paths.ingested(paths.own_documents(config.seed))),
        name=config.panel.dataset,
    )


def prompt_run(record: Mapping[str, Any]) -> NestedRun:
    """Converts a prompt of the search to a nested run."""
    kept = ("part", "origin", "style", "instruction", "document_words", "temperature", "rung", "documents", "queries")
    figures = ("written", "accepted", "synthetic", "expected_gain", "standard_error", "lm_calls", "seconds")
    judged = {f"judged/{key}": value for key, value in (record["judged"] or {}).items()}
    return NestedRun(
        f"prompt-{record['digest']}",
        {key: record[key] for key in (*kept, "chosen") if key in record}
        | {"demonstrations": len(record["demonstrations"])},
        judged | {key: record[key] for key in figures if record.get(key) is not None},
        record,
    )


def encoder_folder(role: str, seed: int) -> Path:
    """Returns the folder of a role's encoder; with encoder=static, the one from scratch has both roles."""
    folder = paths.encoder(role, seed)
    return paths.encoder("static", seed) if role == "pretrained" and not folder.exists() else folder


def pretraining_cost(seed: int, synthetic: bool, roles: Sequence[str]) -> dict[str, Any]:
    """Returns the costs of the system's synthetic queries, encoders and embeddings."""
    cost: dict[str, Any] = {}
    if synthetic:
        cost |= read_cost(paths.synthetic(seed))
    encoders = [read_cost(encoder_folder(role, seed)) for role in roles]
    for key in ("pretrain_seconds", "encode_seconds"):
        cost[key] = sum(one[key] for one in encoders)
    return {key: value for key, value in cost.items() if value is not None}


def total(before: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Merges the costs of two steps; shared keys are summed."""
    return {**before, **training} | {key: before[key] + training[key] for key in before.keys() & training.keys()}


def read_cost(folder: Path) -> dict[str, Any]:
    """Reads the costs stored in a folder."""
    return json.loads((folder / paths.COST_FILE).read_text(encoding="utf-8"))


if __name__ == "__main__":
    stage(main, "train")
