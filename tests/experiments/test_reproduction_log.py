"""The log of checked figures, and the page that shows the last check of each."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.experiments.reproduction import FigureCheck, PublishedFigure, figures, read_reproduction, sampled
from zero2ir.experiments.reproduction_log import (
    LoggedCheck,
    append_check,
    read_log,
    reproductions,
    write_page,
)
from zero2ir.io.paths import REPRODUCTIONS_FILE

PROJECT = Path(__file__).parents[2]
PUBLISHED = figures(read_reproduction(PROJECT / "reproduction.yaml"))


def log_of(path: Path, *checks: FigureCheck) -> list[LoggedCheck]:
    for check in checks:
        append_check(path, check)
    return read_log(path)


def test_the_projects_log_can_be_read() -> None:
    assert all(one.figure for one in read_log(PROJECT / REPRODUCTIONS_FILE))


def test_a_check_is_read_as_it_was_written(tmp_path: Path) -> None:
    agreeing = FigureCheck(PUBLISHED[0], PUBLISHED[0].expected, "")
    failed = FigureCheck(PUBLISHED[1], "", "the disk is full")
    first, second = log_of(tmp_path / "new" / "log.jsonl", agreeing, failed)
    assert (first.figure, first.reproduced, first.agrees) == (PUBLISHED[0].name, PUBLISHED[0].expected, True)
    assert (second.figure, second.agrees, second.error) == (PUBLISHED[1].name, False, "the disk is full")
    assert first.processor
    assert str(tmp_path) not in first.model_dump_json()


def test_a_check_that_did_not_fit_leaves_those_before(tmp_path: Path, no_room: Any) -> None:
    path, check = tmp_path / "log.jsonl", FigureCheck(PUBLISHED[0], PUBLISHED[0].expected, "")
    before = log_of(path, check)
    with no_room(path.stat().st_size + 20), pytest.raises(OSError, match="too large"):
        append_check(path, check)
    assert read_log(path) == before
    assert len(log_of(path, check)) == 2


def test_a_line_that_is_no_check_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log_of(path, FigureCheck(PUBLISHED[0], PUBLISHED[0].expected, ""))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"figure": "x"}\n')
    with pytest.raises(InputError, match=r"log\.jsonl:2: not a check"):
        read_log(path)


def test_the_page_shows_the_last_check_of_each_figure(tmp_path: Path) -> None:
    agreeing, differing, failing, changed, never = PUBLISHED[:5]
    checks = log_of(
        tmp_path / "log.jsonl",
        FigureCheck(differing, differing.expected, ""),
        FigureCheck(agreeing, agreeing.expected, ""),
        FigureCheck(differing, "0.001", ""),
        FigureCheck(failing, "", "<script>no network</script>"),
        FigureCheck(changed._replace(expected="0.999"), "0.999", ""),
    )
    page = write_page(tmp_path / "site", [agreeing, differing, failing, changed, never], checks).read_text("utf-8")
    states = [line.split("state ")[1].split('"')[0] for line in page.splitlines() if '"state ' in line]
    assert states == ["agrees", "differs", "failed", "unchecked", "unchecked"]
    assert "0.001" in page
    assert "<script>no network" not in page
    assert f"zero2ir check --only &#39;{never.name}&#39;" in page


def test_reproductions_count_a_figure_once_for_each_revision_and_machine(tmp_path: Path) -> None:
    one, other = PUBLISHED[:2]
    checks = log_of(
        tmp_path / "log.jsonl",
        FigureCheck(one, "0.0", ""),
        FigureCheck(one, one.expected, ""),  # checked again
        FigureCheck(other, "", "failed"),
    )
    [found] = reproductions(checks)
    assert (found.agreeing, found.checked) == (1, 2)
    later = checks[0].model_copy(update={"revision": "another"})
    assert [(row.revision, row.checked) for row in reproductions([*checks, later])][1] == ("another", 1)


@given(number=st.integers(1, 2 * len(PUBLISHED)), seed=st.integers())
def test_a_sample_has_each_figure_once_and_is_the_same_again(number: int, seed: int) -> None:
    drawn = sampled(PUBLISHED, number, seed)
    assert drawn == sampled(PUBLISHED, number, seed)
    assert len({figure.name for figure in drawn}) == len(drawn) == min(number, len(PUBLISHED))
    assert [one for one in PUBLISHED if one in drawn] == drawn


def test_other_seeds_draw_other_figures() -> None:
    def names(seed: int) -> list[str]:
        return [figure.name for figure in sampled(PUBLISHED, 5, seed)]

    assert names(1) != names(2)


def test_no_run_starts_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from zero2ir.experiments import reproduction

    started: list[str] = []

    def run(name: str, preset: object, wanted: list, jobs: int | None) -> list:
        started.extend(one.panel.dataset for one in wanted)
        return [(None, InputError("not run in this test")) for _ in wanted]

    monkeypatch.setattr(reproduction, "run_conditions", run)
    wanted: list[PublishedFigure] = [one for one in PUBLISHED if one.table == "paper"]
    assert list(reproduction.check_figures(wanted, seconds=-1)) == []
    assert started == []
    assert len(list(reproduction.check_figures(wanted, seconds=1000))) == len(wanted)
    assert started == ["cranfield", "beir/scifact", "beir/nfcorpus"]
