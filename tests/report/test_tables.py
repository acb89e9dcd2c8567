import csv
import io
import math
from dataclasses import replace

import pytest

from zero2ir.errors import InputError
from zero2ir.evaluation.results import QueryConfidence, Results, SystemIdentity
from zero2ir.evaluation.significance import holm
from zero2ir.io.markdown import Table, markdown
from zero2ir.report.latex import latex
from zero2ir.report.tables import (
    best_cells,
    calibration_table,
    comparisons_csv,
    comparisons_table,
    cost_table,
    deltas_csv,
    power,
    summarise,
    systems_csv,
    systems_table,
)

OPTIONS = {"baseline": "sparse/zero_shot", "resamples": 200, "level": 0.95, "seed": 0}
QUERIES = [f"q{i}" for i in range(20)]


ORDER = {"sparse": 10, "dense": 30, "zero_shot": 0, "fine_tune": 10, "prompt": 30, "meta": 40}


def result(model, strategy, gain=0.0, seed=0, measures=("nDCG@10", "AP"), **cost):
    """A system that scores ``gain`` more than the plain one on each query, give or take a little."""
    values = {q: 0.2 + 0.02 * i + gain * (1 + i % 3) / 2 for i, q in enumerate(QUERIES)}
    confidence = [QueryConfidence(q, 0.5, i % 2 == 0) for i, q in enumerate(QUERIES)]
    orders = {"model_order": ORDER.get(model, 100), "strategy_order": ORDER.get(strategy, 100)}
    system = SystemIdentity(model=model, strategy=strategy, seed=seed, dataset="d", **orders)
    return Results(system, {"cost": cost}, {measure: dict(values) for measure in measures}, confidence)


def renamed(one, strategy):
    """The same figures by another strategy, with a cost of their own."""
    system = one.system.model_copy(update={"strategy": strategy, "strategy_order": ORDER[strategy]})
    return replace(one, system=system, metrics={"cost": dict(one.metrics["cost"])})


ALL = [
    result("sparse", "zero_shot", train_seconds=0.0),
    result("dense", "prompt", 0.2, train_seconds=12.34, lm_calls=1200),
    result("dense", "zero_shot", -0.1),
]


def test_systems_come_in_reading_order_with_their_figures():
    summary = summarise(ALL, **OPTIONS)
    assert [system.name for system in summary.systems] == ["sparse/zero_shot", "dense/zero_shot", "dense/prompt"]
    assert summary.systems[0].measures["AP"].mean == pytest.approx(0.2 + 0.02 * 9.5)
    rows = systems_table(summary).rows
    assert [row[:3] for row in rows] == [
        ["sparse", "zero_shot", "1"],
        ["dense", "zero_shot", "1"],
        ["dense", "prompt", "1"],
    ]
    assert rows[0][4] == f"{summary.systems[0].measures['nDCG@10'].ci_low:.3f}"  # what a cautious reader takes
    assert rows[0][6:10] == ["baseline", "–", "–", "–"]
    assert rows[2][6].startswith("+0.195 [+")
    assert rows[1][6].startswith("−0.098 [−")
    assert rows[1][9] == "0/0/20"
    assert rows[2][3].startswith("0.585▲ [")
    assert rows[1][3].startswith("0.293▼ [")
    assert cost_table(summary).rows[2][2:] == ["12.3", "1,200"]


def test_the_best_of_each_measure_stands_out_and_judged_is_no_contest():
    systems = [
        result("sparse", "zero_shot", measures=("AP", "Judged@10")),
        result("dense", "meta", 0.1, measures=("AP", "Judged@10")),
    ]
    summary = summarise(systems, **OPTIONS)
    table = systems_table(summary)
    assert best_cells(summary, table) == {(1, table.headers.index("AP"))}


def test_strategies_that_end_at_the_same_ranking_share_a_row():
    plain = result("dense", "zero_shot")
    kept = [renamed(plain, strategy) for strategy in ("fine_tune", "meta")]
    results = [ALL[0], plain, *kept, result("dense", "prompt", 0.2, train_seconds=12.0), result("static", "zero_shot")]
    kept[1].metrics["cost"] = {"train_seconds": 7.0}
    summary = summarise(results, **OPTIONS)
    assert [(one.system.name, one.strategies) for one in summary.distinct] == [
        ("sparse/zero_shot", ("zero_shot",)),
        ("dense/zero_shot", ("zero_shot", "fine_tune", "meta")),
        ("dense/prompt", ("prompt",)),
        ("static/zero_shot", ("zero_shot",)),  # another model type
    ]
    assert [row[1] for row in systems_table(summary).rows] == [
        "zero_shot",
        "zero_shot, fine_tune, meta",
        "prompt",
        "zero_shot",
    ]
    assert [row[1] for row in calibration_table(summary).rows][1] == "zero_shot, fine_tune, meta"
    assert len(cost_table(summary).rows) == len(results)  # which differs
    untrained = [row for row in summary.against_untrained if row.measure == "AP"]
    assert [row.verdict_text for row in untrained if row.system == "dense/meta"] == ["equal on all queries"]
    (trained,) = summary.distinct_rows(untrained)
    assert (trained.system, trained.p_holm) == ("dense/prompt", trained.comparison.p_value)  # it is one comparison
    against = summary.distinct_rows([row for row in summary.against_baseline if row.measure == "AP"])
    assert {row.other for row in against} == {"sparse/zero_shot"}
    assert [row.p_holm for row in against] == holm([row.comparison.p_value for row in against])
    assert power(summary).comparisons == 3
    assert [row.system for row in against] == ["dense/zero_shot, fine_tune, meta", "dense/prompt", "static/zero_shot"]
    assert len(list(csv.DictReader(io.StringIO(systems_csv(summary))))) == len(results)


def test_a_row_is_shared_only_under_all_seeds_and_the_confidence_only_if_stated_alike():
    plain = [result("dense", "zero_shot", seed=seed) for seed in (0, 1)]
    kept = [renamed(one, "fine_tune") for one in plain]
    kept[1] = replace(kept[1], confidence=[row._replace(confidence=0.6) for row in kept[1].confidence])
    summary = summarise([*plain, *kept], **OPTIONS | {"baseline": "dense/fine_tune"})
    assert [(one.system.name, one.strategies) for one in summary.distinct] == [
        ("dense/fine_tune", ("zero_shot", "fine_tune"))  # the baseline stands for both
    ]
    assert systems_table(summary).rows[0][6] == "baseline"
    assert [row[1] for row in calibration_table(summary).rows] == ["zero_shot", "fine_tune"]
    summary = summarise([*plain, renamed(plain[0], "meta"), result("dense", "meta", 0.1, seed=1)], **OPTIONS)
    assert [one.strategies for one in summary.distinct] == [("zero_shot",), ("meta",)]


def test_both_families_are_corrected_on_their_own():
    summary = summarise(ALL, **OPTIONS)
    against = [(row.measure, row.system, row.other) for row in summary.against_baseline]
    assert against == [
        (m, s, "sparse/zero_shot") for m in ("nDCG@10", "AP") for s in ("dense/zero_shot", "dense/prompt")
    ]
    assert [row.p_holm for row in summary.against_baseline[:2]] == holm(
        [row.comparison.p_value for row in summary.against_baseline[:2]]
    )
    assert [(row.system, row.other) for row in summary.against_untrained] == [("dense/prompt", "dense/zero_shot")] * 2
    assert [row.p_holm for row in summary.against_untrained] == [
        r.comparison.p_value for r in summary.against_untrained
    ]
    assert [row.verdict for row in summary.comparisons] == ["worse", "better", "worse", "better", "better", "better"]


def test_a_gain_that_depends_on_the_seed_is_undecided():
    results = [result("sparse", "zero_shot", seed=seed) for seed in range(3)]
    results += [result("dense", "meta", gain, seed=seed) for seed, gain in enumerate((0.3, -0.05, -0.02))]
    (row, _) = summarise(results, **OPTIONS).against_baseline
    assert row.p_holm < 0.05
    assert row.comparison.difference.ci_low < 0 < row.comparison.difference.mean
    assert row.verdict == "undecided"
    assert row.verdict_text == f"undecided; detectable from {row.detectable:.3f}"
    assert row.detectable == pytest.approx(row.comparison.detectable(0.05))
    assert (row.mark, row.verdict) == ("", "undecided")


def test_seeds_are_put_together():
    summary = summarise([result("sparse", "zero_shot"), result("sparse", "zero_shot", 0.2, seed=1)], **OPTIONS)
    (system,) = summary.systems
    assert system.measures["AP"].mean == pytest.approx(0.39 + 0.195 / 2)
    assert system.measures["AP"].n == 20
    assert summary.seeds == [0, 1]


def test_an_absent_baseline_is_replaced_and_said_so():
    summary = summarise(ALL[1:], **OPTIONS)
    assert summary.baseline == "dense/zero_shot"
    assert summary.notes == ["The configured baseline sparse/zero_shot was not evaluated; dense/zero_shot replaces it."]


def test_different_seeds_are_said():
    summary = summarise([*ALL, result("dense", "prompt", 0.2, seed=1)], **OPTIONS)
    assert "different seeds" in summary.notes[0]


def test_results_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="no results"):
        summarise([], **OPTIONS)
    with pytest.raises(InputError, match="have different measures"):
        summarise([*ALL, result("dense", "meta", measures=("AP",))], **OPTIONS)
    with pytest.raises(InputError, match="dense/prompt and sparse/zero_shot have no seed in common"):
        summarise([result("sparse", "zero_shot"), result("dense", "prompt", seed=1)], **OPTIONS)


def test_power_shrinks_with_the_family_and_vanishes_with_one_system():
    found = power(summarise(ALL, **OPTIONS))
    assert (found.queries, found.comparisons) == (20, 2)
    assert found.single < found.family
    assert found.ten == pytest.approx(found.single * math.sqrt(2))
    assert power(summarise(ALL[:1], **OPTIONS)) is None


def test_csv_holds_plain_numbers():
    summary = summarise(ALL, **OPTIONS)
    rows = list(csv.DictReader(io.StringIO(systems_csv(summary))))
    assert [row["nDCG@10"] for row in rows] == ["0.39", "0.2925", "0.585"]
    assert (rows[0]["difference"], rows[2]["difference"], rows[1]["losses"]) == ("", "0.195", "20")
    assert (rows[2]["lm_calls"], rows[1]["lm_calls"]) == ("1200", "")
    compared = list(csv.DictReader(io.StringIO(comparisons_csv(summary.comparisons))))
    assert len(compared) == 6
    assert {row["family"] for row in compared} == {"against sparse/zero_shot", "against zero_shot"}


def test_calibration_is_reported_where_it_is_stated():
    silent = result("dense", "zero_shot")
    silent.confidence.clear()
    table = calibration_table(summarise([ALL[0], silent], **OPTIONS))
    assert [row[:2] for row in table.rows] == [["sparse", "zero_shot"]]
    assert table.rows[0][2].startswith("0.500 [")


def test_names_cannot_break_out_of_a_table():
    table = Table(["Name", "Value"], [["a|b\n<script>_x_", "50% & −1"]], labels=1)
    assert markdown(table).splitlines() == [
        "| Name | Value |",
        "| :-- | --: |",
        r"| a\|b \<script\>\_x\_ | 50% \& −1 |",
    ]
    for text in ("[a](b)", "![a](b)", "[a] (b)"):
        assert "](" not in markdown(Table(["", ""], [[text, ""]], labels=1)).replace(r"\](", "")
    assert r"a|b \textless{}script\textgreater{}\_x\_ & 50\% \& $-$1 \\" in latex(table, "100%")
    figures = Table(["", "", ""], [["[x", "0.5▲ [0.4, 0.6]", "0.3▼ [0.2, 0.4]"]], labels=1)
    assert (
        r"{[}x & \textbf{0.5}$^{\dagger}$ {\scriptsize {[}0.4, 0.6]} & 0.3$^{\ddagger}$ {\scriptsize {[}0.2, 0.4]} \\"
        in latex(figures, "", {(0, 1)})
    )
    assert "| **0.5▲ [0.4, 0.6]** |" in markdown(figures, {(0, 1)})
    assert r"\caption{100\%}" in latex(table, "100%")
    assert r"\begin{tabular}{lr}" in latex(table, "100%")


def test_the_long_comparisons_table_names_its_families():
    summary = summarise(ALL, **OPTIONS)
    long, short = comparisons_table(summary.comparisons), comparisons_table(summary.comparisons, family=False)
    assert [row[2:] for row in long.rows] == short.rows
    assert {len(row) for row in long.rows} == {len(long.headers)}


def test_shares_of_the_ceiling_stand_beside_the_measure_and_the_note_says_of_what():
    share = {"nDCG@10": {"mean": 0.9, "ci_low": 0.85, "ci_high": 0.95, "n": 20}}
    ceiling = {"nDCG@10": {"mean": 0.964, "ci_low": 0.95, "ci_high": 0.97, "n": 20}}
    found = result("translated", "fine_tune", 0.2)
    found.metrics.update(ceiling_share=share, ceiling=ceiling)
    summary = summarise([ALL[0], found], **OPTIONS)
    table = systems_table(summary)
    place = table.headers.index("nDCG@10, share of ceiling")
    assert [row[place] for row in table.rows] == ["–", "0.900 [0.850, 0.950]"]
    assert any("0.964" in note for note in summary.notes)
    assert "nDCG@10, share of ceiling" not in systems_table(summarise(ALL, **OPTIONS)).headers


def test_topics_are_said_and_resampled():
    topics = {query: f"t{number % 5}" for number, query in enumerate(QUERIES)}
    shared = [replace(one, topics=topics) for one in ALL]
    plain, summary = summarise(ALL, **OPTIONS), summarise(shared, **OPTIONS)
    assert summary.notes == [
        "The 20 test queries have 5 topics. Queries of one topic are not independent: intervals and tests resample "
        "whole topics."
    ]
    assert plain.notes == []
    before, after = (one.versus_baseline("dense/prompt", "nDCG@10").comparison for one in (plain, summary))
    assert before.p_value < 0.01
    assert after.p_value == 2 / 2**5
    systems = zip(plain.systems, summary.systems, strict=True)
    for one, other in systems:
        assert one.measures["AP"].mean == other.measures["AP"].mean
        assert one.weighted != other.weighted
        assert one.calibration.brier == other.calibration.brier  # all confidences are one half


def test_csv_has_no_formulas_from_ids():
    ids = ["=1+1", "+q", "-q", "@q", "=\x00"]
    values = {"nDCG@10": dict(zip(ids, [0.1, 0.2, 0.3, 0.4, 0.5], strict=True))}
    systems = [result("sparse", "zero_shot"), result("dense", "fine_tune", gain=0.1)]
    results = [replace(one, per_query=values, confidence=[]) for one in systems]
    rows = list(csv.DictReader(io.StringIO(deltas_csv(summarise(results, **OPTIONS)))))
    assert {row["query_id"] for row in rows} == {"'=1+1", "'+q", "'-q", "'@q", "'=�"}
    assert all(float(row["difference"]) == 0 for row in rows)
