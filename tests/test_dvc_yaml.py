"""dvc.yaml names everything that a stage's result depends on: DVC reruns nothing for a file that it does not know.

What a stage uses of the package is found in the sources, from name to definition to the names in it. Not followed are
the annotations of functions, and what ``zero2ir.config`` looks at before every stage: its checks of the experiment
decide whether a stage runs and not what it makes. ``needed_encoders`` and ``needs_synthetic`` do decide what
pretrain-synthetic makes, by the files in conf/model and a constant of each strategy. DVC watches neither, only which
models and strategies params.yaml names; where a file asks for one more encoder, the stage train says what to run.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

PROJECT = Path(__file__).parent.parent
SOURCE = PROJECT / "src"


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


STAGES: dict[str, Any] = read_yaml(PROJECT / "dvc.yaml")["stages"]
PANEL: dict[str, Any] = read_yaml(PROJECT / "params.yaml")
PRIMARY = {name: PROJECT / "conf" / f"{name.replace('-', '_')}.yaml" for name in STAGES}
SCRIPT = {name: PROJECT / "stages" / f"{name.replace('-', '_')}.py" for name in STAGES}
CHECKS = {"stage", "build", "chosen", "needed_encoders", "needs_synthetic"}


# What the sources say.


class Name(NamedTuple):
    """Something that a module of ours defines or imports."""

    module: str
    name: str


class Words(ast.NodeVisitor):
    """The names that code uses, and "a.b" for an attribute of a name; nothing of a function's annotations."""

    def __init__(self, node: ast.AST) -> None:
        self.found: set[str] = set()
        self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.found.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found.add(ast.unparse(node))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(part)


class Module:
    """A source file: what it defines, and what it imports from where."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, ...]] = {}  # (module,) or (module, name)
        for node in self.tree.body:
            for name in defined(node):
                self.definitions.setdefault(name, []).append(node)
        for part in ast.walk(self.tree):
            if isinstance(part, ast.ImportFrom):
                for alias in part.names:
                    is_module = file_of(f"{part.module}.{alias.name}") is not None
                    place = (f"{part.module}.{alias.name}",) if is_module else (str(part.module), alias.name)
                    self.imports[alias.asname or alias.name] = place

    def leads_to(self, word: str) -> Iterator[Name]:
        """What a word that this file imports stands for."""
        head, _, attribute = word.partition(".")
        module, *name = self.imports.get(head, ("",))
        if name or attribute:
            yield Name(module, name[0] if name else attribute)


def defined(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


@cache
def file_of(module: str) -> Path | None:
    """The file of one of our modules."""
    folder = SOURCE / Path(*module.split("."))
    return next((path for path in (folder / "__init__.py", folder.with_suffix(".py")) if path.is_file()), None)


@cache
def parsed(path: Path) -> Module:
    return Module(path)


def used_files(script: Path, targets: set[str]) -> set[str]:
    """The files of the package that a stage's result depends on, relative to the project.

    Args:
        script: the stage's.
        targets: classes that its configuration names, "zero2ir.models.Sparse".
    """
    stage = parsed(script)
    todo = [name for word in Words(stage.tree).found for name in stage.leads_to(word)]
    todo += [Name(*target.rsplit(".", 1)) for target in targets]
    seen: set[Name] = set()
    used: set[Path] = set()
    while todo:
        name = todo.pop()
        path = file_of(name.module)
        if path is None or name in seen:
            continue
        seen.add(name)
        module = parsed(path)
        if name.name in module.definitions:  # what only passes it on is not used
            used.add(path)
        if name.module == "zero2ir.config" and name.name in CHECKS:
            continue
        words = {word for node in module.definitions.get(name.name, ()) for word in Words(node).found}
        todo += [Name(name.module, word) for word in words if word in module.definitions]
        todo += [found for word in words | {name.name} for found in module.leads_to(word)]
    return {str(path.relative_to(PROJECT)) for path in used}


# What dvc.yaml says.


def listed(stage: str) -> list[str]:
    return [path for path in STAGES[stage]["deps"] if path.startswith(("src/", "stages/"))]


def parameters(stage: str) -> set[str]:
    """Every conf file and key of params.yaml that DVC tracks for a stage, in all cells of its matrix."""
    rows = [next(iter(row)) if isinstance(row, dict) else row for row in STAGES[stage]["params"]]
    return {filled for row in rows for filled in fill(row, STAGES[stage].get("matrix", {}))}


def fill(row: str, matrix: dict[str, str]) -> list[str]:
    """The row with each value of its first template in place, and so on for the next."""
    found = re.search(r"\$\{([\w.]+)\}", row)
    if found is None:
        return [row]
    key = matrix.get(found[1].removeprefix("item."), found[1]).strip("${}")
    values = PANEL[key] if isinstance(PANEL[key], list) else [PANEL[key]]
    return [filled for value in values for filled in fill(row.replace(found[0], str(value)), matrix)]


def composed(stage: str) -> set[str]:
    """Every conf file that Hydra reads for the choices in params.yaml, relative to the project."""
    found = {PRIMARY[stage]}
    for entry in read_yaml(PRIMARY[stage])["defaults"]:
        group, choice = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        if choice == "_self_" or group.startswith("override "):
            continue
        plural = {"model": "models", "strategy": "strategies"}.get(group, group)
        choices = PANEL.get(plural, choice)
        for one in [choices] if isinstance(choices, str) else choices:
            found |= with_its_parts(PROJECT / "conf" / group / f"{one}.yaml")
    return {str(path.relative_to(PROJECT)) for path in found}


def with_its_parts(path: Path) -> set[Path]:
    """A file of a group, and those of the same group that it is composed of."""
    parts = [entry for entry in read_yaml(path).get("defaults", ()) if entry != "_self_"]
    return {path}.union(*(with_its_parts(path.with_name(f"{part.split('@')[0]}.yaml")) for part in parts))


def targets_in(value: Any) -> set[str]:
    """Every class that a configuration names."""
    if isinstance(value, dict):
        own = {value["_target_"]} if "_target_" in value else set()
        return own.union(*map(targets_in, value.values()))
    return set().union(*map(targets_in, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_all_that_it_uses(stage: str) -> None:
    choosable = {path for group in ("model", "strategy") for path in (PROJECT / "conf" / group).glob("*.yaml")}
    groups = {Path(path).parent.name for path in composed(stage)}
    files = [PROJECT / path for path in composed(stage)] + [path for path in choosable if path.parent.name in groups]
    targets = set().union(*(targets_in(read_yaml(path)) for path in files))
    used = used_files(SCRIPT[stage], targets) | {str(SCRIPT[stage].relative_to(PROJECT))}
    missing = sorted(
        file for file in used if not any(file == path or file.startswith(f"{path}/") for path in listed(stage))
    )
    assert not missing, f"dvc.yaml: {stage} uses, but does not list under deps: {', '.join(missing)}"
    idle = sorted(
        path for path in listed(stage) if not any(file == path or file.startswith(f"{path}/") for file in used)
    )
    assert not idle, f"dvc.yaml: {stage} lists, but does not use: {', '.join(idle)}"
    assert all((PROJECT / path).exists() for path in listed(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tracks_every_file_that_it_composes(stage: str) -> None:
    tracked = parameters(stage)
    missing = sorted(path for path in composed(stage) if path not in tracked)
    assert not missing, f"dvc.yaml: {stage} composes, but does not list under params: {', '.join(missing)}"
    assert all((PROJECT / path).is_file() for path in tracked if path.startswith("conf/"))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tracks_every_key_of_params_that_it_reads(stage: str) -> None:
    read = set(re.findall(r"\$\{panel:(\w+)\}", PRIMARY[stage].read_text(encoding="utf-8")))
    assert read <= parameters(stage)


def test_the_report_tracks_all_of_params() -> None:
    assert set(PANEL) <= parameters("report")  # it prints them


def test_every_strategy_s_parts_are_tracked() -> None:
    """Whatever params.yaml names at present."""
    for path in (PROJECT / "conf" / "strategy").glob("*.yaml"):
        parts = {str(part.relative_to(PROJECT)) for part in with_its_parts(path) - {path}}
        assert parts <= parameters("train"), path.name


def test_what_dvc_does_not_watch_says_how_it_is_read_anew() -> None:
    paths = [path for path in (PROJECT / "conf" / "dataset").rglob("*.yaml") if "path" in read_yaml(path)]
    assert len(paths) > 3
    for path in (*paths, PROJECT / "params.yaml", PROJECT / "conf" / "ingest.yaml"):
        told = re.search(r"^(?:path|other_collections): .*\n +# \((.*)\)$", path.read_text("utf-8"), re.MULTILINE)
        assert told, path.name
        assert told[1].startswith("DVC does not watch ")
        assert told[1].endswith(": dvc repro -f -s ingest, then dvc repro")


def test_the_search_for_used_files_finds_what_is_plain_to_see() -> None:
    used = used_files(SCRIPT["train"], {"zero2ir.models.Dense"})
    assert {f"src/zero2ir/{name}.py" for name in ("program", "models/dense", "training", "files", "errors")} <= used
    assert not {f"src/zero2ir/{name}.py" for name in ("library", "cli", "report/page")} & used
