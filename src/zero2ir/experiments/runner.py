"""Runs a preset: its conditions in parallel, each in its own copy of the project, and then writes the tables."""

import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Semaphore

from zero2ir.config import EvaluateConfig, IngestConfig, check_choices, compose
from zero2ir.errors import InputError
from zero2ir.experiments.distribution import Distribution
from zero2ir.experiments.executors import Executor, ExecutorName, open_executor, place_of, task_origin
from zero2ir.experiments.preset import BYTES_PER_GB, Condition, ExperimentConfig, conditions, read_preset
from zero2ir.experiments.progress import FAILED, FINISHED, SUBMITTED, Progress
from zero2ir.experiments.stages import REPORT_STAGE
from zero2ir.experiments.workspaces import (
    WORKSPACES_FOLDER,
    Origin,
    Workspace,
    command_variables,
    committed_revision,
    project_origin,
)
from zero2ir.io.files import check_output, finished_file
from zero2ir.tracking.runs import prepared_store

REPORTS = Path("reports")
CONDITION = "condition"  # the name of its own task


def run_preset(
    name: str,
    changes: Sequence[str] = (),
    jobs: int | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
) -> Path:
    """Runs the unfinished conditions of a preset and writes its tables; call it again to resume after a crash.

    Args:
        name: a file of conf/experiment.
        changes: of its keys, such as "panel.seeds=[0]".
        jobs: number of conditions, or of tasks of another executor than "local", to run in parallel; None for as many
            as memory and cores allow.
        executor: "local" runs each condition on this machine, the others its parts as tasks on any machine.
        address: of a Ray cluster.

    Returns:
        The folder of the report.

    Raises:
        InputError: the preset is invalid, the project has uncommitted changes, the executor cannot be used, or a
            condition failed; the report contains the finished conditions in any case.
    """
    from zero2ir.experiments.report import write_experiment_report

    preset = read_preset(name, changes)
    output = REPORTS / name
    check_output(output)
    with open_executor(executor, address, preset, WORKSPACES_FOLDER / name / "jobs") as opened:
        copies = run_conditions(name, preset, conditions(preset), jobs, opened)
    finished = [copy for copy, error in copies if error is None]
    if finished:
        write_experiment_report(preset, finished, output)
    if failures := [str(error) for _, error in copies if error is not None]:
        raise InputError(f"{len(failures)} of {len(copies)} conditions failed; {failures[0]}; run the command again")
    return output


def run_conditions(
    name: str,
    preset: ExperimentConfig,
    wanted: Sequence[Condition],
    jobs: int | None,
    executor: Executor | None = None,
) -> list[tuple[Workspace, InputError | None]]:
    """Runs conditions; returns each condition's workspace with its error or None, in the same order.

    Args:
        name: of the experiment.
        preset: its settings.
        wanted: the conditions.
        jobs: as for ``run_preset``.
        executor: runs the parts of the conditions as tasks; None to run each condition on this machine.

    Raises:
        InputError: the project has uncommitted changes, a collection is missing, or as ``task_origin``.
    """
    for condition in wanted:
        check_choices(condition.panel)
        require_folder(condition.panel.dataset)
    revision, origin = committed_revision(), project_origin()
    tracking = compose("evaluate", EvaluateConfig, []).tracking
    for_tasks = task_origin(executor, origin, revision, tracking.uri) if executor else origin
    origin = origin._replace(remote=for_tasks.remote)
    store = prepared_store(tracking, sorted({one.panel.dataset for one in wanted}))
    copies = [Workspace(name, condition, preset, revision) for condition in wanted]
    side = min((not executor and jobs) or side_by_side(preset.memory_gb), len(copies))
    here = Semaphore(side)
    progress = Progress([copy.name for copy in copies])
    if executor:
        distribution = Distribution(executor, for_tasks, origin, socket.gethostname(), store, progress, jobs, here)
        print(f"{name}: {len(copies)} conditions; code and results of tasks: {place_of(for_tasks)}", flush=True)
    else:
        distribution = None
        print(f"{name}: {len(copies)} conditions, {side} at a time", flush=True)

    def run(copy: Workspace) -> None:
        if distribution:
            distribution.run(copy)
        with here:
            progress.move(copy.name, CONDITION, SUBMITTED)
            run_one(copy, origin, {"MLFLOW_TRACKING_URI": store})

    outcomes: dict[Workspace, InputError | None] = {}
    with progress.shown(), ThreadPoolExecutor(len(copies) if executor else side) as pool:
        running = {pool.submit(run, copy): copy for copy in copies}
        try:
            for future in as_finished(running):
                copy, error = running[future], _outcome(future)
                outcomes[copy] = error
                progress.move(copy.name, CONDITION, FAILED if error else FINISHED)
                progress.say(copy.name, str(error or "finished").removeprefix(f"{copy.name}: "))
        except BaseException:
            if executor:
                executor.stop()
            raise
    return [(copy, outcomes[copy]) for copy in copies]


def require_folder(dataset: str) -> None:
    """Raises ``InputError`` if a local collection's folder does not exist, before any condition runs."""
    folder = compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset.path
    if folder is not None and not folder.is_dir():
        raise InputError(f"dataset={dataset}: no folder {folder}; correct its path, see conf/dataset/{dataset}.yaml")


def side_by_side(memory_gb: float) -> int:
    """Returns how many conditions of this size fit into the free memory and the cores; at least one."""
    import psutil

    fit = int(psutil.virtual_memory().available // (memory_gb * BYTES_PER_GB))
    return max(1, min(fit, os.cpu_count() or 1))


def as_finished(running: dict[Future[None], Workspace]) -> Iterator[Future[None]]:
    """Yields each future as soon as it is done; Ctrl-C cancels those that have not started."""
    left = set(running)
    try:
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            yield from done
    except BaseException:
        for future in left:
            future.cancel()
        raise


def _outcome(future: Future[None]) -> InputError | None:
    error = future.exception()
    if error is not None and not isinstance(error, InputError):
        raise error
    return error


def run_one(copy: Workspace, origin: Origin, environment: dict[str, str]) -> None:
    """Runs the unfinished parts of one condition, and raises an InputError if a command fails."""
    target, then = copy.preset.target, copy.preset.benchmark
    copy.update(origin)
    if target:
        copy.reproduce(origin, environment, target)
    if target == REPORT_STAGE:  # DVC only saves complete pipelines
        copy.save()
    if then and not copy.printed.exists():
        with finished_file(copy.printed) as file:
            copy.run(shlex.split(then.format(**command_variables(copy.condition))), environment, file)
