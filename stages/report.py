"""Builds the report from the results of all systems in params.yaml."""

from itertools import product

from zero2ir.config import ReportConfig, stage
from zero2ir.data.store import read_collection, read_manifest
from zero2ir.evaluation.results import all_topics, read_results
from zero2ir.io import paths
from zero2ir.io.files import read_json, sha256
from zero2ir.report.page import build_report
from zero2ir.synthetic.card import read_card
from zero2ir.tracking.provenance import code_revision
from zero2ir.tracking.runs import PipelineRun, check_store, log_best, log_report


def main(config: ReportConfig) -> None:
    check_store(config.tracking.uri)
    manifest = read_manifest(paths.COLLECTION_FOLDER).model_dump(exclude_unset=True)
    folders = {
        paths.run_name(*system): paths.results(*system)
        for system in product(config.panel.models, config.panel.strategies, config.panel.seeds)
    }
    build_report(
        list(folders.values()),
        paths.REPORT_FOLDER,
        judgments=read_json(paths.ingested(paths.judgment_counts())),
        cards=[card for seed in config.panel.seeds if (card := read_card(paths.synthetic(seed)))],
        collection=read_collection(paths.COLLECTION_FOLDER),
        manifest=manifest,
        settings=config.panel.model_dump(mode="json"),
        other_results=config.other_results,
        baseline=config.baseline,
        resamples=config.evaluation.resamples,
        level=config.evaluation.confidence_level,
        seed=config.seed,
    )
    pipeline = PipelineRun(config.panel.model_dump(mode="json"), code_revision())
    log_report(config.tracking, pipeline, paths.REPORT_FOLDER, {"dataset": config.panel.dataset})
    seed = config.panel.seeds[0]  # one program per system
    own = {name: folder for name, folder in folders.items() if name.endswith(f"/seed{seed}")}
    measure, results = config.task.measures[0], {name: read_results(folder) for name, folder in own.items()}
    log_best(
        config.tracking,
        pipeline,
        {name: one.per_query[measure] for name, one in results.items()},
        documents=sha256(paths.COLLECTION_FOLDER / "documents.parquet"),
        first=f"{config.baseline}/seed{seed}",
        measure=measure,
        options={
            "resamples": config.evaluation.resamples,
            "level": config.evaluation.confidence_level,
            "seed": config.seed,
            "topics": all_topics(results.values()),
        },
    )


if __name__ == "__main__":
    stage(main, "report")
