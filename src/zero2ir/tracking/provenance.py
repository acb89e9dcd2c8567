"""Provenance of a result: the code's revision, the machine, and the versions of packages that affect results."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from zero2ir.evaluation.ir_metadata import Actor, Cpu, Gpu, Hardware, OperatingSystem, Platform, Software

PACKAGES = (  # that affect results; requirements.lock lists all
    *("bm25s", "PyStemmer", "numpy", "scipy", "torch", "sentence-transformers", "transformers", "dspy", "xllamacpp"),
    *("ir-measures", "pytrec_eval-terrier", "scikit-learn"),
)


def describe_runtime() -> dict[str, str]:
    """Returns the system, processor and Python version, and the installed version of each of ``PACKAGES``."""
    machine = {
        "system": f"{_kernel()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    return machine | {name: version for name in PACKAGES if (version := _version(name))}


def describe_platform(runtime: Mapping[str, str]) -> Platform:
    """Returns the platform as ir_metadata states it; ``runtime`` is that of ``describe_runtime``."""
    return Platform(
        hardware=Hardware(
            cpu=Cpu(
                model=_processor(),
                architecture=platform.machine(),
                operation_mode=platform.architecture()[0].replace("bit", "-bit"),
                number_of_cores=os.cpu_count(),
            ),
            gpu=_gpu(),
            ram=_gigabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        ),
        operating_system=OperatingSystem(kernel=_kernel(), distribution=_distribution()),
        software=Software(
            libraries={"python": [f"{name}=={version}" for name, version in runtime.items() if name in PACKAGES]},
            retrieval_toolkit=[f"zero2ir=={metadata.version('zero2ir')}"],
        ),
    )


def _kernel() -> str:
    return f"{platform.system()} {platform.release()}"


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:  # not Linux, or it does not say
        return None


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.0f} GB"


def _gpu() -> Gpu | None:
    """Returns the GPU of the process; None if none is there, or nothing that could use it was imported."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return Gpu(architecture=found.name, number_of_cores=found.multi_processor_count, ram=_gigabytes(found.total_memory))


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
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", "src", "conf")
    return commit + ("+changes" if changes else "") if commit else "unknown"


def code_repository(folder: Path = Path()) -> str | None:
    """Returns the address of git's remote "origin" without secrets; None without one, or if it is a path."""
    address = _git(folder, "remote", "get-url", "origin") or ""
    if not re.match(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:", address):
        return None
    without_user = re.sub(r"^(https?://)[^/@]*@", r"\1", address)  # it may be a token
    return re.sub(r"^(ssh://[^/:@]*):[^/@]*@", r"\1@", without_user)


def describe_actor(folder: Path = Path()) -> Actor:
    """Returns who made a run, by the name that git would write into a commit; no mail address."""
    return Actor(name=_git(folder, "config", "user.name"), role="experimenter")


def _git(folder: Path, *words: str) -> str | None:
    """Returns what git prints; None if that is nothing, or git fails."""
    try:
        ended = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return ended.stdout.strip() or None
