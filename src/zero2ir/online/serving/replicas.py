"""Serves a program by several replicas, which Ray Serve starts, watches and starts again.

This process listens, and refuses what must not reach the application; each replica is a process, on any machine of the
cluster, that runs the application of a single server. All replicas keep their state in one PostgreSQL database.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from zero2ir.errors import InputError, one_line
from zero2ir.io.http_server import error_response, log_to_stderr, run_server
from zero2ir.io.memory import map_large_blocks
from zero2ir.io.ray_cluster import ray_cluster
from zero2ir.io.sockets import HOST
from zero2ir.online.serving.guard import Guard
from zero2ir.online.serving.metrics import MAX_METHOD
from zero2ir.online.serving.service import LOG, SearchService, open_program, warm_up
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import METRICS_TYPE, application, health_of, hosts_of, on_sighup
from zero2ir.program.program import Program

ATTEMPTS = 3  # of a request whose replica ends
PROBE_SECONDS = 2.0  # how long to wait for the state and the metrics of the replicas
HEALTH_CHECK_SECONDS = 2.0  # between two looks whether a replica lives
MAX_ONGOING = 10_000  # requests at a replica: its application has the limits, not Ray's queue
SCOPE_KEYS = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers")


class ReplicaSettings(NamedTuple):
    """What a replica needs to know.

    Attributes:
        place: folder of the program, or an MLflow model URI.
        state: URL of the database.
        serving: limits, logging and recording.
        allow_endpoints: see ``zero2ir.load``.
        prepare: called before a program is opened, e.g. to import models from outside zero2ir.
    """

    place: str
    state: str
    serving: ServingSettings
    allow_endpoints: Sequence[str]
    prepare: Callable[[], None] | None = None

    def open(self) -> Program:
        """Opens the program; raises InputError if that is not possible."""
        if self.prepare is not None:
            self.prepare()
        return open_program(self.place, self.allow_endpoints)


class Answer(NamedTuple):
    """An HTTP response: ``headers`` are pairs of bytes."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Replica:
    """The application of a single server in a process of Ray Serve.

    Args:
        settings: what it needs to know.
        is_local: whether only this machine may reach it.
    """

    def __init__(self, settings: ReplicaSettings, is_local: bool) -> None:
        from ray import serve
        from threadpoolctl import threadpool_limits

        if is_local:
            _listen_locally()
        log_to_stderr(settings.serving.max_log_lines, LOG.name)
        map_large_blocks()
        self.name = str(serve.get_replica_context().replica_id.unique_id)
        self.settings = settings
        self.threads = threadpool_limits(1, user_api="blas")  # as in ``serve`` of a single server
        self.service = SearchService(settings.open(), settings.state, settings.serving)
        for name, error in warm_up(self.service.program).items():
            LOG.error("%s does not answer yet (%s)", name, error)
        self.app = application(self.service)

    def __del__(self) -> None:
        if hasattr(self, "service"):  # Ray Serve calls this when the replica ends
            self.service.close()

    async def answer(self, scope: Mapping[str, Any], body: bytes) -> Answer:
        """Answers a request by the application; the process that listens has checked it."""
        return await called(self.app, {**scope, "root_path": "", "extensions": {}}, body)

    async def state(self) -> tuple[str, bytes, bytes]:
        """Returns the name, the state as JSON, and the metrics."""
        return self.name, health_of(self.service).model_dump_json().encode(), self.app.state.metrics.text()

    async def identify(self) -> str:
        """Returns the name."""
        return self.name

    async def reopen(self, name: str) -> str | None:
        """Opens the program again, if the name is this replica's; returns why the current program stays."""
        if name != self.name:
            return None
        try:
            await asyncio.to_thread(lambda: self.service.replace(self.settings.open()))
        except Exception as error:
            return one_line(error) if isinstance(error, InputError) else type(error).__name__
        return None


def _listen_locally() -> None:
    """Lets Ray Serve's port of this process, which needs the token of the cluster, be on the loopback interface."""
    from ray.serve._private import replica

    bind = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, address: bind(server, address.replace("[::]", HOST))


async def called(app: Any, scope: Mapping[str, Any], body: bytes) -> Answer:
    """Calls an ASGI application with a whole request, and returns its whole response."""
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(dict(scope), receive, send)
    return Answer(start["status"], [(bytes(name), bytes(value)) for name, value in start["headers"]], b"".join(parts))


@dataclass
class Front:
    """ASGI application that passes requests to the replicas, and answers itself for all of them.

    Attributes:
        handle: Ray Serve's handle of the deployment.
        replicas: how many replicas there should be.
    """

    handle: Any
    replicas: int

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"] if scope["method"] == "GET" else ""
        if path == "/health":
            response: Response = await self._health()
        elif path == "/metrics":
            response = Response(
                merged_metrics({name: text for name, _, text in await self._states()}), media_type=METRICS_TYPE
            )
        else:
            response = await self._passed_on(scope, await Request(scope, receive).body())
        await response(scope, receive, send)

    async def _passed_on(self, scope: Any, body: bytes) -> Response:
        """Lets a replica answer; another one if it ends meanwhile, except for removals, which might happen twice."""
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import RayServeException

        request = {key: scope[key] for key in SCOPE_KEYS if key in scope}
        for _ in range(1 if scope["method"] == "DELETE" else ATTEMPTS):
            try:
                answer = await self.handle.answer.remote(request, body)
            except (RayActorError, RayServeException) as error:
                LOG.warning("a replica ended during a request (%s)", type(error).__name__)
                continue
            scope["passed_on"] = True
            response = Response(answer.body, answer.status)
            response.raw_headers = list(answer.headers)
            return response
        return error_response(503, "a replica ended during the request; send it again")

    async def _states(self) -> list[tuple[str, bytes, bytes]]:
        """Returns what the replicas that answer in time say of themselves, ordered by name."""
        try:
            asked = self.handle.broadcast("state")
            states = await asked.results_async(timeout_s=PROBE_SECONDS, return_exceptions=True)
        except Exception as error:
            LOG.warning("the replicas do not answer (%s)", type(error).__name__)
            return []
        return sorted(one for one in states if not isinstance(one, BaseException))

    async def _health(self) -> Response:
        """Returns the state of each replica; status 503 if none answers."""
        states = await self._states()
        status = "ok" if len(states) == self.replicas else "degraded" if states else "down"
        bodies = [{"replica": name, **json.loads(health)} for name, health, _ in states]
        return JSONResponse({"status": status, "replicas": bodies}, 200 if states else 503)


def merged_metrics(texts: Mapping[str, bytes]) -> bytes:
    """Merges metrics in Prometheus' text format; each sample gets the label "replica"."""
    families: dict[str, Metric] = {}
    for replica, text in texts.items():
        for family in text_string_to_metric_families(text.decode()):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, {"replica": replica, **sample.labels}, sample.value)

    class Collector:
        def collect(self) -> Iterator[Metric]:
            yield from families.values()

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type]  # has what a registry calls
    return generate_latest(registry)


def record_refusal(scope: Any, status: int, seconds: float) -> None:
    """Logs a request that no replica got; replicas log those that they get."""
    if "passed_on" not in scope and status != 200:
        LOG.info("%s not passed on %d %.1f ms", scope["method"][:MAX_METHOD], status, 1000 * seconds)


def serve_replicas(
    settings: ReplicaSettings, replicas: int, bound: socket.socket, api_key: str | None, address: str | None
) -> None:
    """Serves a program by replicas on a listening socket until Ctrl-C or SIGTERM.

    SIGHUP lets the replicas open the program again, one after the other.

    Args:
        settings: what a replica needs to know.
        replicas: number of replicas.
        bound: the socket.
        api_key: see ``application``.
        address: of a Ray cluster; None for that of RAY_ADDRESS, or a Ray of its own on this machine.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or the program cannot be opened.
    """
    settings.open()  # so that a mistake is one line, and not an error of each replica
    log_to_stderr(settings.serving.max_log_lines, LOG.name)
    limits, (shown, hosts) = settings.serving, hosts_of(bound)
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # each request is a line
    cores = max(replicas, os.cpu_count() or 1)
    connected = ray_cluster(address, cores, show_output=True)
    with connected as is_own, _deployed(settings, replicas, is_own) as handle:
        on_sighup(lambda: reopen_all(handle))
        print(
            f"serving on {shown} with {replicas} replicas; its API is described at /docs; Ctrl-C stops it", flush=True
        )
        app = Guard(Front(handle, replicas), record_refusal, limits.max_body_bytes, hosts, api_key)
        run_server(app, bound, limits.max_connections, limits.request_seconds)


def reopen_all(handle: Any) -> None:
    """Lets each replica open the program again, one after the other; the others answer meanwhile, and so does it.

    Raises:
        InputError: a replica cannot open it; this one and those after it keep their program.
    """
    names = handle.broadcast("identify").results(return_exceptions=True)
    for name in sorted(one for one in names if isinstance(one, str)):
        for reason in handle.broadcast("reopen", name).results(return_exceptions=True):
            if isinstance(reason, str):
                raise InputError(f"replica {name}: {reason}")
            if reason is not None:
                LOG.warning("a replica ended (%s); it opens the program when it starts again", type(reason).__name__)


@contextmanager
def _deployed(settings: ReplicaSettings, replicas: int, is_own: bool) -> Iterator[Any]:
    """Starts the replicas, and ends them after the block; yields the handle of their deployment."""
    from ray import serve

    logs = {"log_level": "WARNING", "enable_access_log": False}
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    deployment = serve.deployment(
        name="zero2ir",
        num_replicas=replicas,
        max_ongoing_requests=MAX_ONGOING,
        health_check_period_s=HEALTH_CHECK_SECONDS,
        graceful_shutdown_wait_loop_s=0.1,
        logging_config=logs,
    )(Replica)
    name = f"zero2ir-{uuid4().hex[:12]}"  # others may serve on the cluster
    if is_own:
        serve.start(proxy_location="Disabled", logging_config=logs)
    try:
        yield serve.run(deployment.bind(settings, is_own), name=name, route_prefix=None, logging_config=logs)
    finally:
        if is_own:
            serve.shutdown()
        else:
            serve.delete(name)
