"""Trains one model by one strategy with one draw of judgments, and logs the program to MLflow."""

import json
from typing import Any

from zero2ir import paths
from zero2ir.collections import read_documents, read_judgments
from zero2ir.config import TrainConfig, build, chosen, stage
from zero2ir.corpus import Corpus
from zero2ir.encoders import load_encoded
from zero2ir.experiment import code_revision, train_program
from zero2ir.files import finished_folder, sha256, write_json
from zero2ir.program import program_digest
from zero2ir.strategies import TrainingInputs
from zero2ir.synthetic.store import read_synthetic
from zero2ir.tracking import log_training


def main(config: TrainConfig) -> None:
    model, strategy = build(config.model, "model"), build(config.strategy, "strategy")
    names = {"model": chosen("model"), "strategy": chosen("strategy"), "seed": config.seed}
    trained = train_program(model, strategy, training_inputs(config), names)
    cost = {**trained.cost, **synthetic_cost(config.seed, strategy.needs_synthetic)}
    record = {"chosen": trained.fitted.chosen, "because": trained.fitted.because, "cost": cost, **trained.fitted.report}
    with finished_folder(paths.trained(**names)) as folder:
        trained.program.save(folder / paths.PROGRAM)
        write_json(folder / paths.TRAINING, record)
    log_training(
        config.tracking,
        paths.run_name(**names),
        trained.program,
        program_digest(paths.trained(**names) / paths.PROGRAM),
        parameters={"choice": names, **config.model_dump(mode="json", exclude={"tracking", "seed"})},
        metrics={f"cost/{key}": value for key, value in cost.items()} | trained.fitted.report.get("selection", {}),
        tags={
            "dataset": config.panel.dataset,
            "documents": sha256(paths.COLLECTION / "documents.parquet"),
            "code": code_revision(),
            "chosen": trained.fitted.chosen,
            "because": trained.fitted.because,
        },
        artifacts={paths.TRAINING: record},
        seconds=cost["train_seconds"],
    )


def training_inputs(config: TrainConfig) -> TrainingInputs:
    """Reads all that training may see, and opens nothing else: neither test queries nor their judgments."""
    documents = read_documents(paths.COLLECTION)
    static = load_encoded(paths.static_encoder(config.seed), len(documents))
    pretrained = paths.pretrained_encoder()
    loaded = {
        "static": static,
        "pretrained": load_encoded(pretrained, len(documents)) if pretrained.exists() else static,
    }
    corpus = Corpus(
        documents,
        encoders={role: encoder for role, (encoder, _) in loaded.items()},
        embeddings={role: vectors for role, (_, vectors) in loaded.items()},
    )
    return TrainingInputs(
        corpus,
        read_judgments(paths.judgments(config.seed)),
        read_synthetic(paths.synthetic(config.seed)),
        config.selection,
        config.seed,
    )


def synthetic_cost(seed: int, used: bool) -> dict[str, Any]:
    """What writing the synthetic queries took, for a strategy that uses them."""
    if not used:
        return {}
    cost = json.loads((paths.synthetic(seed) / paths.COST).read_text(encoding="utf-8"))
    return {key: value for key, value in cost.items() if value is not None}


if __name__ == "__main__":
    stage(main, "train")
