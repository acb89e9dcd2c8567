"""The significant differences between systems, as sentences."""

from collections.abc import Sequence
from typing import NamedTuple

from zero2ir.report.tables import CorrectedComparison, Summary, difference_text, listed, p_text

MAX_FINDINGS = 8  # sentences of each family; the tables hold the rest


class Finding(NamedTuple):
    """A significant difference."""

    systems: tuple[str, ...]  # several if all their figures are equal, as after a fallback to another strategy
    verdict: str  # "better" or "worse"
    other: str  # the system they are compared with
    text: str  # the rest of the sentence

    @property
    def who(self) -> str:
        return listed(self.systems)

    @property
    def ranks(self) -> str:
        return "rank" if self.systems[1:] else "ranks"

    @property
    def sentence(self) -> str:
        return f"{self.who} {self.ranks} {self.verdict} than {self.other}: {self.text}"


def find_findings(summary: Summary, rows: Sequence[CorrectedComparison]) -> list[Finding]:
    """Returns the findings of a family of comparisons on the main measure, the largest difference first.

    A finding names other measures that are significant in the same or in the opposite direction.
    """
    passed = [row for row in rows if row.measure == summary.main_measure and row.verdict != "undecided"]
    passed.sort(key=lambda row: -abs(row.comparison.difference.mean))
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in passed:
        grouped.setdefault((row.verdict, row.other, _result_text(row, rows)), []).append(row.system)
    return [Finding(tuple(systems), *result) for result, systems in grouped.items()][:MAX_FINDINGS]


def _result_text(row: CorrectedComparison, rows: Sequence[CorrectedComparison]) -> str:
    each = row.comparison
    total = each.wins + each.ties + each.losses
    text = (
        f"{row.measure} {difference_text(each.difference)}, {p_text(row.p_holm)} after Holm's correction; "
        f"higher on {each.wins:,} of {total:,} queries, lower on {each.losses:,}."
    )
    other_measures = [one for one in rows if (one.system, one.other) == (row.system, row.other) and one is not row]
    agreeing = [
        one.measure for one in other_measures if one.verdict == row.verdict and not one.measure.startswith("Judged")
    ]
    opposite = [one.measure for one in other_measures if one.mark and one.verdict != row.verdict]
    text += f" The same holds for {listed(agreeing)}." if agreeing else ""
    return text + (f" The opposite holds for {listed(opposite)}." if opposite else "")
