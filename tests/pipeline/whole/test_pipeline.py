"""The whole pipeline by `dvc repro`: what it leaves behind, and what makes a stage run again."""

import json

import pytest
import yaml
from small_project import SYSTEMS, Project

NAMES = [f"{model}/{strategy}" for model, strategy in SYSTEMS]
LOAD = """
import sys, mlflow
program = mlflow.dspy.load_model(sys.argv[1])
print(*program(query=sys.argv[2], k=3).docids)
"""


def running(output: str) -> list[str]:
    """The stages that `dvc repro` said to run."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def runs(finished: Project):
    """The runs of the project's MLflow store."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.folder / 'mlflow.db'}")
    return client.search_runs([client.get_experiment_by_name("local").experiment_id])


def test_every_declared_output_is_there_and_nothing_is_half_written(finished):
    stages = yaml.safe_load((finished.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    outputs = [out["path"] for stage in stages.values() for out in stage["outs"]]
    assert len(stages) == 3 + 2 * len(SYSTEMS)
    assert [path for path in outputs if not (finished.folder / path).exists()] == []
    assert finished.unfinished() == []


def test_the_report_tells_of_every_system(finished):
    page = (finished.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"{name.replace('/', '-')}-seed0" not in page] == []
    assert "What do the documents alone give?" in page


def test_every_system_states_what_it_is_made_of_and_learned_from(finished):
    for model, strategy in SYSTEMS:
        path = finished.folder / "results" / f"{model}-{strategy}-seed0" / "system.json"
        system = json.loads(path.read_text(encoding="utf-8"))
        assert system["parts"] == (["sparse"] if model == "sparse" else ["sparse", "static"])
        assert system["sources"] == ([] if strategy == "zero_shot" else ["a language model"])


def test_dvc_shows_metrics_and_plots_of_every_system(finished):
    metrics = json.loads(finished.done("dvc", "metrics", "show", "--json"))[""]["data"]
    assert sorted(metrics) == sorted(f"results/{name.replace('/', '-')}-seed0/metrics.json" for name in NAMES)
    finished.done("dvc", "plots", "show", "--out", ".dvc/tmp/plots")
    plots = (finished.folder / ".dvc/tmp/plots/index.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if name not in plots] == []
    assert "static-seed0-pairs" in plots


def test_mlflow_holds_one_finished_run_a_system(finished, runs):
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    own = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    others = ("synthetic/seed0", "pretraining/static/seed0")
    trained = {run.info.run_name: run for run in own if run.info.run_name not in others}
    assert parent.info.status == "FINISHED"
    assert sorted(trained) == sorted(f"{name}/seed0" for name in NAMES)
    assert len(own) == len(trained) + len(others)
    for name, run in trained.items():
        folder = name.replace("/", "-")
        program = json.loads((finished.folder / "models" / folder / "program" / "program.json").read_text("utf-8"))
        assert run.info.status == "FINISHED"
        assert run.data.metrics["nDCG.10"] == finished.metrics()[folder]["nDCG@10"]["mean"]
        assert "{model}/{strategy}/seed{seed}".format(**run.data.params) == name
        assert run.data.params["dataset"] == "local"
        assert run.data.tags["program"] == program["digest"]
        assert run.data.tags["reason"]
        assert "{model}/{strategy}/seed{seed}".format(**run.data.tags) == name
        assert len(run.inputs.dataset_inputs) == 3


def test_what_was_expected_stands_beside_the_test_score(finished, runs):
    folders = {name: finished.folder / "results" / f"{name.replace('/', '-')}-seed0" for name in NAMES}
    notes = {name: json.loads((one / "system.json").read_text("utf-8"))["notes"] for name, one in folders.items()}
    assert all((one / "ir-metadata.yml").is_file() for one in folders.values())
    expected = {name for name, one in notes.items() if "expected" in one["reason"]}
    assert expected == {name for name in NAMES if not name.endswith("zero_shot")}
    trained = {run.info.run_name: run.data.metrics for run in runs}
    for name in expected:
        gains = {key: value for key, value in trained[f"{name}/seed0"].items() if key.startswith("tuning/")}
        low, high = ([value for key, value in gains.items() if key.endswith(end)] for end in ("/low", "/high"))
        assert low
        assert all(one <= other for one, other in zip(low, high, strict=True))


def test_every_program_is_registered_and_the_best_has_earned_it(finished):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.folder / 'mlflow.db'}")
    versions = client.search_model_versions("name = 'local'")
    assert {version.tags["system"] for version in versions} == {f"{name}/seed0" for name in NAMES}
    best = client.get_model_version_by_alias("local", "best")
    assert best.tags["best_reason"]


def test_mlflow_holds_a_run_for_every_prompt_that_was_tried(runs):
    for name in NAMES:
        (parent,) = (run for run in runs if run.info.run_name == f"{name}/seed0")
        tried = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        searches = name == "static_hybrid/hybrid"  # the encoder learns from synthetic queries, BM25 does not
        assert len(tried) == (3 if searches else 0)
        assert [run.data.params["origin"] for run in tried].count("fixed") == int(searches)
        assert [run.data.params["chosen"] for run in tried].count("True") == int(searches)


def test_a_logged_program_answers_in_a_new_process(finished, runs):
    run = next(run for run in runs if run.info.run_name == "static_hybrid/hybrid/seed0")
    loaded = finished.run(
        *("python", "-c", LOAD, f"models:/{run.outputs.model_outputs[0].model_id}", "split a string at every comma"),
        MLFLOW_TRACKING_URI="sqlite:///mlflow.db",
        PYTHONPATH="",  # the code comes with the program
    )
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    lines = (finished.folder / "my-collection" / "docs.jsonl").read_text(encoding="utf-8").splitlines()
    found = loaded.stdout.split()
    assert len(found) == 3
    assert set(found) <= {json.loads(line)["doc_id"] for line in lines}


def test_a_second_repro_runs_nothing(finished):
    output = finished.done("dvc", "repro")
    assert running(output) == []
    assert "up to date" in output


def test_editing_a_model_reruns_that_model_alone(copy):
    copy.edit("conf/model/static_hybrid.yaml", lambda model: model.update(depth=50))
    mine = [f"static_hybrid-{strategy}-0" for model, strategy in SYSTEMS if model == "static_hybrid"]
    expected = [f"{stage}@{system}" for stage in ("train", "evaluate") for system in mine]
    assert running(copy.done("dvc", "repro", "--dry", "--force-downstream")) == [*expected, "report"]


def test_editing_a_comment_reruns_nothing(copy):
    path = copy.folder / "conf" / "model" / "static_hybrid.yaml"
    path.write_text("# another remark\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert running(copy.done("dvc", "repro", "--dry")) == []
