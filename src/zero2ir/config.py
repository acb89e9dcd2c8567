"""Configuration: Hydra composes it, typed schemas check it, and every mistake is one line.

A stage is a function of its checked configuration; ``stage`` makes a command of it. A choice that is an object of ours
(a model, a strategy) names its class with ``_target_``; its keys are checked against that class's constructor.
"""

import copy
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from zero2ir.data.settings import DatasetSettings, JudgmentBudget
from zero2ir.encoders.making import MakingSettings, made_as
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError
from zero2ir.evaluation.results import EvaluationSettings
from zero2ir.labelling.settings import LabellingSettings
from zero2ir.lm.settings import LMSettings
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.fallback import FallbackSettings
from zero2ir.strategies.base import wants_synthetic
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.answer_pairs import PairSettings
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.tracking.runs import TrackingSettings

TRACEBACK = "ZERO2IR_TRACEBACK"
PANEL = Path("params.yaml")
Schema = TypeVar("Schema", bound=BaseModel)
Choice = dict[str, Any]  # names a class with _target_, and its keyword arguments


class Settings(BaseModel):
    """A part of the configuration; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSettings(Settings):
    """What a task's judgments are, and what it measures.

    Attributes:
        name: what reports call it.
        measures: ir-measures names, and AnswerRecall@k, EM, F1; the first is the report's main measure.
        ceiling: whether each result is also stated as a share of what BM25 reaches with the queries' translations.
        pairs: where judgments are question-answer pairs, how their passages are found; None where documents are judged.
    """

    name: str
    measures: tuple[str, ...]
    ceiling: bool = False
    pairs: PairSettings | None = None

    @property
    def answers(self) -> bool:
        """Whether a system is to give an answer beside documents."""
        return self.pairs is not None


class PretrainingSettings(MakingSettings):
    """The schema of ``conf/pretraining/*.yaml``: what is made from the documents alone."""

    synthetic: SyntheticSettings


class Panel(Settings):
    """params.yaml."""

    dataset: str
    task: str
    lm: str
    encoder: str
    pretraining: str
    budget: JudgmentBudget
    other_collections: tuple[str, ...] = ()
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    strategies: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


class IngestConfig(Settings):
    """conf/ingest.yaml."""

    dataset: DatasetSettings
    task: TaskSettings
    budget: JudgmentBudget
    seeds: tuple[int, ...]
    other_collections: tuple[Path, ...]


class PretrainConfig(Settings):
    """conf/pretrain_synthetic.yaml."""

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    tracking: TrackingSettings
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    strategies: tuple[str, ...]


class TrainConfig(Settings):
    """conf/train.yaml."""

    lm: LMSettings
    model: Choice
    strategy: Choice
    tuning: TuningSettings
    task: TaskSettings
    tracking: TrackingSettings
    panel: Panel
    seed: int


class SystemName(Settings):
    """Which trained system."""

    model: str
    strategy: str
    seed: int


class EvaluateConfig(Settings):
    """conf/evaluate.yaml."""

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    system: SystemName


class ReportConfig(Settings):
    """conf/report.yaml."""

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    baseline: str
    other_results: tuple[Path, ...] = ()
    panel: Panel
    seed: int


class AnsweringSettings(Settings):
    """How a program answers people.

    Attributes:
        risk: the share of wrong first documents that plain answers may have; None where every answer is given.
        most_risk: the same of all answers, those with a warning among them; None for twice ``risk``.
        fallback: when a simpler program answers.
    """

    risk: float | None = Field(None, ge=0, le=1)
    most_risk: float | None = Field(None, ge=0, le=1)
    fallback: FallbackSettings = FallbackSettings()


class LibraryConfig(Settings):
    """conf/library.yaml."""

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    model: Choice
    strategy: Choice
    tuning: TuningSettings
    evaluation: EvaluationSettings
    task: TaskSettings
    answering: AnsweringSettings


class LabelConfig(LibraryConfig):
    """conf/label.yaml."""

    labelling: LabellingSettings
    selection: Choice
    committee: Annotated[dict[str, Choice], Field(min_length=1)]


class ServeConfig(Settings):
    """conf/serve.yaml."""

    serving: ServingSettings


STAGES: dict[str, type[Settings]] = {
    "ingest": IngestConfig,
    "pretrain_synthetic": PretrainConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "report": ReportConfig,
}


def conf_folder() -> Path:
    """The configuration files of the project that the current folder is; elsewhere those that the package brings."""
    project = Path("conf").resolve()
    return project if (project / "library.yaml").is_file() else Path(str(files("zero2ir"))) / "conf"


def compose(name: str, schema: type[Schema], overrides: list[str]) -> Schema:
    """Composes ``conf/<name>.yaml`` with overrides and checks it.

    Raises:
        InputError: an unknown choice or key, or a bad value; one line that lists the valid ones.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    _register_panel()
    backup = copy.copy(GlobalHydra.instance().hydra)  # a stage composes more while Hydra runs it
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return checked(hydra_compose(name, overrides), schema)
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:  # model=0 is a ValueError to Hydra
        raise InputError(_explained(error, name, overrides)) from error
    finally:
        GlobalHydra.instance().hydra = backup


def checked(config: Any, schema: type[Schema]) -> Schema:
    """Turns a composed configuration into its typed schema.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise InputError(_first_mistake(error, schema)) from None


def build(choice: Mapping[str, Any], where: str) -> Any:
    """Makes the object that a choice describes, the choices nested in it first.

    Args:
        choice: ``_target_`` and keyword arguments.
        where: the key that messages start with, e.g. "model".

    Raises:
        InputError: the class is not there, or does not take such a key or value; one line that lists the valid keys.
    """
    made = {key: _build_nested(value, f"{where}.{key}") for key, value in choice.items() if key != "_target_"}
    target = _class(choice.get("_target_"), where)
    parameters = {name: p for name, p in inspect.signature(target).parameters.items() if name != "self"}
    fields: Any = {
        name: (_typed(p.annotation), ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in parameters.items()
    }
    schema = create_model(
        target.__name__, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields
    )
    try:
        schema.model_validate(made)
    except ValidationError as error:
        raise InputError(f"{where}.{_first_mistake(error, schema)}") from None
    return target(**made)


def _typed(annotation: Any) -> Any:
    """The schema alone where a mapping would do as well: its keys are checked, too."""
    schema = _schema_in(annotation)
    return annotation if schema is annotation else schema | None


def _build_nested(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, where)
        return {key: _build_nested(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_build_nested(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def _class(target: Any, where: str) -> Any:
    from hydra.utils import get_class

    try:
        return get_class(str(target))
    except Exception as error:  # Hydra raises bare Exception for several reasons
        raise InputError(f"{where}._target_: {target!r} is no class that can be imported") from error


def check_experiment() -> Panel:
    """Composes and checks everything that ``params.yaml`` names, before any work is done.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    panel = read_panel()
    check_choices(panel)
    return panel


def check_choices(panel: Panel) -> None:
    """Composes and checks everything that a panel names.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    compose("ingest", IngestConfig, [f"dataset={panel.dataset}", f"task={panel.task}"])
    shared = [f"lm={panel.lm}", f"encoder={panel.encoder}", f"pretraining={panel.pretraining}"]
    compose("pretrain_synthetic", PretrainConfig, shared)
    for model in panel.models:
        config = compose("train", TrainConfig, [f"model={model}"])
        build(config.model, "model")
    for strategy in panel.strategies:
        config = compose("train", TrainConfig, [f"strategy={strategy}"])
        build(config.strategy, "strategy")
    compose("report", ReportConfig, [f"task={panel.task}"])
    compose("evaluate", EvaluateConfig, [f"task={panel.task}"])


def needs_synthetic(strategies: Sequence[str], lm: LMSettings) -> bool:
    """Whether synthetic queries are to be written for any of these strategies."""
    configs = (compose("train", TrainConfig, [f"strategy={name}"]) for name in strategies)
    return any(wants_synthetic(build(config.strategy, "strategy"), lm.available) for config in configs)


def needed_encoders(models: Sequence[str], encoder: EncoderSettings) -> list[str]:
    """The roles of the encoders that any of these models asks for."""
    configs = (compose("train", TrainConfig, [f"model={name}"]) for name in models)
    roles = {role for config in configs for role in build(config.model, "model").encoder_roles()}
    return sorted({made_as(role, encoder) for role in roles})


def chosen(group: str) -> str:
    """Which file of a configuration group the running stage was given, e.g. "dense" for the group "model"."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().runtime.choices[group])


def read_panel() -> Panel:
    """Reads ``params.yaml``.

    Raises:
        InputError: it is not there, or a key is unknown or bad.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError

    if not PANEL.is_file():
        raise InputError(f"{PANEL}: not here; run in the project's folder")
    try:
        return checked(OmegaConf.load(PANEL), Panel)
    except (InputError, YAMLError) as error:
        raise InputError(f"{PANEL}: {_one_line(error)}") from None


def stage(work: Callable[[Any], None], name: str) -> None:
    """Runs a stage from the command line: Hydra's overrides and multirun, our errors.

    Errors are one line on standard error and exit status 1; ZERO2IR_TRACEBACK=1 shows where they came from.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # otherwise Hydra prints and exits before we can put it in one line
    _register_panel()

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=name)
    def run(config: DictConfig) -> None:
        one_line_errors(lambda: work(checked(config, STAGES[name])))  # inside: Hydra adds lines to errors it sees

    def checked_run() -> None:
        check_experiment()
        try:
            run()
        except (HydraException, ValueError) as error:
            raise InputError(_explained(error, name, sys.argv[1:])) from error

    one_line_errors(checked_run)


def one_line_errors(run: Callable[[], Any]) -> None:
    """Calls ``run``; what it raises ends the process with one line, or with its traceback where that is asked for."""
    try:
        run()
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        known = isinstance(error, InputError) or type(error).__module__.startswith(("hydra", "omegaconf"))
        hint = "" if known else f" ({type(error).__name__}; {TRACEBACK}=1 shows where)"
        print(f"error: {_one_line(error)}{hint}", file=sys.stderr)
        sys.exit(1)


def _register_panel() -> None:
    """Lets a configuration say ``${panel:seeds}`` for a key of params.yaml; lists cannot be passed by dvc.yaml."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("panel", _panel_value, replace=True)


def _panel_value(key: str | None = None) -> Any:
    values = read_panel().model_dump(mode="json")
    return values[key] if key else values


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("full_key")) or type(error).__name__


def _explained(error: BaseException, name: str, overrides: Sequence[str]) -> str:
    """Hydra's message in one line, with the valid choices or keys where one was unknown."""
    message = _one_line(error).split(" Config search path")[0]
    if unknown := re.search(r"Could not find '([^'/]+)/([^']+)'", message):
        group, choice = unknown.groups()
        below = conf_folder() / group
        valid = sorted(path.relative_to(below).with_suffix("").as_posix() for path in below.rglob("*.yaml"))
        return f"{group}={choice}: unknown choice; valid choices are {', '.join(valid)}"
    if unknown := re.search(r"Could not override '([^']+)'", message):
        return f"{unknown[1]}: unknown key; valid keys are {', '.join(_siblings(unknown[1], name, overrides))}"
    return message


def _siblings(key: str, name: str, overrides: Sequence[str]) -> list[str]:
    """The valid keys beside an unknown one, in the configuration as the choices among the overrides make it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    choices = [
        word for word in overrides if "=" in word and "." not in word.split("=")[0] and word.split("=")[0] != key
    ]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = hydra_compose(name, choices)
    parent = key.rpartition(".")[0]
    return sorted(map(str, OmegaConf.select(config, parent) if parent else config))


def _first_mistake(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first thing that pydantic found, as ``key: what; valid ...``."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent = _schema_at(schema, first["loc"][:-1])
        valid = ", ".join(sorted(parent.model_fields))
        return f"{where}: unknown key; {f'valid keys are {valid}' if valid else f'{parent.__name__} takes none'}"
    message = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] in ("missing", "value_error") else f", not {first['input']!r}"
    return f"{where}: {message}{given}" if where else message


def _schema_at(schema: Any, path: tuple[Any, ...]) -> Any:
    """The schema that stands at ``path`` inside ``schema``."""
    for part in path:
        field = schema.model_fields.get(part) if inspect.isclass(schema) and issubclass(schema, BaseModel) else None
        if field is not None:
            schema = _schema_in(field.annotation)
    return schema


def _schema_in(annotation: Any) -> Any:
    """The schema that a field's annotation names, also inside a union."""
    from typing import get_args

    for kind in (annotation, *get_args(annotation)):
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            return kind
    return annotation
