"""Every file in conf/ works, and every mistake in one is a line that says what is valid."""

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

from zero2ir.config import (
    STAGES,
    EvaluateConfig,
    IngestConfig,
    LabelConfig,
    LibraryConfig,
    PretrainConfig,
    ServeConfig,
    TrainConfig,
    build,
    check_experiment,
    compose,
    conf_folder,
    needs_synthetic,
    read_panel,
)
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.adapted import AdaptedSettings
from zero2ir.encoders.masked_language_model import LearnedSparseSettings
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.tasks import DEFAULT, PairTasks
from zero2ir.encoders.projection import ProjectionSettings
from zero2ir.encoders.scratch import ScratchSettings
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings
from zero2ir.errors import InputError
from zero2ir.evaluation.results import EvaluationSettings
from zero2ir.experiments.preset import ExperimentConfig
from zero2ir.lm.settings import LMSettings
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.learned_sparse import LearnedSparse
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.prompt_search.optimizers import GEPA, Bootstrap, Copro, Mipro
from zero2ir.strategies.prompt_search.pool import Pool
from zero2ir.strategies.prompt_search.strategy import PromptSearch
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.settings import SyntheticSettings

STAGE_OF_GROUP = {
    "dataset": "ingest",
    "lm": "pretrain_synthetic",
    "encoder": "pretrain_synthetic",
    "pretraining": "pretrain_synthetic",
    "model": "train",
    "strategy": "train",
    "tuning": "train",
    "tracking": "train",
    "task": "evaluate",
    "evaluation": "evaluate",
    "labelling": "label",
    "selection": "label",
    "experiment": "experiment",
    "serving": "serve",
    "answering": "library",
}
CONFIGS = {
    **STAGES,
    "label": LabelConfig,
    "experiment": ExperimentConfig,
    "serve": ServeConfig,
    "library": LibraryConfig,
}
ONLY_THE_USER_KNOWS = {
    "dataset=xquad": "dataset.path=xquad",
    "dataset=local": "dataset.path=my-folder",
    "dataset=birco_arguana": "dataset.path=birco",
    "dataset=birco_clinical_trial": "dataset.path=birco",
    "dataset=ir_datasets": "dataset.test=vaswani",
    "encoder=hub": "encoder.model=BAAI/bge-small-en-v1.5",
}


def choices(*groups: str) -> list[str]:
    """ "group=choice" for each file of these groups."""
    found = []
    for group in groups:
        below = conf_folder() / group
        found += [f"{group}={path.relative_to(below).with_suffix('')}" for path in sorted(below.rglob("*.yaml"))]
    return found


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
def in_project(project: Path) -> Path:
    return project


@pytest.fixture
def conf(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of conf/ that a test may spoil."""
    monkeypatch.setattr("zero2ir.config.conf_folder", lambda: project / "conf")
    return project / "conf"


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
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
    if group in ("dataset", "lm", "encoder", "task") and not overrides:
        assert part.name == name
    if overrides:
        key, _, value = overrides[0].partition("=")
        assert str(getattr(part, key.partition(".")[2])) == value


@pytest.mark.parametrize("choice", ONLY_THE_USER_KNOWS)
def test_what_only_the_user_knows_is_asked_for(choice: str) -> None:
    assert ONLY_THE_USER_KNOWS[choice].partition("=")[0] in refusal(lambda: composed(choice))


@pytest.mark.parametrize("choice", choices("model", "strategy", "selection"))
def test_every_model_strategy_and_selection_is_built(choice: str) -> None:
    group, _, _ = choice.partition("=")
    made = build(getattr(composed(choice), group), group)
    assert hasattr(made, {"model": "index", "strategy": "fit", "selection": "choose"}[group])


@pytest.mark.parametrize(
    "choice", choices("dataset", "lm", "encoder", "model", "strategy", "task", "labelling", "selection")
)
def test_every_file_says_what_it_is(choice: str) -> None:
    group, _, name = choice.partition("=")
    assert (conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_the_library_composes_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no params.yaml
    config = compose("library", LibraryConfig, ["model=sparse"])
    assert config.lm.provider == "none"
    assert config.evaluation.measures == config.task.measures


def test_the_panel_as_it_is_passes() -> None:
    panel = check_experiment()
    assert (panel.models, panel.strategies, panel.seeds) == (read_panel().models, read_panel().strategies, (0,))
    assert compose("ingest", IngestConfig, []).budget == panel.budget


def test_only_some_strategies_want_synthetic_queries() -> None:
    some, none = LMSettings(name="some"), LMSettings(name="none", provider="none")
    assert not needs_synthetic(["zero_shot", "fine_tune"], some)
    assert needs_synthetic(["zero_shot", "fixed_prompt"], none)
    assert needs_synthetic(["meta"], some)
    assert not needs_synthetic(["meta"], none)  # it can do without
    assert needs_synthetic(["prompt"], none)


@pytest.mark.parametrize("choice", choices("lm"))
def test_no_file_holds_a_key(choice: str) -> None:
    settings = composed(choice).lm
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
        ("styles.judgments=0", "no style gets a query; give one of them at least 1"),
        ("words=[5,4]", "the fewest, 5, are more than the most, 4"),
        ("filters=[empti]", "Input should be 'empty', 'too_short'"),
    ],
)
def test_bad_settings_of_synthetic_queries_are_one_line(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        compose("pretrain_synthetic", PretrainConfig, [f"pretraining.synthetic.{change}"])
    assert len(str(raised.value).splitlines()) == 1


# conf/ and the schemas say the same.


def test_defaults_agree_with_the_schemas() -> None:
    pretrain = compose("pretrain_synthetic", PretrainConfig, [])
    assert pretrain.pretraining.pairs == DEFAULT
    assert pretrain.pretraining.static == StaticSettings()
    assert pretrain.pretraining.scratch == ScratchSettings()
    assert pretrain.pretraining.adapted == AdaptedSettings()
    assert pretrain.pretraining.learned_sparse == LearnedSparseSettings()
    assert pretrain.pretraining.projection == ProjectionSettings()
    assert pretrain.pretraining.multitask == MultitaskSettings()
    assert pretrain.pretraining.synthetic == SyntheticSettings()
    assert pretrain.lm == LMSettings(name="smollm2", quantization="Q8_0")
    assert_same(pretrain.encoder, EncoderSettings(name="minilm", source="package"), but={"model", "sha256"})
    assert compose("train", TrainConfig, []).tuning == TuningSettings()
    assert compose("evaluate", EvaluateConfig, []).evaluation == EvaluationSettings()
    assert read_panel().budget == JudgmentBudget()


def assert_same(config: BaseModel, default: BaseModel, but: set[str]) -> None:
    assert config.model_dump(exclude=but) == default.model_dump(exclude=but)


def test_defaults_agree_with_the_models() -> None:
    """The files model=static and model=static_hybrid train longer and harder than a pretrained encoder would bear."""
    sparse, dense, hybrid = (build(composed(f"model={name}").model, "model") for name in ("sparse", "dense", "hybrid"))
    assert sparse.settings() == Sparse().settings()
    assert dense.adapter == Dense().adapter
    assert (dense.encoder, dense.learning) == (Dense().encoder, Dense().learning)
    for name, default_model in {"late_interaction": LateInteraction(), "learned_sparse": LearnedSparse()}.items():
        assert vars(build(composed(f"model={name}").model, "model")) == vars(default_model)
    default = Hybrid([Sparse(), Dense()])  # whose weights are even
    assert hybrid.normalization == default.normalization
    assert (hybrid.depth, hybrid.steps) == (default.depth, default.steps)


def test_defaults_agree_with_the_strategies() -> None:
    for name, proposers in {
        "prompt": [Pool()],
        "prompt_bootstrap": [Bootstrap(), Pool()],
        "prompt_mipro": [Mipro(), Pool()],
        "prompt_copro": [Copro(), Pool()],
        "prompt_gepa": [GEPA(), Pool()],
    }.items():
        search, default = build(composed(f"strategy={name}").strategy, "strategy"), PromptSearch(proposers)
        assert [type(one) for one in search.proposers] == [type(one) for one in proposers]
        assert [vars(one) for one in search.proposers] == [vars(one) for one in proposers]
        assert [tuple(search.candidates), tuple(search.shares)] == [default.candidates, default.shares]
        assert search.synthetic_deviation == default.synthetic_deviation


@pytest.mark.parametrize("task", PairTasks.model_fields)
def test_each_pair_task_can_be_had_alone(task: str) -> None:
    settings, default = (composed(f"pretraining={name}").pretraining for name in (task, "default"))
    own = PairTasks.model_fields[task].annotation.__args__[0]
    assert settings.pairs == PairTasks(**{task: own()})
    assert settings.model_copy(update={"pairs": DEFAULT}) == default  # nothing else differs


def test_all_pair_tasks_are_those_that_the_documents_alone_give() -> None:
    pairs = composed("pretraining=all").pretraining.pairs
    assert pairs == DEFAULT.model_copy(update={"cropping": Cropping(), "adjacency": Adjacency()})


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
        ("dataset=pydocs", "budget.query=3", "budget.query", ["asked", "documents_per_query", "queries"]),
        ("dataset=pydocs", "sedes=[1]", "sedes", ["budget", "dataset", "seeds"]),
        ("lm=smollm2", "lm.temprature=1", "lm.temprature", ["temperature", "max_tokens"]),
        ("lm=smollm2", "+lm.temprature=1", "lm.temprature", ["temperature", "api_base"]),
        ("encoder=minilm", "encoder.batch=1", "encoder.batch", ["batch_size", "source"]),
        ("pretraining=default", "pretraining.static.fit.epoch=1", "pretraining.static.fit.epoch", ["epochs", "scale"]),
        ("pretraining=default", "+pretraining.static.fit.epoch=1", "pretraining.static.fit.epoch", ["epochs", "scale"]),
        ("tuning=default", "+tuning.prior=1", "tuning.prior", ["folds", "prior_deviation"]),
        ("tracking=local", "tracking.url=x", "tracking.url", ["experiment", "uri", "watch"]),
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
            "dataset.sauce: unknown key; valid keys are candidates, document_language, name",
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
            "pretraining.pairs.titel: unknown key; valid keys are adjacency, cropping, inverse_cloze, title, written",
        ),
        ("pretraining/default", {"pairs": {"title": {"keep": 1}}}, "pretraining.pairs.title.keep: unknown key; Title"),
        ("pretraining/default", {"pairs": {}}, "pretraining.pairs: no task is on; list at least one of inverse_cloze"),
        (
            "pretraining/default",
            {"scratch": {"heads": 3}},
            "pretraining.scratch: dimension=256 is no multiple of heads",
        ),
        ("task/ranking", {"measures": ["nDCG@ten"]}, "nDCG@ten"),
        ("task/ranking", {"measure": "AP"}, "task.measure: unknown key; valid keys are ceiling, measures, name"),
        ("evaluation/default", {"resamples": 1}, "evaluation.resamples: .*100, not 1"),
        ("evaluation/default", {"depth": 5}, "depth: 5 is less than nDCG@10 looks at"),
        ("tuning/default", {"prior_deviation": 0}, "tuning.prior_deviation: .*greater than 0, not 0"),
        ("tuning/default", {"negatives_from": [5]}, "tuning.negatives_from.1: "),
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
        ("model=hybrid", "model.normalization=softmax", r"^model\.normalization: .*'z-score'.*not 'softmax'"),
        ("model=hybrid", "+model.retrievers.0.k2=1", r"^model\.retrievers\[0\]\.k2: unknown key; valid keys are "),
        (
            "model=sparse",
            "model._target_=zero2ir.models.Spars",
            r"^model\._target_: 'zero2ir.models.Spars' is no class",
        ),
        ("model=sparse", "model._target_=null", r"^model\._target_: None is no class"),
        ("strategy=fine_tune", "+strategy.epochs=1", r"^strategy\.epochs: unknown key; FineTune takes none$"),
    ],
)
def test_mistake_in_a_model_or_strategy(choice: str, override: str, message: str) -> None:
    group, _, _ = choice.partition("=")
    config = composed(choice, override)
    assert re.search(message, refusal(lambda: build(getattr(config, group), group)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, r"^params\.yaml: sedes: unknown key; valid keys are budget, dataset, encoder, lm, models"),
        ({"seeds": 3}, r"^params\.yaml: seeds: .*not 3"),
        ({"budget": {"queries": -1}}, r"^params\.yaml: budget\.queries: .*greater than or equal to 0, not -1"),
        ({"budget": {"query": 3}}, r"^params\.yaml: budget\.query: unknown key; valid keys are asked, documents_"),
        (
            {"models": ["sparse", "desne"]},
            r"^model=desne: unknown choice; valid choices are adapted, aligned, .*dense, .*sparse",
        ),
        (
            {"strategies": ["magic"]},
            r"^strategy=magic: unknown choice; valid choices are fine_tune, fixed_prompt, hybrid, ",
        ),
        ({"dataset": "nope"}, r"^dataset=nope: unknown choice; valid choices are beir/nfcorpus, "),
        ({"dataset": "local"}, r"dataset\.path is missing"),
        ({"lm": "gpt"}, r"^lm=gpt: unknown choice; valid choices are gemma3, none, ollama, openai, smollm2, vllm$"),
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
    assert re.search(message, refusal(check_experiment))


def test_params_that_are_missing_or_no_yaml(project: Path) -> None:
    edit(project / "params.yaml", lambda values: values.pop("lm"))
    assert refusal(read_panel) == "params.yaml: lm: Field required"
    (project / "params.yaml").write_text("seeds: [0", encoding="utf-8")
    assert refusal(read_panel).startswith("params.yaml: ")
    (project / "params.yaml").unlink()
    assert refusal(read_panel) == "params.yaml: not here; run in the project's folder"


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=12))
def test_no_choice_makes_more_than_one_line(choice: str) -> None:
    if f"model={choice}" not in choices("model"):
        refusal(lambda: composed(f"model={choice}"))


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
            "error: model.k9: unknown key; valid keys are _target_, depth, least_weight, normalization, ",
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


def test_a_mistake_in_params_stops_a_stage_that_does_not_use_it(project: Path) -> None:
    edit(project / "params.yaml", lambda values: values.update(models=["sparse", "desne"]))
    ended = run_stage(project, "stages/ingest.py")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: model=desne: unknown choice")
    assert not (project / "data").exists()


def test_a_multirun_refuses_before_its_first_job(project: Path) -> None:
    ended = run_stage(project, "stages/train.py", "-m", "model=sparse,desne", "strategy=zero_shot")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "model=desne: unknown choice" in ended.stderr
