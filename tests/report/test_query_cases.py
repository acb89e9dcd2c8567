"""Single queries: which are shown, and what of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Collection, Document, Judgment, Query
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_all, write_results
from zero2ir.report.delta_plot import delta_plot
from zero2ir.report.page import build_report
from zero2ir.report.query_cases import EXCERPT_WORDS, MAX_CASES, Cases, StemCache, excerpt, find_cases
from zero2ir.report.tables import Summary, summarise

EVIL = "<script>alert('x')</script>"
QUERIES = [f"q{number:02}" for number in range(30)]
COLLECTION = Collection(
    [Document("right", "A title", f"sorting lists {EVIL}"), Document("wrong", "", "nothing of the kind")],
    [Query(query_id, f"sort a list {EVIL}") for query_id in QUERIES],
    [Judgment(query_id, "right", 2) for query_id in QUERIES],
)


def write(folder: Path, model: str, right_first: set[str], missed: frozenset[str] = frozenset()) -> None:
    rows = [
        [("wrong", "")] if query_id in missed else ["right", "wrong"] if query_id in right_first else ["wrong", "right"]
        for query_id in QUERIES
    ]
    rows = [["wrong", ""] if query_id in missed else row for query_id, row in zip(QUERIES, rows, strict=True)]
    write_results(
        folder / model,
        system=SystemIdentity(model=model, strategy="zero_shot", seed=0, dataset="a test"),
        run=Run(QUERIES, rows, [[2.0, 1.0]] * len(QUERIES)),
        qrels=COLLECTION.judgments,
        confidence={},
        cost={},
        settings=EvaluationSettings(resamples=100),
        seed=0,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write(folder, "sparse", set(QUERIES[:5]))
    write(folder, "dense", set(QUERIES[3:28]), frozenset(QUERIES[28:]))
    return folder


def summary_of(folder: Path) -> Summary:
    return summarise(read_all(sorted(folder.iterdir())), baseline="sparse/zero_shot", resamples=100, level=0.95, seed=0)


@pytest.fixture(scope="module")
def cases(results: Path) -> Cases:
    found = find_cases(summary_of(results), sorted(results.iterdir()), COLLECTION)
    assert found is not None
    return found


def test_gains_losses_and_failures(cases: Cases) -> None:
    assert (cases.system, cases.seed) == ("dense/zero_shot", 0)
    assert len(cases.gains) == MAX_CASES
    assert all(case.value == 1 > case.other for case in cases.gains)
    assert {case.query_id for case in cases.losses} == {*QUERIES[:3], *QUERIES[28:]}
    assert [case.value for case in cases.failures] == sorted(case.value for case in cases.failures)
    missed = cases.failures[0]
    assert (missed.query_id, missed.first_relevant, missed.ranked, missed.value) == ("q28", None, 1, 0)
    assert missed.why == "no relevant document among the 1 ranked"
    assert cases.failures[-1].first_relevant == 2
    assert cases.failures[-1].why == "first relevant document at rank 2"


def test_every_query_can_be_opened_in_falling_order(cases: Cases) -> None:
    assert [case.place for case in cases.opened] == list(range(1, len(QUERIES) + 1))
    assert {case.query_id for case in cases.bars} == set(QUERIES)
    assert [case.delta for case in cases.opened] == sorted((case.delta for case in cases.opened), reverse=True)
    assert cases.between == 0


def test_of_many_queries_the_ends_and_the_failures_can_be_opened(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zero2ir.report.query_cases.MAX_OPEN_QUERIES", 6)
    found = find_cases(summary_of(results), sorted(results.iterdir()), COLLECTION)
    assert found is not None
    assert len(found.bars) == 6
    assert found.between == len(QUERIES) - 6
    assert {case.query_id for case in found.failures} <= {case.query_id for case in found.opened}
    plot = delta_plot(found)
    assert plot.gap is not None
    assert [bar.x for bar in plot.bars] == sorted(bar.x for bar in plot.bars)
    assert plot.bars[3].x - plot.bars[2].x > plot.bars[1].x - plot.bars[0].x  # room for those between


def test_bars_stand_on_zero_and_within_the_plot(cases: Cases) -> None:
    plot = delta_plot(cases)
    assert [bar.case for bar in plot.bars] == cases.bars
    for bar in plot.bars:
        end = bar.y if bar.case.delta < 0 else bar.y + bar.height
        assert end == pytest.approx(plot.zero, abs=0.02)
        assert 0 <= bar.y <= bar.y + bar.height <= plot.height
        assert plot.left <= bar.x < bar.x + bar.width <= plot.width + 0.01 * len(plot.bars)
    assert any(tick.y == pytest.approx(plot.zero, abs=0.02) for tick in plot.ticks)


def test_documents_stand_in_their_order_with_grades_and_marks(cases: Cases) -> None:
    first, second = cases.gains[0].system
    assert [(one.doc_id, one.judged) for one in (first, second)] == [("right", 2), ("wrong", None)]
    assert [text for text, mark in first.pieces if mark][:2] == ["sorting", "lists"]
    assert "".join(text for text, _ in first.pieces) == f"A title sorting lists {EVIL}"
    assert not any(mark for _, mark in second.pieces)
    assert [one.doc_id for one in cases.gains[0].baseline] == ["wrong", "right"]


def test_a_system_that_fell_back_to_the_baseline_is_passed_over(tmp_path: Path) -> None:
    for model, right_first in {"sparse": set(QUERIES[:20]), "fell_back": set(QUERIES[:20]), "worse": {"q05"}}.items():
        write(tmp_path, model, right_first)
    found = find_cases(summary_of(tmp_path), sorted(tmp_path.iterdir()), COLLECTION)
    assert found is not None
    assert found.system == "worse/zero_shot"


def test_one_system_has_no_cases(results: Path) -> None:
    alone = [results / "sparse"]
    summary = summarise(read_all(alone), baseline="sparse/zero_shot", resamples=100, level=0.95, seed=0)
    assert find_cases(summary, alone, COLLECTION) is None


def test_documents_are_escaped_on_the_page(results: Path, tmp_path: Path) -> None:
    options = {"manifest": {}, "settings": {}, "resamples": 100}
    page = build_report(sorted(results.iterdir()), tmp_path / "report", collection=COLLECTION, **options)
    text = page.read_text(encoding="utf-8")
    assert text.count('<article class="opened"') == len(QUERIES)
    assert text.count("<script>") == 1  # the page's own
    assert text.count("&lt;script&gt;") >= 2 * MAX_CASES  # in queries; in documents the word is a term, and marked
    assert text.count("&lt;<mark>script</mark>&gt;") > 2 * MAX_CASES
    assert text.count('<rect class="hit"') == len(QUERIES)
    assert "<mark>sorting</mark> <mark>lists</mark>" in text
    assert 'id="queries"' in text


@given(st.lists(st.sampled_from(["apple", "pear", "plum"]), max_size=3 * EXCERPT_WORDS))
def test_an_excerpt_holds_the_window_with_most_terms(words: list[str]) -> None:
    stems = StemCache()
    stems.add(words)
    pieces = excerpt(" ".join(words), *stems.stem(["the apples"]), stems)
    shown = "".join(text for text, _ in pieces).replace("…", "").split()
    assert len(shown) == min(len(words), EXCERPT_WORDS)
    windows = [words[start : start + EXCERPT_WORDS] for start in range(max(1, len(words) - EXCERPT_WORDS + 1))]
    assert shown.count("apple") == max(window.count("apple") for window in windows)
    assert [text for text, mark in pieces if mark] == ["apple"] * shown.count("apple")
