"""Provenance of a result: the code's revision, the machine, and the versions of packages that affect results."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (  # that affect results; requirements.lock lists all
    *("bm25s", "PyStemmer", "numpy", "scipy", "torch", "sentence-transformers", "transformers", "dspy", "xllamacpp"),
    *("ir-measures", "pytrec_eval-terrier", "scikit-learn"),
)


def describe_runtime() -> dict[str, str]:
    """Returns the system, processor and Python version, and the installed version of each of ``PACKAGES``."""
    machine = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    return machine | {name: version for name in PACKAGES if (version := _version(name))}


def _processor() -> str:
    path = Path("/proc/cpuinfo")  # platform.processor() is empty on most Linux systems
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def code_revision(folder: Path = Path()) -> str:
    """Returns the git commit, with "+changes" if files of src or conf differ from it; "unknown" outside git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "src", "conf") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
