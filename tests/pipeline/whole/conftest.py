"""Two finished projects that the tests look at; a test that changes something works on a copy."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from killed_project import Battered, batter
from small_project import Project


@pytest.fixture(scope="session")
def battering(
    request: pytest.FixtureRequest, fresh: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Battered] | None]:
    """The battered project in the making beside the other tests: two cores run two pipelines in the time of one.

    None where no test of this session asks for it.
    """
    if not any("battered" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(batter, fresh.copy(tmp_path_factory.mktemp("battered") / "project"))


@pytest.fixture(scope="session")
def finished(battering: Future[Battered] | None, fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose whole pipeline ran once, undisturbed."""
    project = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    project.done("dvc", "repro")
    return project


@pytest.fixture(scope="session")
def battered(battering: Future[Battered], finished: Project) -> Battered:
    """A second project, which shares nothing with the finished one, killed in every stage and finished then."""
    return battering.result()


@pytest.fixture
def copy(finished: Project, tmp_path: Path) -> Project:
    """The finished project once more, to be changed."""
    return finished.copy(tmp_path / "copy", "mlruns")
