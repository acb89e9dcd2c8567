"""Configuration: Hydra composes it, typed schemas complete and check it, and every mistake is one line.

Defaults stand in the schemas, and for a choice that is an object of ours (a model, a strategy, named by ``_target_``)
in that class's constructor. A file of conf holds what differs; an override may set every key that a schema has.
"""

import copy
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_jsonable_python

from zero2ir.data.settings import DatasetSettings, JudgmentBudget
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError, one_line, one_line_errors
from zero2ir.evaluation.results import EvaluationSettings
from zero2ir.io.settings import Settings
from zero2ir.labelling.settings import LabellingSettings
from zero2ir.lm.settings import LMSettings
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.fallback import AnsweringSettings
from zero2ir.program.preparation import PreparationSettings, PretrainingSettings, TaskSettings
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.tracking.runs import TrackingSettings

if TYPE_CHECKING:
    from omegaconf import DictConfig

PANEL = Path("params.yaml")
Schema = TypeVar("Schema", bound=BaseModel)
ObjectConfig = dict[str, Any]  # names a class with _target_, and its keyword arguments


class Panel(Settings):
    """params.yaml, the experimenter's panel; each choice names a file in conf.

    Attributes:
        dataset: a file of conf/dataset.
        task: a file of conf/task.
        lm: a file of conf/lm.
        encoder: a file of conf/encoder.
        pretraining: a file of conf/pretraining.
        budget: the judgments that training may see.
        auxiliary_collections: folders ``data`` of other projects; the strategy meta practises on their judged queries,
            too.
        models: files of conf/model.
        strategies: files of conf/strategy.
        seeds: one draw of judgments each.
    """

    dataset: str
    task: str
    lm: str
    encoder: str
    pretraining: str
    budget: JudgmentBudget
    auxiliary_collections: tuple[str, ...] = ()
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    strategies: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


class IngestConfig(Settings):
    """conf/ingest.yaml: read a collection, check it, draw the judgments.

    Attributes:
        dataset: which collection.
        task: what its judgments are.
        budget: the judgments that training may see; params.yaml has it.
        seeds: one draw of judgments each; params.yaml has them.
        auxiliary_collections: folders ``data`` of other projects; params.yaml has them.
    """

    dataset: DatasetSettings
    task: TaskSettings
    budget: JudgmentBudget
    seeds: tuple[int, ...]
    auxiliary_collections: tuple[Path, ...]


class PretrainConfig(Settings):
    """conf/pretrain_synthetic.yaml: synthetic queries, encoders, and all documents' embeddings.

    Attributes:
        lm: what writes queries.
        encoder: the general-purpose encoder.
        pretraining: what is made.
        tracking: where it is recorded.
        seeds: params.yaml has them.
        models: params.yaml has them; they tell which encoders are needed.
        strategies: params.yaml has them; they tell whether synthetic queries are needed.
    """

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    tracking: TrackingSettings
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    strategies: tuple[str, ...]


class TrainConfig(Settings):
    """conf/train.yaml: one model by one strategy with one draw of judgments.

    Attributes:
        lm: opened only for a model or a strategy that asks it.
        model: the model type, untrained.
        strategy: how it is trained.
        tuning: how to choose on few judgments.
        task: what the judgments are.
        tracking: where the training is recorded.
        panel: params.yaml as it is, for the record.
        seed: which draw of judgments.
    """

    lm: LMSettings
    model: ObjectConfig
    strategy: ObjectConfig
    tuning: TuningSettings = TuningSettings()
    task: TaskSettings
    tracking: TrackingSettings
    panel: Panel
    seed: int = 0


class SystemKey(Settings):
    """Which trained system, by the choices of its training.

    Attributes:
        model: a file of conf/model.
        strategy: a file of conf/strategy.
        seed: which draw of judgments.
    """

    model: str = "hybrid"
    strategy: str = "fine_tune"
    seed: int = 0


class EvaluateConfig(Settings):
    """conf/evaluate.yaml: measure one trained program on the test queries.

    Attributes:
        task: what is measured.
        evaluation: how.
        tracking: where the measures are recorded.
        system: which program.
    """

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    system: SystemKey = SystemKey()


class ReportConfig(Settings):
    """conf/report.yaml: tables, figures and a page from all results.

    Attributes:
        task: what is measured.
        evaluation: how.
        tracking: where the report is recorded.
        baseline: the system that every other one is compared with.
        other_results: folders ``results`` of this dataset with other budgets, for curves over judged queries. DVC does
            not watch them.
        panel: params.yaml as it is, for the page.
        seed: of the resampling.
    """

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    baseline: str = "sparse/zero_shot"
    other_results: tuple[Path, ...] = ()
    panel: Panel
    seed: int = 0


class LibraryConfig(PreparationSettings):
    """conf/library.yaml: what zero2ir.train and the command zero2ir compose, without the pipeline.

    Attributes:
        model: the model type, untrained.
        strategy: how it is trained.
        evaluation: how programs are measured.
        answering: how the program answers people.
    """

    model: ObjectConfig
    strategy: ObjectConfig
    evaluation: EvaluationSettings
    answering: AnsweringSettings = AnsweringSettings()


class LabelConfig(LibraryConfig):
    """conf/label.yaml: the library's choices, and which judgments to ask for.

    Attributes:
        labelling: cost, batches, and when to stop.
        selection: how queries are chosen.
        committee: the models whose rankings tell which documents are judged.
    """

    labelling: LabellingSettings = LabellingSettings()
    selection: ObjectConfig
    committee: Annotated[dict[str, ObjectConfig], Field(min_length=1)]


class ServeConfig(Settings):
    """conf/serve.yaml.

    Attributes:
        serving: the limits of a request, and what is written down.
    """

    serving: ServingSettings = ServingSettings()


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


def compose(name: str, schema: type[Schema], overrides: Sequence[str]) -> Schema:
    """Composes ``conf/<name>.yaml`` with overrides and checks it.

    Raises:
        InputError: an unknown choice or key, or a bad value; one line that lists the valid ones.
    """
    with _composed(name, overrides, schema) as config:
        return checked(config, schema)


def built(group: str, names: Sequence[str]) -> list[Any]:
    """The objects that files of a configuration group describe, in their order.

    Args:
        group: "model" or "strategy".
        names: of the files.

    Raises:
        InputError: as ``compose`` and ``build``.
    """
    from omegaconf import OmegaConf

    with _composed(None, [f"+{group}@{name}={name}" for name in dict.fromkeys(names)]) as config:
        choices: Any = OmegaConf.to_container(config, resolve=True)
    return [build(choices[name], group) for name in names]


@contextmanager
def _composed(name: str | None, overrides: Sequence[str], schema: type[BaseModel] = Settings) -> Iterator["DictConfig"]:
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
            yield hydra_compose(name, [_forced(word) for word in overrides])
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:  # model=0 is a ValueError to Hydra
        raise InputError(_explained(error, schema)) from error
    finally:
        GlobalHydra.instance().hydra = backup


def _forced(word: str) -> str:
    """Lets an override of a value set a key that no file holds; the schema has all keys and refuses others."""
    key = re.match(r"([\w.]+)=", word)
    return word if key is None or (conf_folder() / key[1]).is_dir() else f"++{word}"


def checked(config: Any, schema: type[Schema]) -> Schema:
    """Turns a composed configuration into its typed schema, which adds what the files leave out.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    try:
        return schema.model_validate(_on_defaults(values, None, schema))
    except ValidationError as error:
        raise InputError(_first_mistake(error, schema)) from None


def _on_defaults(given: Any, default: Any, annotation: Any) -> Any:
    """What is given for a part, on top of the defaults of its place: those of ``static.fit`` are not every fit's."""
    if not isinstance(given, Mapping):
        return given
    if isinstance(default, BaseModel):
        default = default.model_dump()
    if isinstance(default, Mapping):
        return {**default, **{key: _on_defaults(value, default.get(key), None) for key, value in given.items()}}
    schema = _schema_in(annotation)
    fields = schema.model_fields if inspect.isclass(schema) and issubclass(schema, BaseModel) else {}
    return {
        key: _on_defaults(value, fields[key].default, fields[key].annotation) if key in fields else value
        for key, value in given.items()
    }


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


def complete(choice: Any) -> Any:
    """A choice with the defaults of its constructor, and so all choices nested in it; plain values, for the record."""
    if isinstance(choice, list):
        return [complete(item) for item in choice]
    if not isinstance(choice, Mapping):
        return choice
    if "_target_" not in choice:
        return {key: complete(item) for key, item in choice.items()}
    parts = {"_target_": choice["_target_"]}
    for name, parameter in inspect.signature(_class(choice["_target_"], "")).parameters.items():
        value = choice.get(name, parameter.default)
        schema = _schema_in(parameter.annotation)
        if schema is not parameter.annotation or (inspect.isclass(schema) and issubclass(schema, BaseModel)):
            parts[name] = schema.model_validate(value or {}).model_dump(mode="json")
        elif value is not inspect.Parameter.empty:
            parts[name] = complete(to_jsonable_python(value))
    return parts


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

    if (project := str(Path.cwd())) not in sys.path:
        sys.path.append(project)  # so that a model or a strategy of one's own can stand in the project's folder
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
    """Composes and checks everything that a panel names, and what its stages share.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    task, lm = f"task={panel.task}", f"lm={panel.lm}"
    compose("ingest", IngestConfig, [f"dataset={panel.dataset}", task])
    compose("pretrain_synthetic", PretrainConfig, [lm, f"encoder={panel.encoder}", f"pretraining={panel.pretraining}"])
    built("model", panel.models)
    built("strategy", panel.strategies)
    compose("train", TrainConfig, [task, lm, f"model={panel.models[0]}", f"strategy={panel.strategies[0]}"])
    compose("evaluate", EvaluateConfig, [task])
    compose("report", ReportConfig, [task])


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
        raise InputError(f"{PANEL}: {one_line(error)}") from None


def stage(work: Callable[[Any], None], name: str) -> None:
    """Runs a stage from the command line: Hydra's overrides and multirun, our errors.

    A stage composes and checks its own configuration; ``ingest``, the first one, checks everything that params.yaml
    names. Later mistakes there are found before any training, too: DVC runs ``ingest`` or ``pretrain-synthetic`` again
    when a name in it changes, and they compose what is named before they begin.

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
        sys.argv[1:] = [_forced(word) for word in sys.argv[1:]]
        try:
            run()
        except (HydraException, ValueError) as error:
            raise InputError(_explained(error, STAGES[name])) from error

    one_line_errors(checked_run)


def _register_panel() -> None:
    """Lets a configuration say ``${panel:seeds}`` for a key of params.yaml; lists cannot be passed by dvc.yaml."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("panel", _panel_value, replace=True)


def _panel_value(key: str | None = None) -> Any:
    values = read_panel().model_dump(mode="json")
    return values[key] if key else values


def _explained(error: BaseException, schema: type[BaseModel]) -> str:
    """Hydra's message in one line, with the valid choices or keys where one was unknown."""
    message = one_line(error).split(" Config search path")[0]
    if unknown := re.search(r"Could not find '([^'/]+)/([^']+)'", message):
        group, choice = unknown.groups()
        below = conf_folder() / group
        valid = sorted(path.relative_to(below).with_suffix("").as_posix() for path in below.rglob("*.yaml"))
        return f"{group}={choice}: unknown choice; valid choices are {', '.join(valid)}"
    if unknown := re.search(r"Could not override '([^']+)'", message):
        return f"{unknown[1]}: unknown key; valid keys are {', '.join(sorted(schema.model_fields))}"
    return message


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
