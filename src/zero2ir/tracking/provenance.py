"""What a figure was measured with: the code, the machine, and the packages that decide about figures."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (  # that decide about figures; the lock names all others
    *("bm25s", "PyStemmer", "numpy", "scipy", "torch", "sentence-transformers", "transformers", "dspy", "xllamacpp"),
    *("ir-measures", "pytrec_eval-terrier", "scikit-learn"),
)


def describe_runtime() -> dict[str, str]:
    """What a figure was measured with: machine, interpreter, and the packages that decide about figures, by version."""
    machine = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    return machine | {name: version for name in PACKAGES if (version := _version(name))}


def _processor() -> str:
    """The processor's name; Python itself knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def code_revision(folder: Path = Path()) -> str:
    """The git commit of the code, with "+changes" where files differ from it; "unknown" outside of git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "src", "conf") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
