"""Configuration: Hydra composes it, typed schemas add defaults and validate it; errors are one line.

Defaults are in the schemas, and for objects named by ``_target_`` (models, strategies) in their constructors. Files of
conf hold only deviations; an override may set any key of the schema.
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
from pkgutil import resolve_name
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_jsonable_python

from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.data.settings import DatasetSettings, JudgmentBudget, LanguageCode
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError, one_line, one_line_errors
from zero2ir.evaluation.results import EvaluationSettings
from zero2ir.io.files import read_json
from zero2ir.io.lines import read_lines
from zero2ir.io.settings import Settings, first_mistake, parameter_schema, schema_in
from zero2ir.io.values import shown
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
ObjectConfig = dict[str, Any]  # _target_, the class, and its keyword arguments


class Panel(Settings):
    """The schema of params.yaml; each choice names a file in conf.

    Attributes:
        dataset: a file of conf/dataset.
        task: a file of conf/task.
        lm: a file of conf/lm.
        encoder: a file of conf/encoder.
        pretraining: a file of conf/pretraining.
        budget: number of training judgments.
        auxiliary_collections: folders ``data`` of other projects; strategy meta trains on their judged queries, too.
        language: ISO 639-1 code of the documents' language; "auto" identifies it.
        models: files of conf/model.
        strategies: files of conf/strategy.
        seeds: one sample of judgments each.
    """

    dataset: str
    task: str
    lm: str
    encoder: str
    pretraining: str
    budget: JudgmentBudget
    auxiliary_collections: tuple[str, ...] = ()
    language: LanguageCode = AUTO_LANGUAGE
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    strategies: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


class IngestConfig(Settings):
    """conf/ingest.yaml: reads and checks a collection, and samples the judgments.

    Attributes:
        dataset: the collection.
        task: the kind of judgments.
        encoder: the general-purpose encoder, for the committee.
        pretraining: how the committee's other encoders are trained.
        committee: models by name; their rankings select the documents to judge, if ``budget.judging`` is "pooled".
        budget: number of training judgments, from params.yaml.
        seeds: one sample of judgments each, from params.yaml.
        auxiliary_collections: folders ``data`` of other projects, from params.yaml.
        language: of the documents, from params.yaml.
    """

    dataset: DatasetSettings
    task: TaskSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    committee: Annotated[dict[str, ObjectConfig], Field(min_length=1)]
    budget: JudgmentBudget
    seeds: tuple[int, ...]
    auxiliary_collections: tuple[Path, ...]
    language: LanguageCode


class PretrainConfig(Settings):
    """conf/pretrain_synthetic.yaml: synthetic queries, encoders, and all documents' embeddings.

    Attributes:
        lm: writes the synthetic queries.
        encoder: the general-purpose encoder.
        pretraining: which encoders to train, and how.
        tracking: where to record the run.
        seeds: from params.yaml.
        models: from params.yaml; they determine the required encoders.
        strategies: from params.yaml; they determine whether synthetic queries are required.
    """

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    tracking: TrackingSettings
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    strategies: tuple[str, ...]


class TrainConfig(Settings):
    """conf/train.yaml: trains one model by one strategy on one sample of judgments.

    Attributes:
        lm: loaded only if the model or the strategy uses it.
        model: the untrained model.
        strategy: how to train it.
        tuning: how to select hyperparameters on few judgments.
        task: the kind of judgments.
        tracking: where to record the run.
        panel: params.yaml, for the record.
        seed: of the sample of judgments.
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
    """Identifies a trained system.

    Attributes:
        model: a file of conf/model.
        strategy: a file of conf/strategy.
        seed: of the sample of judgments.
    """

    model: str = "hybrid"
    strategy: str = "fine_tune"
    seed: int = 0


class EvaluateConfig(Settings):
    """conf/evaluate.yaml: evaluates one program on the test queries.

    Attributes:
        task: names the measures.
        evaluation: depth and confidence intervals.
        tracking: where to record the run.
        system: identifies the program.
    """

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    system: SystemKey = SystemKey()


class ReportConfig(Settings):
    """conf/report.yaml: writes tables, figures and a page from all results.

    Attributes:
        task: names the measures.
        evaluation: depth and confidence intervals.
        tracking: where to record the run.
        baseline: the system to compare all others with.
        other_results: folders ``results`` of this dataset with other budgets, for curves over judged queries; DVC does
            not track them.
        panel: params.yaml, for the page.
        seed: of the bootstrap.
    """

    task: TaskSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    baseline: str = "sparse/zero_shot"
    other_results: tuple[Path, ...] = ()
    panel: Panel
    seed: int = 0


class LibraryConfig(PreparationSettings):
    """conf/library.yaml: the configuration of zero2ir.train and the command line.

    Attributes:
        model: the untrained model.
        strategy: how to train it.
        evaluation: how to evaluate programs.
        answering: policy and fallback of the program.
    """

    model: ObjectConfig
    strategy: ObjectConfig
    evaluation: EvaluationSettings
    answering: AnsweringSettings = AnsweringSettings()


class LabelConfig(LibraryConfig):
    """conf/label.yaml: the configuration of zero2ir.label.

    Attributes:
        labelling: costs, batches and stopping rule.
        selection: how to select queries.
        committee: models by name; their rankings select the documents to judge.
    """

    labelling: LabellingSettings = LabellingSettings()
    selection: ObjectConfig
    committee: Annotated[dict[str, ObjectConfig], Field(min_length=1)]


class ServeConfig(Settings):
    """conf/serve.yaml: the configuration of the server.

    Attributes:
        serving: request limits and logging.
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
    """Returns the folder conf of the current project; outside a project, the package's."""
    project = Path("conf").resolve()
    return project if (project / "library.yaml").is_file() else Path(str(files("zero2ir"))) / "conf"


def compose(name: str, schema: type[Schema], overrides: Sequence[str]) -> Schema:
    """Composes ``conf/<name>.yaml`` with overrides and validates it.

    Raises:
        InputError: an unknown choice or key, or an invalid value; lists the valid ones.
    """
    values: dict[str, str] = {}
    for word in overrides:
        key, _, value = word.lstrip("+~").partition("=")
        if re.match(r"hydra\b", key):
            raise InputError(_unknown_key(key, schema))
        if values.setdefault(key, value) != value and not _choices(key):
            raise InputError(f"{key}: set twice, to {values[key]} and to {value}; keep one of them")
    with _composed(name, [_override(word, schema) for word in overrides], schema) as config:
        return checked(config, schema)


def built(group: str, names: Sequence[str]) -> list[Any]:
    """Builds the objects of files of a group, "model" or "strategy"; raises as ``compose`` and ``build``."""
    from omegaconf import OmegaConf

    for name in names:
        _check_choice(group, name)
    with _composed(None, [f"+{group}@_{n}={_quoted(name)}" for n, name in enumerate(names)]) as config:
        choices: Any = OmegaConf.to_container(config, resolve=True)
    return [build(choices[f"_{n}"], group) for n in range(len(names))]


@contextmanager
def _composed(name: str | None, overrides: Sequence[str], schema: type[BaseModel] = Settings) -> Iterator["DictConfig"]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    _register_panel()
    backup = copy.copy(GlobalHydra.instance().hydra)  # stages compose configurations while Hydra runs them
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            try:
                config = hydra_compose(name, list(overrides))
            except TypeError as error:  # of OmegaConf, at a name where a list has numbers
                raise InputError(_explained_index(error, overrides)) from error
            yield config
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, RecursionError, ValueError) as error:
        raise InputError(_explained(error, schema)) from error
    finally:
        GlobalHydra.instance().hydra = backup


def _override(word: str, schema: type[BaseModel], multirun: bool = False) -> str:
    """Returns an override ``KEY=VALUE`` in Hydra's grammar, so that values need no quotes.

    The value of a text setting is taken as it is typed, except for a value in quotes and for ``${...}``. Any other
    value that Hydra cannot read is text, too. The prefix "++" may set keys that no file has; the schema checks the key.

    Raises:
        InputError: there is no key or no value, the choice is unknown, or the value is a list without brackets.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = re.fullmatch(r"\+{0,2}([a-z_]\w*(?:\.\w+)*)=(.*)", word, re.ASCII | re.DOTALL | re.IGNORECASE)
    if parsed is None:
        if re.fullmatch(
            r"([+~]{1,2}\w[\w./@:-]*(=.*)?|\w[\w./@:-]*[@/][\w./@:-]*=.*)", word, re.DOTALL
        ):  # Hydra's own forms
            return word
        raise InputError(f"{shown(word)}: not KEY=VALUE; write for example model.k1=1.2")
    key, value = parsed.groups()
    if _choices(key):
        if not multirun:
            _check_choice(key, value)
            word = f"{key}={_quoted(value)}"
        return word
    literal, forced = f"++{key}={_quoted(value)}", f"++{key}={value}"
    try:
        is_sweep = OverridesParser.create().parse_override(forced).is_sweep_override()
    except HydraException:
        return literal
    if multirun:
        return forced
    if _is_text(schema, key, value) and "${" not in value and value[:1] not in ("'", '"'):
        return literal
    if is_sweep:
        raise InputError(f'{word}: write a list as "{key}=[{value}]", a text as "{key}={_quoted(value)}"')
    return forced


def _is_text(schema: type[BaseModel], key: str, value: str) -> bool:
    """Returns whether the key is a setting of text or a path, and the value is not the null that it allows."""
    annotation: Any = schema
    for part in key.split("."):
        field = getattr(schema_in(annotation), "model_fields", {}).get(part)
        annotation = None if field is None else field.annotation
    kinds = set(get_args(annotation) or (annotation,))
    return kinds <= {str, Path, NoneType} and kinds != {NoneType} and not (value == "null" and NoneType in kinds)


def _quoted(value: str) -> str:
    """Quotes a value for Hydra, which reads a backslash literally, except before a quote."""
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), value) + "'"


def _choices(group: str) -> list[str]:
    """Returns the files of a configuration group without their suffix; none if there is no such group."""
    below = conf_folder() / group
    if not re.fullmatch(r"\w+", group):
        return []
    return sorted(path.relative_to(below).with_suffix("").as_posix() for path in below.rglob("*.yaml"))


def _check_choice(group: str, choice: str) -> None:
    if choice not in _choices(group):
        raise InputError(_unknown_choice(group, choice))


def checked(config: Any, schema: type[Schema]) -> Schema:
    """Validates a composed configuration and adds defaults; the first invalid key or value raises ``InputError``."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(_explained(error, schema)) from error
    try:
        return schema.model_validate(_on_defaults(values, None, schema))
    except ValidationError as error:
        raise InputError(first_mistake(error, schema)) from None


def _on_defaults(values: Any, default: Any, annotation: Any) -> Any:
    """Merges values into the defaults of their field, e.g. of ``static.fit``, not of its type ``FitSettings``."""
    if not isinstance(values, Mapping):
        return values
    if isinstance(default, BaseModel):
        default = default.model_dump()
    if isinstance(default, Mapping):
        return {**default, **{key: _on_defaults(value, default.get(key), None) for key, value in values.items()}}
    fields = getattr(schema_in(annotation), "model_fields", {})
    return {
        key: _on_defaults(value, fields[key].default, fields[key].annotation) if key in fields else value
        for key, value in values.items()
    }


def build(choice: Mapping[str, Any], where: str) -> Any:
    """Builds an object from its configuration, nested objects first.

    Args:
        choice: ``_target_`` and keyword arguments.
        where: the configuration key, for messages, e.g. "model".

    Raises:
        InputError: the class cannot be imported, or a key or value is invalid; lists the valid keys.
    """
    arguments = {key: _build_nested(value, f"{where}.{key}") for key, value in choice.items() if key != "_target_"}
    target = _class(choice.get("_target_"), where)
    schema = parameter_schema(target)
    try:
        schema.model_validate(arguments)
    except ValidationError as error:
        raise InputError(f"{where}.{first_mistake(error, schema)}") from None
    return target(**arguments)


def complete(choice: Any) -> Any:
    """Adds constructor defaults to an object's configuration, recursively, as JSON values for the record."""
    if isinstance(choice, list):
        return [complete(item) for item in choice]
    if not isinstance(choice, Mapping):
        return choice
    if "_target_" not in choice:
        return {key: complete(item) for key, item in choice.items()}
    parts = {"_target_": choice["_target_"]}
    for name, parameter in inspect.signature(_class(choice["_target_"], "")).parameters.items():
        value = choice.get(name, parameter.default)
        schema = schema_in(parameter.annotation)
        if schema is not parameter.annotation or (inspect.isclass(schema) and issubclass(schema, BaseModel)):
            parts[name] = schema.model_validate(value or {}).model_dump(mode="json")
        elif value is not inspect.Parameter.empty:
            parts[name] = complete(to_jsonable_python(value))
    return parts


def _build_nested(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, where)
        return {key: _build_nested(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_build_nested(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def _class(target: Any, where: str) -> Any:
    if (project := str(Path.cwd())) not in sys.path:
        sys.path.append(project)  # the project's folder may contain the user's models and strategies
    try:
        found = resolve_name(str(target))
    except Exception as error:  # the module may raise any
        raise InputError(f"{where}._target_: {target!r} cannot be imported; give module.Class") from error
    if not inspect.isclass(found):
        raise InputError(f"{where}._target_: {target!r} is not a class; give module.Class")
    return found


def import_own_models(program: Path) -> None:
    """Imports the classes that the project's conf/model names, for a saved program with models from outside zero2ir.

    The program itself names no class: it has kinds, which the imported classes define.
    """
    from zero2ir.models.base import MODEL_STATE_FILE, MODELS

    folder, program = Path("conf/model").resolve(), program.resolve()
    if conf_folder() != folder.parent or folder.is_relative_to(program):
        return
    try:
        for path in program.rglob(MODEL_STATE_FILE):
            MODELS.find(str(read_json(path)["kind"]))
    except InputError:
        for path in sorted(folder.rglob("*.yaml")):
            for target in re.findall(r"^ *_target_: *([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
                if not target.startswith("zero2ir."):
                    _class(target, path.stem)
    except (OSError, ValueError, KeyError, TypeError):
        return  # loading says what is wrong


def check_choices(panel: Panel) -> None:
    """Composes and validates everything that a panel names; the first invalid key or value raises ``InputError``."""
    task, lm = f"task={panel.task}", f"lm={panel.lm}"
    encoders = [f"encoder={panel.encoder}", f"pretraining={panel.pretraining}"]
    compose("ingest", IngestConfig, [f"dataset={panel.dataset}", task, *encoders])
    compose("pretrain_synthetic", PretrainConfig, [lm, *encoders])
    built("model", panel.models)
    built("strategy", panel.strategies)
    compose("train", TrainConfig, [task, lm, f"model={panel.models[0]}", f"strategy={panel.strategies[0]}"])
    compose("evaluate", EvaluateConfig, [task])
    compose("report", ReportConfig, [task])


def chosen(group: str) -> str:
    """Returns the running stage's choice in a configuration group, e.g. "dense" in "model"."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().runtime.choices[group])


def read_panel() -> Panel:
    """Reads ``params.yaml``.

    Raises:
        InputError: the file is missing, or a key or value is invalid.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not PANEL.is_file():
        raise InputError(f"{PANEL}: no such file; run this in a clone of zero2ir or a folder of zero2ir init")
    _check_encoding(PANEL)
    try:
        return checked(OmegaConf.load(PANEL), Panel)
    except (ValueError, YAMLError, OmegaConfBaseException, RecursionError, OSError) as error:  # OSError: a plain value
        raise InputError(f"{PANEL}: {one_line(error)}") from None


def stage(work: Callable[[Any], None], name: str) -> None:
    """Runs a stage from the command line, with Hydra's overrides and multirun; errors as ``one_line_errors``.

    Each stage validates its own configuration; ``ingest`` and ``pretrain-synthetic`` also validate what params.yaml
    names, and DVC runs them again when it changes, so that errors appear before any training.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # otherwise Hydra prints errors and exits itself
    _register_panel()

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=name)
    def run(config: DictConfig) -> None:
        one_line_errors(lambda: work(checked(config, STAGES[name])))  # inside, because Hydra adds lines to errors

    def checked_run() -> None:
        multirun = bool({"-m", "--multirun"} & set(sys.argv))
        sys.argv[1:] = [
            _override(word, STAGES[name], multirun) if re.match(r"[\w.]+=", word) else word for word in sys.argv[1:]
        ]
        try:
            run()
        except (HydraException, ValueError) as error:
            raise InputError(_explained(error, STAGES[name])) from error

    one_line_errors(checked_run)


def _register_panel() -> None:
    """Resolves ``${panel:seeds}`` to a key of params.yaml, because dvc.yaml cannot pass lists."""
    from omegaconf import OmegaConf

    def value(key: str | None = None) -> Any:
        values = read_panel().model_dump(mode="json")
        return values[key] if key else values

    OmegaConf.register_new_resolver("panel", value, replace=True)


def _explained(error: BaseException, schema: type[BaseModel]) -> str:
    """Returns Hydra's message in one line, with the valid choices or keys if one is unknown."""
    if isinstance(error, UnicodeDecodeError):  # Hydra does not name the file
        for path in sorted(conf_folder().rglob("*.yaml")):
            _check_encoding(path)
    message = one_line(error).split(" Config search path")[0]
    if missing := re.search(r"Missing mandatory value: (\S+)", message):
        key = getattr(error, "full_key", None) or missing[1]
        return f"{key}: has no default; set it"
    if unset := re.search(r"Environment variable '(\w+)' not found", message):
        key = getattr(error, "full_key", "")
        return f"{key}: comes from the environment variable {unset[1]}, which is not set; set one of them"
    if unknown := re.search(r"Could not find '([^'/]+)/([^']*)'", message):
        return _unknown_choice(*unknown.groups())
    if unknown := re.search(r"Could not override '([^']+)'", message):
        return _unknown_key(unknown[1], schema)
    return message


def _explained_index(error: TypeError, overrides: Sequence[str]) -> str:
    """Returns which override names an entry of a list instead of giving its number."""
    message = one_line(error)
    index = re.search(r"Index '(.+?)'", message)
    word = next((one.lstrip("+~") for one in overrides if index and f".{index[1]}" in one), "")
    if not index or not word:
        return message
    place = word.partition(f".{index[1]}")[0]
    return f"{word}: {place} is a list; write the number of the entry, such as {place}.0, instead of {index[1]!r}"


def _check_encoding(path: Path) -> None:
    """Raises InputError with file and line if a file is not UTF-8."""
    for _ in read_lines(path):
        pass


def _unknown_choice(group: str, choice: str) -> str:
    choice = choice if choice.isprintable() else shown(choice)
    return f"{group}={choice}: unknown choice; valid choices are {', '.join(_choices(group))}"


def _unknown_key(key: str, schema: type[BaseModel]) -> str:
    return f"{key}: unknown key; valid keys are {', '.join(sorted(schema.model_fields))}"
