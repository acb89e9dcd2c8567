"""The tables of an experiment: their rows, and their tests."""

from pathlib import Path

import pytest
from results import write

from zero2ir.evaluation.results import read_all
from zero2ir.experiments.preset import Condition, condition
from zero2ir.experiments.report import (
    ConditionResults,
    against,
    averages_table,
    details,
    overview,
    references,
    sections,
)

PLAIN, BETTER = [2] * 40, [1] * 30 + [2] * 10


def finished(folder: Path, one: Condition, systems: dict[str, list[int]], seeds: int = 1) -> ConditionResults:
    folders = [
        write(folder / one.name, system, ranks, seed=seed, dataset=one.panel.dataset, seconds=4.0 * seed)
        for system, ranks in systems.items()
        for seed in range(seeds)
    ]
    return ConditionResults(one, read_all(folders))


@pytest.fixture
def two_collections(tmp_path: Path) -> list[ConditionResults]:
    systems = {"sparse/zero_shot": PLAIN, "sparse/fine_tune": PLAIN, "sparse/prompt": BETTER}
    return [
        finished(tmp_path, condition({"dataset": name}, {}), systems, seeds=2) for name in ("cranfield", "beir/scifact")
    ]


def test_the_overview_has_all_systems(two_collections: list[ConditionResults]) -> None:
    table = overview(two_collections)
    assert table.headers == ["Model", "Strategy", "cranfield", "beir/scifact"]
    assert [row[:2] for row in table.rows] == [["sparse", "fine_tune"], ["sparse", "prompt"], ["sparse", "zero_shot"]]
    assert table.rows[2][2:] == ["0.500 [0.500, 0.500]"] * 2


def test_a_trained_system_is_compared_with_its_untrained_model(two_collections: list[ConditionResults]) -> None:
    table = details(two_collections[0])
    rows = {row[1]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert rows["zero_shot"]["− zero_shot"] == "–"
    assert rows["prompt"]["− zero_shot"].startswith("+0.375 [")
    assert rows["prompt"]["p (Holm)"] == "<0.001"
    assert rows["prompt"]["Wins / ties / losses"] == "30/10/0"
    assert (rows["prompt"]["Fell back"], rows["fine_tune"]["Fell back"]) == ("0/2", "2/2")
    assert rows["prompt"]["Draws"] == "2"
    assert rows["prompt"]["Train seconds"] == "2"
    assert rows["prompt"]["Calibration error"] == "–"


def test_collections_have_equal_weight_in_the_mean(two_collections: list[ConditionResults]) -> None:
    table = averages_table(two_collections)
    assert table is not None
    found = {row[1]: row[2] for row in table.rows}
    assert found["fine_tune"] == "+0.000 [+0.000, +0.000]"
    assert found["prompt"].startswith("+0.375 [")


def test_one_collection_has_no_mean_over_collections(tmp_path: Path, two_collections: list[ConditionResults]) -> None:
    assert averages_table(two_collections[:1]) is None
    budgets = [
        finished(tmp_path / str(number), condition({"budget.queries": number}, {}), {"sparse/zero_shot": PLAIN})
        for number in (5, 10)
    ]
    assert averages_table(budgets) is None
    assert "Mean over the collections" not in "".join(sections(budgets))


def test_other_conditions_are_compared_with_the_first_one(tmp_path: Path) -> None:
    found = [
        finished(
            tmp_path / str(number),
            condition({"dataset": "cranfield", "budget.queries": number}, {}),
            {"sparse/zero_shot": PLAIN, "sparse/fine_tune": PLAIN if number == 5 else BETTER},
        )
        for number in (5, 10, 20)
    ]
    ((reference, others),) = references(found)
    assert (reference, others) == (found[0], found[1:])
    table = against(reference, others)
    assert [row[0] for row in table.rows] == ["cranfield, queries 10"] * 2 + ["cranfield, queries 20"] * 2
    cells = {(row[0], row[2]): row[4] for row in table.rows}
    assert cells["cranfield, queries 10", "zero_shot"] == "+0.000 [+0.000, +0.000]"
    assert cells["cranfield, queries 20", "fine_tune"].startswith("+0.375 [")
    assert list(references(found[:1])) == []
