"""An experiment on a real Ray cluster of two nodes: killed, with a node killed later, it ends as on one machine."""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from small_project import FROM_QRELS, Project, committed_project

pytestmark = pytest.mark.slow
PRESET = {
    "title": "Two strategies, three draws",
    "panel": {
        "dataset": "local",
        "lm": "none",
        "budget": FROM_QRELS,
        "models": ["sparse"],
        "strategies": ["zero_shot", "fine_tune"],
        "seeds": [0, 1, 2],
    },
    "memory_gb": 1,
}
SYSTEMS = [f"sparse-{strategy}-seed{seed}" for strategy in ("zero_shot", "fine_tune") for seed in (0, 1, 2)]
NODE: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "memory": 2 << 30, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A committed project with a preset of six systems."""
    return committed_project(tmp_path_factory.mktemp("distributed") / "project", PRESET)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and one further node, of which each runs one task at a time."""
    from ray.cluster_utils import Cluster

    config = {"worker_niceness": 0}  # Ray's tasks are nice to others; here other jobs would delay them for long
    head = {**NODE, "include_dashboard": False, "_system_config": config}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(**NODE)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def finished(project: Project) -> list[str]:
    """The systems whose results the copy of the condition has."""
    results = project.folder / ".cache" / "experiments" / "tiny" / "all" / "results"
    return [path.parent.name for path in results.glob("*/metrics.json")]


def tasks(project: Project) -> int:
    """How many tasks run."""
    return len(list((project.folder / ".cache" / "tasks").glob("*/project/.git")))


def metrics(project: Project) -> dict[str, Any]:
    """What the condition's copy measured, without costs."""
    return Project(project.folder / ".cache" / "experiments" / "tiny" / "all").metrics()


def rounded(values: Any) -> Any:
    """The same figures with four decimals."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return round(values, 4) if isinstance(values, float) else values


def test_a_killed_command_and_a_killed_node_change_nothing(project: Project, cluster: Any) -> None:
    alone = project.copy(project.folder.with_name("alone"))
    command = ("zero2ir", "experiment", "tiny", "--executor", "ray", "--address", cluster.address)
    project.interrupted(signal.SIGKILL, lambda: bool(finished(project)), *command)
    kept = set(finished(project))

    process = subprocess.Popen(
        command, cwd=project.folder, env=project.environment(), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    lines: list[str] = []
    reader = Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()
    while process.poll() is None and not (set(finished(project)) > kept and tasks(project) == 2):
        time.sleep(0.05)
    assert process.poll() is None, "".join(lines)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    assert process.wait(1800) == 0, "".join(lines)
    reader.join()
    assert sorted(finished(project)) == sorted(SYSTEMS)
    assert lines[-1] == "report: reports/tiny/index.md\n"
    log = (project.folder / ".cache" / "experiments" / "tiny" / "all.log").read_text(encoding="utf-8")
    for system in SYSTEMS:  # what has ended is restored
        assert log.count(f"Running stage 'train@{system.replace('seed', '')}'") <= 1

    alone.done("zero2ir", "experiment", "tiny")
    assert rounded(metrics(project)) == rounded(metrics(alone))

    runs = tracked(project)
    names = Counter(
        str(run.info.run_name) for run in runs if run.info.status == "FINISHED" and "program" in run.data.tags
    )
    assert names == {system.replace("-", "/"): 1 for system in SYSTEMS}
    assert len([run for run in runs if "mlflow.parentRunId" not in run.data.tags]) == 1
    assert "tiny-all" in project.done("dvc", "exp", "list", "--name-only")

    done = project.done(*command)  # by the node that is left
    assert " on " not in done.partition("\n")[2]  # no task


def tracked(project: Project) -> list[Any]:
    """The runs of the project's store."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("local")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id])
