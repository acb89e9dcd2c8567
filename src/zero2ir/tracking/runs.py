"""Records a pipeline, its trainings, evaluations and report in MLflow.

Each collection has one experiment. A run of the pipeline (one panel, one revision of the code) is a parent run. Its
child runs are the systems and the encoders; the child runs of a system are the prompts that its training tried.

A run holds as parameters only what tells it from others; all settings are its artifact ``settings.yaml``.
"""

import hashlib
import json
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from zero2ir.errors import InputError
from zero2ir.io.files import finished_file, one_at_a_time
from zero2ir.io.settings import Settings
from zero2ir.io.sqlite import check_sqlite
from zero2ir.tracking.names import metric_name, model_name, prompt_name, registered_name
from zero2ir.tracking.prompts import register_prompt
from zero2ir.tracking.registry import Promotion, promote, register
from zero2ir.tracking.telemetry import Telemetry, TelemetrySettings, record_telemetry
from zero2ir.tracking.views import save_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from zero2ir.encoders.training import LossPoint
    from zero2ir.program.program import Program

PROGRAM_TAG = "program"  # digest of the trained program
PIPELINE_TAG = "pipeline"  # digest of panel and revision
PACKAGE = Path(__file__).parents[1]
SQLITE = "sqlite:///"
RESULTS_ARTIFACT = "results"
REPORT_ARTIFACT = "report"
SETTINGS_ARTIFACT = "settings.yaml"
CARD_ARTIFACT = "model_card.md"
CHART = "figures/quality.svg"  # in the report's folder: the first measure of each system with its interval
TABLE = "summary.md"  # beside it
MAX_CHARACTERS = 500  # of a tag or parameter
MAX_DESCRIPTION = 8000  # characters of a run's description, MLflow's limit
DIGEST_CHARACTERS = 12  # of a dataset, so that MLflow's pages have room for its name; the tag ``documents`` is complete
MAX_METRICS, MAX_TRACES = 1000, 100  # MLflow's limits in one call
STALE_MINUTES = 60  # an unfinished pipeline that recorded nothing for so long counts as killed
SERVER_SECONDS = 5.0  # to connect, and to answer


class TrackingSettings(Settings):
    """conf/tracking: where runs are recorded.

    Attributes:
        uri: an MLflow tracking URI.
        experiment: the experiment's name.
        telemetry: which telemetry to record during training and evaluation.
    """

    uri: str
    experiment: str
    telemetry: TelemetrySettings = TelemetrySettings()


class PipelineRun(NamedTuple):
    """Identifies a run of the pipeline: params.yaml, as JSON values, and the revision of the code."""

    panel: Mapping[str, Any]
    revision: str

    @property
    def digest(self) -> str:
        content = json.dumps([self.panel, self.revision], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Of the run, such as "6 systems, 4023ec4"."""
        systems = math.prod(len(self.panel.get(key, ())) for key in ("models", "strategies", "seeds"))
        return f"{systems} system{'s' * (systems != 1)}, {self.digest[:7]}"


class DatasetInput(NamedTuple):
    """A data file that a run used; ``context`` is "training" or "test"."""

    name: str
    path: Path
    digest: str
    context: str


class NestedRun(NamedTuple):
    """A candidate that a training tried, e.g. a prompt.

    Attributes:
        name: of the run and of the artifact.
        parameters: nested settings.
        metrics: by name.
        artifact: the complete record; JSON.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    artifact: Mapping[str, Any]


class TrainingRecord(BaseModel):
    """The record of a training, kept beside the program until the stage evaluate logs it.

    So the training does not import MLflow, which takes longer than fitting a small model.

    Attributes:
        panel: params.yaml, as JSON values.
        revision: of the code.
        parameters: nested settings that tell this system from others.
        settings: all settings of the model, the strategy and the tuning, with their defaults.
        metrics: by measure or cost name.
        tags: model, strategy, seed, what was chosen and why.
        seconds: duration of the training.
        ended: seconds since 1970.
        nested_runs: the candidates that the training tried; each becomes a child run.
        prompts: the prompts that the program uses, as the prompt search records them; each becomes a version in
            MLflow's prompt registry.
        data: the training data.
        telemetry: recorded during the training.
    """

    panel: dict[str, Any]
    revision: str
    parameters: dict[str, Any]
    settings: dict[str, Any] = {}
    metrics: dict[str, float]
    tags: dict[str, str]
    seconds: float
    ended: float
    nested_runs: tuple[NestedRun, ...] = ()
    prompts: tuple[dict[str, Any], ...] = ()
    data: tuple[DatasetInput, ...] = ()
    telemetry: Telemetry = Telemetry()


def check_store(uri: str) -> None:
    """Checks that a tracking store can be written, within seconds and before MLflow, which would retry for minutes.

    Raises:
        InputError: as ``check_server``; or the SQLite file cannot be written or belongs to something else.
    """
    check_server(uri)
    if (path := _sqlite_file(uri)) is not None:
        try:
            with store_lock(uri):  # until another process has created all tables
                check_sqlite(path, "alembic_version")
        except InputError as error:
            raise InputError(f"{error} in MLFLOW_TRACKING_URI") from None


def _sqlite_file(uri: str) -> Path | None:
    """Returns the file of an SQLite store; None for another store."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(name) if uri.startswith(SQLITE) and name not in ("", ":memory:") else None


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Lets one process at a time open an SQLite store, since MLflow fails when two create its tables at once."""
    path = _sqlite_file(uri)
    with one_at_a_time(path.resolve().parent) if path is not None else nullcontext():
        yield


@contextmanager
def opened_store(uri: str) -> Iterator[None]:
    """Checks a store as ``check_store``, and lets one process at a time open it.

    A new SQLite file gets its place once it has all tables: MLflow cannot use one whose creation was killed.
    """
    check_store(uri)
    import mlflow

    path = _sqlite_file(uri)
    with quiet_mlflow(), store_lock(uri):
        if path is not None and (not path.exists() or not path.stat().st_size):
            with finished_file(path.resolve(), "wb") as new:
                mlflow.MlflowClient(f"{SQLITE}{new.name}").search_experiments(max_results=1)
        yield


def check_server(uri: str) -> None:
    """Raises InputError if the tracking server at an http address does not answer; other addresses have none."""
    if not uri.startswith(("http://", "https://")):
        return
    import requests

    shown = re.sub("//[^/@]*@", "//", uri)  # without a password
    for name, value in {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}.items():
        os.environ.setdefault(name, value)
    try:
        status = requests.get(f"{uri.rstrip('/')}/health", timeout=SERVER_SECONDS).status_code
        reason = f"status {status}" if status >= 500 else ""
    except requests.exceptions.SSLError:
        reason = ""  # it answers; MLflow has settings for certificates
    except requests.RequestException as error:
        reason = type(error).__name__
    if reason:
        raise InputError(
            f"{shown}: the tracking server does not answer ({reason}); start it, or set MLFLOW_TRACKING_URI to another"
        )


def flatten_parameters(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested settings to MLflow parameters: {"model": {"k1": 0.9}} becomes {"model.k1": "0.9"}."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flatten_parameters(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = str(value)[:MAX_CHARACTERS]
    return result


@contextmanager
def collect_telemetry(settings: TrackingSettings) -> Iterator[Telemetry]:
    """Records telemetry while the block runs; pass it to the function that logs the run."""
    if settings.telemetry.traces:
        _client(settings)  # MLflow sends traces at once
    with record_telemetry(settings.telemetry) as telemetry:
        yield telemetry


def log_pretraining(
    settings: TrackingSettings,
    pipeline: PipelineRun,
    name: str,
    losses: Mapping[str, Sequence["LossPoint"]],
    *,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    telemetry: Telemetry | None = None,
) -> None:
    """Logs the training of an encoder or the writing of synthetic queries as a child run of the pipeline.

    Args:
        settings: where to log.
        pipeline: the parent run.
        name: of the run.
        losses: loss curve of each part of the training; logged as <part>/loss and <part>/held_out_loss by step.
        parameters: nested settings.
        metrics: costs.
        tags: such as the encoder's role.
        telemetry: recorded meanwhile.
    """
    import mlflow
    from mlflow.entities import Metric

    client, experiment = _client(settings)
    now = int(time.time() * 1000)
    seconds = sum(value for key, value in metrics.items() if key.endswith("_seconds"))
    run_id = _new_run(client, experiment.experiment_id, name, pipeline, tags, started=now - int(seconds * 1000))
    values = [
        Metric(f"{part}/{key}", value, now, point.step)
        for part, curve in losses.items()
        for point in curve
        for key, value in (("loss", point.loss), ("held_out_loss", point.held_out))
        if value is not None
    ]
    with mlflow.start_run(run_id=run_id):
        mlflow.log_params(flatten_parameters(parameters))
        mlflow.log_metrics({f"cost/{key}": value for key, value in metrics.items()})
        client.log_batch(run_id, metrics=values)
    _log_telemetry(client, run_id, telemetry)


def log_training(
    settings: TrackingSettings,
    name: str,
    program: "Program",
    digest: str,
    training: TrainingRecord,
    artifacts: Mapping[str, Any],
    card: str,
) -> str:
    """Logs a training as a child run of the pipeline, with the program as an MLflow model.

    The run is recorded after the training, with its times, so that a killed training leaves no unfinished run.

    Args:
        settings: where to log.
        name: of the run, model/strategy/seed.
        program: logged by ``mlflow.dspy`` with our code, so that the artifacts suffice to load it.
        digest: of the saved program.
        training: the record.
        artifacts: JSON files by name.
        card: the program's model card, Markdown.

    Returns:
        The run's id; if a finished run has this name and program, its id, and nothing is logged.
    """
    import mlflow

    client, experiment = _client(settings)
    if (finished := _finished_run(client, experiment.experiment_id, name, digest)) is not None:
        return finished
    started = int((training.ended - training.seconds) * 1000)
    pipeline = PipelineRun(training.panel, training.revision)
    tags = {PROGRAM_TAG: digest, **training.tags}
    run_id = _new_run(client, experiment.experiment_id, name, pipeline, tags, started)
    with mlflow.start_run(run_id=run_id):
        mlflow.log_params(flatten_parameters(training.parameters))
        _log_data(training.data)
        for file, value in {**artifacts, SETTINGS_ARTIFACT: training.settings}.items():
            mlflow.log_dict(value, file)
        mlflow.log_text(card, CARD_ARTIFACT)
        with quiet_mlflow(), _requirements_unchecked():
            mlflow.dspy.log_model(
                program,
                name=model_name(name),
                use_dspy_model_save=True,
                code_paths=[str(PACKAGE)],
                pip_requirements=_requirements(),
            )
        for one in training.nested_runs:
            _log_nested_run(client, experiment.experiment_id, run_id, name, one)
        for prompt in training.prompts:
            with store_lock(settings.uri):  # two systems may use the same prompt
                register_prompt(client, prompt_name(settings.experiment, prompt["part"]), prompt, run_id)
    client.set_terminated(run_id, end_time=int(training.ended * 1000))
    return run_id


def _finished_run(client: "MlflowClient", experiment: str, name: str, digest: str) -> str | None:
    """Returns the newest finished run of a program; ends those whose recording was killed."""
    query = f"tags.{PROGRAM_TAG} = '{digest}' AND attributes.run_name = '{name}'"
    end_killed(client, experiment, query)
    finished = f"{query} AND attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], finished, order_by=["attributes.start_time DESC"], max_results=1)
    return str(found[0].info.run_id) if found else None


def end_killed(client: "MlflowClient", experiment: str, query: str) -> None:
    """Marks unfinished runs that a query finds, and those below them, as killed, and their unfinished models as failed.

    A killed process cannot do it; call it before such a run is recorded anew.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    for run in client.search_runs([experiment], f"{query} AND attributes.status = 'RUNNING'"):
        for model in client.search_logged_models([experiment], f"source_run_id = '{run.info.run_id}'"):
            if model.status == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")
        client.set_terminated(run.info.run_id, "KILLED")
        end_killed(client, experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")


def without_header(card: str) -> str:
    """Returns a model card without the YAML between its lines "---"."""
    return card.split("---\n", 2)[-1].strip()


def _log_nested_run(client: "MlflowClient", experiment: str, parent: str, name: str, nested_run: NestedRun) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    run = client.create_run(experiment, run_name=f"{name}/{nested_run.name}", tags={MLFLOW_PARENT_RUN_ID: parent})
    now = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(metric_name(key), value, now, 0) for key, value in nested_run.metrics.items()],
        params=[Param(key, value) for key, value in flatten_parameters(nested_run.parameters).items()],
    )
    client.log_dict(run.info.run_id, dict(nested_run.artifact), f"{nested_run.name}.json")
    client.set_terminated(run.info.run_id)


def log_evaluation(
    settings: TrackingSettings,
    run_id: str,
    *,
    metrics: Mapping[str, float],
    measure: str,
    card: str,
    folder: Path,
    tags: Mapping[str, str],
    data: Sequence[DatasetInput] = (),
    telemetry: Sequence[Telemetry] = (),
) -> None:
    """Adds the measures and the results folder to the training's run, describes the run, and registers the program.

    Args:
        settings: where to log.
        run_id: as ``log_training`` returned it.
        metrics: the test measures with their intervals, then those of the training: MLflow's pages keep this order.
        measure: the description begins with it, and the saved view of the experiment sorts the systems by it.
        card: the program's model card, Markdown; the description ends with it.
        folder: the results.
        tags: of the run; ``test_queries`` is their number.
        data: the test data.
        telemetry: recorded during the training and during the evaluation.
    """
    import mlflow
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    client, experiment = _client(settings)
    save_view(client, experiment, measure)
    trained = client.get_run(run_id).info.end_time
    quality = "{:.3f} [{:.3f}, {:.3f}]".format(*(metrics[f"{measure}{end}"] for end in ("", " ci_low", " ci_high")))
    headline = f"**{measure} {quality}** on {tags['test_queries']} test queries."
    description = f"{headline}\n\n{without_header(card)}"[:MAX_DESCRIPTION]
    with mlflow.start_run(run_id=run_id):
        mlflow.set_tags({**_short(tags), MLFLOW_RUN_NOTE: description})
        mlflow.log_metrics({metric_name(key): value for key, value in metrics.items()})
        mlflow.log_artifacts(str(folder), RESULTS_ARTIFACT)
        _log_data(data)
    client.set_terminated(run_id, end_time=trained)  # the evaluation may come hours later
    for one in telemetry:
        _log_telemetry(client, run_id, one)
    with quiet_mlflow():
        register(client, registered_name(settings.experiment), client.get_run(run_id), description)


def log_report(settings: TrackingSettings, pipeline: PipelineRun, folder: Path, tags: Mapping[str, str]) -> None:
    """Adds the report folder to the pipeline's run, describes the run by its chart and table, and ends the run."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    client, experiment = _client(settings)
    run_id = _pipeline_run(client, experiment.experiment_id, pipeline)
    client.log_artifacts(run_id, str(folder), REPORT_ARTIFACT)
    for key, value in {**_short(tags), MLFLOW_RUN_NOTE: report_description(run_id, folder)}.items():
        client.set_tag(run_id, key, value)
    client.set_terminated(run_id)


def report_description(run_id: str, folder: Path) -> str:
    """Returns the description of a pipeline's run: the report's summary in Markdown, with the chart before its table.

    MLflow's page shows the first lines, and the rest when somebody asks for more. The chart's address is relative to
    that of the page. Of a table that is too long, the first lines remain.
    """
    blocks = (folder / TABLE).read_text(encoding="utf-8").strip().split("\n\n")
    place = next(number for number, block in enumerate(blocks) if block.startswith("|"))
    chart = f"![Systems with intervals](get-artifact?run_uuid={run_id}&path={REPORT_ARTIFACT}/{CHART})"
    before, table = "\n\n".join([*blocks[:place], chart]) + "\n\n", blocks[place]
    rest = [*blocks[place + 1 :], f"The artifact `{REPORT_ARTIFACT}/index.html` is the whole report."]
    after = "\n\n".join(["", *rest])
    room = MAX_DESCRIPTION - len(before) - len(after)
    return before + table[: table.rfind("\n", 0, room) if len(table) > room else None] + after


def log_best(
    settings: TrackingSettings, pipeline: PipelineRun, contenders: Mapping[str, Mapping[str, float]], **rule: Any
) -> Promotion | None:
    """Moves the registry's alias ``best`` as ``registry.promote`` decides, and tags the pipeline's run with the reason.

    Args:
        settings: where to log.
        pipeline: the run to tag.
        contenders: each system's measure by test query, by the name of its run.
        rule: further arguments of ``registry.promote``.
    """
    client, experiment = _client(settings)
    with quiet_mlflow():
        move = promote(client, registered_name(settings.experiment), contenders, **rule)
    if move is not None:
        run_id = _pipeline_run(client, experiment.experiment_id, pipeline)
        client.set_tag(run_id, "best", move.system)
        client.set_tag(run_id, "best_reason", move.reason[:MAX_CHARACTERS])
    return move


def _new_run(
    client: "MlflowClient",
    experiment: str,
    name: str,
    pipeline: PipelineRun,
    tags: Mapping[str, str],
    started: int | None = None,
) -> str:
    """Creates a child run of the pipeline and returns its id; ends those of the same name that were killed."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    own = {MLFLOW_PARENT_RUN_ID: _pipeline_run(client, experiment, pipeline), **_origin(pipeline.revision)}
    same = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{own[MLFLOW_PARENT_RUN_ID]}' AND attributes.run_name = '{name}'"
    end_killed(client, experiment, same)
    run = client.create_run(experiment, start_time=started, run_name=name, tags=own | _short(tags))
    return str(run.info.run_id)


def _origin(revision: str) -> dict[str, str]:
    """Returns the tags by which MLflow's pages show the code that made a run."""
    from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

    source = {MLFLOW_SOURCE_NAME: sys.argv[0], MLFLOW_SOURCE_TYPE: "LOCAL"}
    commit = {} if revision == "unknown" else {MLFLOW_GIT_COMMIT: revision.partition("+")[0]}
    return {"revision": revision, **commit, **source}


def _pipeline_run(client: "MlflowClient", experiment: str, pipeline: PipelineRun) -> str:
    """Returns the id of the parent run; the first stage that logs creates it, the report ends it."""
    found = client.search_runs([experiment], f"tags.{PIPELINE_TAG} = '{pipeline.digest}'", max_results=1)
    if found:
        if found[0].info.status == "KILLED":  # it goes on
            client.update_run(found[0].info.run_id, "RUNNING")
        return str(found[0].info.run_id)
    end_stale_pipelines(client, experiment)
    tags = {PIPELINE_TAG: pipeline.digest, **_origin(pipeline.revision)}
    run = client.create_run(experiment, run_name=pipeline.name, tags=tags)
    for key, value in flatten_parameters(pipeline.panel).items():
        client.log_param(run.info.run_id, key, value)
    return str(run.info.run_id)


def end_stale_pipelines(client: "MlflowClient", experiment: str) -> None:
    """Marks the pipelines as killed that have recorded nothing for an hour and have no report.

    No process tells MLflow that it was killed. A pipeline that goes on is set to running again.
    """
    unfinished = f"tags.{PIPELINE_TAG} != '' AND attributes.status = 'RUNNING'"
    oldest = (time.time() - 60 * STALE_MINUTES) * 1000
    for run in client.search_runs([experiment], unfinished):
        if (last := last_record(client, experiment, run)) < oldest:
            client.set_terminated(run.info.run_id, "KILLED", last)


def last_record(client: "MlflowClient", experiment: str, run: "Run") -> int:
    """Returns when a run or a child of it was started or ended last; milliseconds since 1970."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    children = client.search_runs([experiment], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")
    return max(one.info.end_time or one.info.start_time for one in (run, *children))


def _log_data(data: Sequence[DatasetInput]) -> None:
    """Logs the data of the active run."""
    import mlflow
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    for name, path, digest, context in data:
        with warnings.catch_warnings():  # MLflow has two names for this kind of source
            warnings.simplefilter("ignore", UserWarning)
            source = resolve_dataset_source(str(path.resolve()))
        dataset = MetaDataset(source, name=name, digest=digest[:DIGEST_CHARACTERS])  # type: ignore[abstract]
        mlflow.log_input(dataset, context=context)


def _log_telemetry(client: "MlflowClient", run_id: str, telemetry: Telemetry | None) -> None:
    from mlflow.entities import Metric

    if telemetry is None:
        return
    load = [Metric(*figure) for figure in telemetry.load]
    for start in range(0, len(load), MAX_METRICS):
        client.log_batch(run_id, metrics=load[start : start + MAX_METRICS])
    traces = sorted(telemetry.traces)
    for start in range(0, len(traces), MAX_TRACES):
        client.link_traces_to_run(traces[start : start + MAX_TRACES], run_id)


def prepared_store(settings: TrackingSettings, experiments: Iterable[str]) -> str:
    """Returns the tracking URI with an absolute path, for processes that run in other folders.

    Creates the store and the experiments, so that no two processes create them at once and artifacts are stored here.
    """
    import mlflow

    uri = settings.uri
    if uri.startswith(SQLITE) and not uri.startswith(f"{SQLITE}/"):
        uri = f"{SQLITE}{Path(uri.removeprefix(SQLITE)).resolve()}"
    with opened_store(uri):
        mlflow.set_tracking_uri(uri)
        for name in experiments:
            mlflow.set_experiment(name)
    return uri


def open_pipeline_run(uri: str, experiment: str, pipeline: PipelineRun) -> None:
    """Creates the run of a pipeline, unless it exists, so that no two systems that are logged at once create it.

    Args:
        uri: of the store, as ``prepared_store`` returned it.
        experiment: name of an existing experiment.
        pipeline: the run.
    """
    import mlflow

    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise InputError(f"{experiment}: no such experiment in MLflow; it was deleted meanwhile")
    _pipeline_run(client, found.experiment_id, pipeline)


def _client(settings: TrackingSettings) -> tuple["MlflowClient", "Experiment"]:
    import mlflow

    with opened_store(settings.uri):
        mlflow.set_tracking_uri(settings.uri)
        experiment = mlflow.set_experiment(settings.experiment)
    return mlflow.MlflowClient(), experiment


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:MAX_CHARACTERS] for key, value in tags.items()}


def _requirements() -> list[str]:
    """Returns our direct dependencies in the installed versions, for the logged program."""
    from importlib.metadata import requires, version

    names = [re.split(r"[\s\[<>=!~;]", line)[0] for line in requires("zero2ir") or () if "extra ==" not in line]
    return [f"{name}=={version(name).split('+')[0]}" for name in names]


@contextmanager
def _requirements_unchecked() -> Iterator[None]:
    """Skips MLflow's comparison of requirements with installed packages, which reads the files of all packages."""
    from mlflow.utils import environment

    check = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda model_requirements: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = check


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Hides MLflow's messages about database migrations and pickles."""
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
