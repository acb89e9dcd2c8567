"""Runs a condition by tasks: first what its systems share, then the systems side by side, then a benchmark.

The copy of the condition on this machine restores what the tasks made, and makes the report. As everything goes
through DVC's cache, it is the same whether a task ran now, in an interrupted call, or on this machine.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from threading import Semaphore

from zero2ir.errors import InputError
from zero2ir.experiments.executors import Executor
from zero2ir.experiments.progress import FAILED, FINISHED, SUBMITTED, WAITING, Progress
from zero2ir.experiments.stages import REPORT_STAGE, SHARED_STAGES, SYSTEM_STAGES, stages_of, systems_of
from zero2ir.experiments.tasks import Outcome, Task
from zero2ir.experiments.workspaces import Origin, Workspace
from zero2ir.io.files import finished_file
from zero2ir.tracking.provenance import code_revision
from zero2ir.tracking.runs import PipelineRun, open_pipeline_run

PREPARATION, BENCHMARK = "preparation", "benchmark"  # names of tasks beside those of systems


class Distribution:
    """Runs conditions by the tasks of an executor; thread-safe.

    Args:
        executor: runs the tasks.
        task_origin: of the copies in which tasks run.
        origin: of the copies on this machine.
        host: name of this machine.
        store: URI of the tracking store.
        progress: is told about every task.
        jobs: number of tasks at once; None for as many as the executor takes.
        here: limits the commands that this machine runs in copies at once.
    """

    def __init__(
        self,
        executor: Executor,
        task_origin: Origin,
        origin: Origin,
        host: str,
        store: str,
        progress: Progress,
        jobs: int | None,
        here: Semaphore,
    ) -> None:
        self._executor = executor
        self._task_origin, self._origin, self._host, self._store = task_origin, origin, host, store
        self._environment: Mapping[str, str] = {"MLFLOW_TRACKING_URI": store}
        self._progress = progress
        self._slots = Semaphore(jobs) if jobs else nullcontext()
        self._here = here

    def run(self, copy: Workspace) -> None:
        """Runs the unfinished tasks of a condition, and restores what they made in its copy.

        Raises:
            InputError: a task or a command on this machine failed; tasks that do not need it go on.
        """
        target = copy.preset.target
        has_systems = target in (*SYSTEM_STAGES, REPORT_STAGE)
        shared = SHARED_STAGES[-1] if has_systems else target
        with self._here:
            copy.update(self._origin)
            outdated = copy.outdated(self._environment) if shared else []
        if shared and not set(SHARED_STAGES).isdisjoint(outdated):
            self._require(copy, PREPARATION, (shared,))
            self._restore(copy, shared)
        if has_systems:
            self._run_systems(copy)
        if copy.preset.benchmark and not copy.printed.exists():
            printed = self._require(copy, BENCHMARK, (target,) if target else ()).printed
            with finished_file(copy.printed) as file:
                file.write(printed)

    def _run_systems(self, copy: Workspace) -> None:
        with self._here:
            systems = systems_of(copy.outdated(self._environment))
        if not systems:
            return
        panel = copy.condition.panel
        pipeline = PipelineRun(panel.model_dump(mode="json"), code_revision(copy.folder))
        open_pipeline_run(self._store, panel.dataset, pipeline)
        errors: list[str] = []
        for system in systems:
            self._progress.move(copy.name, system, WAITING)
        with ThreadPoolExecutor(len(systems)) as pool:
            running = {pool.submit(self._run_task, copy, system, stages_of(system)): system for system in systems}
            left: set[Future[Outcome]] = set(running)
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                finished = [running[one] for one in done if not one.result().error]
                errors += [one.result().error for one in done if one.result().error]
                if finished:
                    self._restore(copy, "--single-item", *(stage for one in finished for stage in stages_of(one)))
        if errors:
            raise InputError(
                f"{copy.name}: {len(errors)} of {len(systems)} systems failed; {errors[0]}; see {copy.log}"
            )

    def _restore(self, copy: Workspace, *words: str) -> None:
        with self._here:
            copy.reproduce(self._origin, self._environment, *words)

    def _require(self, copy: Workspace, name: str, stages: Sequence[str]) -> Outcome:
        outcome = self._run_task(copy, name, stages)
        if outcome.error:
            raise InputError(f"{copy.name}: {outcome.error}; see {copy.log}")
        return outcome

    def _run_task(self, copy: Workspace, name: str, stages: Sequence[str]) -> Outcome:
        task = Task(
            name,
            copy.experiment,
            copy.condition,
            copy.preset,
            copy.revision,
            self._task_origin,
            self._host,
            tuple(stages),
            name == BENCHMARK,
            self._environment,
        )
        with self._slots:
            self._progress.move(copy.name, name, SUBMITTED)
            outcome = self._executor.run(task)
        place = f"{name} on {outcome.host}" if outcome.host else name
        with copy.log.open("a", encoding="utf-8") as log:
            log.write(f"\n== {place}\n{outcome.log}\n{outcome.error}\n")
        self._progress.move(copy.name, name, FAILED if outcome.error else FINISHED)
        self._progress.say(f"{copy.name} {place}", outcome.error or "finished")
        return outcome._replace(error=f"{place}: {outcome.error}" if outcome.error else "")
