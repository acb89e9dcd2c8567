"""Single queries for the report: where a system gains and loses against the baseline, and where it fails."""

from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zero2ir.collections.records import Collection, Document
from zero2ir.evaluation.measures import Ranking, rankings, read_trec_run
from zero2ir.evaluation.results import SystemIdentity
from zero2ir.languages import ENGLISH, tokenize
from zero2ir.marking import Segment, marked
from zero2ir.report.tables import Summary, System

MOST = 10  # queries of each kind
SHOWN = 5  # documents of each ranking
WORDS = 45  # of a document
SAME = 1e-9  # values this close are equal


class Shown(NamedTuple):
    """A document as it is shown.

    Attributes:
        doc_id: its id.
        pieces: the words of it that hold most of the query's terms, in order.
        judged: its grade; None where nobody judged it.
    """

    doc_id: str
    pieces: list[Segment]
    judged: int | None


class Case(NamedTuple):
    """One query, with both values of the main measure and the first documents of both rankings.

    Attributes:
        query_id: its id.
        query: its text.
        value: of the system.
        other: of the baseline.
        first_relevant: the rank of the system's first relevant document; None where it ranks none.
        ranked: how many documents the system ranks.
        system: its first documents.
        baseline: the baseline's.
    """

    query_id: str
    query: str
    value: float
    other: float
    first_relevant: int | None
    ranked: int
    system: list[Shown]
    baseline: list[Shown]


class Cases(NamedTuple):
    """The queries that tell most.

    Attributes:
        system: the best one but the baseline, which it is compared with.
        seed: of both.
        gains: the queries on which it gains most, the largest gain first.
        losses: those on which it loses most.
        failures: those on which it is worst.
    """

    system: str
    seed: int
    gains: list[Case]
    losses: list[Case]
    failures: list[Case]


def rival_of(summary: Summary) -> System | None:
    """The best system beside the baseline by the main measure; None where there is no other."""
    others = [system for system in summary.systems if system.name != summary.baseline]
    return max(others, key=lambda system: system.measures[summary.main_measure].mean, default=None)


def values_of(summary: Summary, rival: System) -> tuple[int, Mapping[str, float], Mapping[str, float]]:
    """The first seed that the rival and the baseline share, and the main measure of both by query id."""
    baseline = next(system for system in summary.systems if system.name == summary.baseline)
    own, other = rival.scores(summary.main_measure), baseline.scores(summary.main_measure)
    seed = min(own.keys() & other.keys())
    return seed, own[seed], other[seed]


def find_cases(summary: Summary, folders: Sequence[Path], collection: Collection) -> Cases | None:
    """The queries on which the best system gains most, loses most, and is worst; None without a second system.

    Args:
        summary: of the results.
        folders: the results folders, in any order.
        collection: that they are of.
    """
    rival = rival_of(summary)
    if rival is None:
        return None
    seed, own, other = values_of(summary, rival)
    folder_of = {(one.model, one.strategy, one.seed): folder for folder in folders for one in [identity(folder)]}

    def rows_of(name: str) -> dict[str, Ranking]:
        model, strategy = name.split("/")
        run = read_trec_run(folder_of[model, strategy, seed] / "run.trec.gz")
        return {row.query_id: row for row in rankings(run)}

    ranked, usual = rows_of(rival.name), rows_of(summary.baseline)
    shared = sorted(own.keys() & other.keys())
    rising = sorted(shared, key=lambda query_id: (own[query_id] - other[query_id], query_id))
    worst = sorted((one for one in shared if own[one] < 1), key=lambda query_id: (own[query_id], query_id))[:MOST]
    gains = [one for one in rising[::-1] if own[one] - other[one] > SAME][:MOST]
    losses = [one for one in rising if own[one] - other[one] < -SAME][:MOST]
    teller = _Teller(collection, {*gains, *losses, *worst})

    def told(query_ids: Sequence[str]) -> list[Case]:
        return [teller.case(one, own[one], other[one], ranked.get(one), usual.get(one)) for one in query_ids]

    return Cases(rival.name, seed, told(gains), told(losses), told(worst))


def identity(folder: Path) -> SystemIdentity:
    """Which system a results folder is of."""
    return SystemIdentity.model_validate_json((folder / "system.json").read_text(encoding="utf-8"))


class _Teller:
    """Looks up what a case says."""

    def __init__(self, collection: Collection, query_ids: Container[str]) -> None:
        self.documents: dict[str, Document] = {document.doc_id: document for document in collection.documents}
        self.queries = {query.query_id: query.text for query in collection.queries if query.query_id in query_ids}
        self.language = collection.facts.get("languages", {}).get("documents") or ENGLISH
        self.grades: dict[str, dict[str, int]] = {}
        for row in collection.judgments:
            if row.query_id in query_ids:
                self.grades.setdefault(row.query_id, {})[row.doc_id] = row.relevance

    def case(self, query_id: str, value: float, other: float, own: Ranking | None, baseline: Ranking | None) -> Case:
        ids = own.doc_ids if own else []
        grades = self.grades.get(query_id, {})
        first = next((rank for rank, doc_id in enumerate(ids, start=1) if grades.get(doc_id, 0) > 0), None)
        return Case(
            query_id,
            self.queries[query_id],
            value,
            other,
            first,
            len(ids),
            self._shown(query_id, ids),
            self._shown(query_id, baseline.doc_ids if baseline else []),
        )

    def _shown(self, query_id: str, doc_ids: Sequence[str]) -> list[Shown]:
        query, grades = self.queries[query_id], self.grades.get(query_id, {})
        return [
            Shown(doc_id, excerpt(self.documents[doc_id].content, query, self.language), grades.get(doc_id))
            for doc_id in doc_ids[:SHOWN]
        ]


def excerpt(text: str, query: str, language: str = ENGLISH) -> list[Segment]:
    """The run of ``WORDS`` words that holds most of a query's terms, the first of equals, with these marked.

    Args:
        text: of a document; one that is not longer is shown whole.
        query: any.
        language: of both.
    """
    words = text.split()
    (terms,) = tokenize([query], language)
    hits = [not set(terms).isdisjoint(stems) for stems in tokenize(words, language)]
    start = 0
    if len(words) > WORDS:
        total = np.concatenate([[0], np.cumsum(hits)])
        start = int((total[WORDS:] - total[:-WORDS]).argmax())
    shown = words[start : start + WORDS]
    before, after = ["…"] * (start > 0), ["…"] * (start + WORDS < len(words))
    return marked(" ".join([*before, *shown, *after]), query, language)
