"""Every file in conf/ works, and every mistake in one is a line that says what is valid."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from zero2ir.config import (
    STAGES,
    IngestConfig,
    LabelConfig,
    LibraryConfig,
    PretrainConfig,
    PretrainingSettings,
    ServeConfig,
    TaskSettings,
    TrainConfig,
    build,
    built,
    check_choices,
    complete,
    compose,
    conf_folder,
    read_panel,
)
from zero2ir.data.settings import DatasetSettings
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings
from zero2ir.errors import InputError
from zero2ir.experiments.preset import ExperimentConfig
from zero2ir.lm.settings import LMSettings
from zero2ir.strategies.base import needs_synthetic_queries
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.tracking.runs import TrackingSettings

STAGE_OF_GROUP = {
    "dataset": "ingest",
    "lm": "pretrain_synthetic",
    "encoder": "pretrain_synthetic",
    "pretraining": "pretrain_synthetic",
    "model": "train",
    "strategy": "train",
    "tracking": "train",
    "task": "evaluate",
    "evaluation": "evaluate",
    "selection": "label",
    "experiment": "experiment",
}
CONFIGS = {
    **STAGES,
    "label": LabelConfig,
    "experiment": ExperimentConfig,
    "serve": ServeConfig,
    "library": LibraryConfig,
}
SUITE = sorted((conf_folder() / "dataset" / "suite").glob("*.yaml"))
ONLY_THE_USER_KNOWS = {
    "dataset=xquad": "dataset.path=xquad",
    "dataset=local": "dataset.path=my-folder",
    "dataset=birco_arguana": "dataset.path=birco",
    "dataset=birco_clinical_trial": "dataset.path=birco",
    "dataset=ir_datasets": "dataset.test=vaswani",
    **{f"dataset=suite/{path.stem}": "dataset.path=suite" for path in SUITE},
    "encoder=hub": "encoder.model=BAAI/bge-small-en-v1.5",
    "model=saved": "model.folder=my-program",
    "lm=gguf": "lm.weights=/models/any.gguf",
}


def choices(*groups: str) -> list[str]:
    """ "group=choice" for each file of these groups."""
    found = []
    for group in groups:
        below = conf_folder() / group
        found += [f"{group}={path.relative_to(below).with_suffix('')}" for path in sorted(below.rglob("*.yaml"))]
    return found


# Without the model that a saved program is, which tests/strategies/test_distil.py builds.
BUILT = [choice for choice in choices("model", "strategy", "selection") if choice != "model=saved"]


def composed(choice: str, *overrides: str) -> Any:
    """The configuration of the stage, or of zero2ir label, with this choice."""
    name = STAGE_OF_GROUP[choice.partition("=")[0]]
    return compose(name, CONFIGS[name], [choice, *overrides])


def refusal(call: Callable[[], object]) -> str:
    """The one line that it is refused with."""
    with pytest.raises(InputError) as refused:
        call()
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.fixture(autouse=True)
def in_project(untouched_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(untouched_project)


@pytest.fixture
def conf(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of conf/ that a test may spoil."""
    monkeypatch.setattr("zero2ir.config.conf_folder", lambda: project / "conf")
    return project / "conf"


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    change(values)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


# What is there works.


def test_every_group_is_looked_at() -> None:
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    assert groups == set(STAGE_OF_GROUP)


@pytest.mark.parametrize("choice", choices(*STAGE_OF_GROUP))
def test_every_file_composes(choice: str) -> None:
    overrides = [ONLY_THE_USER_KNOWS[choice]] if choice in ONLY_THE_USER_KNOWS else []
    config = composed(choice, *overrides)
    group, _, name = choice.partition("=")
    part = config if group == "experiment" else getattr(config, group)
    if (group in ("dataset", "lm", "encoder", "task") and not overrides) or name.startswith("suite/"):
        assert part.name == name
    if overrides:
        key, _, value = overrides[0].partition("=")
        found = part if isinstance(part, dict) else part.model_dump()
        assert str(found[key.partition(".")[2]]) == value


@pytest.mark.parametrize("choice", ONLY_THE_USER_KNOWS)
def test_what_only_the_user_knows_is_asked_for(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERO2IR_SUITE", raising=False)
    assert ONLY_THE_USER_KNOWS[choice].partition("=")[0] in refusal(lambda: composed(choice))


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_one_variable_finds_every_collection_of_the_suite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERO2IR_SUITE", "/collections")
    assert composed(f"dataset=suite/{path.stem}").dataset.path == Path("/collections", path.stem)


def test_without_the_variable_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERO2IR_SUITE", raising=False)
    assert refusal(lambda: composed("dataset=suite/med")) == (
        "dataset.path: comes from the environment variable ZERO2IR_SUITE, which is not set; set one of them"
    )


def test_only_collections_that_were_judged_throughout_have_deep_judgments() -> None:
    overrides = {choice: ONLY_THE_USER_KNOWS.get(choice, choice) for choice in choices("dataset")}
    deep = {choice for choice, override in overrides.items() if composed(choice, override).dataset.deep_judgments}
    assert deep == {"dataset=cranfield", *(f"dataset=suite/{name}" for name in ("cacm", "cisi", "lisa", "med"))}


@pytest.mark.parametrize("choice", BUILT)
def test_every_model_strategy_and_selection_is_built(choice: str) -> None:
    group, _, _ = choice.partition("=")
    made = build(getattr(composed(choice), group), group)
    assert hasattr(made, {"model": "needs", "strategy": "fit", "selection": "choose"}[group])


@pytest.mark.parametrize("choice", choices("dataset", "lm", "encoder", "model", "strategy", "task", "selection"))
def test_every_file_says_what_it_is(choice: str) -> None:
    group, _, name = choice.partition("=")
    assert (conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_the_library_composes_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no params.yaml
    config = compose("library", LibraryConfig, ["model=sparse"])
    assert config.lm.provider == "none"
    assert config.evaluation.measures == config.task.measures


def test_the_panel_as_it_is_passes() -> None:
    panel = read_panel()
    check_choices(panel)
    assert (panel.models, panel.strategies, panel.seeds) == (read_panel().models, read_panel().strategies, (0,))
    assert compose("ingest", IngestConfig, []).budget == panel.budget


def test_only_some_strategies_want_synthetic_queries() -> None:
    wanting = {
        name: needs_synthetic_queries(*built("strategy", [name]), True) for name in ("zero_shot", "fine_tune", "prompt")
    }
    assert wanting == {"zero_shot": False, "fine_tune": False, "prompt": True}
    fixed, meta = built("strategy", ["fixed_prompt", "meta"])
    assert needs_synthetic_queries(fixed, False)
    assert needs_synthetic_queries(meta, True)
    assert not needs_synthetic_queries(meta, False)  # it can do without


@pytest.mark.parametrize("choice", choices("lm"))
def test_no_file_holds_a_key(choice: str) -> None:
    settings = composed(choice, *([ONLY_THE_USER_KNOWS[choice]] if choice in ONLY_THE_USER_KNOWS else [])).lm
    assert settings.api_key_env is None or re.fullmatch("[A-Z0-9_]+", settings.api_key_env)


@pytest.mark.parametrize("style", ["question", "keywords", "claim", "title", "description"])
def test_every_style_of_query_can_be_chosen(style: str) -> None:
    synthetic = "pretraining.synthetic"
    chosen = [f"{synthetic}.styles.judgments=0", f"{synthetic}.styles.{style}=2", f"{synthetic}.filters=[empty,grade]"]
    settings = compose("pretrain_synthetic", PretrainConfig, chosen).pretraining.synthetic
    assert {name: number for name, number in settings.styles.items() if number} == {style: 2}
    assert settings.filters == ("empty", "grade")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("styles.judgments=0", "styles: all are 0; set at least one of them to 1 or more"),
        ("words=[5,4]", "the minimum 5 is larger than the maximum 4"),
        ("filters=[empti]", "Input should be 'empty', 'too_short'"),
    ],
)
def test_bad_settings_of_synthetic_queries_are_one_line(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        compose("pretrain_synthetic", PretrainConfig, [f"pretraining.synthetic.{change}"])
    assert len(str(raised.value).splitlines()) == 1


# Defaults stand in the schemas and constructors alone.


def files_of(*groups: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for choice in choices(*groups):
        group, _, name = choice.partition("=")
        yield choice, yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8")) or {}


SAID_ALL_THE_SAME = {
    ("dataset=local", "path"),  # only the user knows it
    ("dataset=birco_arguana", "path"),
    ("dataset=birco_clinical_trial", "path"),
    ("dataset=xquad", "path"),
    ("dataset=ir_datasets", "test"),
    ("dataset=xquad", "document_language"),  # its name is made of it
}


@pytest.mark.parametrize(
    ("group", "schema"),
    [
        ("dataset", DatasetSettings),
        ("lm", LMSettings),
        ("encoder", EncoderSettings),
        ("task", TaskSettings),
        ("tracking", TrackingSettings),
        ("pretraining", PretrainingSettings),
    ],
)
def test_no_file_repeats_a_default_of_its_schema(group: str, schema: type[BaseModel]) -> None:
    for choice, values in files_of(group):
        same = {key for key, value in values.items() if key != "defaults" and repeats(value, schema.model_fields[key])}
        assert {(choice, key) for key in same} <= SAID_ALL_THE_SAME


def repeats(value: Any, field: FieldInfo) -> bool:
    default = field.default.model_dump(mode="json") if isinstance(field.default, BaseModel) else field.default
    return type(value) is type(default) and value == default


@pytest.mark.parametrize("group", ["model", "strategy", "selection"])
def test_no_file_repeats_a_default_of_its_constructor(group: str) -> None:
    def check(choice: str, part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                check(choice, item)
        elif isinstance(part, dict):
            for item in part.values():
                check(choice, item)
            bare = complete({"_target_": part["_target_"]}) if "_target_" in part else {}
            assert not [key for key, value in part.items() if key != "_target_" and bare.get(key) == value], choice

    for choice, values in files_of(group):
        check(choice, values)


def test_a_choice_is_recorded_with_the_defaults_of_its_constructors() -> None:
    hybrid = complete(composed("model=pretrained_hybrid").model)
    assert (hybrid["weights"], hybrid["normalization"], hybrid["depth"]) == ([0.3, 0.7], "z-score", 1000)
    sparse, dense = hybrid["retrievers"]
    assert sparse == {
        "_target_": "zero2ir.models.sparse.Sparse",
        "k1": 0.9,
        "b": 0.4,
        "alternatives": [],
        "feedback_terms": 20,
        "language": "auto",
    }
    assert dense["adapter"]["steps"] == 60
    assert complete(composed("strategy=meta").strategy)["outer_loop"]["iterations"] == 20


@pytest.mark.parametrize("choice", BUILT)
def test_a_recorded_choice_makes_the_same_object(choice: str) -> None:
    group, _, _ = choice.partition("=")
    chosen = getattr(composed(choice), group)
    assert complete(complete(chosen)) == complete(chosen)
    assert type(build(complete(chosen), group)) is type(build(chosen, group))


def test_a_setting_that_no_file_holds_can_be_set() -> None:
    assert compose("train", TrainConfig, ["tuning.folds=3"]).tuning == TuningSettings(folds=3)
    assert compose("train", TrainConfig, ["seed=4"]).seed == 4
    assert compose("library", LibraryConfig, ["answering.fallback.deadline=9"]).answering.fallback.deadline == 9
    assert compose("serve", ServeConfig, ["serving.max_results=3"]).serving.max_results == 3
    assert build(compose("train", TrainConfig, ["model=sparse", "model.k1=1.2"]).model, "model").k1 == 1.2


def test_what_is_set_leaves_the_rest_of_its_part_as_it_is_there() -> None:
    """The defaults of static.fit are not those of FitSettings."""
    pretraining = composed("pretraining=default", "pretraining.static.fit.epochs=3").pretraining
    default = StaticSettings()
    assert pretraining.static == default.model_copy(update={"fit": default.fit.model_copy(update={"epochs": 3})})
    assert composed("pretraining=default", "pretraining.pairs.title=null").pretraining.pairs.names == ["inverse_cloze"]
    styles = composed("pretraining=default", "pretraining.synthetic.styles.claim=1").pretraining.synthetic.styles
    assert {name: number for name, number in styles.items() if number} == {"judgments": 1, "claim": 1}


@pytest.mark.parametrize("task", PairTasks.model_fields)
def test_each_pair_task_can_be_had_alone(task: str) -> None:
    settings, default = (composed(f"pretraining={name}").pretraining for name in (task, "default"))
    own = PairTasks.model_fields[task].annotation.__args__[0]
    assert settings.pairs == PairTasks(**{task: own()})
    assert settings.model_copy(update={"pairs": DEFAULT_PAIR_TASKS}) == default  # nothing else differs


def test_all_pair_tasks_are_those_that_the_documents_alone_give() -> None:
    pairs = composed("pretraining=all").pretraining.pairs
    assert pairs == DEFAULT_PAIR_TASKS.model_copy(update={"cropping": Cropping(), "adjacency": Adjacency()})


def test_the_two_encoders_from_documents_learn_from_judgments_as_the_given_one_does() -> None:
    dense, *others = (build(composed(f"model={name}").model, "model") for name in ("dense", "scratch", "adapted"))
    for name, other in zip(("scratch", "adapted"), others, strict=True):
        assert vars(other) == vars(dense) | {"encoder": name}


def test_the_two_static_models_learn_alike() -> None:
    static, hybrid = (build(composed(f"model={name}").model, "model") for name in ("static", "static_hybrid"))
    assert hybrid.retrievers[1].fit == static.fit


# Mistakes.


@pytest.mark.parametrize("group", STAGE_OF_GROUP)
def test_unknown_choice_lists_the_valid_ones(group: str) -> None:
    message = refusal(lambda: composed(f"{group}=nope"))
    assert message.startswith(f"{group}=nope: unknown choice")
    valid = message.rpartition(" are ")[2].split(", ")
    assert [f"{group}={name}" for name in valid] == sorted(choices(group))


@pytest.mark.parametrize(
    ("choice", "override", "key", "valid"),
    [
        ("dataset=pydocs", "budget.query=3", "budget.query", ["documents_per_query", "queries", "unlabelled_queries"]),
        ("dataset=pydocs", "sedes=[1]", "sedes", ["budget", "dataset", "seeds"]),
        ("dataset=pydocs", "lm=smollm2", "lm", ["budget", "dataset", "seeds"]),
        ("lm=smollm2", "lm.temprature=1", "lm.temprature", ["temperature", "max_tokens"]),
        ("lm=smollm2", "+lm.temprature=1", "lm.temprature", ["temperature", "api_base"]),
        ("encoder=minilm", "encoder.batch=1", "encoder.batch", ["batch_size", "source"]),
        ("pretraining=default", "pretraining.static.fit.epoch=1", "pretraining.static.fit.epoch", ["epochs", "scale"]),
        ("pretraining=default", "+pretraining.static.fit.epoch=1", "pretraining.static.fit.epoch", ["epochs", "scale"]),
        ("model=sparse", "+tuning.prior=1", "tuning.prior", ["folds", "prior_deviation"]),
        ("model=sparse", "tuning.prior=1", "tuning.prior", ["folds", "prior_deviation"]),
        ("tracking=local", "tracking.url=x", "tracking.url", ["experiment", "telemetry", "uri"]),
    ],
)
def test_unknown_key_lists_the_valid_ones(choice: str, override: str, key: str, valid: list[str]) -> None:
    message = refusal(lambda: composed(choice, override))
    assert message.startswith(f"{key}: unknown key")
    assert set(valid) <= set(message.rpartition(" are ")[2].split(", "))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "dataset/pydocs",
            {"sauce": "pydocs"},
            "dataset.sauce: unknown key; valid keys are candidates, deep_judgments, document_language, licence, name",
        ),
        ("dataset/pydocs", {"source": "pydoc"}, "dataset.source: .*'pydocs', 'ir_datasets' or 'local', not 'pydoc'"),
        ("lm/smollm2", {"max_token": 3}, "lm.max_token: unknown key; valid keys are api_base"),
        ("lm/smollm2", {"max_tokens": 0}, "lm.max_tokens: .*greater than or equal to 1, not 0"),
        ("lm/openai", {"model": None}, "lm: provider .* needs model"),
        ("encoder/minilm", {"max_tokens": "many"}, "encoder.max_tokens: .*integer.*, not 'many'"),
        (
            "pretraining/default",
            {"stattic": {}},
            "pretraining.stattic: unknown key; valid keys are adapted, learned_sparse, multitask, ",
        ),
        (
            "pretraining/default",
            {"pairs": {"titel": {}}},
            "pretraining.pairs.titel: unknown key; valid keys are adjacency, cropping, inverse_cloze, synthetic, title",
        ),
        ("pretraining/default", {"pairs": {"title": {"keep": 1}}}, "pretraining.pairs.title.keep: unknown key; Title"),
        (
            "pretraining/default",
            {"pairs": {"title": None, "inverse_cloze": None}},
            "pretraining.pairs: no task is enabled; list",
        ),
        (
            "pretraining/default",
            {"scratch": {"heads": 3}},
            "pretraining.scratch: dimension=256 is not a multiple of heads",
        ),
        ("task/ranking", {"measures": ["nDCG@ten"]}, "nDCG@ten"),
        ("task/ranking", {"measure": "AP"}, "task.measure: unknown key; .* ceiling, leave_out_own_documents"),
        ("evaluation/default", {"resamples": 1}, "evaluation.resamples: .*100, not 1"),
        ("evaluation/default", {"depth": 5}, "depth: 5 is less than the cutoff of nDCG@10"),
        ("tracking/local", {"uri": None}, "tracking.uri: .*string"),
    ],
)
def test_mistake_in_a_file(conf: Path, file: str, change: dict[str, Any], message: str) -> None:
    edit(conf / f"{file}.yaml", lambda values: values.update(change))
    group, _, name = file.partition("/")
    assert re.search(message, refusal(lambda: composed(f"{group}={name}")))


@pytest.mark.parametrize(
    ("choice", "override", "message"),
    [
        (
            "model=sparse",
            "+model.k2=1",
            r"^model\.k2: unknown key; valid keys are alternatives, b, feedback_terms, k1, language$",
        ),
        ("model=sparse", "model.k1=much", r"^model\.k1: .*number.*not 'much'"),
        ("model=dense", "model.learning=fast", r"^model\.learning: .*'adapter' or 'encoder', not 'fast'"),
        ("model=dense", "+model.adapter.rate=1", r"^model\.adapter\.rate: unknown key; valid keys are distillation, "),
        ("model=dense", "model.adapter.steps=0", r"^model\.adapter\.steps: .*greater than or equal to 1, not 0"),
        ("model=static", "model.fit.epochs=0", r"^model\.fit\.epochs: .*greater than or equal to 1, not 0"),
        (
            "model=pretrained_hybrid",
            "model.normalization=softmax",
            r"^model\.normalization: .*'z-score'.*not 'softmax'",
        ),
        (
            "model=pretrained_hybrid",
            "+model.retrievers.0.k2=1",
            r"^model\.retrievers\[0\]\.k2: unknown key; valid keys are ",
        ),
        (
            "model=sparse",
            "model._target_=zero2ir.models.Spars",
            r"^model\._target_: 'zero2ir.models.Spars' cannot be imported",
        ),
        ("model=sparse", "model._target_=null", r"^model\._target_: None cannot be imported"),
        ("model=sparse", "model._target_=os.path.join", r"^model\._target_: 'os.path.join' is not a class"),
        ("strategy=fine_tune", "+strategy.epochs=1", r"^strategy\.epochs: unknown key; FineTune has no keys$"),
    ],
)
def test_mistake_in_a_model_or_strategy(choice: str, override: str, message: str) -> None:
    group, _, _ = choice.partition("=")
    config = composed(choice, override)
    assert re.search(message, refusal(lambda: build(getattr(config, group), group)))


def test_a_name_in_place_of_the_number_of_an_entry_is_refused() -> None:
    word = "model.retrievers.static.exact_limit=0"
    assert refusal(lambda: composed("model=static_hybrid", word)) == (
        f"{word}: model.retrievers is a list; write the number of the entry, such as model.retrievers.0, "
        "instead of 'static'"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sedes": [1]},
            r"^params\.yaml: sedes: unknown key; valid keys are auxiliary_collections, budget, dataset, encoder",
        ),
        ({"seeds": 3}, r"^params\.yaml: seeds: .*not 3"),
        ({"budget": {"queries": -1}}, r"^params\.yaml: budget\.queries: .*greater than or equal to 0, not -1"),
        ({"budget": {"query": 3}}, r"^params\.yaml: budget\.query: unknown key; valid keys are documents_"),
        (
            {"models": ["sparse", "desne"]},
            r"^model=desne: unknown choice; valid choices are adapted, aligned, .*dense, .*sparse",
        ),
        (
            {"strategies": ["magic"]},
            r"^strategy=magic: unknown choice; valid choices are distil, fine_tune, fixed_prompt, hybrid, ",
        ),
        ({"dataset": "nope"}, r"^dataset=nope: unknown choice; valid choices are beir/nfcorpus, "),
        ({"dataset": "local"}, r"dataset\.path is missing"),
        (
            {"lm": "gpt"},
            r"^lm=gpt: unknown choice; valid choices are gemma3, gguf, none, ollama, openai, smollm2, vllm$",
        ),
        (
            {"pretraining": "al"},
            r"^pretraining=al: unknown choice; valid choices are adjacency, all, cropping, default, ",
        ),
        ({"encoder": "mini"}, r"^encoder=mini: unknown choice; valid choices are hub, minilm, minilm_int8, static$"),
        ({"task": "chess"}, r"^task=chess: unknown choice; valid choices are clir, qa, ranking"),
        ({"models": []}, r"^params\.yaml: models: .*at least 1"),
        ({"strategies": []}, r"^params\.yaml: strategies: .*at least 1"),
        ({"seeds": []}, r"^params\.yaml: seeds: .*at least 1"),
    ],
)
def test_mistake_in_params(project: Path, change: dict[str, Any], message: str) -> None:
    edit(project / "params.yaml", lambda values: values.update(change))
    assert re.search(message, refusal(lambda: check_choices(read_panel())))


def test_params_that_are_missing_or_no_yaml(project: Path) -> None:
    edit(project / "params.yaml", lambda values: values.pop("lm"))
    assert refusal(read_panel) == "params.yaml: lm: Field required"
    (project / "params.yaml").write_text("seeds: [0", encoding="utf-8")
    assert refusal(read_panel).startswith("params.yaml: ")
    (project / "params.yaml").unlink()
    assert refusal(read_panel).endswith("no such file; run this in a clone of zero2ir or a folder of zero2ir init")


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=12))
def test_no_choice_makes_more_than_one_line(choice: str) -> None:
    if f"model={choice}" not in choices("model"):
        refusal(lambda: composed(f"model={choice}"))


# Overrides as they are typed.

TEXTS = (
    *("/srv/modèles/e5", "e5=small", "e5 (v2)", "a, b", "a,b", "[old]", "/x/[old]", "~/models", "a#b", "#", "query: "),
    *(
        " query",
        "it's",
        'a"b',
        "{a}",
        "true",
        "12",
        "1e3",
        "C:\\x",
        "\\",
        "\\\\",
        "\\'",
        "a\tb",
        "a\nb",
        "!x",
        "a;b",
        "é",
    ),
    *("中文", "'", "choice(1,2)", "range(1,3)", "[1,2", "int(3)", "a(b)", "$5", "100%", "a&b", "<x>", "*", "a:b", ""),
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_needs_no_quotes(text: str) -> None:
    config = compose("library", LibraryConfig, ["encoder=hub", "encoder.model=m", f"encoder.query_prompt={text}"])
    assert config.encoder.query_prompt == text


def test_quotes_around_a_value_and_interpolations_are_hydra_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/srv/modèles")
    given = ['encoder.query_prompt="query: "', "encoder.document_prompt=null", "encoder.model=${oc.env:MODELS}/é"]
    encoder = compose("library", LibraryConfig, ["encoder=hub", *given]).encoder
    assert (encoder.query_prompt, encoder.document_prompt, encoder.model) == ("query: ", None, "/srv/modèles/é")


@given(st.text(max_size=12))
def test_any_text_arrives_as_it_is_typed(text: str) -> None:
    given = ["encoder=hub", f"encoder.model={text}"]
    if text[:1] in ("'", '"', "~") or "${" in text or text == "???":  # quotes, a home folder, Hydra's own
        with contextlib.suppress(InputError):
            compose("library", LibraryConfig, given)
    else:
        assert compose("library", LibraryConfig, given).encoder.model == text


KEYS = [
    "model.k1",
    "model.language",
    "tuning.folds",
    "tuning",
    "model",
    "encoder",
    "answering.risk",
    "lm.model",
    "hydra.x",
]


@given(
    st.sampled_from(KEYS) | st.text(max_size=6), st.sampled_from(TEXTS) | st.text(max_size=8) | st.sampled_from(["="])
)
def test_an_override_is_valid_or_one_line_says_why(key: str, value: str) -> None:
    with contextlib.suppress(InputError):
        build(compose("library", LibraryConfig, ["model=sparse", f"{key}={value}"]).model, "model")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["nonsense"], "'nonsense': not KEY=VALUE; write for example model.k1=1.2"),
        ([""], "'': not KEY=VALUE; write for example model.k1=1.2"),
        (["model..k1=1"], "'model..k1=1': not KEY=VALUE; write for example model.k1=1.2"),
        (["hydra.verbose=true"], "hydra.verbose: unknown key; valid keys are answering, encoder, "),
        (["nonsense=1", "tuning.folds=3"], "nonsense: unknown key; valid keys are answering, encoder, "),
        (["tuning.folds=3", "nonsense=1"], "nonsense: unknown key; valid keys are answering, encoder, "),
        (["tuning.folds=3", "tuning.folds=4"], "tuning.folds: set twice, to 3 and to 4; keep one of them"),
        (["model.k1=1,2"], 'model.k1=1,2: write a list as "model.k1=[1,2]", a text as "model.k1=\'1,2\'"'),
        (["encoder=hub"], "encoder.model: has no default; set it"),
        (["encoder=hub,static"], "encoder=hub,static: unknown choice; valid choices are hub, minilm, "),
        (["encoder=a\nb"], "encoder='a\\nb': unknown choice; valid choices are hub, minilm, "),
        (["lm="], "lm=: unknown choice; valid choices are gemma3, gguf, none, "),
        (["answering.risk=true"], "answering.risk: Input should be a number, not true"),
        (["tuning.folds=true"], "tuning.folds: Input should be a number, not true"),
    ],
)
def test_an_override_without_meaning_is_refused(overrides: list[str], message: str) -> None:
    assert refusal(lambda: compose("library", LibraryConfig, overrides)).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.k1.x=1", "model.k1: Input should be a valid number, not {'x': 1}"),
        ("model.k1=nan", "model.k1: Input should be a finite number, not nan"),
        ("model.k1=true", "model.k1: Input should be a number, not true"),
        ("model.language=xx", "model.language: 'xx' is no code of a language"),
    ],
)
def test_an_impossible_value_of_a_model_is_refused(override: str, message: str) -> None:
    config = compose("library", LibraryConfig, ["model=sparse", override])
    assert refusal(lambda: build(config.model, "model")).startswith(message)


def test_a_file_that_is_not_utf_8_is_named(project: Path) -> None:
    with (project / "params.yaml").open("ab") as file:
        file.write("# geändert\n".encode("latin-1"))
    lines = (project / "params.yaml").read_bytes().count(b"\n")
    assert refusal(read_panel).startswith(f"params.yaml:{lines}: not UTF-8 (byte 5)")
    (project / "conf" / "model" / "sparse.yaml").write_bytes("# Wörter\n_target_: x.Y\n".encode("latin-1"))
    assert refusal(lambda: composed("model=sparse")).startswith("sparse.yaml:1: not UTF-8 (byte 4)")


# A stage as a process.


def run_stage(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def unchanged(project: Path) -> Iterator[None]:
    before = snapshot(project)
    yield
    assert snapshot(project) == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("stage", "override", "message"),
    [
        ("ingest", "dataset=nope", "error: dataset=nope: unknown choice; valid choices are beir/nfcorpus, "),
        (
            "train",
            "model.k9=1",
            "error: model.k9: unknown key; valid keys are alternatives, depth, encoder, exact_limit, ",
        ),
        ("evaluate", "system.seed=soon", "error: system.seed: Input should be a valid integer"),
    ],
)
def test_a_stage_refuses_in_one_line_and_writes_nothing(project: Path, stage: str, override: str, message: str) -> None:
    ended = run_stage(project, f"stages/{stage}.py", override)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1


@pytest.mark.usefixtures("unchanged")
def test_a_stage_shows_its_traceback_where_that_is_asked_for(project: Path) -> None:
    ended = run_stage(project, "stages/ingest.py", "dataset=nope", ZERO2IR_TRACEBACK="1")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert ended.stderr.rstrip().splitlines()[-1].startswith("zero2ir.errors.InputError: dataset=nope: unknown choice")


@pytest.mark.parametrize("stage", ["ingest", "pretrain_synthetic"])
def test_a_mistake_in_params_stops_the_stages_that_begin_a_run(project: Path, stage: str) -> None:
    """Whichever of them DVC runs first: there is no training before them when a name in params.yaml has changed."""
    edit(project / "params.yaml", lambda values: values.update(models=["sparse", "desne"], lm="none"))
    ended = run_stage(project, f"stages/{stage}.py")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: model=desne: unknown choice")
    assert not (project / "data").exists()


def test_a_training_composes_its_own_configuration_alone(project: Path) -> None:
    edit(project / "params.yaml", lambda values: values.update(models=["sparse", "desne"]))
    ended = run_stage(project, "stages/train.py", "lm=none", "model=sparse", "strategy=zero_shot")
    assert "desne" not in ended.stderr
    assert "data" in ended.stderr  # nothing was ingested: that is the first thing that it misses


def test_a_multirun_refuses_before_its_first_job(project: Path) -> None:
    ended = run_stage(project, "stages/train.py", "-m", "model=sparse,desne", "strategy=zero_shot")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "model=desne: unknown choice" in ended.stderr


def test_a_training_imports_neither_mlflow_nor_torch_before_a_model_asks(project: Path) -> None:
    heavy = "{'mlflow', 'torch', 'transformers', 'sentence_transformers'}"
    code = f"import sys; sys.path.insert(0, 'stages'); import train; print({heavy} & set(sys.modules))"
    ended = run_stage(project, "-c", code)
    assert ended.stdout == "set()\n", ended.stderr
