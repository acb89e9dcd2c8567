"""The tables of an experiment: their rows, and their tests."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from stored_results import write

from zero2ir.evaluation.results import read_all
from zero2ir.experiments.preset import Condition, condition
from zero2ir.experiments.report import (
    STATISTICS,
    ConditionResults,
    against,
    averages_table,
    details,
    mean_over_collections,
    overview,
    references,
    sections,
)

PLAIN, BETTER = [2] * 40, [1] * 30 + [2] * 10


def finished(
    folder: Path,
    one: Condition,
    systems: dict[str, list[int]],
    seeds: int = 1,
    topics: Mapping[str, str] | None = None,
) -> ConditionResults:
    folders = [
        write(folder / one.name, system, ranks, seed=seed, dataset=one.panel.dataset, seconds=4.0 * seed, topics=topics)
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
    rows = {row[1]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert rows["zero_shot"]["RR@10"] == "0.500 [0.500, 0.500]"
    assert rows["zero_shot"]["− zero_shot"] == rows["zero_shot"]["Better / worse on"] == "–"
    assert rows["fine_tune"]["− zero_shot"] == "+0.000 [+0.000, +0.000]"
    assert rows["fine_tune"]["Better / worse on"] == "0/0"
    assert rows["prompt"]["RR@10"].startswith("0.875 [")
    assert rows["prompt"]["− zero_shot"].startswith("+0.375 [")
    assert rows["prompt"]["Better / worse on"] == "2/0"


def test_few_queries_of_a_collection_weigh_as_much_as_many_of_another(tmp_path: Path) -> None:
    gains = {"cranfield": ([2] * 60, [1] * 60), "beir/scifact": ([2] * 4, [2] * 4)}
    found = [
        finished(tmp_path, condition({"dataset": name}, {}), {"sparse/zero_shot": plain, "sparse/prompt": better})
        for name, (plain, better) in gains.items()
    ]
    differences = [{0: dict.fromkeys((f"q{i}" for i in range(60)), 0.5)}, {0: dict.fromkeys(("q1", "q2"), 0.0)}]
    assert mean_over_collections(differences, found).mean == 0.25
    table = averages_table(found)
    assert table is not None
    assert table.rows[0][3:5] == ["+0.250 [+0.000, +0.500]", "+0.250 [+0.250, +0.250]"]


def test_intervals_for_further_collections_cover_the_mean_of_all_as_often_as_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STATISTICS, "resamples", 300)
    rng, hits = np.random.default_rng(0), {True: 0, False: 0}
    any_condition = finished(tmp_path, condition({"dataset": "cranfield"}, {}), {"sparse/zero_shot": [2]})
    for _ in range(100):
        scores = [
            {0: {f"q{i}": float(value) for i, value in enumerate(rng.normal(0.1 * rng.normal(), 0.2, size=30))}}
            for _ in range(12)
        ]
        for resampled in hits:
            interval = mean_over_collections(scores, [any_condition] * 12, resampled)
            hits[resampled] += interval.ci_low <= 0 <= interval.ci_high
    assert hits[True] >= 85 > 75 > hits[False]


def test_queries_of_one_topic_are_one_observation(tmp_path: Path) -> None:
    systems = {"sparse/zero_shot": PLAIN, "sparse/prompt": BETTER}
    topics = {f"q{number}": f"t{number % 4}" for number in range(len(PLAIN))}
    dataset = condition({"dataset": "cranfield"}, {})
    single = finished(tmp_path / "single", dataset, systems)
    shared = finished(tmp_path / "shared", dataset, systems, topics=topics)
    (_, p_single), (gain, p_shared) = single.gains()["sparse", "prompt"], shared.gains()["sparse", "prompt"]
    assert p_single < 0.001
    assert p_shared == 2 / 2**4  # the topics' sums all have the same sign
    assert gain.difference.n == 40
    assert "40 queries of 4 topics" in "".join(sections([shared]))
    assert "topics" not in "".join(sections([single]))


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
