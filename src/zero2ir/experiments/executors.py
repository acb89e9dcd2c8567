"""Runs tasks on the machines of a Ray or Slurm cluster.

An executor's ``run`` waits until a task has ended somewhere; callers run several tasks at once by threads.
"""

import hashlib
import json
import math
import re
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from zero2ir.errors import InputError
from zero2ir.experiments.preset import BYTES_PER_GB, ExperimentConfig
from zero2ir.experiments.tasks import Outcome, Task, run_task
from zero2ir.experiments.workspaces import Origin, git, sees_project
from zero2ir.io.files import finished_file
from zero2ir.io.ray_cluster import ray_cluster

ExecutorName = Literal["local", "ray", "submitit"]
RETRIES = 3  # of a task whose machine was lost
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SLURM_MINUTES = 24 * 60  # time limit of a job unless SBATCH_TIMELIMIT says otherwise
POLL_SECONDS = 2.0
INTERRUPTED = "interrupted"
LIVE_STATES = ("PENDING", "RUNNING", "REQUEUE", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING")  # of a Slurm job
LOST_STATES = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "INTERRUPTED")


class Executor(Protocol):
    """Runs tasks somewhere."""

    @property
    def machines(self) -> Sequence[str]:
        """Names of the machines other than this one that may run tasks."""

    def without(self, origin: Origin) -> Sequence[str]:
        """Returns those of ``machines`` that do not see the project's folder."""

    def run(self, task: Task) -> Outcome:
        """Runs a task and waits for its end; again on another machine if its machine is lost."""

    def stop(self) -> None:
        """Ends all tasks; ``run`` returns with an error."""


class RayExecutor:
    """Runs tasks on a connected Ray cluster.

    Args:
        preset: gives the needs of a task.
    """

    def __init__(self, preset: ExperimentConfig) -> None:
        import ray

        self._nodes = [node for node in ray.nodes() if node["Alive"]]
        own = socket.gethostname()
        self.machines = sorted({str(node["NodeManagerHostname"]) for node in self._nodes} - {own})
        self._needs = {"CPU": preset.cpus, "GPU": preset.gpus, "memory": int(preset.memory_gb * BYTES_PER_GB)}
        self._function = ray.remote(
            num_cpus=preset.cpus,
            num_gpus=preset.gpus,
            memory=self._needs["memory"],
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
        )(run_task)
        self._running: set[Any] = set()
        self._lock, self._stopped = Lock(), False

    @property
    def idle_reason(self) -> str:
        """Why no machine can run a task now, e.g. since the cluster starts machines on demand; "" if one can."""
        for node in self._nodes:
            if all(node["Resources"].get(name, 0) >= amount for name, amount in self._needs.items()):
                return ""
        needs = (
            f"{self._needs['CPU']} cores, {self._needs['memory'] / BYTES_PER_GB:g} GB and {self._needs['GPU']:g} GPUs"
        )
        return f"no machine of the cluster offers {needs}; tasks wait until one joins"

    def without(self, origin: Origin) -> list[str]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = ray.remote(sees_project).options(num_cpus=0)
        others = [node for node in self._nodes if node["NodeManagerHostname"] in self.machines]
        places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in others]
        asked = [look.options(scheduling_strategy=place).remote(origin) for place in places]
        try:
            seen = ray.get(asked)
        except ray.exceptions.RayError as error:
            raise InputError(f"ray: {reason_of(error)}") from None
        return [str(node["NodeManagerHostname"]) for node, sees in zip(others, seen, strict=True) if not sees]

    def run(self, task: Task) -> Outcome:
        import ray

        with self._lock:
            if self._stopped:
                return Outcome("", INTERRUPTED)
            reference = self._function.options(name=f"{task.experiment}-{task.condition.name} {task.name}").remote(task)
            self._running.add(reference)
        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            return Outcome("", reason_of(error))
        finally:
            with self._lock:
                self._running.discard(reference)

    def stop(self) -> None:
        import ray

        with self._lock:
            self._stopped = True
            for reference in self._running:
                ray.cancel(reference, force=True)


def reason_of(error: Exception) -> str:
    """Returns the last line of an error of Ray, which quotes whole tracebacks, or what to install where it ran."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    missing = next((line for line in lines if "No module named" in line), None)
    if missing is not None:
        return f"a machine of the cluster lacks zero2ir ({missing[-100:]}); install the same version there"
    return f"{type(error).__name__}: {lines[-1][:300]}"


@contextmanager
def ray_executor(preset: ExperimentConfig, address: str | None) -> Iterator[RayExecutor]:
    """Connects to a Ray cluster; raises InputError as ``connect_to_ray``."""
    with ray_cluster(address):
        executor = RayExecutor(preset)
        if executor.idle_reason:
            print(executor.idle_reason, flush=True)
        yield executor


class SlurmExecutor:
    """Submits every task as a Slurm job; a job outlives this process, and the next call waits for it.

    Args:
        preset: gives the needs of a task.
        folder: of submitted tasks and their outcomes; all machines must see it.
        cluster: "slurm", or another one that submitit knows.

    Raises:
        InputError: submitit or Slurm is not installed, or the needs cannot be stated to Slurm.
    """

    machines = ("the machines of Slurm",)

    def __init__(self, preset: ExperimentConfig, folder: Path, cluster: str = "slurm") -> None:
        try:
            import submitit
        except ImportError:
            raise InputError("--executor submitit: not installed; pip install 'zero2ir[slurm]'") from None
        if cluster == "slurm" and not shutil.which("sbatch"):
            raise InputError("--executor submitit: no command sbatch; call it on a machine that submits jobs to Slurm")
        if preset.gpus != int(preset.gpus):
            raise InputError(f"gpus={preset.gpus:g}: Slurm gives whole GPUs; set a whole number")
        self._folder = folder.resolve()
        self._submitit = submitit.AutoExecutor(folder=self._folder, cluster=cluster)
        self._submitit.update_parameters(
            timeout_min=SLURM_MINUTES,
            mem_gb=math.ceil(preset.memory_gb),
            cpus_per_task=preset.cpus,
            gpus_per_node=int(preset.gpus),
        )
        self._jobs: list[Any] = []
        self._lock, self._stopped = Lock(), False

    def without(self, origin: Origin) -> Sequence[str]:
        return ()  # Slurm needs a shared folder anyway; a task on a machine that does not see it says so

    def run(self, task: Task) -> Outcome:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        state = ""
        for _ in range(1 + RETRIES):
            with self._lock:  # submitit keeps the states of all jobs in one place
                if self._stopped:
                    return Outcome("", INTERRUPTED)
                job = self._running_job(task) or self._submit(task)
                self._jobs.append(job)
            while not self._done(job):
                if self._stopped:
                    return Outcome("", INTERRUPTED)
                time.sleep(POLL_SECONDS)
            try:
                return job.result()
            except FailedJobError as error:
                return Outcome("", f"job {job.job_id}: {reason_of(error)}")
            except UncompletedJobError:
                state = job.state.upper()
            if state not in LOST_STATES:
                break
        return Outcome("", f"job {job.job_id} ended with the state {state}; see {job.paths.stderr}")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for job in self._jobs:
                if not job.done():
                    job.cancel(check=False)

    def _done(self, job: Any) -> bool:
        with self._lock:
            return bool(job.done())

    def _submit(self, task: Task) -> Any:
        self._submitit.update_parameters(name=f"zero2ir-{task.experiment}")
        job = self._submitit.submit(run_task, task)
        with finished_file(self._note(task)) as file:
            file.write(job.job_id)
        return job

    def _running_job(self, task: Task) -> Any:
        """Returns the job of the same task that an earlier call submitted, if it still waits or runs."""
        import submitit

        note = self._note(task)
        if self._submitit.cluster != "slurm" or not note.exists():
            return None
        job: Any = submitit.SlurmJob(self._folder, note.read_text(encoding="utf-8"))
        state = job.watcher.get_state(job.job_id, mode="force").upper()
        return job if state.startswith(LIVE_STATES) else None

    def _note(self, task: Task) -> Path:
        """Returns the path of the file with the number of a task's last job."""
        decisive = [task.revision, task.condition.panel.model_dump(mode="json"), task.preset.conf, task.stages]
        digest = hashlib.sha256(json.dumps([*decisive, task.benchmark], sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:20]}.job"


@contextmanager
def open_executor(
    name: ExecutorName, address: str | None, preset: ExperimentConfig, jobs: Path
) -> Iterator[Executor | None]:
    """Opens an executor; None for "local", which needs none.

    Args:
        name: the kind.
        address: of a Ray cluster.
        preset: gives the needs of a task.
        jobs: folder of submitted Slurm jobs.

    Raises:
        InputError: an address is given without Ray; or as ``ray_executor`` and ``SlurmExecutor``.
    """
    if address is not None and name != "ray":
        raise InputError(f"--address {address}: only --executor ray connects to a cluster; add it")
    if name == "ray":
        with ray_executor(preset, address) as executor:
            yield executor
    else:
        yield SlurmExecutor(preset, jobs) if name == "submitit" else None


def task_origin(executor: Executor, own: Origin, revision: str, store: str) -> Origin:
    """Returns where the tasks of an executor get code and results from.

    If all machines see the project's folder, from there; otherwise from its git remote and its DVC remote.

    Raises:
        InputError: other machines cannot reach the tracking store, the code, or a place for the results.
    """
    if not executor.machines:
        return own
    check_reachable(store, executor.machines[0])
    blind = executor.without(own)
    if not blind:
        return own
    reason = f"{own.repository}: {blind[0]} does not see this folder"
    if not _has_dvc_remote(revision):
        raise InputError(
            f"{reason}, and the committed .dvc/config has no default remote; put the project in a shared folder, or "
            "call dvc remote add --default NAME URL, and commit"
        )
    return own._replace(repository=_repository_url(revision, reason), remote=True)


def place_of(origin: Origin) -> str:
    """Describes where tasks get code and results from."""
    return f"{origin.repository} and the DVC remote" if origin.remote else origin.repository


def check_reachable(store: str, machine: str) -> None:
    """Raises ``InputError`` if only this machine can write to a tracking store."""
    parts = urlsplit(store)
    if parts.scheme in ("", "file", "sqlite"):
        raise InputError(
            f"MLFLOW_TRACKING_URI={store}: tasks on {machine} cannot record into a file of this machine; start "
            "mlflow server, and set MLFLOW_TRACKING_URI to its address"
        )
    if parts.hostname in LOOPBACK:
        raise InputError(
            f"MLFLOW_TRACKING_URI={parts.scheme}://{parts.hostname}: an address of this machine only, which tasks on "
            f"{machine} cannot reach; set it to one that they can"
        )


def _has_dvc_remote(revision: str) -> bool:
    parser = ConfigParser()
    with suppress(InputError, ConfigError):
        parser.read_string(git("show", f"{revision}:.dvc/config"))
    return parser.has_option("core", "remote")


def _repository_url(revision: str, reason: str) -> str:
    """Returns the URL, without a password, of a git remote that has the commit."""
    branches = git("branch", "--remotes", "--contains", revision, "--format=%(refname:lstrip=2)").splitlines()
    if not branches:
        raise InputError(f"{reason}, and no git remote has the commit {revision[:12]}; call git push")
    url = git("remote", "get-url", branches[0].partition("/")[0])
    return re.sub("//[^/@]*:[^/@]*@", "//", url)
