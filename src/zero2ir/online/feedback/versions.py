"""Versions of a program in MLflow's model registry; the alias ``best`` points to one of them.

A version is a saved program (JSON and safetensors, no pickle) stored as an artifact of a run; ``fetch`` checks all of
its files. Each version records which version it replaced as ``best``, so every move of the alias can be rolled back.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zero2ir.errors import InputError
from zero2ir.io.files import finished_folder
from zero2ir.program.program import load_program, program_digest, written_files
from zero2ir.tracking.names import metric_name
from zero2ir.tracking.registry import BEST_ALIAS, ensure_registered
from zero2ir.tracking.runs import MAX_CHARACTERS, end_killed, opened_store, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from zero2ir.online.feedback.improvement import ImprovementResult

REPLACED_TAG = "replaced"  # tag of a version: the version that it replaced as ``best``
DIGEST_TAG = "digest"  # tag of a version: digest of the program
PROGRAM_ARTIFACT = "program"  # name of the artifact


class ProgramVersions:
    """All versions of one program: a registered model and an experiment with its runs, both called ``name``.

    ``uri`` is an MLflow tracking URI whose store also holds the registry.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    def register(self, folder: Path, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Registers the program in a folder as a new version, without moving the alias, and returns the version.

        A program that is already registered keeps its version. ``metrics`` and ``tags`` are those of a new run.

        Raises:
            InputError: the folder contains no program.
        """
        digest = program_digest(folder)
        client = self._client()
        versions = client.search_model_versions(f"name='{self.name}'")
        if registered := [int(one.version) for one in versions if one.tags.get(DIGEST_TAG) == digest]:
            return str(min(registered))
        short = {key: value[:MAX_CHARACTERS] for key, value in tags.items()}
        experiment = experiment_of(client, self.name)
        end_killed(client, experiment, f"tags.{DIGEST_TAG} = '{digest}'")
        run_id = client.create_run(
            experiment, run_name=f"{self.name}/improve", tags=short | {DIGEST_TAG: digest}
        ).info.run_id
        for key, value in metrics.items():
            client.log_metric(run_id, metric_name(key), value)
        client.log_artifacts(run_id, str(folder), PROGRAM_ARTIFACT)
        client.set_terminated(run_id)
        with quiet_mlflow():
            ensure_registered(client, self.name)
            created = client.create_model_version(
                self.name, f"runs:/{run_id}/{PROGRAM_ARTIFACT}", run_id, tags={DIGEST_TAG: digest}
            )
        return str(created.version)

    def best(self) -> str | None:
        """Returns the version that ``best`` points to; None if nothing is registered."""
        models = self._client().search_registered_models(f"name='{self.name}'")
        version = models[0].aliases.get(BEST_ALIAS) if models else None
        return None if version is None else str(version)

    def move_alias(self, version: str) -> None:
        """Moves ``best`` to a version and records the version that it replaces."""
        client, before = self._client(), self.best()
        if before == version:
            return
        if before is not None:
            client.set_model_version_tag(self.name, version, REPLACED_TAG, before)
        client.set_registered_model_alias(self.name, BEST_ALIAS, version)

    def roll_back(self, folder: Path) -> str:
        """Restores the previous version of ``best`` to a folder, moves the alias back to it and returns it.

        Raises:
            InputError: nothing is registered, there is no previous version, or it is incomplete; nothing changes.
        """
        client, best = self._client(), self.best()
        if best is None:
            raise InputError(f"{self.name}: nothing is registered under this name; register it with zero2ir improve")
        before = client.get_model_version(self.name, best).tags.get(REPLACED_TAG)
        if before is None:
            raise InputError(f"{self.name}: version {best} is the first; there is no version to roll back to")
        self.fetch(before, folder)
        client.set_registered_model_alias(self.name, BEST_ALIAS, before)
        return str(before)

    def fetch(self, version: str, folder: Path) -> None:
        """Replaces a folder with the program of a version, after checking all of its files.

        Raises:
            InputError: the program is incomplete or was altered; the folder does not change.
        """
        client = self._client()
        run_id = str(client.get_model_version(self.name, version).run_id)
        with TemporaryDirectory() as below:
            downloaded = client.download_artifacts(run_id, PROGRAM_ARTIFACT, below)
            load_program(downloaded, allow_endpoints=None)  # only checked
            with finished_folder(folder, written_files) as part:
                shutil.copytree(downloaded, part, dirs_exist_ok=True)

    def replace(self, folder: Path, improved: "ImprovementResult") -> str:
        """Registers the program in a folder and its improved version, and keeps the better one in the folder.

        The alias always points to the version in the folder. Returns the version of the new program.
        """
        self.move_alias(self.register(folder, {}, {}))
        with TemporaryDirectory() as below:
            improved.program.save(Path(below) / PROGRAM_ARTIFACT)
            tags = {"better": str(improved.better), "text": improved.text}
            version = self.register(Path(below) / PROGRAM_ARTIFACT, improved.figures, tags)
        if improved.better:
            self.fetch(version, folder)
            self.move_alias(version)
        return version

    def _client(self) -> "MlflowClient":
        return client_of(self.uri)


def client_of(uri: str) -> "MlflowClient":
    """Returns a client of the tracking store and registry at a URI; creates the store if it does not exist."""
    import mlflow

    with opened_store(uri):
        client = mlflow.MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    return client


def experiment_of(client: "MlflowClient", name: str) -> str:
    """Returns the id of an experiment; creates it if it does not exist."""
    experiment = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if experiment is None else experiment.experiment_id)
