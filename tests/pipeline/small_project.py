"""A whole project in a folder of its own, small enough that the real pipeline with the real LM takes minutes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zero2ir.data import pydocs

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "stages", "conf", "dvc.yaml", "params.yaml", ".dvcignore", ".gitignore")  # src links to the others
DOCUMENTS = 80
QUERIES = 12  # of each split
MODELS = ("sparse", "static_hybrid")
STRATEGIES = ("zero_shot", "hybrid")  # hybrid trains by prompt and by meta
SYSTEMS = [(model, strategy) for model in MODELS for strategy in STRATEGIES]
BUDGET = {"queries": 6, "documents_per_query": 5}
FROM_QRELS = {**BUDGET, "judging": "relevant"}  # needs no committee, whose encoders take most of ingest
DVC_SETTINGS = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"

HANGS = 1800  # seconds; six times what the longest command takes alone, for a machine that does other things, too


@dataclass(frozen=True)
class Project:
    """A project folder; every command runs in it as a user would type it there."""

    folder: Path

    def run(self, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; ``changes`` go into its environment."""
        environment = self.environment() | changes
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=HANGS)

    def done(self, *command: str) -> str:
        """What a command that must succeed prints."""
        finished = self.run(*command)
        assert finished.returncode == 0, f"{command}\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"
        return finished.stdout

    def environment(self) -> dict[str, str]:
        """This process's own, with this project's code first and nothing that points elsewhere."""
        foreign = ("MLFLOW_TRACKING_URI", "ZERO2IR_TRACEBACK")
        return {key: value for key, value in os.environ.items() if key not in foreign} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(self.folder / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "site"),
            "CI": "1",
        }

    def interrupted(self, how: signal.Signals, when: Callable[[], bool], *command: str) -> tuple[int, str]:
        """Signals a command and all that it started as soon as ``when`` holds; its exit status and standard error."""
        with (self.folder.parent / "stderr.txt").open("w+") as stderr:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                process_group=0,
                preexec_fn=lambda: signal.signal(
                    signal.SIGINT, signal.default_int_handler
                ),  # a background job ignores it
            )
            while process.poll() is None and not when():
                time.sleep(0.002)
            ended = process.returncode is not None
            if not ended:
                os.killpg(process.pid, how)
                process.wait(60)
            stderr.seek(0)
            message = stderr.read()
            assert not ended, f"{command} ended before it could be interrupted: {message[-2000:]}"
            return process.returncode, message

    def copy(self, folder: Path, *without: str) -> "Project":
        """The same project elsewhere, with what it made so far but for the parts named by ``without``."""
        left_out = {self.folder / part for part in without}
        shutil.copytree(
            self.folder,
            folder,
            symlinks=True,
            ignore=lambda place, names: [name for name in names if Path(place) / name in left_out],
        )
        return Project(folder)

    def edit(self, file: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Changes a YAML file in place."""
        path = self.folder / file
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def metrics(self) -> dict[str, Any]:
        """Every system's metrics.json without its cost, which no two runs share."""
        found = {}
        for path in sorted((self.folder / "results").glob("*/metrics.json")):
            found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
            del found[path.parent.name]["cost"]
        return found

    def unfinished(self) -> list[Path]:
        """Files and folders that were being written."""
        return sorted(self.folder.rglob("*.part"))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested figures by their path."""
    result = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result


def same_figures(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether nested figures are the same to four decimals."""
    left, right = flat(one), flat(other)
    return left.keys() == right.keys() and all(
        value == right[key] or (isinstance(value, float) and abs(value - float(right[key] or 0)) < 5e-5)
        for key, value in left.items()
    )


def hear_ctrl_c() -> None:
    """A shell's background job, as the tests themselves may be, hands down that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def new_project(folder: Path) -> Project:
    """A fresh project on a small part of the embedded collection, with choices that make it quick."""
    project = Project(folder)
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        options = {"symlinks": True, "ignore": shutil.ignore_patterns("__pycache__", ".mypy_cache")}
        copy(ROOT / name, folder / name, **(options if copy is shutil.copytree else {}))
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(DVC_SETTINGS, encoding="utf-8")
    write_collection(folder / "my-collection")
    project.edit("conf/dataset/local.yaml", lambda dataset: dataset.update(path="my-collection", deep_judgments=True))
    project.edit("conf/pretraining/default.yaml", shrink)
    project.edit("conf/strategy/prompt.yaml", lambda prompt: prompt.update(candidates=[3, 2], shares=[0.25, 0.5]))
    project.edit("conf/strategy/meta.yaml", lambda meta: meta.update(outer_loop={"iterations": 2}))
    project.edit("conf/evaluation/default.yaml", lambda evaluation: evaluation.update(resamples=500))
    choices = {"dataset": "local", "models": list(MODELS), "strategies": list(STRATEGIES)}
    project.edit("params.yaml", lambda panel: panel.update(choices, budget=BUDGET))
    return project


def shrink(pretraining: dict[str, Any]) -> None:
    """Few synthetic queries, a small encoder."""
    pretraining.update(synthetic={"documents": 8}, static={"dimension": 32, "fit": {"epochs": 2}})


def write_collection(folder: Path) -> None:
    """Writes train and test queries of the embedded collection and their judged documents as a local collection."""
    whole = pydocs.read()
    queries = [
        query
        for split in ("train", "test")
        for query in [query for query in whole.queries if query.split == split][:QUERIES]
    ]
    judged = [row for row in whole.judgments if row.query_id in {query.query_id for query in queries}]
    best = sorted(judged, key=lambda row: -row.relevance)  # a document that answers each query comes first
    kept = set(list(dict.fromkeys(row.doc_id for row in best))[:DOCUMENTS])
    documents = [document for document in whole.documents if document.doc_id in kept]
    folder.mkdir()
    write_lines(folder / "docs.jsonl", (json.dumps(document._asdict()) for document in documents))
    write_lines(folder / "queries.jsonl", (json.dumps(query._asdict()) for query in queries))
    rows = (f"{row.query_id} 0 {row.doc_id} {row.relevance}" for row in judged if row.doc_id in kept)
    write_lines(folder / "qrels.trec", rows)


def write_lines(path: Path, lines: Any) -> None:
    """Writes text lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def committed_project(folder: Path, preset: Mapping[str, Any]) -> Project:
    """A project like ``new_project``, in git, with a preset "tiny"."""
    made = new_project(folder)
    text = "# @package _global_\n" + yaml.safe_dump(preset)
    (made.folder / "conf" / "experiment" / "tiny.yaml").write_text(text, encoding="utf-8")
    (made.folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (made.folder / ".gitignore").write_text(
        "/.cache/\n/mlruns/\n/mlflow.db*\n/reports/\n/data/\n/models/\n/results/\n/report/\n__pycache__/\n"
    )
    (made.folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n/site\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init"], ["add", "--all"], [*identity, "commit", "--message", "all"]):
        subprocess.run(["git", *words], cwd=made.folder, check=True, capture_output=True)
    return made
