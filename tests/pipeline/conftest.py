"""Two finished projects that the tests look at; a test that changes something works on a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_project import Project, new_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose whole pipeline ran once."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.done("dvc", "repro")
    yield project
    shutil.rmtree(project.folder)


@pytest.fixture
def copy(finished: Project, tmp_path: Path) -> Project:
    """The finished project once more, to be changed."""
    return finished.copy(tmp_path / "copy", "mlruns")
