"""Registers programs in MLflow and moves the alias of the best program of a collection.

Every evaluated program is a version of the registered model of its collection. The alias ``best`` moves only to a
program that is significantly better on the test queries than its holder; if they are equal, it stays.
"""

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
MAX_DESCRIPTION = 5000  # characters that MLflow keeps
DESCRIPTION = (
    "Search programs that were evaluated on {0}; the tag `system` of a version says which one it is. The alias `best` "
    "moves only to a program that is significantly better on the test queries: the tag `best_reason` says by how much."
)


class Promotion(NamedTuple):
    """The system that gets the alias, and the reason."""

    system: str
    reason: str


def register(client: "MlflowClient", name: str, run: "Run", description: str) -> None:
    """Registers a run's logged program as a version, unless it is registered already or the run logged none.

    Args:
        client: of the store.
        name: of the registered model.
        run: that logged the program.
        description: of the version, Markdown.
    """
    logged = run.outputs.model_outputs if run.outputs else []
    tags = {key: run.data.tags[key] for key in VERSION_TAGS if key in run.data.tags}
    if not logged or tags["program"] in {version.tags.get("program") for version in versions(client, name)}:
        return
    ensure_registered(client, name, description=DESCRIPTION.format(name))
    client.create_model_version(
        name,
        f"models:/{logged[0].model_id}",
        run.info.run_id,
        tags | {SYSTEM_TAG: str(run.info.run_name)},
        description=description[:MAX_DESCRIPTION],
        model_id=logged[0].model_id,
    )


def versions(client: "MlflowClient", name: str, further: str = "") -> list["ModelVersion"]:
    """Returns all versions, the newest first; ``further`` is a condition of MLflow's search."""
    conditions = " AND ".join(filter(None, [f"name = '{name}'", further]))
    found = client.search_model_versions(conditions, max_results=10_000)
    return sorted(found, key=lambda version: -int(version.version))


def ensure_registered(client: "MlflowClient", name: str, description: str | None = None) -> None:
    """Creates the registered model, unless it exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
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
        documents: digest of the collection; a program for other documents cannot be compared and loses the alias.
        first: the system that gets the alias if it has no holder; by default the first contender.
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
    start, holder = None, _holder(client, name, documents)
    if holder is None:
        system = first if first in known else next(iter(known))
        start = Promotion(system, "it is the first one, against which the others have to show that they are better")
        holder = newest[system]
        _move_alias(client, name, holder, start)
    others = {system: values for system, values in known.items() if newest[system].version != holder.version}
    described = f"version {holder.version}, {holder.tags[SYSTEM_TAG]}"
    promotion = better(others, _values(client, holder, measure), described, measure, options)
    if promotion is not None:
        _move_alias(client, name, newest[promotion.system], promotion)
    return promotion or start


def _move_alias(client: "MlflowClient", name: str, version: "ModelVersion", promotion: Promotion) -> None:
    client.set_registered_model_alias(name, BEST_ALIAS, version.version)
    client.set_model_version_tag(name, version.version, "best_reason", promotion.reason)


def _holder(client: "MlflowClient", name: str, documents: str) -> "ModelVersion | None":
    """Returns the version with the alias, if it is for these documents."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, BEST_ALIAS)
    except MlflowException:
        return None
    return version if version.tags.get("documents") == documents else None


def _values(client: "MlflowClient", version: "ModelVersion", measure: str) -> dict[str, float]:
    """Returns the measure of each test query from the artifacts of the version's run."""
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
    """Returns the contender with the largest gain of those that are significantly better than the holder, if any.

    Significant means: by the randomisation test, paired over the shared test queries and Holm-corrected over the
    contenders, and with an interval above zero.
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
