"""The registry of programs: versions, the alias, and the way back."""

from pathlib import Path

import pytest

import zero2ir
from zero2ir.errors import InputError
from zero2ir.online.feedback.versions import ProgramVersions
from zero2ir.program.program import program_digest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an MLflow store, whose making takes seconds."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def folders(string_methods, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three programs that differ."""
    paths = [tmp_path_factory.mktemp("programs") / str(number) for number in range(3)]
    for number, path in enumerate(paths):
        zero2ir.train(string_methods[number:], model="sparse", strategy="zero_shot").save(path)
    return paths


def test_versions_move_and_roll_back(folders, store, tmp_path, monkeypatch):
    monkeypatch.chdir(store)
    versions = ProgramVersions(f"sqlite:///{store}/mlflow.db", "strings")
    assert versions.best() is None
    with pytest.raises(InputError, match="nothing is registered"):
        versions.roll_back(tmp_path / "here")

    numbers = [versions.register(folder, {"nDCG@10": 0.1}, {"text": "x" * 1000}) for folder in folders]
    assert numbers == ["1", "2", "3"]
    assert versions.register(folders[1], {}, {}) == "2"  # known already
    assert versions.best() is None  # to register moves nothing
    with pytest.raises(InputError, match="nothing is registered"):
        versions.roll_back(tmp_path / "here")

    for number in numbers:
        versions.move_alias(number)
    assert versions.best() == "3"
    versions.move_alias("3")
    for number, digest in (("2", program_digest(folders[1])), ("1", program_digest(folders[0]))):
        assert versions.roll_back(tmp_path / "here") == number
        assert program_digest(tmp_path / "here") == digest
    assert versions.best() == "1"
    with pytest.raises(InputError, match="version 1 is the first"):
        versions.roll_back(tmp_path / "here")

    versions.fetch("3", tmp_path / "here")
    assert program_digest(tmp_path / "here") == program_digest(folders[2])
    versions.fetch("1", tmp_path / "here")
    assert program_digest(tmp_path / "here") == program_digest(folders[0])


def test_an_altered_version_replaces_nothing(folders, store, monkeypatch):
    monkeypatch.chdir(store)
    versions = ProgramVersions(f"sqlite:///{store}/mlflow.db", "altered")
    before = set(store.rglob("program/program.json"))
    number = versions.register(folders[0], {}, {})
    (stored,) = set(store.rglob("program/program.json")) - before
    stored.write_text(stored.read_text().replace("sparse", "spars3"))
    digest = program_digest(folders[1])
    with pytest.raises(InputError, match="truncated or altered"):
        versions.fetch(number, folders[1])
    assert program_digest(folders[1]) == digest

    versions.move_alias(number)
    versions.move_alias(versions.register(folders[1], {}, {}))
    with pytest.raises(InputError, match="truncated or altered"):
        versions.roll_back(folders[1])
    assert program_digest(folders[1]) == digest
    assert versions.best() == "2"  # still what the folder holds


def test_a_registration_that_was_killed_is_ended_by_the_next_one(folders, store, monkeypatch):
    import mlflow

    monkeypatch.chdir(store)
    uri = f"sqlite:///{store}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("killed")
    killed = client.create_run(experiment, tags={"digest": program_digest(folders[0])})
    ProgramVersions(uri, "killed").register(folders[0], {}, {})
    statuses = {run.info.run_id: run.info.status for run in client.search_runs([experiment])}
    assert statuses.pop(killed.info.run_id) == "KILLED"
    assert list(statuses.values()) == ["FINISHED"]
