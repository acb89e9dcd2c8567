"""Workspaces: they have the committed code, keep results, and run one command at a time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from zero2ir.errors import InputError
from zero2ir.experiments.preset import ExperimentConfig, condition, read_preset
from zero2ir.experiments.runner import require_folder, run_preset, side_by_side
from zero2ir.experiments.workspaces import Workspace, command_variables, committed_revision, project_origin

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with one file of code and one of configuration, as the current folder."""
    panel = condition({}, {}).panel
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "conf" / "strategy").mkdir(parents=True)
    (folder / "src" / "code.py").write_text("VALUE = 1\n")
    (folder / "conf" / "strategy" / "prompt.yaml").write_text("candidates: [16, 4]\nshares: [0.5, 1]\n")
    (folder / ".gitignore").write_text("/.cache/\n")
    OmegaConf.save(panel.model_dump(mode="json"), folder / "params.yaml")
    monkeypatch.chdir(folder)
    subprocess.run(["git", "init", "--quiet"], check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    commit()
    return folder


def commit() -> None:
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--message", "a change"], check=True)


def preset(**changes: object) -> ExperimentConfig:
    return read_preset("smoke").model_copy(update=changes)


@pytest.fixture
def made(project: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    copy = copy_with(conf={"strategy/prompt.yaml": {"candidates": [2]}})
    copy.update(project_origin())
    return copy


def copy_with(**changes: object) -> Workspace:
    """The copy of what is committed now, of a preset with these changes."""
    one = condition({"budget.queries": 3}, {"models": ["sparse"]})
    return Workspace("smoke", one, preset(**changes), committed_revision())


@pytest.fixture(autouse=True)
def real_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own conf is too small to compose anything."""
    conf = Path(__file__).parents[2] / "conf"
    monkeypatch.setattr("zero2ir.config.conf_folder", lambda: conf)


def test_a_workspace_has_the_code_its_panel_and_its_configuration(made: Workspace) -> None:
    panel = yaml.safe_load((made.folder / "params.yaml").read_text())
    assert (panel["budget"]["queries"], panel["models"]) == (3, ["sparse"])
    changed = yaml.safe_load((made.folder / "conf" / "strategy" / "prompt.yaml").read_text())
    assert changed == {"candidates": [2], "shares": [0.5, 1]}
    assert (made.folder / "src" / "code.py").read_text() == "VALUE = 1\n"
    assert made.folder == Path(".cache/experiments/smoke/queries3")


def test_an_update_brings_new_code_and_keeps_results(made: Workspace) -> None:
    (made.folder / "results").mkdir()
    (made.folder / "dvc.lock").write_text("made: here\n")
    Path("src/code.py").write_text("VALUE = 2\n")
    commit()
    copy_with().update(project_origin())
    assert (made.folder / "src" / "code.py").read_text() == "VALUE = 2\n"
    assert (made.folder / "results").is_dir()
    assert (made.folder / "dvc.lock").is_file()
    assert "candidates: [16, 4]" in (made.folder / "conf" / "strategy" / "prompt.yaml").read_text()


def test_caches_are_shared(made: Workspace, project: Path) -> None:
    for part in ("lm", "embeddings"):
        (project / ".cache" / part / "answer").write_text("42")
        assert (made.folder / ".cache" / part / "answer").read_text() == "42"
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=made.folder, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(project / ".dvc" / "cache")


def test_uncommitted_changes_are_refused(project: Path) -> None:
    (project / "params.yaml").write_text("the: panel\n")  # is replaced by each condition's
    committed_revision()
    (project / "src" / "code.py").write_text("VALUE = 3\n")
    with pytest.raises(InputError, match=r"src/code\.py: uncommitted changes"):
        committed_revision()


def test_a_folder_outside_git_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not a git repository"):
        committed_revision()


def test_a_missing_configuration_file_is_one_line(made: Workspace) -> None:
    with pytest.raises(InputError, match=r"conf: model/x\.yaml is not a file in conf"):
        copy_with(conf={"model/x.yaml": {"a": 1}}).update(project_origin())


def test_a_command_runs_with_the_copy_s_code_and_its_own_environment(made: Workspace) -> None:
    script = "import os, code as own; import sys; sys.path.insert(0, 'src'); print(os.environ['WHERE'], os.getcwd())"
    made.run([sys.executable, "-c", script], {"WHERE": "here"})
    assert made.log.read_text().split() == ["here", str(made.folder.resolve())]


def test_a_failed_command_names_its_log(made: Workspace) -> None:
    with pytest.raises(InputError, match=r"smoke-queries3: .* failed; see .cache/experiments/smoke/queries3\.log"):
        made.run([sys.executable, "-c", "raise SystemExit('out of luck')"], {})
    assert "out of luck" in made.log.read_text()


def test_a_command_waits_for_one_that_outlived_its_parent(made: Workspace) -> None:
    """As after kill -9 of the runner: what it had started goes on, and the next runner does not get in its way."""
    orphan = f"""
import subprocess, sys
from pathlib import Path
from zero2ir.experiments.workspaces import Workspace
from zero2ir.experiments.preset import condition, read_preset
copy = Workspace("smoke", condition({{"budget.queries": 3}}, {{}}), read_preset("smoke"), "0" * 40)
with copy._claimed() as claim:
    sleeper = [{sys.executable!r}, "-c", "import time; time.sleep(1.5); open('orphan', 'w').close()"]
    subprocess.Popen(sleeper, cwd=copy.folder, pass_fds=[claim.fileno()])
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
    source = Path(__file__).parents[2] / "src"
    killed = subprocess.run([sys.executable, "-c", orphan], env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"})
    assert killed.returncode == -9
    start = time.perf_counter()
    made.run([sys.executable, "-c", "import os; print(os.path.exists('orphan'))"], {})
    assert made.log.read_text().strip() == "True"
    assert time.perf_counter() - start < 60


def test_printed_tables_belong_to_one_commit_panel_command_and_configuration(project: Path) -> None:
    prompt = {"strategy/prompt.yaml": {"candidates": [2]}}
    copies = [copy_with(), copy_with(benchmark="echo"), copy_with(benchmark="echo", conf=prompt)]
    panel = condition({"budget.queries": 3}, {"models": ["dense"]})
    copies += [Workspace("smoke", panel, preset(), committed_revision()), Workspace("smoke", panel, preset(), "b" * 40)]
    assert len({copy.printed for copy in copies}) == len(copies)
    assert copy_with().printed == copy_with(memory_gb=2.0).printed  # what decides about nothing that is printed


def test_the_report_is_of_the_commit_that_ran(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to the project meanwhile."""
    monkeypatch.setattr("zero2ir.experiments.runner.prepared_store", lambda *_: "unused")
    ran = committed_revision()
    script = project / "print.sh"
    script.write_text(f"echo '| a |'; echo 'VALUE = 2' > {project}/src/code.py\n")
    changes = ["target=null", f"benchmark='sh {script}'", "shared_caches=[]"]
    report = run_preset("smoke", changes)
    assert f"Commit {ran[:12]}; " in (report / "index.md").read_text()
    assert "| a |" in (report / "index.md").read_text()
    with pytest.raises(InputError, match="uncommitted changes"):
        run_preset("smoke", changes)


def test_a_preset_s_command_may_name_the_dataset() -> None:
    assert (
        "{dataset} {lm}".format(**command_variables(condition({"dataset": "cranfield"}, {"lm": "none"})))
        == "cranfield none"
    )


def test_at_least_one_condition_runs() -> None:
    assert side_by_side(1e6) == 1
    assert side_by_side(1e-6) >= 1


def test_a_missing_folder_of_a_collection_stops_before_any_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZERO2IR_SUITE", str(tmp_path))
    (tmp_path / "med").mkdir()
    require_folder("suite/med")
    require_folder("pydocs")
    with pytest.raises(InputError, match=r"^dataset=suite/cisi: no folder .*/cisi; correct its path, see conf/dataset"):
        require_folder("suite/cisi")
