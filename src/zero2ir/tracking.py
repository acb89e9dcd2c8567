"""The one place that talks to MLflow: what is recorded of a training, an evaluation and a report."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from zero2ir.program import Program
    from zero2ir.training import Loss

PROGRAM_TAG = "program"  # digest of the trained program: an evaluation finds its training by it
PACKAGE = Path(__file__).parent
SQLITE = "sqlite:///"
MOST_CHARACTERS = 500  # of a tag or parameter


class TrackingSettings(BaseModel):
    """conf/tracking: where runs are recorded.

    Attributes:
        uri: an MLflow tracking URI.
        experiment: the experiment's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str
    experiment: str


class Tried(NamedTuple):
    """Something that a training tried on its way, e.g. a prompt.

    Attributes:
        name: of the run and of the artifact.
        parameters: nested settings.
        metrics: figures.
        artifact: all of it; JSON.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    artifact: Mapping[str, Any]


def metric_name(measure: str) -> str:
    """MLflow allows no "@", "(" or "=" in a name: nDCG@10 becomes nDCG.10."""
    return re.sub(r"[^\w./ -]+", ".", measure).strip(".")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as MLflow parameters: {"model": {"k1": 0.9}} becomes {"model.k1": 0.9}."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = str(value)[:MOST_CHARACTERS]
    return result


def log_pretraining(
    settings: TrackingSettings,
    name: str,
    losses: Mapping[str, Sequence["Loss"]],
    *,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    """Records the making of an encoder as a run of its own, with its loss curves.

    Args:
        settings: where.
        name: of the run, pretraining/role/seed.
        losses: the curve of each part of the training; logged as <part>/loss and <part>/held_out_loss by step.
        parameters: nested settings.
        metrics: what it cost.
        tags: dataset and code revision.
    """
    import mlflow
    from mlflow.entities import Metric

    client, experiment = _client(settings)
    now = int(time.time() * 1000)
    seconds = sum(value for key, value in metrics.items() if key.endswith("_seconds"))
    run = client.create_run(experiment, start_time=now - int(seconds * 1000), run_name=name, tags=_short(tags))
    values = [
        Metric(f"{part}/{key}", value, now, point.step)
        for part, curve in losses.items()
        for point in curve
        for key, value in (("loss", point.loss), ("held_out_loss", point.held_out))
        if value is not None
    ]
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_params(flat(parameters))
        mlflow.log_metrics({f"cost/{key}": value for key, value in metrics.items()})
        client.log_batch(run.info.run_id, metrics=values)


def log_training(
    settings: TrackingSettings,
    name: str,
    program: "Program",
    digest: str,
    *,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    artifacts: Mapping[str, Any],
    seconds: float,
    tried: Sequence["Tried"] = (),
) -> None:
    """Records a training as a run of its own, with the program as an MLflow model.

    The run is opened when all is done, so that a training that was killed leaves none behind.

    Args:
        settings: where.
        name: of the run, model/strategy/seed.
        program: logged by ``mlflow.dspy``; its code goes along, so that the artifacts alone suffice to load it.
        digest: of the saved program.
        parameters: nested settings.
        metrics: figures of the training, by measure or cost name.
        tags: dataset, code revision, what was chosen and why.
        artifacts: JSON files by name.
        seconds: how long the training took; dates the start of the run back.
        tried: what the training tried, each recorded as a run below its own.
    """
    import mlflow

    client, experiment = _client(settings)
    started = int((time.time() - seconds) * 1000)
    run = client.create_run(experiment, start_time=started, run_name=name, tags={PROGRAM_TAG: digest, **_short(tags)})
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_params(flat(parameters))
        mlflow.log_metrics({metric_name(key): value for key, value in metrics.items()})
        for file, value in artifacts.items():
            mlflow.log_dict(value, file)
        with _quiet():
            mlflow.dspy.log_model(
                program,
                name="program",
                use_dspy_model_save=True,
                code_paths=[str(PACKAGE)],
                pip_requirements=_requirements(),
            )
    for one in tried:
        _log_tried(client, experiment, run.info.run_id, name, one)


def _log_tried(client: "MlflowClient", experiment: str, parent: str, name: str, tried: Tried) -> None:
    """Records one try as a run below that of the training."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    run = client.create_run(experiment, run_name=f"{name}/{tried.name}", tags={MLFLOW_PARENT_RUN_ID: parent})
    now = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(metric_name(key), value, now, 0) for key, value in tried.metrics.items()],
        params=[Param(key, value) for key, value in flat(tried.parameters).items()],
    )
    client.log_dict(run.info.run_id, dict(tried.artifact), f"{tried.name}.json")
    client.set_terminated(run.info.run_id)


def log_evaluation(
    settings: TrackingSettings,
    name: str,
    digest: str,
    *,
    metrics: Mapping[str, float],
    folder: Path,
    tags: Mapping[str, str],
) -> None:
    """Adds the measures and the results folder to the run that trained the program.

    Where that run is not in this tracking store (DVC fetched the program from its cache), a run of the same name is
    made for the results.
    """
    import mlflow

    client, experiment = _client(settings)
    query = f"tags.{PROGRAM_TAG} = '{digest}' AND attributes.run_name = '{name}' AND attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], query, order_by=["attributes.start_time DESC"], max_results=1)
    run = found[0] if found else client.create_run(experiment, run_name=name, tags={PROGRAM_TAG: digest})
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.set_tags(_short(tags))
        mlflow.log_metrics({metric_name(key): value for key, value in metrics.items()})
        mlflow.log_artifacts(str(folder), "results")


def log_report(settings: TrackingSettings, folder: Path, tags: Mapping[str, str]) -> None:
    """Records a report folder as a run named "report"."""
    import mlflow

    client, experiment = _client(settings)
    run = client.create_run(experiment, run_name="report", tags=_short(tags))
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_artifacts(str(folder), "report")


def prepared_store(settings: TrackingSettings) -> str:
    """The tracking URI as it is valid in any folder; a new store is made, so that no two processes make it at once."""
    import mlflow

    uri = settings.uri
    if uri.startswith(SQLITE) and not uri.startswith(f"{SQLITE}/"):
        uri = f"{SQLITE}{Path(uri.removeprefix(SQLITE)).resolve()}"
    with _quiet():
        mlflow.MlflowClient(uri).search_experiments(max_results=1)
    return uri


def _client(settings: TrackingSettings) -> tuple["MlflowClient", str]:
    import mlflow

    with _quiet():
        mlflow.set_tracking_uri(settings.uri)
        experiment = mlflow.set_experiment(settings.experiment)
    return mlflow.MlflowClient(), experiment.experiment_id


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:MOST_CHARACTERS] for key, value in tags.items()}


def _requirements() -> list[str]:
    """What the logged program needs: our own direct dependencies in the versions that are installed."""
    from importlib.metadata import requires, version

    names = [re.split(r"[\s\[<>=!~;]", line)[0] for line in requires("zero2ir") or () if "extra ==" not in line]
    return [f"{name}=={version(name).split('+')[0]}" for name in names]


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow tells of every database migration and every pickle; what matters is said in the documentation."""
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "dspy")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
