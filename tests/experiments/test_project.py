"""A new folder has the pipeline, which there depends on the version of zero2ir rather than on its code."""

from importlib import metadata
from pathlib import Path

import pytest
import yaml

from zero2ir import cli
from zero2ir.config import check_choices, read_panel
from zero2ir.errors import InputError
from zero2ir.experiments.project import init_project

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cli.main(["init", str(tmp_path / "project")])
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def stages(folder: Path) -> dict[str, dict[str, list[str]]]:
    return yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_the_stages_depend_on_the_version_instead_of_the_code(project: Path) -> None:
    assert (project / "requirements.txt").read_text() == f"zero2ir[pipeline]=={metadata.version('zero2ir')}\n"
    for name, stage in stages(project).items():
        script, *others = stages(CHECKOUT)[name]["deps"]
        artifacts = [path for path in others if not path.startswith("src/")]
        assert stage == stages(CHECKOUT)[name] | {"deps": [script, "requirements.txt", *artifacts]}
        assert (project / script).is_file()


def test_what_params_yaml_names_is_there(project: Path) -> None:
    check_choices(read_panel())
    conf = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "conf").rglob("*.yaml")}
    assert {path.relative_to(project) for path in (project / "conf").rglob("*")} >= conf
    for name in ("config", ".gitignore"):
        assert (project / ".dvc" / name).read_text() == (CHECKOUT / ".dvc" / name).read_text()
    assert not any(path.is_symlink() for path in project.rglob("*"))


def test_a_folder_with_files_is_refused(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text("mine: true\n")
    with pytest.raises(InputError, match="not written by zero2ir; give another folder"):
        init_project(Path("..") / project.name / "conf")
    with pytest.raises(InputError, match="current folder; give another folder"):
        init_project(project)
    assert (project / "params.yaml").read_text() == "mine: true\n" != before
