"""A warm Python: scripts start in a process that has imported the large libraries already, some seconds sooner each.

An ablation runs hundreds of short commands, and importing takes longer than most of what they do. Here a server imports
once and forks for every script; each has its own process, arguments, folder, environment and output, and the copy's
code, of which the server has imported nothing. Its memory counts all of the libraries, whether it needs them or not.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

LIBRARIES = (
    "mlflow.dspy",
    "mlflow.store.tracking.sqlalchemy_store",
    "hydra",
    "sentence_transformers",
    "sklearn.linear_model",
    "ir_measures",
    "bm25s",
)
SOCKET, PYTHON = "socket", "python"
LENGTH = 8  # bytes that say how long a request is

# A cold Python of its own stands in for the script: it hands over what it was given, and ends as the script ends.
# Where it is asked for anything but a script, or nobody is there to answer, it becomes the Python that it stands for.
STAND_IN = """#!{python} -IS
import json, os, signal, socket, sys
connection = socket.socket(socket.AF_UNIX)
try:
    if not sys.argv[1:] or not sys.argv[1].endswith(".py"):
        raise OSError
    connection.connect({socket!r})
except OSError:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
signal.signal(signal.SIGINT, signal.SIG_DFL)
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(connection, [len(request).to_bytes({length}, "big")], [0, 1, 2])
connection.sendall(request)
status = connection.recv(1)
sys.exit(status[0] if status else 1)
"""


@contextmanager
def warm_python() -> Iterator[Path]:
    """A folder with a ``python`` that is warm while the context lasts; it belongs first in PATH.

    Who is killed within leaves a server that ends as soon as the scripts that run have ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="warm-"))  # nobody else's: 0700
    stand_in = folder / PYTHON
    names = {"python": sys.executable, "socket": str(folder / SOCKET), "length": LENGTH}
    stand_in.write_text(STAND_IN.format(**names), encoding="utf-8")
    stand_in.chmod(0o700)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with socket.socket(socket.AF_UNIX) as listener:  # from now on who asks waits
        listener.bind(str(folder / SOCKET))
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(folder), str(listener.fileno())],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the scripts
            pass_fds=[listener.fileno()],
        )
    with server:
        assert server.stdin is not None
        try:
            yield folder
        finally:
            server.stdin.close()
            shutil.rmtree(folder, ignore_errors=True)


class Request(NamedTuple):
    """A script that is to run.

    Attributes:
        arguments: its path and its own.
        folder: the current one.
        environment: all of it.
        files: its standard input, output and error.
    """

    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    files: Sequence[int]


class Server:
    """Forks for every script that a stand-in asks for, and tells it how the script ended.

    Args:
        folder: of the socket.
        listener: where they ask.
    """

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.listener = listener
        self.running = dict[int, socket.socket]()  # the stand-in of each script, by the script's process
        self.gone = set[socket.socket]()  # stand-ins that were killed

    def serve(self) -> Request | None:
        """Answers until standard input is closed and nothing runs.

        Returns:
            None; in the process of a script what it is to run.
        """
        for name in LIBRARIES:
            importlib.import_module(name)
        gc.freeze()  # collecting would copy what the processes share
        ended, wake = socket.socketpair()
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        wanted = True
        while wanted or self.running:
            watched: list[Any] = [ended, *set(self.running.values()) - self.gone]
            ready, _, _ = select.select([*watched, self.listener, sys.stdin] if wanted else watched, [], [])
            self._stop(ready)
            if ended in ready:
                ended.recv(4096)
                self._reap()
            if wanted and sys.stdin in ready:
                wanted = False
                self.listener.close()
                shutil.rmtree(self.folder, ignore_errors=True)  # who was killed did not
            elif wanted and self.listener in ready:
                stand_in, _ = self.listener.accept()
                if (request := received(stand_in)) and self._forked(request, stand_in):
                    signal.set_wakeup_fd(-1)
                    for mine in (self.listener, ended, wake, stand_in, *self.running.values()):
                        mine.close()
                    return request
        return None

    def _forked(self, request: Request, stand_in: socket.socket) -> bool:
        """Makes a process for a script; whether this is it."""
        if process := os.fork():
            self.running[process] = stand_in
            for descriptor in request.files:
                os.close(descriptor)
            return False
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        return True

    def _stop(self, ready: Sequence[Any]) -> None:
        """Interrupts the scripts whose stand-ins were killed: they never say anything, and so are ready when gone."""
        for process, stand_in in self.running.items():
            if stand_in in ready:
                self.gone.add(stand_in)
                os.kill(process, signal.SIGINT)  # it is there until it is reaped

    def _reap(self) -> None:
        """Tells the stand-ins of all scripts that ended how they did."""
        while self.running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            code = os.waitstatus_to_exitcode(status)
            with self.running.pop(process) as stand_in, contextlib.suppress(OSError):
                stand_in.sendall(bytes([code if code >= 0 else 128 - code]))
            self.gone.discard(stand_in)


def received(stand_in: socket.socket) -> Request | None:
    """What a stand-in asks for; None where it was killed before it had said so."""
    length, files, _, _ = socket.recv_fds(stand_in, LENGTH, 3)
    wanted = int.from_bytes(length, "big")
    request = stand_in.recv(wanted, socket.MSG_WAITALL)
    if not request or len(request) < wanted:
        return None
    arguments, folder, environment = json.loads(request)
    return Request(arguments, folder, environment, files)


def run(request: Request) -> None:
    """Runs a script in this process as Python does: its folder comes first, then PYTHONPATH."""
    for number, descriptor in enumerate(request.files):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    script = request.arguments[0]
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:0] = [str(Path(script).resolve().parent), *given]
    sys.argv = list(request.arguments)
    runpy.run_path(script, run_name="__main__")


def main() -> NoReturn:
    folder, listener = sys.argv[1:]
    request = Server(Path(folder), socket.socket(fileno=int(listener))).serve()
    if request is not None:
        run(request)
    sys.exit()


if __name__ == "__main__":
    main()
