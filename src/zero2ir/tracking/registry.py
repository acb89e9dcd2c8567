"""Registers programs in MLflow and moves the alias of the best program of a collection.

Every evaluated program is a version of the registered model of its collection. The alias ``best`` moves only to a
program that is significantly better on the test queries than its holder; if they are equal, it stays.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zero2ir.evaluation.results import read_results
from zero2ir.evaluation.significance import SIGNIFICANCE_LEVEL, compare_scores, holm

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

BEST_ALIAS = "best"
VERSION_TAGS = ("program", "documents", "model", "strategy", "seed", "revision")  # copied from the run to its version
SYSTEM_TAG = "system"


class Promotion(NamedTuple):
    """The system to which the alias moves, and the reason."""

    system: str
    reason: str


def registered_name(experiment: str) -> str:
    """Returns the registered model's name of an experiment; MLflow allows neither "/" nor ":" in it."""
    return re.sub(r"[/:]", "-", experiment)


def register(client: "MlflowClient", name: str, run: "Run") -> None:
    """Registers a run's logged program as a version, unless it is registered already or the run logged none."""
    logged = run.outputs.model_outputs if run.outputs else []
    tags = {key: run.data.tags[key] for key in VERSION_TAGS if key in run.data.tags}
    if not logged or tags["program"] in {version.tags.get("program") for version in versions(client, name)}:
        return
    ensure_registered(client, name)
    client.create_model_version(
        name,
        f"models:/{logged[0].model_id}",
        run.info.run_id,
        tags | {SYSTEM_TAG: str(run.info.run_name)},
        model_id=logged[0].model_id,
    )


def versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """Returns all versions, the newest first."""
    found = client.search_model_versions(f"name = '{name}'", max_results=10_000)
    return sorted(found, key=lambda version: -int(version.version))


def ensure_registered(client: "MlflowClient", name: str) -> None:
    """Creates the registered model, unless it exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def promote(
    client: "MlflowClient",
    name: str,
    contenders: Mapping[str, Mapping[str, float]],
    *,
    documents: str,
    first: str,
    measure: str,
    options: Mapping[str, Any],
) -> Promotion | None:
    """Moves the alias to the best contender, if it is significantly better than the holder of the alias.

    Args:
        client: of the store.
        name: of the registered model.
        contenders: each system's measure by test query, by the name of its run.
        documents: digest of the collection; a program for other documents loses the alias, since nothing is comparable.
        first: the system that gets the alias if it has no holder; the first contender if that system is not among them.
        measure: name of the compared measure.
        options: keyword arguments of ``compare_scores``.

    Returns:
        The promotion; None if the alias stays or no contender is registered.
    """
    newest: dict[str, ModelVersion] = {}
    for version in versions(client, name):
        if version.tags.get("documents") == documents:
            newest.setdefault(version.tags[SYSTEM_TAG], version)
    known = {system: values for system, values in contenders.items() if system in newest}
    if not known:
        return None
    holder = _holder(client, name, documents)
    if holder is not None:
        others = {system: values for system, values in known.items() if newest[system].version != holder.version}
        described = f"version {holder.version}, {holder.tags[SYSTEM_TAG]}"
        return _move(
            client, name, newest, better(others, _values(client, holder, measure), described, measure, options)
        )
    start = first if first in known else next(iter(known))
    begun = Promotion(start, "it is the first one, against which the others have to show that they are better")
    _move(client, name, newest, begun)
    rule: dict[str, Any] = {"documents": documents, "first": first, "measure": measure, "options": options}
    return promote(client, name, known, **rule) or begun


def _move(
    client: "MlflowClient", name: str, newest: Mapping[str, "ModelVersion"], move: Promotion | None
) -> Promotion | None:
    """Gives the alias to the version of a move, and says there why."""
    if move is not None:
        version = newest[move.system].version
        client.set_registered_model_alias(name, BEST_ALIAS, version)
        client.set_model_version_tag(name, version, "best_reason", move.reason)
    return move


def _holder(client: "MlflowClient", name: str, documents: str) -> "ModelVersion | None":
    """Who has the alias, for these documents."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, BEST_ALIAS)
    except MlflowException:
        return None
    return version if version.tags.get("documents") == documents else None


def _values(client: "MlflowClient", version: "ModelVersion", measure: str) -> dict[str, float]:
    """The measure of each test query, as its run recorded it."""
    with tempfile.TemporaryDirectory() as folder:
        client.download_artifacts(str(version.run_id), "results", folder)
        return read_results(Path(folder) / "results").per_query[measure]


def better(
    contenders: Mapping[str, Mapping[str, float]],
    holder: Mapping[str, float],
    name: str,
    measure: str,
    options: Mapping[str, Any],
) -> Promotion | None:
    """The contender with the largest gain of those that are significantly better than the holder; None for none.

    Paired on the test queries that both have, by the randomisation test, Holm-corrected over the contenders; the
    interval has to agree.
    """
    compared = {system: compare_scores({0: values}, {0: holder}, **options) for system, values in contenders.items()}
    adjusted = dict(zip(compared, holm([found.p_value for found in compared.values()]), strict=True))
    gains = {
        system: found.difference
        for system, found in compared.items()
        if adjusted[system] < SIGNIFICANCE_LEVEL and found.difference.ci_low > 0
    }
    if not gains:
        return None
    best = max(gains, key=lambda system: gains[system].mean)
    gain = gains[best]
    return Promotion(
        best,
        f"{measure} {gain.mean:+.3f} [{gain.ci_low:+.3f}, {gain.ci_high:+.3f}] over {name} on {gain.n} test queries, "
        f"p = {adjusted[best]:.4f}, Holm-corrected over {len(contenders)}",
    )
