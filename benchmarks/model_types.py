"""Every model type with ten judged queries: its quality beside its cost, measured by the pipeline itself.

    python benchmarks/model_types.py beir/scifact beir/nfcorpus

runs ``dvc repro`` for each collection in a copy of the project (.cache/benchmark/<collection>), which shares this
project's cache of LM answers, but encodes the documents itself, so that the seconds are real; and prints a table. A
second call reruns only what changed. The collections come from the ir_datasets home (IR_DATASETS_HOME).
"""

import json
import sys
from pathlib import Path
from typing import Any

from copies import copy_of_the_project, run_in, set_panel

MODELS = (
    "sparse",
    "learned_sparse",
    "static",
    "dense",
    "late_interaction",
    "sentences",
    "hybrid",
    "static_hybrid",
    "feedback",
    "smoothed",
    "reranker",
    "llm_reranker",
    "rewritten",
    "full",
)
STRATEGIES = ("fine_tune",)
COLUMNS = {
    "train s": ("train_seconds", "{:,.0f}"),
    "index s": ("index_seconds", "{:,.0f}"),
    "bytes/doc": ("bytes_per_document", "{:,.0f}"),
    "queries/s": ("milliseconds_per_query", "{:,.1f}"),
    "peak MiB": ("peak_memory_mb", "{:,.0f}"),
    "LM tokens": ("lm_tokens", "{:,.0f}"),
}


def main(datasets: list[str]) -> None:
    for dataset in datasets:
        folder = copy_of_the_project(dataset)
        run(folder, dataset)
        print(f"\n{dataset}\n\n{table(folder)}\n", flush=True)


def run(folder: Path, dataset: str) -> None:
    """Runs the pipeline up to the results of every system; the stages that are shared run once."""
    set_panel(folder, {"dataset": dataset, "models": list(MODELS), "strategies": list(STRATEGIES), "seeds": [0]})
    run_in(folder, ["dvc", "repro", "report"])


def table(folder: Path) -> str:
    """Markdown, a row a system."""
    heads = ["system", "nDCG@10", "R@100", *COLUMNS]
    rows = [
        [f"{model} / {strategy}", *figures(folder / "results" / f"{model}-{strategy}-seed0")]
        for model in MODELS
        for strategy in STRATEGIES
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def figures(results: Path) -> list[str]:
    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    return [with_interval(metrics["nDCG@10"]), f"{metrics['R@100']['mean']:.3f}", *costs(metrics["cost"])]


def with_interval(value: dict[str, Any]) -> str:
    return f"{value['mean']:.3f} [{value['ci_low']:.3f}, {value['ci_high']:.3f}]"


def costs(cost: dict[str, float]) -> list[str]:
    """Training counts what was made for it beforehand; indexing counts the encoding of the documents."""
    known = dict(cost)
    known["train_seconds"] += sum(cost.get(key, 0) for key in ("pretrain_seconds", "synthetic_seconds"))
    known["index_seconds"] += cost.get("encode_seconds", 0)
    known["milliseconds_per_query"] = 1000 / cost["milliseconds_per_query"]
    known["lm_tokens"] = sum(value for key, value in cost.items() if key.endswith("_tokens"))
    return [form.format(known[key]) for key, form in COLUMNS.values()]


if __name__ == "__main__":
    main(sys.argv[1:] or ["beir/scifact", "beir/nfcorpus"])
