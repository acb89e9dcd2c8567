"""The project that every pipeline starts from."""

import pytest
from small_project import Project, new_project


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which nothing ran yet; the others start as its copies, and so with the same code."""
    return new_project(tmp_path_factory.mktemp("fresh") / "project")
