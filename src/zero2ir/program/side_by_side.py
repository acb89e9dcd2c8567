"""Calls of a function in processes of their own, on this machine or by Ray."""

import json
import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

from zero2ir.errors import InputError
from zero2ir.io.ray_cluster import connect_to_ray

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class Executor(ABC):
    """Calls a function for several tasks at once; function and tasks can be pickled, and results are JSON.

    Args:
        jobs: processes side by side.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    @abstractmethod
    def run(self, work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]) -> Iterator[ResultT]:
        """Yields the results as they are there, in any order.

        Raises:
            InputError: a call raised it, or a process was killed.
        """


class LocalExecutor(Executor):
    """Processes of this machine that share its cores, and end with this process, however it ends."""

    def run(self, work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]) -> Iterator[ResultT]:
        jobs = min(self.jobs, len(tasks))
        if not jobs:
            return
        threads = max(1, usable_cores() // jobs)
        with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (threads,)) as pool:
            futures = [pool.submit(work, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BrokenProcessPool:
                raise InputError(
                    "a process ended abruptly, perhaps for want of memory; what is finished is kept: repeat the "
                    "command, with a lower --jobs"
                ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


class RayExecutor(Executor):
    """Tasks of Ray Data, on the cluster of ``RAY_ADDRESS``, or else on a cluster of this machine for this process.

    The machines of a cluster read and write the same paths.

    Args:
        jobs: processes side by side.
        gpus: share of a GPU that each process needs, if the cluster has any.
    """

    def __init__(self, jobs: int, gpus: float = 0.0) -> None:
        super().__init__(jobs)
        self.gpus = gpus

    def run(self, work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]) -> Iterator[ResultT]:
        if not tasks:
            return
        connect_to_ray(cores=self.jobs)
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        gpus = self.gpus if ray.cluster_resources().get("GPU") else 0
        rows = ray.data.from_items([{"place": place} for place in range(len(tasks))], override_num_blocks=len(tasks))

        def call(row: dict[str, int]) -> dict[str, str]:
            try:
                return {"result": json.dumps(work(tasks[row["place"]])), "error": ""}
            except InputError as error:
                return {"result": "", "error": str(error)}

        pool = ray.data.TaskPoolStrategy(size=min(self.jobs, len(tasks)))
        for row in rows.map(call, num_cpus=1, num_gpus=gpus, compute=pool).iter_rows():
            if row["error"]:
                raise InputError(row["error"])
            yield json.loads(row["result"])


def usable_cores() -> int:
    """Returns the number of cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(threads: int) -> None:
    """Prepares a process: few threads, no traceback at Ctrl-C, and an end as soon as its parent has ended."""
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)  # read by torch and tokenizers, which are imported later
    threadpool_limits(threads)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
