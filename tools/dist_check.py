"""Checks what a user gets who has the wheel and no checkout: ``make dist-check``.

The wheel is built from the source distribution and installed into an empty environment, with the dependencies that it
declares, in the locked versions. There it trains on the folder of the quickstart, searches, serves, and runs the
pipeline in a folder of ``zero2ir init``.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory

from tools.lock import LOCK, entries_of

PROJECT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.{}(sys.argv[1])"
PLACE = "import zero2ir; print(zero2ir.__version__, zero2ir.__file__)"
QUERY = "delete an item of a list"
AUTHOR = {f"GIT_{who}_{what}": "check@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def check() -> None:
    """Runs all steps; the first one that fails ends the program with what it printed."""
    with TemporaryDirectory() as folder:
        wheel = built(Path(folder))
        user = User(Path(folder))
        with step(f"install {wheel.name} and what it declares, in an empty environment"):
            user.install(wheel)
        with step("import"):
            print(user.run("python", "-c", PLACE))
        with step("zero2ir --help"):
            print(user.run("zero2ir", "--help").splitlines()[0])
        with step("train on the quickstart's folder"):
            user.run("python", "-c", quickstart())
            print(user.run("zero2ir", "train", "my-folder", "--output", "my-program"))
        with step("search"):
            print(user.run("zero2ir", "search", "my-program", QUERY, "-k", "3"))
        with step("serve"):
            print(user.served_answer())
        with step("zero2ir init, and an experiment in its folder"):
            user.run("zero2ir", "init", "my-project")
            print(user.experiment("my-project", "smoke"))


@contextmanager
def step(what: str) -> Iterator[None]:
    """Prints a step and its seconds."""
    print(f"== {what}", flush=True)
    start = time.monotonic()
    yield
    print(f"   {time.monotonic() - start:.0f} s", flush=True)


def built(folder: Path) -> Path:
    """Builds the source distribution of the checkout, and from it the wheel; returns the path of the wheel."""
    with step("build the source distribution, and from it the wheel"):
        output([sys.executable, "-c", BUILD.format("build_sdist"), str(folder)], PROJECT)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        source = folder / archive.name.removesuffix(".tar.gz")
        output([sys.executable, "-c", BUILD.format("build_wheel"), str(folder)], source)
    return next(folder.glob("*.whl"))


def quickstart() -> str:
    """Returns the code of the quickstart that writes a folder of documents and judgments."""
    page = (PROJECT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]


class User:
    """Someone with an environment and a folder of their own.

    Args:
        folder: for both.
    """

    def __init__(self, folder: Path) -> None:
        self.binaries, self.home = folder / "venv" / "bin", folder / "home"
        self.home.mkdir()
        foreign = ("PYTHONPATH", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI", "ZERO2IR_CACHE")
        self.environment = {key: value for key, value in os.environ.items() if key not in foreign} | AUTHOR
        self.environment["PATH"] = f"{self.binaries}{os.pathsep}{os.environ['PATH']}"

    def install(self, wheel: Path) -> None:
        """Installs the wheel with the extra ``pipeline``, and checks that what is installed fits together."""
        venv.create(self.binaries.parent, with_pip=True)
        versions = self.home / "versions.txt"
        locked = entries_of((PROJECT / LOCK).read_text(encoding="utf-8"))
        versions.write_text("".join(re.sub(r" \\\n.*", "\n", entry, flags=re.DOTALL) for entry in locked[1:]))
        self.run("python", "-m", "pip", "install", "--quiet", "--constraint", str(versions), f"{wheel}[pipeline]")
        print(self.run("python", "-m", "pip", "check"))

    def run(self, *command: str, folder: str = ".") -> str:
        """Runs a command in the user's folder and returns what it prints."""
        return output(command, self.home / folder, self.environment)

    def served_answer(self) -> str:
        """Returns what a server of the program answers."""
        with closing(create_server(("127.0.0.1", 0))) as free:
            address = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = ["zero2ir", "serve", "my-program", "--port", address.rpartition(":")[2]]
        server = subprocess.Popen(
            command,
            cwd=self.home,
            env=self.environment,
            executable=self.binaries / "zero2ir",
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(f"{address}/health", server)
            body = json.dumps({"query": QUERY, "k": 1}).encode()
            return fetched(urllib.request.Request(f"{address}/search", body, {"Content-Type": "application/json"}))
        finally:
            server.terminate()
            server.wait()

    def experiment(self, folder: str, preset: str) -> str:
        """Runs a preset in a folder of the pipeline, and returns its report."""
        self.run("git", "init", "--quiet", folder=folder)
        self.run("git", "add", ".", folder=folder)
        self.run("git", "commit", "--quiet", "--message", "The pipeline", folder=folder)
        self.run("zero2ir", "experiment", preset, folder=folder)
        return (self.home / folder / "reports" / preset / "index.md").read_text(encoding="utf-8")


def output(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Runs a command and returns what it prints; if it fails, the program ends with that."""
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(command)[:200]} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout.strip()


def wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Waits until a server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            fetched(urllib.request.Request(url))
            return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"{url}: no answer")


def fetched(request: urllib.request.Request) -> str:
    """Returns the body of an answer."""
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    check()
