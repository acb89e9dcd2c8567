"""Presets: every file of conf/experiment is valid, and every mistake is one line."""

from pathlib import Path
from typing import Any

import pytest

from zero2ir.config import conf_folder, read_panel
from zero2ir.errors import InputError
from zero2ir.experiments.preset import Condition, condition, conditions, read_preset

PRESETS = sorted(path.stem for path in (conf_folder() / "experiment").glob("*.yaml"))


def there(group: str, name: str) -> bool:
    return (conf_folder() / group / f"{name}.yaml").is_file()


def test_the_documented_presets_exist() -> None:
    promised = {"smoke", "default", "strategies", "budget_curve", "pretext", "filters", "selection", "paper"}
    assert promised <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_only_existing_choices(name: str) -> None:
    preset = read_preset(name)
    assert preset.title
    for one in conditions(preset):
        panel = one.panel
        assert all(there("model", model) for model in panel.models)
        assert all(there("strategy", strategy) for strategy in panel.strategies)
        assert there("dataset", panel.dataset)
        assert there("lm", panel.lm)
        assert there("pretraining", panel.pretraining)
    assert all((conf_folder() / file).is_file() for file in preset.conf)


def test_the_papers_preset_is_three_collections_with_three_draws() -> None:
    found = conditions(read_preset("paper"))
    assert [one.name for one in found] == ["cranfield", "beir-scifact", "beir-nfcorpus"]
    assert [one.title for one in found] == ["cranfield", "beir/scifact", "beir/nfcorpus"]
    assert len(found[0].systems) == 5 * 2 * 3


def test_the_suite_s_preset_has_every_collection_of_the_suite() -> None:
    found = [one.panel.dataset for one in conditions(read_preset("suite"))]
    assert sorted(found) == sorted(f"suite/{path.stem}" for path in (conf_folder() / "dataset/suite").glob("*.yaml"))
    assert len(found) == 13


def test_every_combination_is_a_condition_on_top_of_params() -> None:
    swept = {"dataset": ["cranfield", "pydocs"], "budget.queries": [5, 10]}
    preset = read_preset("smoke").model_copy(update={"sweep": swept})
    found = conditions(preset)
    assert [one.name for one in found] == [
        "cranfield-queries5",
        "cranfield-queries10",
        "pydocs-queries5",
        "pydocs-queries10",
    ]
    assert found[1].title == "cranfield, queries 10"
    assert found[0].panel.budget.queries == 5
    assert found[0].panel.budget.documents_per_query == read_panel().budget.documents_per_query
    assert found[0].panel.strategies == ("zero_shot", "fine_tune")


def test_no_sweep_gives_one_condition() -> None:
    (only,) = conditions(read_preset("smoke"))
    assert (only.name, only.title) == ("all", "pydocs")


def test_a_list_is_one_value_of_a_sweep() -> None:
    found = condition({"models": ["sparse", "dense"]}, {})
    assert (found.name, found.panel.models) == ("models-sparse-dense".replace("models-", "models"), ("sparse", "dense"))


def test_changes_from_the_command_line_go_last() -> None:
    preset = read_preset("paper", ["panel.seeds=[7]", "sweep.dataset=[cranfield]", "panel.encoder=static"])
    (only,) = conditions(preset)
    assert (only.panel.seeds, only.panel.encoder) == ((7,), "static")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nothing", [], "experiment=nothing: unknown choice; valid choices are budget_curve"),
        ("smoke", ["pannel.x=1"], "pannel: unknown key; valid keys are benchmark, conf, cpus, gpus, memory_gb, panel"),
        ("smoke", ["memory_gb=0"], "memory_gb: Input should be greater than 0"),
        ("smoke", ["sweep.dataset=[]"], "sweep.dataset: List should have at least 1 item"),
    ],
)
def test_a_mistake_in_a_preset_is_one_line(name: str, changes: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_preset(name, changes)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ({"sedes": [[0]]}, "sedes: unknown key"),
        ({"budget.querys": [3]}, "budget.querys: unknown key"),
        ({"seeds": [[]]}, "seeds: Tuple should have at least 1 item"),
        ({"dataset": ["a/b", "a-b"]}, "sweep: two conditions have the name a-b"),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line(swept: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        conditions(read_preset("smoke").model_copy(update={"sweep": swept}))
    assert str(refused.value).startswith(message)


def test_a_condition_names_its_systems_as_the_pipeline_does(tmp_path: Path) -> None:
    one: Condition = condition({}, {"models": ["sparse"], "strategies": ["zero_shot"], "seeds": [0, 3]})
    assert one.systems == [("sparse", "zero_shot", 0), ("sparse", "zero_shot", 3)]
