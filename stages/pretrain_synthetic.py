"""Writes synthetic queries, trains encoders on the documents, and embeds the documents."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from zero2ir.config import PretrainConfig, built, read_panel, stage
from zero2ir.data.judgments import read_judgments
from zero2ir.data.store import is_ordered, read_documents, stored_language
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder, source_role
from zero2ir.encoders.settings import check_available
from zero2ir.io import paths
from zero2ir.io.files import check_output, finished_folder, sha256
from zero2ir.lm.factory import open_lm
from zero2ir.models.base import encoder_roles
from zero2ir.program.cost import timed
from zero2ir.program.preparation import PretrainingSettings, warn_of_language
from zero2ir.program.pretraining import CHECKPOINTS, ENCODED, StoredEncoder, store_encoder
from zero2ir.strategies.base import needs_synthetic_queries
from zero2ir.synthetic.card import data_card, write_card
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.store import read_synthetic, write_synthetic
from zero2ir.tracking.provenance import code_revision
from zero2ir.tracking.runs import PipelineRun, check_store, collect_telemetry, log_pretraining
from zero2ir.tracking.telemetry import Telemetry


def main(config: PretrainConfig) -> None:
    check_available(config.encoder)
    check_store(config.tracking.uri)
    check_output(paths.ENCODER_FOLDER)
    paths.open_cache(CHECKPOINTS)
    models, strategies = built("model", config.models), built("strategy", config.strategies)  # raises early
    write = (
        synthetic_queries
        if any(needs_synthetic_queries(one, config.lm.available) for one in strategies)
        else no_queries
    )
    corpus = Corpus(read_documents(paths.COLLECTION_FOLDER), language=stored_language(paths.COLLECTION_FOLDER))
    wanted = {role for one in models for role in encoder_roles(one)} | {
        role for one in strategies for role in one.roles
    }
    roles = sorted({source_role(role, config.encoder, corpus.language) for role in wanted})
    needs = {*wanted, "lm"} if write is synthetic_queries else wanted
    warn_of_language(corpus.language, needs, config.encoder, config.lm)
    with finished_folder(paths.SYNTHETIC_FOLDER) as folder:
        query_logs = [write(config, corpus, seed, folder / paths.synthetic(seed).name) for seed in config.seeds]
    for one in filter(None, query_logs):
        log_queries(config, one)
    stored = []
    with finished_folder(paths.ENCODER_FOLDER) as folder:
        for role in roles:
            for seed in config.seeds[:1] if role in paths.SEED_INDEPENDENT_ROLES else config.seeds:
                settings = informed(config.pretraining, seed)
                stored.append(
                    store_encoder(role, corpus, config.encoder, settings, seed, folder, paths.COMMITTEE_FOLDER)
                )
    for one in stored:
        shutil.rmtree(one.checkpoints, ignore_errors=True)  # at the end, so that an interrupted stage resumes
        if one.losses:
            log_encoder(config, one)


class SyntheticLog(NamedTuple):
    """What to log for one seed's synthetic queries."""

    seed: int
    cost: Mapping[str, float]
    telemetry: Telemetry


def no_queries(config: PretrainConfig, corpus: Corpus, seed: int, folder: Path) -> None:
    """Writes an empty set, because no strategy uses synthetic queries."""
    write_synthetic([], {"reason": "no strategy in params.yaml uses synthetic queries"}, {}, folder)


def synthetic_queries(config: PretrainConfig, corpus: Corpus, seed: int, folder: Path) -> SyntheticLog:
    """Writes one seed's synthetic queries."""
    settings = config.pretraining.synthetic
    if settings.negatives_by == "hybrid":
        role = source_role("pretrained", config.encoder, corpus.language)
        pretrained = make_encoder(role, corpus, config.encoder, config.pretraining, seed)
        corpus = Corpus(corpus.documents, {"pretrained": pretrained}, cache=ENCODED, language=corpus.language)
    with (
        open_lm(config.lm, paths.CACHE_FOLDER / "lm", seed) as language_model,
        collect_telemetry(config.tracking) as telemetry,
    ):
        judgments = read_judgments(paths.judgments(seed))
        (rows, provenance), seconds = timed(lambda: write_queries(corpus, judgments, language_model, settings, seed))
        usage = {f"lm_{key}": value for key, value in language_model.usage.as_dict().items()}
    cost = {"synthetic_seconds": seconds, **usage}
    write_synthetic(rows, provenance, cost, folder)
    if rows:
        write_card(data_card(rows, judgments, settings, cost, seed), seed, folder)
    return SyntheticLog(seed, {key: value for key, value in cost.items() if value is not None}, telemetry)


def informed(settings: PretrainingSettings, seed: int) -> PretrainingSettings:
    """Adds the collection's order and synthetic queries to the pair tasks' settings."""
    queries = [(row.query, row.doc_id) for row in read_synthetic(paths.synthetic(seed)) if not row.rejected]
    return settings.model_copy(
        update={"pairs": settings.pairs.with_collection(is_ordered(paths.COLLECTION_FOLDER), queries)}
    )


def log_queries(config: PretrainConfig, queries: SyntheticLog) -> None:
    """Logs one seed's synthetic queries to MLflow."""
    log_pretraining(
        config.tracking,
        pipeline(),
        paths.synthetic_run(queries.seed),
        {},
        parameters={
            "lm": config.lm.name,
            "seed": queries.seed,
            "synthetic": config.pretraining.synthetic.model_dump(mode="json"),
        },
        metrics=queries.cost,
        tags=tags_of("synthetic queries", queries.seed),
        telemetry=queries.telemetry,
    )


def log_encoder(config: PretrainConfig, trained: StoredEncoder) -> None:
    """Logs a trained encoder to MLflow."""
    log_pretraining(
        config.tracking,
        pipeline(),
        paths.pretraining_run(trained.role, trained.seed),
        trained.losses,
        parameters={
            "role": trained.role,
            "seed": trained.seed,
            "encoder": config.encoder.name,
            "pretraining": config.pretraining.model_dump(mode="json", include={"pairs", trained.role}),
        },
        metrics=trained.cost,
        tags=tags_of(trained.role, trained.seed),
    )


def pipeline() -> PipelineRun:
    return PipelineRun(read_panel().model_dump(mode="json"), code_revision())


def tags_of(role: str, seed: int) -> dict[str, str]:
    return {"role": role, "seed": str(seed), "documents": sha256(paths.COLLECTION_FOLDER / "documents.parquet")}


if __name__ == "__main__":
    stage(main, "pretrain_synthetic")
