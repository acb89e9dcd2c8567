"""Data card of the synthetic queries: counts, filters, lengths, overlap, cost and samples."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zero2ir.data.records import JudgedDocument
from zero2ir.io.files import finished_file, write_json
from zero2ir.io.markdown import Table, heading, markdown
from zero2ir.io.settings import Settings, read_state
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.filters import jaccard, trigrams, words_of

SAMPLES = 20
SAMPLE_WORDS = 30  # words shown of a passage
BAR = 40  # characters of the longest bar
LENGTHS = (1, 3, 5, 7, 9, 13, 17, 25, 41)  # lower bounds of the bins, in words
PASSAGE_LENGTHS = (1, 10, 20, 40, 60, 80, 120, 200)
ALIKE = (0.5, 0.3)  # thresholds of trigram similarity


class Section(NamedTuple):
    """One table of the card with its title and caption."""

    title: str
    caption: str
    table: Table


class _Card(Settings):
    """The content of ``card.json``."""

    seed: int
    sections: list[Section]


def data_card(
    rows: Sequence[SyntheticQuery],
    judgments: Sequence[JudgedDocument],
    settings: SyntheticSettings,
    cost: Mapping[str, Any],
    seed: int,
) -> list[Section]:
    """Describes synthetic queries, at least one; ``cost`` has figures by name, ``seed`` draws the samples."""
    accepted = [row for row in rows if not row.rejected]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:SAMPLES])
    return [
        Section("Styles", "Queries by style. Accepted: rejected by no filter.", _styles(rows)),
        Section(
            "Filters",
            "Every filter checks every query. “Alone” counts the queries that a filter rejects, “only” those that no "
            "other filter rejects, “first” those that no earlier filter rejects.",
            _filters(rows, settings),
        ),
        Section("Length", "Accepted queries by number of words.", _histogram([row.query for row in accepted], LENGTHS)),
        Section(
            "Passages",
            "Passages shown to the LM, by number of words.",
            _histogram([row.passage for row in rows], PASSAGE_LENGTHS),
        ),
        Section("Overlap", "Accepted queries compared with the judged queries.", _overlap(accepted, judgments)),
        Section(
            "Cost",
            "Cost of writing, filters and negatives.",
            Table(["Cost", "Value"], [[heading(name), _amount(value)] for name, value in cost.items()], labels=1),
        ),
        Section(
            "Samples",
            f"{len(drawn)} random queries. The texts come from documents and an LM and are not checked.",
            _samples([rows[place] for place in drawn]),
        ),
    ]


def write_card(card: Sequence[Section], seed: int, folder: Path) -> None:
    """Writes ``card.md`` for people and ``card.json`` for the report."""
    with finished_file(folder / "card.md") as file:
        file.write(f"# Synthetic queries, seed {seed}\n")
        for section in card:
            file.write(f"\n## {section.title}\n\n{section.caption}\n\n{markdown(section.table)}")
    write_json(folder / "card.json", {"seed": seed, "sections": _as_json(card)})


def read_card(folder: Path) -> dict[str, Any] | None:
    """Reads a card as {"seed", "sections"}; returns None if no queries were written.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / "card.json"
    if not path.exists():
        return None
    card = read_state(path, _Card)
    return {"seed": card.seed, "sections": _as_json(card.sections)}


def _as_json(sections: Sequence[Section]) -> list[dict[str, Any]]:
    return [section._asdict() | {"table": section.table._asdict()} for section in sections]


def _styles(rows: Sequence[SyntheticQuery]) -> Table:
    table = []
    for style in dict.fromkeys(row.style for row in rows):
        own = [row for row in rows if row.style == style]
        accepted = [row for row in own if not row.rejected]
        table.append(
            [
                style,
                str(len({row.doc_id for row in own})),
                str(len(own)),
                str(len(accepted)),
                _share(len(accepted), len(own)),
                _mean([len(row.query.split()) for row in accepted], 1),
                _mean([row.log_likelihood for row in accepted], 2),
            ]
        )
    headers = ["Style", "Documents", "Written", "Accepted", "Share", "Mean words", "Mean log-likelihood"]
    return Table(headers, table, labels=1)


def _filters(rows: Sequence[SyntheticQuery], settings: SyntheticSettings) -> Table:
    table, left = [], len(rows)
    for name in settings.filters:
        alone = sum(name in row.objections for row in rows)
        only = sum(row.objections == [name] for row in rows)
        first = sum(row.rejected == name for row in rows)
        left -= first
        table.append([name, str(alone), _share(alone, len(rows)), str(only), str(first), str(left)])
    together = sum(bool(row.rejected) for row in rows)
    table.append(["together", str(together), _share(together, len(rows)), "", str(together), str(left)])
    return Table(["Filter", "Alone", "Share", "Only", "First", "Left after it"], table, labels=1)


def _histogram(texts: Sequence[str], bins: Sequence[int]) -> Table:
    """Counts texts by number of words, with bars relative to the fullest bin."""
    places = np.searchsorted(bins, [max(1, len(text.split())) for text in texts], side="right") - 1
    numbers = np.bincount(places, minlength=len(bins))
    names = [f"{low} to {high - 1}" for low, high in pairwise(bins)] + [f"{bins[-1]} and more"]
    rows = [
        [name, "█" * round(BAR * int(number) / max(1, int(numbers.max()))), str(number)]
        for name, number in zip(names, numbers, strict=True)
    ]
    return Table(["Words", "", "Texts"], rows, labels=2)


def _overlap(accepted: Sequence[SyntheticQuery], judgments: Sequence[JudgedDocument]) -> Table:
    judged = list(dict.fromkeys(row.query for row in judgments))
    queries = [row.query for row in accepted]
    judged_texts = {words_of(query) for query in judged}
    vocabulary = {word for query in judged_texts for word in query.split()}
    words = {word for query in queries for word in words_of(query).split()}
    near = jaccard(trigrams(queries), trigrams(judged)).max(axis=1) if queries and judged else np.zeros(len(queries))
    rows = [
        ["judged queries", str(len(judged))],
        ["equal to a judged query", str(sum(words_of(query) in judged_texts for query in queries))],
        *([f"trigram similarity at least {least:.0%}", str(int((near >= least).sum()))] for least in ALIKE),
        ["highest trigram similarity", f"{near.max(initial=0.0):.0%}"],
        ["words of judged queries that occur", _share(len(vocabulary & words), len(vocabulary))],
        ["words that occur in no judged query", _share(len(words - vocabulary), len(words))],
    ]
    return Table(["Figure", "Value"], rows, labels=1)


def _amount(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _samples(rows: Sequence[SyntheticQuery]) -> Table:
    table = [
        [row.query or "–", row.rejected or "accepted", row.style, row.doc_id, _excerpt(row.passage)] for row in rows
    ]
    return Table(["Query", "Filters", "Style", "Document", "Passage"], table, labels=5)


def _excerpt(text: str) -> str:
    words = text.split()
    return " ".join(words[:SAMPLE_WORDS]) + (" …" if len(words) > SAMPLE_WORDS else "")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _mean(values: Sequence[float], digits: int) -> str:
    finite = [value for value in values if not np.isnan(value)]
    return f"{np.mean(finite):.{digits}f}" if finite else "–"
