"""A real PostgreSQL server of this machine's packages, for the duration of a block."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from glob import glob
from pathlib import Path
from typing import Any, Self

import pytest

USER, PASSWORD = "zero2ir", "a s3cret/password"
PLACES = "/usr/lib/postgresql/*/bin"  # of Debian, which puts only its wrappers on the path
SECONDS = 60.0


class PostgreSQLServer:
    """On any free port of the loopback interface, with an empty data folder; skips the test where it cannot run.

    Attributes:
        port: of the server.
        process: of the server.
    """

    def __init__(self) -> None:
        pytest.importorskip("psycopg", reason="pip install 'zero2ir[postgres]'")
        for name in ("initdb", "postgres"):
            binary(name)
        self.folder = Path(tempfile.mkdtemp(prefix="zero2ir-postgresql-"))
        self.account = unprivileged()
        if "user" in self.account:  # PostgreSQL refuses to run as root
            os.chown(self.folder, self.account["user"], self.account["group"])
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        data, words = self.folder / "data", ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password}"]
        self._run("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", *words, f"--pgdata={data}")
        self.process = self._started()
        self._databases = 0

    def url(self) -> str:
        """Creates an empty database and returns its URL."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self._connection_string(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        quoted = PASSWORD.replace("/", "%2F").replace(" ", "%20")
        return f"postgresql://{USER}:{quoted}@127.0.0.1:{self.port}/{name}"

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """Ends all connections and the server."""
        if self.process.poll() is None:
            os.kill(self.process.pid, sign)
            self.process.wait(SECONDS)

    def start(self) -> None:
        """Starts the server again."""
        self.process = self._started()

    def _connection_string(self) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} password='{PASSWORD}' dbname=postgres"

    def _started(self) -> "subprocess.Popen[bytes]":
        import psycopg

        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",  # the machine does not fail during a test, and its disk may be slow
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [binary("postgres"), "-D", str(self.folder / "data"), *words]
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **self.account)
        end = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self._connection_string(), connect_timeout=2).close()
                return process
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{error}\n{(self.folder / 'log').read_text(encoding='utf-8')}") from None
                time.sleep(0.05)

    def _run(self, name: str, *words: str) -> None:
        subprocess.run([binary(name), *words], cwd="/", check=True, capture_output=True, **self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(signal.SIGQUIT)  # writes nothing more
        shutil.rmtree(self.folder)


def binary(name: str) -> str:
    """The path of a program of PostgreSQL; skips the test if it is not installed."""
    found = shutil.which(name) or next(iter(sorted(glob(f"{PLACES}/{name}"), reverse=True)), None)
    if found is None:
        pytest.skip(f"{name} is not installed; apt-get install postgresql")
    return found


def unprivileged() -> dict[str, Any]:
    """The account to run the server in, as arguments of subprocess: one without rights if the tests run as root."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    pytest.skip("the tests run as root, PostgreSQL refuses to, and there is neither a user postgres nor nobody")
