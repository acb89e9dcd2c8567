"""What MLflow is told, and that the program which it keeps works where nothing else of ours is."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse
from zero2ir.online.serving.service import open_program
from zero2ir.program.confidence import Confidence
from zero2ir.program.program import Program
from zero2ir.tracking.names import metric_name
from zero2ir.tracking.runs import (
    DatasetInput,
    NestedRun,
    PipelineRun,
    TrackingSettings,
    TrainingRecord,
    check_store,
    collect_telemetry,
    flatten_parameters,
    log_evaluation,
    log_pretraining,
    log_report,
    log_training,
    open_pipeline_run,
    prepared_store,
    report_description,
)
from zero2ir.tracking.telemetry import Telemetry, TelemetrySettings, record_telemetry

KEY = "sk-secret-test-4711"
NAME = "hybrid/fine_tune/seed0"
DIGEST = "d1" * 32
QUERY = "list of the words in the string"
PIPELINE = PipelineRun({"dataset": "trial", "models": ["hybrid"], "seeds": [0]}, "abc")
SUMMARY = "| Model | nDCG@10 |\n| :-- | --: |\n| hybrid | 0.5 |\n\nMeans.\n\nNo difference is significant.\n"
CARD = '---\nlicense: "other"\n---\n\n# hybrid by fine_tune\n\nIt searches 40 documents.\n'
MEASURES = {"nDCG@10": 0.5, "nDCG@10 ci_low": 0.4, "nDCG@10 ci_high": 0.6}
PROMPT = {
    "digest": "4711",
    "part": "query writer",
    "style": "question",
    "origin": "pool",
    "instruction": "Ask what this document answers.",
    "demonstrations": [{"document": "str.split()", "query": "cut a string"}],
}
QUIET = TelemetrySettings(sampling_seconds=0, traces=False)

# Opens the logged program without the installed package: only what lies among its artifacts is left to import.
ELSEWHERE = """
import json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [path for path in sys.path if path not in json.loads(sys.argv[3])]
try:
    import zero2ir
except ImportError:
    pass
else:
    raise SystemExit(f"zero2ir is still there: {zero2ir.__file__}")
import mlflow
program = mlflow.dspy.load_model(sys.argv[1])
served = mlflow.pyfunc.load_model(sys.argv[1])
import zero2ir
answers = {
    "program": program(query=sys.argv[2]).toDict(),
    "served": served.predict(sys.argv[2]),
    "code": zero2ir.__file__,
}
print("ANSWERS", json.dumps(answers))
"""


class Store(NamedTuple):
    """A tracking store in a folder of its own, in which one training, its evaluation and a report were logged."""

    folder: Path
    settings: TrackingSettings
    program: Program

    def runs(self) -> list[Any]:
        import mlflow

        client = mlflow.MlflowClient(self.settings.uri)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        assert experiment is not None
        return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])

    def run(self, name: str) -> Any:
        (found,) = (run for run in self.runs() if run.info.run_name == name)
        return found

    def delete(self, run: Any) -> None:
        import mlflow

        mlflow.MlflowClient(self.settings.uri).delete_run(run.info.run_id)

    def artifacts(self, run: Any) -> Path:
        return Path(run.info.artifact_uri.removeprefix("file://"))

    def log(self, name: str, digest: str, training: TrainingRecord) -> None:
        """A training, if it is not there yet, and its evaluation."""
        folder = self.folder / "results"
        artifacts = {"training.json": {"chosen": "zero_shot"}}
        run_id = log_training(self.settings, name, self.program, digest, training, artifacts, CARD)
        log_evaluation(
            self.settings,
            run_id,
            metrics=MEASURES | training.metrics,
            measure="nDCG@10",
            card=CARD,
            folder=folder,
            tags={"test_queries": "7"},
            data=[DatasetInput("trial test queries", folder / "metrics.json", "c3" * 32, "test")],
            telemetry=[training.telemetry],
        )


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, string_methods: list[dict[str, str]], tiny_encoder: DenseEncoder
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    retriever = Hybrid([Sparse(), Dense("static")]).index(Corpus(documents, {"static": tiny_encoder}))
    program = Program(
        retriever, documents, Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1)), {"model": "hybrid"}
    )
    settings = TrackingSettings(uri=f"sqlite:///{folder}/mlflow.db", experiment="trial/one", telemetry=QUIET)
    made = Store(folder, settings, program)
    results = folder / "results"
    results.mkdir()
    (results / "metrics.json").write_text('{"nDCG@10": 0.5}', encoding="utf-8")
    (results / "summary.md").write_text(SUMMARY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # MLflow keeps artifacts below the current folder
        patch.setenv("OPENAI_API_KEY", KEY)
        with record_telemetry(TelemetrySettings(sampling_seconds=0.01, traces=False)) as seen:
            time.sleep(0.1)
        training = TrainingRecord(
            panel=PIPELINE.panel,
            revision=PIPELINE.revision,
            parameters={
                "choice": {"model": "hybrid"},
                "model": {"weights": [0.5, 0.5], "why": "x" * 9000},
                "seed": 0,
            },
            settings={"model": {"weights": [0.5, 0.5], "depth": 1000}},
            metrics={"cost/train_seconds": 1.5},
            tags={"model": "hybrid", "strategy": "fine_tune", "seed": "0", "documents": "b2", "reason": "y" * 9000},
            seconds=3600.0,
            ended=time.time(),
            nested_runs=[
                NestedRun("prompt-4711", {"style": "question"}, {"expected_gain": 0.5}, {"instruction": "Write."})
            ],
            prompts=[PROMPT],
            data=[DatasetInput("trial documents", folder / "results" / "metrics.json", "b2" * 32, "training")],
            telemetry=seen,
        )
        made.log(NAME, DIGEST, TrainingRecord.model_validate_json(training.model_dump_json()))  # as from its file
        log_report(settings, PIPELINE, results, {"dataset": "pydocs"})
        yield made


def test_what_a_training_tried_stands_below_its_run(store: Store) -> None:
    import mlflow

    parent, run = store.run(NAME), store.run(f"{NAME}/prompt-4711")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.params == {"style": "question"}
    assert run.data.metrics == {"expected_gain": 0.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(store.folder)
        assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/prompt-4711.json") == {"instruction": "Write."}


def test_run_holds_names_parameters_and_figures(store: Store) -> None:
    run = store.run(NAME)
    assert run.info.status == "FINISHED"
    assert run.data.params["choice.model"] == "hybrid"
    assert run.data.params["model.weights"] == "[0.5, 0.5]"
    assert run.data.params["seed"] == "0"
    assert run.data.params["model.why"].startswith("xxx")  # cut, where it is longer than MLflow takes
    assert run.data.metrics["cost/train_seconds"] == 1.5
    assert run.data.tags["program"] == DIGEST
    assert run.data.tags["reason"].startswith("yyy")
    assert json.loads((store.artifacts(run) / "training.json").read_text()) == {"chosen": "zero_shot"}


def test_run_shows_the_model_card_and_keeps_all_settings(store: Store) -> None:
    import yaml

    run = store.run(NAME)
    headline, _, card = run.data.tags["mlflow.note.content"].partition("\n\n")
    assert headline == "**nDCG@10 0.500 [0.400, 0.600]** on 7 test queries."
    assert card == "# hybrid by fine_tune\n\nIt searches 40 documents."
    assert (store.artifacts(run) / "model_card.md").read_text(encoding="utf-8") == CARD
    kept = yaml.safe_load((store.artifacts(run) / "settings.yaml").read_text(encoding="utf-8"))
    assert kept == {"model": {"weights": [0.5, 0.5], "depth": 1000}}


def test_run_names_the_code_that_made_it(store: Store) -> None:
    tags = store.run(NAME).data.tags
    assert tags["mlflow.source.name"] == sys.argv[0]
    assert tags["mlflow.source.git.commit"] == tags["revision"] == "abc"


def test_the_prompt_that_a_program_uses_is_a_version_that_its_run_links(store: Store) -> None:
    import mlflow

    client = mlflow.MlflowClient(store.settings.uri)
    prompt = client.load_prompt("prompts:/trial-one-query-writer/1")
    assert prompt.template == "Ask what this document answers.\n\ndocument: str.split()\nquery: cut a string"
    linked = json.loads(store.run(NAME).data.tags["mlflow.linkedPrompts"])
    assert linked == [{"name": "trial-one-query-writer", "version": "1"}]
    assert [one.name for one in client.search_registered_models()] == ["trial-one"]  # prompts are no models


def test_run_lasts_as_long_as_the_training(store: Store) -> None:
    info = store.run(NAME).info
    assert (info.end_time - info.start_time) / 1000 == pytest.approx(3600, abs=0.01)


def test_evaluation_is_added_to_the_run_that_trained(store: Store) -> None:
    run = store.run(NAME)
    assert run.data.metrics["nDCG.10"] == 0.5
    assert next(iter(run.data.metrics)) == "nDCG.10"  # first on MLflow's pages
    assert run.data.tags["test_queries"] == "7"
    assert (store.artifacts(run) / "results" / "metrics.json").is_file()


@pytest.mark.parametrize(("name", "digest"), [(NAME, "e2" * 32), ("dense/fine_tune/seed0", DIGEST)])
def test_another_program_or_system_is_a_run_of_its_own(
    store: Store, name: str, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(store.folder)
    before = {run.info.run_id for run in store.runs()}
    training = TrainingRecord(
        panel=PIPELINE.panel,
        revision=PIPELINE.revision,
        parameters={},
        metrics={"cost/train_seconds": 2.5},
        tags={"documents": "b2"},
        seconds=2.5,
        ended=time.time(),
    )
    store.log(name, digest, training)
    store.log(name, digest, training)  # once more: the same run
    (made,) = (run for run in store.runs() if run.info.run_id not in before)
    assert (made.info.run_name, made.info.status) == (name, "FINISHED")
    assert made.data.metrics == {"cost/train_seconds": 2.5} | {metric_name(key): one for key, one in MEASURES.items()}
    assert made.data.tags["program"] == digest
    client = mlflow.MlflowClient(store.settings.uri)
    for version in client.search_model_versions(f"run_id = '{made.info.run_id}'"):
        client.delete_model_version("trial-one", version.version)
    store.delete(made)


def test_a_pretraining_is_a_run_with_its_loss_curves_by_step(store: Store) -> None:
    import mlflow

    name = paths.pretraining_run("scratch", 0)
    log_pretraining(
        store.settings,
        PIPELINE,
        name,
        {"reconstruction": [LossPoint(5, 9.0, None)], "pairs": [LossPoint(10, 2.0, 3.0), LossPoint(20, 1.0, 2.5)]},
        parameters={"role": "scratch", "pretraining": {"pairs": {"title": {}}, "scratch": {"layers": 4}}},
        metrics={"pretrain_seconds": 100.0, "encode_seconds": 20.0},
        tags={"role": "scratch"},
    )
    run, client = store.run(name), mlflow.MlflowClient(store.settings.uri)

    def curve(key: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]

    assert curve("pairs/loss") == [(10, 2.0), (20, 1.0)]
    assert curve("pairs/held_out_loss") == [(10, 3.0), (20, 2.5)]
    assert curve("reconstruction/loss") == [(5, 9.0)]
    assert curve("reconstruction/held_out_loss") == []
    assert run.data.metrics["cost/pretrain_seconds"] == 100.0
    assert run.data.params["pretraining.scratch.layers"] == "4"
    assert run.info.status == "FINISHED"
    assert 120 <= (run.info.end_time - run.info.start_time) / 1000 < 120 + 60
    store.delete(run)


def test_the_pipeline_is_the_parent_and_holds_the_report(store: Store) -> None:
    (parent,) = (run for run in store.runs() if "mlflow.parentRunId" not in run.data.tags)
    assert parent.info.run_name == f"0 systems, {PIPELINE.digest[:7]}"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"dataset": "trial", "models": "['hybrid']", "seeds": "[0]"}
    assert parent.data.tags["revision"] == "abc"
    assert parent.data.tags["dataset"] == "pydocs"
    assert (store.artifacts(parent) / "report" / "metrics.json").is_file()
    picture, table, _, findings, _ = parent.data.tags["mlflow.note.content"].split("\n\n")
    assert findings == "No difference is significant."
    assert f"(get-artifact?run_uuid={parent.info.run_id}&path=report/figures/quality.svg)" in picture
    assert table.endswith("| hybrid | 0.5 |")


def test_a_report_is_described_by_answers_chart_table_and_findings(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("- **What?** That.\n\n| hybrid | 0.5 |\n\nMeans.\n\n- It ranks better.\n")
    answer, picture, *others, link = report_description("r1", tmp_path).split("\n\n")
    assert answer == "- **What?** That."
    assert picture.startswith("![")
    assert others == ["| hybrid | 0.5 |", "Means.", "- It ranks better."]
    assert "report/index.html" in link


def test_a_report_s_long_table_is_cut_at_a_line(tmp_path: Path) -> None:
    rows = [f"| {number:04} | 0.5 |" for number in range(1000)]
    (tmp_path / "summary.md").write_text("\n".join(rows) + "\n\nMeans.", encoding="utf-8")
    text = report_description("r1", tmp_path)
    assert 7950 < len(text) <= 8000
    assert all(line in rows for line in text.splitlines() if line.startswith("|"))
    assert text.endswith("Means.\n\nThe artifact `report/index.html` is the whole report.")


def test_a_pipeline_is_named_by_its_systems() -> None:
    panel = {"models": ["sparse", "dense"], "strategies": ["zero_shot", "fine_tune"], "seeds": [0, 1, 2]}
    assert PipelineRun(panel, "abc").name.startswith("12 systems, ")


def test_a_pipeline_that_was_killed_is_ended_by_the_next_one_and_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    prepared_store(TrackingSettings(uri=uri, experiment="x", telemetry=QUIET), ["x"])
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("x")
    assert experiment is not None
    killed, alive, new = (PIPELINE._replace(revision=revision) for revision in ("killed", "alive", "new"))

    def status(pipeline: PipelineRun) -> str:
        query = f"tags.pipeline = '{pipeline.digest}'"
        (run,) = client.search_runs([experiment.experiment_id], query)
        return str(run.info.status)

    now = time.time
    monkeypatch.setattr("time.time", lambda: now() - 2 * 3600)
    for pipeline in (killed, alive):
        open_pipeline_run(uri, "x", pipeline)
    monkeypatch.undo()
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.pipeline = '{alive.digest}'")
    client.create_run(experiment.experiment_id, tags={"mlflow.parentRunId": parent.info.run_id})
    open_pipeline_run(uri, "x", new)
    assert [status(one) for one in (killed, alive, new)] == ["KILLED", "RUNNING", "RUNNING"]
    open_pipeline_run(uri, "x", killed)
    assert status(killed) == "RUNNING"


def test_a_recording_that_was_killed_is_ended_by_the_next_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(store.folder)
    client = mlflow.MlflowClient(store.settings.uri)
    finished = store.run(NAME)
    killed = client.create_run(finished.info.experiment_id, run_name="again", tags={"program": DIGEST})
    same = client.create_run(finished.info.experiment_id, run_name=NAME, tags={"program": DIGEST})
    below = client.create_run(finished.info.experiment_id, tags={"mlflow.parentRunId": same.info.run_id})
    model = client.create_logged_model(finished.info.experiment_id, source_run_id=same.info.run_id)
    training = TrainingRecord(
        panel=PIPELINE.panel, revision="abc", parameters={}, metrics={}, tags={}, seconds=0, ended=time.time()
    )
    assert log_training(store.settings, NAME, store.program, DIGEST, training, {}, CARD) == finished.info.run_id
    assert [client.get_run(one.info.run_id).info.status for one in (same, below)] == ["KILLED", "KILLED"]
    assert client.get_logged_model(model.model_id).status == "FAILED"
    assert client.get_run(killed.info.run_id).info.status == "RUNNING"  # of another system
    for run in (killed, same, below):
        store.delete(run)


def test_a_training_counts_as_recorded_only_with_all_that_it_tried(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there when a kill comes, while the candidates of a training are recorded."""
    import mlflow

    monkeypatch.chdir(store.folder)
    client, statuses = mlflow.MlflowClient(store.settings.uri), []
    training = TrainingRecord(
        panel=PIPELINE.panel,
        revision="abc",
        parameters={},
        metrics={},
        tags={},
        seconds=0,
        ended=time.time(),
        nested_runs=[NestedRun("prompt-4711", {}, {}, {})],
    )

    def seen(client: Any, experiment: str, parent: str, name: str, nested_run: NestedRun) -> None:
        statuses.append(client.get_run(parent).info.status)

    monkeypatch.setattr("zero2ir.tracking.runs._log_nested_run", seen)
    run_id = log_training(store.settings, "tried", store.program, "f3" * 32, training, {}, CARD)
    assert statuses == ["RUNNING"]
    assert client.get_run(run_id).info.status == "FINISHED"
    client.delete_run(run_id)


def test_a_pretraining_that_was_killed_is_ended_by_the_next_one(store: Store) -> None:
    import mlflow

    client = mlflow.MlflowClient(store.settings.uri)
    parent = store.run(NAME).data.tags["mlflow.parentRunId"]
    killed = client.create_run(
        store.run(NAME).info.experiment_id, run_name="pretrain", tags={"mlflow.parentRunId": parent}
    )
    log_pretraining(store.settings, PIPELINE, "pretrain", {}, parameters={}, metrics={}, tags={})
    assert client.get_run(killed.info.run_id).info.status == "KILLED"
    store.delete(killed)
    store.delete(store.run("pretrain"))


def test_another_panel_or_revision_is_another_pipeline() -> None:
    others = [PIPELINE._replace(revision="abd"), PIPELINE._replace(panel={**PIPELINE.panel, "seeds": [1]})]
    assert len({one.digest for one in (PIPELINE, *others)}) == 3
    assert PipelineRun(dict(reversed(PIPELINE.panel.items())), "abc").digest == PIPELINE.digest


def test_a_run_says_which_system_it_is_and_what_it_has_seen(store: Store) -> None:
    run = store.run(NAME)
    tags = {key: run.data.tags[key] for key in ("model", "strategy", "seed", "revision")}
    assert tags == {"model": "hybrid", "strategy": "fine_tune", "seed": "0", "revision": "abc"}
    used = {
        one.dataset.name: (one.dataset.digest, {tag.key: tag.value for tag in one.tags})
        for one in run.inputs.dataset_inputs
    }
    assert used == {
        "trial documents": ("b2" * 6, {"mlflow.data.context": "training"}),
        "trial test queries": ("c3" * 6, {"mlflow.data.context": "test"}),
    }


def test_a_run_shows_the_machine_s_load_over_time(store: Store) -> None:
    import mlflow

    points = mlflow.MlflowClient(store.settings.uri).get_metric_history(
        store.run(NAME).info.run_id, "system/system_memory_usage_percentage"
    )
    assert len(points) >= 3
    assert all(0 < point.value <= 100 for point in points)
    assert [point.step for point in points] == list(range(len(points)))


def test_nothing_is_looked_at_where_nobody_asks() -> None:
    with record_telemetry(QUIET) as seen:
        pass
    assert seen == Telemetry()


def test_calls_of_a_language_model_are_traced_where_that_is_asked_for(store: Store, script_lm: Any) -> None:
    """The traces belong to the run, though it is opened after them."""
    import dspy
    import mlflow

    traced = store.settings.model_copy(update={"telemetry": TelemetrySettings(sampling_seconds=0, traces=True)})
    language_model, _ = script_lm(lambda messages: "[[ ## answer ## ]]\nforty-two\n\n[[ ## completed ## ]]")
    with collect_telemetry(traced) as seen, dspy.context(lm=language_model.lm):
        dspy.Predict("question -> answer")(question="how many?")
    log_pretraining(store.settings, PIPELINE, "synthetic/seed0", {}, parameters={}, metrics={}, tags={}, telemetry=seen)
    run = store.run("synthetic/seed0")
    client = mlflow.MlflowClient(store.settings.uri)
    traces = client.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id)
    assert {trace.info.trace_id for trace in traces} == seen.traces
    (trace,) = traces
    assert "how many?" in str(trace.data.spans[0].inputs)
    assert any("MeteredLM" in span.name for span in trace.data.spans)
    store.delete(run)


def test_a_measured_program_is_a_version_of_the_collection_s_model(store: Store) -> None:
    import mlflow

    client = mlflow.MlflowClient(store.settings.uri)
    run = store.run(NAME)
    (version,) = client.search_model_versions("name = 'trial-one'")
    assert version.run_id == run.info.run_id
    assert run.outputs.model_outputs[0].model_id in version.source
    assert version.tags["system"] == NAME
    assert (version.tags["program"], version.tags["documents"]) == (DIGEST, "b2")


def test_the_store_s_address_holds_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    settings = TrackingSettings(uri="sqlite:///mlflow.db", experiment="x", telemetry=QUIET)
    assert prepared_store(settings, ["one", "two"]) == f"sqlite:///{tmp_path}/mlflow.db"
    made = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_experiment_by_name("two")
    assert made.artifact_location.startswith(str(tmp_path / "mlruns"))
    absolute = settings.model_copy(update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    assert prepared_store(absolute, []) == absolute.uri


def leaves(value: Any) -> list[Any]:
    """The keys and values of nested JSON in order."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in (key, *leaves(value[key]))]
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]


# Imports first, so that the two calls begin in the same moment, which the second line of standard input tells.
PREPARE = """
import sys
import mlflow.store.tracking.sqlalchemy_store
from zero2ir.tracking.runs import TrackingSettings, prepared_store
print("ready", flush=True)
sys.stdin.readline()
prepared_store(TrackingSettings(uri=sys.argv[1], experiment="cranfield"), ["cranfield", "pydocs"])
"""


@pytest.mark.slow
def test_two_processes_may_prepare_a_new_store_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen([sys.executable, "-c", PREPARE, uri], text=True, cwd=tmp_path, **pipes) for _ in range(2)]
    assert [one.stdout.readline() for one in both if one.stdout] == ["ready\n"] * 2
    for one in both:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=300)[1] for one in both] == ["", ""]
    assert [one.returncode for one in both] == [0, 0]
    assert not list(tmp_path.glob("*lock*"))


# Killed as soon as the file has a table, long before MLflow has created all.
KILLED = """
import os, sqlite3, sys, threading
from zero2ir.tracking.runs import TrackingSettings, prepared_store

def kill():
    while True:
        for path in os.listdir("."):
            if "mlflow.db" in path and os.path.isfile(path) and os.path.getsize(path) > 8192:
                os.kill(os.getpid(), 9)

threading.Thread(target=kill, daemon=True).start()
prepared_store(TrackingSettings(uri="sqlite:///mlflow.db", experiment="cranfield"), ["cranfield"])
"""


@pytest.mark.slow
def test_a_store_whose_creation_is_killed_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert list(tmp_path.glob("*.part"))
    assert not (tmp_path / "mlflow.db").exists()
    prepared_store(TrackingSettings(uri="sqlite:///mlflow.db", experiment="x", telemetry=QUIET), ["cranfield"])
    assert sqlite3.connect(tmp_path / "mlflow.db").execute("SELECT name FROM experiments").fetchall()
    assert not list(tmp_path.glob("*.part*"))


def test_logged_program_works_where_nothing_else_of_ours_is(store: Store, tmp_path: Path) -> None:
    ours = [path for path in sys.path if path and (Path(path) / "zero2ir").is_dir()]
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    models = {output.model_id for output in store.run(NAME).outputs.model_outputs}
    assert len(models) == 1
    ended = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, f"models:/{models.pop()}", QUERY, json.dumps(ours)],
        cwd=tmp_path,
        env=environment | {"HOME": str(tmp_path), "MLFLOW_TRACKING_URI": store.settings.uri},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("ANSWERS "))
    answers = json.loads(line.removeprefix("ANSWERS "))
    expected = leaves(store.program(query=QUERY).toDict())
    for found in (leaves(answers["program"]), leaves(answers["served"])):  # a process may add up in another order
        assert found == [pytest.approx(one, rel=1e-5) if isinstance(one, float) else one for one in expected]
    assert Path(answers["code"]).is_relative_to(store.folder)


def test_logged_program_is_opened_to_be_served(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.settings.uri)
    monkeypatch.chdir(store.folder)
    (output,) = store.run(NAME).outputs.model_outputs
    opened = open_program(f"models:/{output.model_id}")
    assert opened(query=QUERY).toDict() == store.program(query=QUERY).toDict()
    with pytest.raises(InputError, match="models:/m-0: MLflow cannot open it"):
        open_program("models:/m-0")


def test_no_key_is_kept(store: Store) -> None:
    holding = [path for path in store.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == []


def test_logged_program_names_what_it_needs(store: Store) -> None:
    import mlflow

    (output,) = store.run(NAME).outputs.model_outputs
    model = mlflow.MlflowClient(store.settings.uri).get_logged_model(output.model_id)
    needed = (Path(model.artifact_location.removeprefix("file://")) / "requirements.txt").read_text().split()
    names = {line.partition("==")[0] for line in needed}
    assert {"dspy", "bm25s", "sentence-transformers", "torch"} <= {name.partition("[")[0] for name in names}
    assert all("==" in line and "+" not in line for line in needed)


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.text("ab", min_size=1), inner, min_size=1)))
def test_flat_keeps_every_leaf(values: Any) -> None:
    def leaves(value: Any) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) else 1

    made = flatten_parameters({"top": values})
    assert len(made) == leaves(values)
    assert all(isinstance(value, str) for value in made.values())


def test_a_store_that_cannot_be_used_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("not a database, and longer than the head of one " * 9)
    with closing(sqlite3.connect("recipes.db")) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and never answers
        port = silent.getsockname()[1]
        monkeypatch.setattr("zero2ir.tracking.runs.SERVER_SECONDS", 0.5)
        for uri, message in {
            f"http://127.0.0.1:{port}": f"http://127.0.0.1:{port}: the tracking server does not answer (ReadTimeout)",
            "http://me:secret@127.0.0.1:9": "http://127.0.0.1:9: the tracking server does not answer (ConnectionError)",
            "sqlite:///recipes.db": "recipes.db: an SQLite file of another program; give another file",
            "sqlite:///notes.txt": "notes.txt: cannot be used (file is not a database); give another file",
            "sqlite:///notes.txt/mlflow.db": "notes.txt/mlflow.db: ",
            "sqlite:////proc/mlflow.db": "/proc/mlflow.db: /proc cannot be written",
        }.items():
            start = time.monotonic()
            with pytest.raises(InputError) as refused:
                check_store(uri)
            assert str(refused.value).startswith(message)
            assert time.monotonic() - start < 5
    for uri in ("sqlite:///new.db", "sqlite:///:memory:", "databricks", "./mlruns"):
        check_store(uri)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "recipes.db"]
