"""Scripts that start warm do what they do when they start cold: same output, status, arguments, folder and imports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zero2ir.experiments.warm import warm_python

SCRIPT = """
import json, os, sys
import beside, shown
print(json.dumps([sys.argv, os.getcwd(), os.environ["SAID"], __name__, beside.__file__, shown.__file__]))
print(sys.stdin.read(), "sklearn" in sys.modules, "zero2ir" in sys.modules, file=sys.stderr)
if sys.argv[1:] == ["raise"]:
    raise ValueError("on purpose")
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    with warm_python() as folder:
        yield folder / "python"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "shown.py").touch()
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "beside.py").touch()
    (tmp_path / "stages" / "script.py").write_text(SCRIPT)
    return tmp_path


def started(python: Path | str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {"SAID": "hello", "PYTHONPATH": str(folder / "own")}
    command = [str(python), "stages/script.py", *words]
    return subprocess.run(command, cwd=folder, env=environment, input="typed", capture_output=True, text=True)


@pytest.mark.parametrize("word", ["0", "3", "raise"])
def test_the_same_as_cold(python: Path, folder: Path, word: str) -> None:
    cold, hot = started(sys.executable, folder, word), started(python, folder, word)
    assert hot.stdout == cold.stdout
    assert hot.returncode == cold.returncode == (int(word) if word.isdigit() else 1)
    assert cold.stderr.startswith("typed False False")
    assert hot.stderr.startswith("typed True False")
    assert (
        hot.stderr.strip()
        .splitlines()[-1]
        .startswith("typed True False" if word.isdigit() else "ValueError: on purpose")
    )


def test_anything_but_a_script_is_cold(python: Path, folder: Path) -> None:
    printed = subprocess.run(
        [python, "-c", "import sys; print('sklearn' in sys.modules)"], capture_output=True, text=True
    )
    assert printed.stdout == "False\n"


def test_a_script_that_is_killed_says_so(python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([python, tmp_path / "script.py"]).returncode == 128 + signal.SIGKILL


def test_whose_command_is_killed_is_interrupted(python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import pathlib, time\n"
        "try:\n    pathlib.Path('started').touch(); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    pathlib.Path('interrupted').touch()\n"
    )
    with subprocess.Popen([python, "script.py"], cwd=tmp_path) as command:
        waited_for(tmp_path / "started")
        command.kill()
    waited_for(tmp_path / "interrupted")


def test_who_is_killed_while_asking_harms_nobody(python: Path, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(python.parent / "socket"))
        socket.send_fds(connection, [(1000).to_bytes(8, "big")], [0, 1, 2])
    assert started(python, folder, "0").stderr.startswith("typed True")


def test_without_a_server_it_is_cold(folder: Path) -> None:
    with warm_python() as where:
        stand_in = (where / "python").read_text()
    assert not where.exists()
    (folder / "python").write_text(stand_in)
    (folder / "python").chmod(0o700)
    assert started(folder / "python", folder, "5").returncode == 5
    assert started(folder / "python", folder, "0").stderr.startswith("typed False")


def waited_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.05)
