"""The reference of the configuration, from the typed schemas and the files below conf/.

Type and default of a key are those of its schema; without a default there, that of ``conf/<group>/default.yaml``. Its
meaning is that of the docstring ("Attributes:" of a schema, "Args:" of a class that ``_target_`` names), or else the
comment behind it in a file of conf/.
"""

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from zero2ir.data.settings import JudgmentBudget

CONF = Path(__file__).parents[2] / "conf"
REQUIRED = object()


def group_markdown(group: str) -> str:
    """One group of the configuration: its files below conf/, and every key that it has."""
    files = sorted((CONF / group).rglob("*.yaml"))
    schema = schemas().get(group)
    parts = [files_table(group, files)] if files else []
    if schema is not None:
        parts.append(keys_table(list(schema_rows(schema, "", defaults(files), comments(files)))))
    else:
        parts += [f"### `{name}`\n\n{text}" for name, text in class_sections(files)]
    return "\n".join(parts)


def panel_markdown() -> str:
    """params.yaml."""
    from zero2ir import config

    path = CONF.parent / "params.yaml"
    return keys_table(list(schema_rows(config.Panel, "", yaml.safe_load(path.read_text()), comments([path]))))


def stages_markdown() -> str:
    """What the stages take beside the groups and params.yaml."""
    from zero2ir import config

    known = {*groups(), *config.Panel.model_fields}
    rows = [
        (f"{stage}: {key}", *about)
        for stage, schema in config.STAGES.items()
        for key, *about in schema_rows(schema, "", {}, {})
        if key.split(".")[0] not in known and schema_in(schema.model_fields[key.split(".")[0]].annotation) is None
    ]
    return keys_table(cast(list[tuple[str, str, str, str]], rows))


def groups() -> list[str]:
    """The names of all groups: those with a schema, and those whose files name classes."""
    return sorted({*schemas(), *(path.name for path in CONF.iterdir() if path.is_dir())})


def schemas() -> dict[str, type[BaseModel]]:
    """The schema of each group that has one, by the name that the schemas of stages and commands give it."""
    from zero2ir import config
    from zero2ir.experiments.preset import ExperimentConfig

    wholes = [*config.STAGES.values(), config.LabelConfig, config.ServeConfig]
    named = {name: schema_in(field.annotation) for whole in wholes for name, field in whole.model_fields.items()}
    found = {name: schema for name, schema in named.items() if schema not in (None, config.Panel, JudgmentBudget)}
    return cast(dict[str, type[BaseModel]], {**found, "experiment": ExperimentConfig})


def schema_in(annotation: Any) -> type[BaseModel] | None:
    """The schema that an annotation names, also inside a union or an annotated type."""
    for kind in (annotation, *get_args(annotation)):
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            return kind
    return None


def schema_rows(
    schema: type[BaseModel], prefix: str, given: Mapping[str, Any], said: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    """(key, type, default, meaning) of each key, those of nested schemas with a dot."""
    meanings = documented(schema)
    for name, field in schema.model_fields.items():
        key = f"{prefix}{name}"
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            default = given.get(name, REQUIRED)
        inner = schema_in(field.annotation)
        meaning = meanings.get(name) or said.get(key, "")
        if inner is None:
            yield key, type_text(field.annotation), default_text(default), meaning
            continue
        yield key, "settings" + (", or null" if type(None) in get_args(field.annotation) else ""), "", meaning
        below = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
        yield from schema_rows(inner, f"{key}.", below if isinstance(below, Mapping) else {}, said)


def class_sections(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Each class that a group's files name, with its constructor's arguments."""
    import importlib

    targets = sorted({found for path in files for found in re.findall(r"_target_: (\S+)", path.read_text("utf-8"))})
    said = comments(files)
    for target in targets:
        module, _, name = target.rpartition(".")
        if (kind := getattr(importlib.import_module(module), name, None)) is None:
            raise LookupError(f"{target}: a file of {files[0].parent.name} names it; there is no such class")
        rows = list(class_rows(kind, said))
        head = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        yield target.removeprefix("zero2ir."), f"{head}\n\n{keys_table(rows) if rows else 'It takes no settings.'}\n"


def class_rows(kind: Any, said: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """(key, type, default, meaning) of each argument of the constructor, those of nested schemas with a dot."""
    meanings = documented(kind) | documented(kind.__init__)
    signature = inspect.signature(kind, eval_str=True)
    for name, parameter in signature.parameters.items():
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        meaning = meanings.get(name) or said.get(name, "")
        inner = schema_in(parameter.annotation)
        if inner is None:
            yield name, type_text(parameter.annotation), default_text(default), meaning
            continue
        yield name, "settings", "", meaning
        below = default.model_dump(mode="json") if isinstance(default, BaseModel) else {}
        yield from schema_rows(inner, f"{name}.", below, said)


def documented(thing: Any) -> dict[str, str]:
    """What the sections "Attributes:" and "Args:" of a docstring, and of those of its bases, say of each name."""
    found: dict[str, str] = {}
    for one in reversed(inspect.getmro(thing)) if inspect.isclass(thing) else [thing]:
        text = inspect.cleandoc(one.__doc__ or "")
        for section in re.findall(r"^(?:Attributes|Args):\n((?: {4}.*\n?|\n)+)", text, re.MULTILINE):
            for name, meaning in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
                found[name] = " ".join(meaning.split())
    return found


def defaults(files: list[Path]) -> dict[str, Any]:
    """The values of a group's default.yaml; none where there is no such file."""
    path = next((one for one in files if one.stem == "default"), None)
    return {} if path is None else yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def comments(files: list[Path]) -> dict[str, str]:
    """The comment behind each key of some YAML files, by the key with its parents; the first one that is found."""
    found: dict[str, str] = {}
    for path in files:
        parents: list[tuple[int, str]] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if entry := re.match(r"( *)([\w.]+):(?: .*?)?(?:\s# (.*))?$", line):
                indent = len(entry[1])
                parents = [*(one for one in parents if one[0] < indent), (indent, entry[2])]
                if entry[3]:
                    found.setdefault(".".join(name for _, name in parents), entry[3].strip())
    return found


def files_table(group: str, files: list[Path]) -> str:
    """The files of a group, with the comment that each begins with."""
    rows = [
        f"| `{path.relative_to(CONF / group).with_suffix('').as_posix()}` | {cell(first_comment(path))} |"
        for path in files
    ]
    return "\n".join([f"| `{group}=` | what it is |", "|---|---|", *rows, ""])


def first_comment(path: Path) -> str:
    """The comment lines that a file begins with, as one."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# "))
    return " ".join(lines)


def keys_table(rows: list[tuple[str, str, str, str]]) -> str:
    """Keys, types, defaults and meanings."""
    head = [":::{container} settings", "| key | type | default | meaning |", "|---|---|---|---|"]
    lines = [f"| `{key}` | {cell(kind)} | {cell(default)} | {cell(meaning)} |" for key, kind, default, meaning in rows]
    return "\n".join([*head, *lines, ":::", ""])


def default_text(value: Any) -> str:
    """A default as it is written in YAML."""
    if value is REQUIRED:
        return "required"
    if value is None:
        return "`null`"
    if isinstance(value, Path):
        return f"`{value}`"
    if isinstance(value, list | tuple | set | frozenset):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, str | int | float | bool):
        return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"
    return "" if isinstance(value, Mapping) and value else "none"


def type_text(annotation: Any) -> str:
    """A type in plain words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(inner[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else type_text(one) for one in inner)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return "any"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "mapping"
    if origin is not None:
        return f"list of {type_text(inner[0])}" if inner else "list"
    plain = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return plain.get(annotation, getattr(annotation, "__name__", str(annotation)))


def cell(text: str) -> str:
    """Text that stays inside its cell."""
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
