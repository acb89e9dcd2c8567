"""What is said in words, and that nothing is said that did not pass."""

from hypothesis import given
from hypothesis import strategies as st

from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.significance import Comparison
from zero2ir.report.findings import MAX_FINDINGS, find_findings
from zero2ir.report.tables import CorrectedComparison, Summary


def compared(system: str, difference: float, p: float, measure: str = "AP", half: float = 0.01) -> CorrectedComparison:
    interval = Interval(difference, difference - half, difference + half, 40)
    return CorrectedComparison("f", measure, system, "base", Comparison(interval, p, 0.5, 0.1, 25, 5, 10), p, p, 0.02)


def summary(measures: tuple[str, ...] = ("AP",)) -> Summary:
    return Summary("d", measures, 0.95, "base", [], [], [], [], [])


def test_a_finding_says_how_much_on_how_many_queries_and_by_what_else() -> None:
    rows = [
        compared("a", 0.05, 0.0005),
        compared("a", 0.04, 0.01, "RR"),
        compared("a", 0.04, 0.01, "Judged@10"),
        compared("a", -0.1, 0.01, "R@5"),
        compared("a", 0.01, 0.2, "P@5"),
        compared("b", -0.2, 0.01),
    ]
    first, second = find_findings(summary(("AP", "RR", "Judged@10", "R@5", "P@5")), rows)
    assert (first.systems, first.verdict) == (("b",), "worse")  # the larger difference comes first
    assert second.sentence == (
        "a ranks better than base: AP +0.050 [+0.040, +0.060], p <0.001 after Holm's correction; higher on 25 of 40 "
        "queries, lower on 10. The same holds for RR. The opposite holds for R@5."
    )


@given(st.lists(st.tuples(st.floats(-0.1, 0.1), st.floats(0, 1), st.floats(0.001, 0.1)), max_size=20))
def test_only_significant_differences_are_findings(drawn: list[tuple[float, float, float]]) -> None:
    rows = [compared(f"s{place}", mean, p, half=half) for place, (mean, p, half) in enumerate(drawn)]
    passed = {f"s{place}" for place, (mean, p, half) in enumerate(drawn) if p < 0.05 and abs(mean) > half}
    found = find_findings(summary(), rows)
    said = [system for one in found for system in one.systems]
    assert set(said) <= passed
    assert len(said) == len(set(said))
    assert len(found) == MAX_FINDINGS or set(said) == passed
    assert all((one.verdict == "better") == (drawn[int(one.systems[0][1:])][0] > 0) for one in found)


def test_systems_with_the_same_figures_share_a_sentence() -> None:
    rows = [compared("a", 0.05, 0.01), compared("b", 0.06, 0.01), compared("c", 0.05, 0.01), compared("d", 0.05, 0.01)]
    first, second = find_findings(summary(), rows)
    assert first.systems == ("b",)
    assert second.sentence.startswith("a, c and d rank better than base: AP +0.050")


def test_an_undecided_comparison_is_no_finding() -> None:
    assert find_findings(summary(), [compared("a", 0.05, 0.05), compared("b", 0.005, 0.001)]) == []
    assert compared("a", 0.05, 0.05).verdict_text == "undecided; detectable from 0.020"
    assert compared("a", 0.05, 0.01).verdict_text == "better"
