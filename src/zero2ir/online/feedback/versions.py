"""Versions of a searcher in MLflow's model registry, one of which the alias ``best`` points to.

A version is the searcher's own folder, JSON and safetensors without pickle, as an artifact of a run; ``fetch`` checks
every file of it. What ``best`` pointed to before is noted with the version that took its place, so that it can be
rolled back, as often as there were moves.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zero2ir.errors import InputError
from zero2ir.io.files import finished_folder
from zero2ir.program.program import load_program, program_digest
from zero2ir.tracking.registry import BEST_ALIAS, ensure_registered
from zero2ir.tracking.runs import MAX_CHARACTERS, metric_name, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from zero2ir.online.feedback.improvement import ImprovementResult

REPLACED_TAG = "replaced"  # tag of a version: the version that it took the alias from
DIGEST_TAG = "digest"  # tag of a version: of the program
PROGRAM_ARTIFACT = "program"  # the artifact


class ProgramVersions:
    """All versions of one searcher.

    Args:
        uri: an MLflow tracking URI, whose store holds the registry, too.
        name: of the registered model, and of the experiment that its runs stand in.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    def register(self, folder: Path, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Registers a saved searcher as a new version, with a run of its own; no alias moves.

        A searcher that is registered already keeps its version.

        Args:
            folder: that ``Program.save`` wrote.
            metrics: figures of the run.
            tags: of the run, e.g. what came of the comparison.

        Returns:
            The version.

        Raises:
            InputError: the folder holds no searcher.
        """
        digest = program_digest(folder)
        client = self._client()
        if (known := self._version_of(client, digest)) is not None:
            return known
        short = {key: value[:MAX_CHARACTERS] for key, value in tags.items()}
        run_id = client.create_run(
            experiment_of(client, self.name), run_name=f"{self.name}/improve", tags=short | {DIGEST_TAG: digest}
        ).info.run_id
        for key, value in metrics.items():
            client.log_metric(run_id, metric_name(key), value)
        client.log_artifacts(run_id, str(folder), PROGRAM_ARTIFACT)
        client.set_terminated(run_id)
        with quiet_mlflow():
            ensure_registered(client, self.name)
            made = client.create_model_version(
                self.name, f"runs:/{run_id}/{PROGRAM_ARTIFACT}", run_id, tags={DIGEST_TAG: digest}
            )
        return str(made.version)

    def best(self) -> str | None:
        """The version that ``best`` points to; None where nothing is registered."""
        found = self._client().search_registered_models(f"name='{self.name}'")
        version = found[0].aliases.get(BEST_ALIAS) if found else None
        return None if version is None else str(version)

    def move_alias(self, version: str) -> None:
        """Lets ``best`` point to a version, and notes with it what it pointed to before."""
        client, before = self._client(), self.best()
        if before == version:
            return
        if before is not None:
            client.set_model_version_tag(self.name, version, REPLACED_TAG, before)
        client.set_registered_model_alias(self.name, BEST_ALIAS, version)

    def roll_back(self, folder: Path) -> str:
        """Puts the version that ``best`` pointed to before in place of a folder, and lets it point there again.

        Returns:
            That version.

        Raises:
            InputError: nothing is registered, or there is no version before, or it is not whole; nothing changes.
        """
        client, best = self._client(), self.best()
        if best is None:
            raise InputError(
                f"{self.name}: nothing is registered under this name; zero2ir improve registers a searcher"
            )
        before = client.get_model_version(self.name, best).tags.get(REPLACED_TAG)
        if before is None:
            raise InputError(f"{self.name}: version {best} was the first; there is nothing to roll back to")
        self.fetch(before, folder)
        client.set_registered_model_alias(self.name, BEST_ALIAS, before)
        return str(before)

    def fetch(self, version: str, folder: Path) -> None:
        """Puts the searcher of a version in place of a folder, after checking every file of it.

        Raises:
            InputError: it is not whole, or was altered; the folder stays as it is.
        """
        client = self._client()
        run_id = str(client.get_model_version(self.name, version).run_id)
        with TemporaryDirectory() as below:
            found = client.download_artifacts(run_id, PROGRAM_ARTIFACT, below)
            load_program(found)
            with finished_folder(folder) as part:
                shutil.copytree(found, part, dirs_exist_ok=True)

    def replace(self, folder: Path, improved: "ImprovementResult") -> str:
        """Registers the searcher in a folder and what came of improving it, and puts the better one there.

        The alias points to what the folder holds, before and after.

        Args:
            folder: the searcher that was improved.
            improved: what came of it.

        Returns:
            The new searcher's version.
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

    def _version_of(self, client: "MlflowClient", digest: str) -> str | None:
        """The version of a searcher that is registered already."""
        found = [
            one for one in client.search_model_versions(f"name='{self.name}'") if one.tags.get(DIGEST_TAG) == digest
        ]
        return str(min(int(one.version) for one in found)) if found else None

    def _client(self) -> "MlflowClient":
        return client_of(self.uri)


def client_of(uri: str) -> "MlflowClient":
    """Who talks to the tracking store and registry at this URI; a new store is made."""
    import mlflow

    with quiet_mlflow():
        client = mlflow.MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    return client


def experiment_of(client: "MlflowClient", name: str) -> str:
    """The id of the experiment of this name, which is made where there is none."""
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)
