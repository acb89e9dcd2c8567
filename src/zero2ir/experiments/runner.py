"""Runs a preset: its conditions in parallel, each in its own copy of the project, and then writes the tables."""

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from zero2ir.config import EvaluateConfig, IngestConfig, check_choices, compose
from zero2ir.errors import InputError
from zero2ir.experiments.preset import Condition, ExperimentConfig, conditions, read_preset
from zero2ir.experiments.workspaces import DVC, Workspace, command_variables, committed_revision, dvc_cache
from zero2ir.io.files import check_output, finished_file
from zero2ir.tracking.runs import prepared_store

REPORTS = Path("reports")
BYTES_PER_GB = 1 << 30
REPORT_STAGE = "report"  # last stage of the pipeline


def run_preset(name: str, changes: Sequence[str] = (), jobs: int | None = None) -> Path:
    """Runs the unfinished conditions of a preset and writes its tables; call it again to resume after a crash.

    Args:
        name: a file of conf/experiment.
        changes: of its keys, such as "panel.seeds=[0]".
        jobs: number of conditions to run in parallel; None for as many as memory and cores allow.

    Returns:
        The folder of the report.

    Raises:
        InputError: the preset is invalid, the project has uncommitted changes, or a condition failed; the report
            contains the finished conditions in any case.
    """
    from zero2ir.experiments.report import write_experiment_report

    preset = read_preset(name, changes)
    output = REPORTS / name
    check_output(output)
    copies = run_conditions(name, preset, conditions(preset), jobs)
    finished = [copy for copy, error in copies if error is None]
    if finished:
        write_experiment_report(preset, finished, output)
    if failures := [str(error) for _, error in copies if error is not None]:
        raise InputError(f"{len(failures)} of {len(copies)} conditions failed; {failures[0]}; run the command again")
    return output


def run_conditions(
    name: str, preset: ExperimentConfig, wanted: Sequence[Condition], jobs: int | None
) -> list[tuple[Workspace, InputError | None]]:
    """Runs conditions; returns each condition's workspace with its error or None, in the same order."""
    for condition in wanted:
        check_choices(condition.panel)
        require_folder(condition.panel.dataset)
    revision, cache = committed_revision(), dvc_cache()
    collections = sorted({one.panel.dataset for one in wanted})
    store = prepared_store(compose("evaluate", EvaluateConfig, []).tracking, collections)
    copies = [Workspace(name, condition, preset, revision) for condition in wanted]
    workers = min(jobs or side_by_side(preset.memory_gb), len(copies))
    print(f"{name}: {len(copies)} conditions, {workers} at a time", flush=True)
    start, outcomes = time.perf_counter(), {}
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(run_one, copy, cache, {"MLFLOW_TRACKING_URI": store}): copy for copy in copies}
        for future in as_finished(running):
            copy, outcomes[running[future]] = running[future], _outcome(future)
            what = outcomes[copy] or "finished"
            print(f"{time.perf_counter() - start:7.0f} s  {copy.name}: {what}", flush=True)
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


def run_one(copy: Workspace, cache: str, environment: dict[str, str]) -> None:
    """Runs the unfinished parts of one condition, and raises an InputError if a command fails."""
    target, then = copy.preset.target, copy.preset.benchmark
    copy.update(cache)
    if target:
        copy.run([*DVC, "repro", target], environment)
    if target == REPORT_STAGE:  # DVC only saves complete pipelines
        copy.save()
    if then and not copy.printed.exists():
        with finished_file(copy.printed) as file:
            copy.run(shlex.split(then.format(**command_variables(copy.condition))), environment, file)
