"""Writes the files of the pipeline into a new folder, where the installed package runs them."""

import re
import shutil
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from zero2ir.io.files import finished_folder

REQUIREMENTS_FILE = "requirements.txt"
CODE = re.compile(r"(?:^ *- src/zero2ir/.*\n)+", re.MULTILINE)  # of dvc.yaml
FOLDERS = {"conf": "conf", "experiments/template/stages": "stages"}
FILES = {
    "experiments/template/pipeline.yaml": "dvc.yaml",  # named dvc.yaml, DVC would run it in a checkout, too
    "experiments/template/params.yaml": "params.yaml",
    "experiments/template/dvc-config": ".dvc/config",
    "experiments/template/dvc-gitignore": ".dvc/.gitignore",
    "experiments/template/dvcignore": ".dvcignore",
    "experiments/template/gitignore": ".gitignore",
}


def init_project(folder: Path) -> None:
    """Writes conf, stages, dvc.yaml and params.yaml, as in a checkout, and requirements.txt.

    In a checkout the stages depend on the code, here on requirements.txt, which names the version of zero2ir.

    Args:
        folder: a new or an empty one.

    Raises:
        InputError: the folder contains files, is the current folder, or cannot be written.
    """
    package = Path(str(files("zero2ir")))
    with finished_folder(folder, lambda _: []) as part:  # in an existing folder, no file is ours
        for source, name in FOLDERS.items():
            shutil.copytree(package / source, part / name, ignore=shutil.ignore_patterns("__pycache__"))
        for source, name in FILES.items():
            (part / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(package / source, part / name)
        requirement = f"zero2ir[pipeline]=={metadata.version('zero2ir')}\n"
        (part / REQUIREMENTS_FILE).write_text(requirement, encoding="utf-8")
        _depend_on_requirements(part / "dvc.yaml")


def _depend_on_requirements(path: Path) -> None:
    """Replaces the code of zero2ir, among the dependencies in a dvc.yaml, by requirements.txt."""
    pipeline = path.read_text(encoding="utf-8")
    path.write_text(CODE.sub(f"      - {REQUIREMENTS_FILE}\n", pipeline), encoding="utf-8")
