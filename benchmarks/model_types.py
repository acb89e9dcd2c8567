"""Every model type with ten judged queries: its quality beside its cost, measured by the pipeline itself.

    python benchmarks/model_types.py beir/scifact beir/nfcorpus

runs ``dvc repro`` with one model at a time for each collection in a copy of the project (.cache/benchmark/<collection>,
which shares this project's cache of LM answers and embeddings), and prints a table. A second call reruns only what
changed. The collections come from the ir_datasets home (IR_DATASETS_HOME).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

SYSTEMS = {  # model: the strategy that it is shown with
    "sparse": "fine_tune",
    "static": "fine_tune",
    "dense": "fine_tune",
    "learned_sparse": "fine_tune",
    "late_interaction": "fine_tune",
    "hybrid": "fine_tune",
    "static_hybrid": "fine_tune",
    "reranker": "fixed_prompt",
    "llm_reranker": "fine_tune",
    "full": "fine_tune",
}
COLUMNS = {
    "train s": ("train_seconds", "{:,.0f}"),
    "index s": ("index_seconds", "{:,.0f}"),
    "bytes/doc": ("bytes_per_document", "{:,.0f}"),
    "queries/s": ("milliseconds_per_query", "{:,.1f}"),
    "peak MiB": ("peak_memory_mb", "{:,.0f}"),
    "LM tokens": ("lm_tokens", "{:,.0f}"),
}
PROJECT = Path(__file__).resolve().parent.parent
COPIES = PROJECT / ".cache" / "benchmark"


def main(datasets: list[str]) -> None:
    for dataset in datasets:
        folder = copy_of_the_project(dataset)
        for model, strategy in SYSTEMS.items():
            run(folder, dataset, model, strategy)
        print(f"\n{dataset}\n\n{table(folder)}\n", flush=True)


def copy_of_the_project(dataset: str) -> Path:
    """A clone of what is committed, with the cache in common."""
    folder = COPIES / dataset.replace("/", "-")
    if folder.exists():
        subprocess.run(["git", "fetch", "--quiet"], cwd=folder, check=True)
        subprocess.run(["git", "reset", "--quiet", "--hard", "@{upstream}"], cwd=folder, check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
        (folder / ".cache").symlink_to(PROJECT / ".cache", target_is_directory=True)
    return folder


def run(folder: Path, dataset: str, model: str, strategy: str) -> None:
    """Runs the pipeline up to the results of one system; the stages that are shared run once."""
    panel = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    panel |= {"dataset": dataset, "models": list(SYSTEMS), "strategies": sorted(set(SYSTEMS.values())), "seeds": [0]}
    (folder / "params.yaml").write_text(yaml.safe_dump(panel), encoding="utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(folder / "src")
    goal = f"evaluate@{model}-{strategy}-0"
    subprocess.run(["dvc", "repro", goal], cwd=folder, env=environment, check=True, stdout=sys.stderr)


def table(folder: Path) -> str:
    """Markdown, a row a system."""
    heads = ["model", "strategy", "nDCG@10", "R@100", *COLUMNS]
    rows = [
        [model, strategy, *figures(folder / "results" / f"{model}-{strategy}-seed0")]
        for model, strategy in SYSTEMS.items()
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
