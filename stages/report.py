"""Builds the report from the results of all systems that params.yaml names."""

import json

from zero2ir import paths
from zero2ir.collections import read_collection
from zero2ir.config import ReportConfig, stage
from zero2ir.experiment import code_revision
from zero2ir.report.page import build_report
from zero2ir.synthetic.card import read_card
from zero2ir.tracking import log_report


def main(config: ReportConfig) -> None:
    build_report(
        [
            paths.results(model, strategy, seed)
            for model in config.panel.models
            for strategy in config.panel.strategies
            for seed in config.panel.seeds
        ],
        paths.REPORT,
        cards=[card for seed in config.panel.seeds if (card := read_card(paths.synthetic(seed)))],
        collection=read_collection(paths.COLLECTION),
        manifest=json.loads((paths.COLLECTION / "manifest.json").read_text(encoding="utf-8")),
        settings=config.panel.model_dump(mode="json"),
        other_results=config.other_results,
        baseline=config.baseline,
        resamples=config.evaluation.resamples,
        level=config.evaluation.confidence_level,
        seed=config.seed,
    )
    log_report(config.tracking, paths.REPORT, {"dataset": config.panel.dataset, "code": code_revision()})


if __name__ == "__main__":
    stage(main, "report")
