"""The choice of model=auto as a table and a sentence."""

from collections.abc import Mapping
from typing import Any

from zero2ir.io.markdown import Table
from zero2ir.report.tables import format_amount, format_signed, format_value


def candidates_table(choice: Mapping[str, Any]) -> Table:
    """Returns one row per candidate, the likeliest first; see ``CandidateReport``."""
    headers = ["Model type", "nDCG@10, expected difference", "Chance of being best", "Expected loss"]
    headers += ["ms a query", "Bytes a document", "MB"]
    rows = [
        [
            one["name"] + ("" if one["in_suite"] else " (not in the suite)"),
            "chosen" if one["name"] == choice["model"] else _difference(one),
            "beyond the limits" if one["probability_best"] is None else f"{one['probability_best']:.0%}",
            "–" if one["expected_loss"] is None else format_value(one["expected_loss"]),
            "–" if one["milliseconds_per_query"] is None else format_amount(one["milliseconds_per_query"]),
            *(format_amount(one["bytes_per_document"]), format_amount(one["megabytes"])),
        ]
        for one in choice["candidates"]
    ]
    return Table([*headers], rows, labels=1)


def worth_of_judging(choice: Mapping[str, Any]) -> str:
    """Returns a sentence on where the expectations come from, and what to expect of further judgments."""
    judged = f"{choice['queries']} judged queries and other collections" if choice["queries"] else "other collections"
    return f"expected of {judged}; {gain_of_judging(choice)}"


def gain_of_judging(choice: Mapping[str, Any]) -> str:
    """Returns a sentence on what to expect of further judgments."""
    gains = [f"{format_signed(gain)} after {number}" for number, gain in choice["gain_of_judging"].items()]
    return f"choosing the model type again is expected to gain {', '.join(gains)} more judged queries"


def _difference(candidate: Mapping[str, Any]) -> str:
    low, high = format_signed(candidate["ci_low"]), format_signed(candidate["ci_high"])
    return f"{format_signed(candidate['difference'])} [{low}, {high}]"
