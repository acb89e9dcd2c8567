"""Digests of what each stage of the pipeline makes, by which a second run is compared with the published one.

dvc.lock cannot do this: it has one digest for all that a stage makes, and that includes times, peak memory and ids of
MLflow's runs, which no two runs share.
"""

import hashlib
import platform
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from zero2ir.config import Panel, read_panel
from zero2ir.errors import InputError, one_line
from zero2ir.experiments.stages import SHARED_STAGES, stages_of
from zero2ir.io import paths
from zero2ir.io.files import files_below, finished_file, sha256
from zero2ir.io.settings import Settings
from zero2ir.tracking.provenance import describe_runtime

STAGES_LOCK = Path("stages.lock")
VARYING = frozenset(
    {paths.COST_FILE, paths.TRAINING_FILE, paths.TRACKING_FILE, "card.json", "card.md", "system.json", "metrics.json"}
)
"""Files with times; the figures of metrics.json are also in per_query.parquet."""
FOLDERS = dict(
    zip(
        SHARED_STAGES,
        (
            (paths.COLLECTION_FOLDER, paths.JUDGMENTS_FOLDER, paths.AUXILIARY_FOLDER, paths.COMMITTEE_FOLDER),
            (paths.SYNTHETIC_FOLDER, paths.ENCODER_FOLDER),
        ),
        strict=True,
    )
)


class StageDigests(Settings):
    """The contents of stages.lock.

    Attributes:
        python: version of Python, whose documentation the embedded collection is.
        processor: of the machine; another one may round differently.
        panel: params.yaml.
        stages: the digest of each stage but the last one, whose report shows times.
    """

    python: str
    processor: str
    panel: dict[str, Any]
    stages: dict[str, str]


def write_stage_digests(path: Path = STAGES_LOCK) -> StageDigests:
    """Writes and returns the digests of the pipeline in the current folder.

    Raises:
        InputError: a stage has not run.
    """
    import yaml

    panel, machine = read_panel(), describe_runtime()
    digests = {stage: _digest(folders) for stage, folders in _folders(panel)}
    if missing := [stage for stage, digest in digests.items() if digest is None]:
        raise InputError(f"{missing[0]}: has not run; run make repro first")
    lock = StageDigests(
        python=machine["python"],
        processor=machine["processor"],
        panel=panel.model_dump(mode="json"),
        stages={stage: str(digest) for stage, digest in digests.items()},
    )
    with finished_file(path) as file:
        file.write("# Digests of what each stage makes, without times; zero2ir check --stages compares them.\n")
        yaml.safe_dump(lock.model_dump(), file, sort_keys=False, allow_unicode=True)
    return lock


def read_stage_digests(path: Path = STAGES_LOCK) -> StageDigests:
    """Reads stages.lock; an InputError if it is missing or malformed."""
    import yaml

    try:
        return StageDigests.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; write it by zero2ir check --stages --write {path}") from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {one_line(error)[:200]}; restore it from git") from None


def compare_stages(lock: StageDigests) -> dict[str, str]:
    """Returns "same", "differs" or "has not run" for each stage of the pipeline in the current folder.

    Raises:
        InputError: params.yaml or the version of Python is not the lock's, so that nothing can be compared.
    """
    panel = read_panel()
    if changed := _changed(panel.model_dump(mode="json"), lock.panel):
        raise InputError(f"params.yaml: {', '.join(changed)} is not as in {STAGES_LOCK}; restore params.yaml")
    if platform.python_version() != lock.python:
        raise InputError(
            f"Python {platform.python_version()}: {STAGES_LOCK} was written with {lock.python}, and the embedded "
            "collection is the documentation of the running Python; use that version"
        )
    outcomes = {}
    for stage, folders in _folders(panel):
        digest = _digest(folders)
        outcomes[stage] = "has not run" if digest is None else "same" if digest == lock.stages.get(stage) else "differs"
    return outcomes


def _changed(panel: Mapping[str, Any], published: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*panel, *published} if panel.get(key) != published.get(key))


def _folders(panel: Panel) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Yields each stage with the folders that it makes, in the order of the pipeline."""
    yield from FOLDERS.items()
    for system in product(panel.models, panel.strategies, panel.seeds):
        train, evaluate = stages_of("-".join(map(str, system)))
        yield train, (paths.training_folder(*system),)
        yield evaluate, (paths.results(*system),)


def _digest(folders: tuple[Path, ...]) -> str | None:
    """Returns a digest of the names and contents of the files in folders; None if a folder does not exist."""
    if not all(folder.is_dir() for folder in folders):
        return None
    digest = hashlib.sha256()
    for path in (path for folder in folders for path in files_below(folder) if path.name not in VARYING):
        digest.update(f"{path.as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()
