"""Curves over the number of judged queries."""

from pathlib import Path

import pytest

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_all, write_results
from zero2ir.report.budget_curves import budget_curves, budgets_table, read_other_budgets
from zero2ir.report.page import build_report

QUERIES = [f"q{number:02}" for number in range(12)]
OPTIONS = {"resamples": 100, "level": 0.95, "seed": 0}


def write(folder: Path, budget: int, right: int, model: str = "sparse", dataset: str = "d") -> None:
    """Results without the first ``budget`` queries, which were judged; right on the first ``right`` of all."""
    tested = QUERIES[budget:]
    rows = [["d", "x"] if query_id in QUERIES[:right] else ["x", "d"] for query_id in tested]
    write_results(
        folder / model,
        system=SystemIdentity(model=model, strategy="fine_tune", seed=0, dataset=dataset, judged_queries=budget),
        run=Run(tested, rows, [[2.0, 1.0]] * len(tested)),
        qrels=[Judgment(query_id, "d", 1) for query_id in tested],
        confidence={},
        cost={},
        settings=EvaluationSettings(measures=("RR@10",), resamples=100),
        seed=0,
    )


def test_a_curve_is_of_the_queries_that_all_its_budgets_test(tmp_path: Path) -> None:
    write(tmp_path / "results", budget=2, right=6)
    write(tmp_path / "results", budget=2, right=0, model="static")  # of one budget alone
    write(tmp_path / "other", budget=4, right=8)
    results = read_all(sorted((tmp_path / "results").iterdir()))
    others = read_other_budgets([tmp_path / "other"], "d")
    (curve,) = budget_curves([*results, *others], "RR@10", **OPTIONS)
    assert (curve.model, list(curve.points)) == ("sparse", [2, 4])
    assert curve.points[2].mean == pytest.approx((2 + 6 * 0.5) / 8)  # q04 to q11
    assert curve.points[4].mean == pytest.approx((4 + 4 * 0.5) / 8)
    assert {interval.n for interval in curve.points.values()} == {8}
    assert budgets_table([curve]).headers[2:] == ["2 judged", "4 judged"]
    page = build_report(
        sorted((tmp_path / "results").iterdir()),
        tmp_path / "report",
        manifest={},
        settings={},
        other_results=[tmp_path / "other"],
        baseline="sparse/fine_tune",
        resamples=100,
    )
    assert 'id="budgets"' in page.read_text(encoding="utf-8")
    assert (tmp_path / "report" / "figures" / "budgets.svg").is_file()


def test_results_that_cannot_be_on_a_curve_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"other_results: .*empty contains no results"):
        read_other_budgets([tmp_path / "empty"], "d")
    write(tmp_path / "other", budget=4, right=8, dataset="e")
    with pytest.raises(InputError, match="results of e instead of d"):
        read_other_budgets([tmp_path / "other"], "d")
