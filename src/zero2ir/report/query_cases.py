"""Single queries for the report: what a system gains and loses on each against the baseline, and where it fails."""

from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zero2ir.data.highlight import HIGHLIGHT_WORD, Segment, segments
from zero2ir.data.languages import ENGLISH, tokenize
from zero2ir.data.records import Collection, Document
from zero2ir.evaluation.measures import RankedList, ranked_lists, read_trec_run
from zero2ir.evaluation.results import SystemIdentity
from zero2ir.report.tables import Summary, System

MAX_CASES = 10  # queries of each kind
MAX_OPEN_QUERIES = 300  # queries that can be opened: more bars than that cannot be hit
CASE_DEPTH = 5  # documents of each ranking
EXCERPT_WORDS = 45  # of a document
EQUALITY_TOLERANCE = 1e-9  # values this close are equal


class DocumentExcerpt(NamedTuple):
    """A document as it is shown.

    Attributes:
        doc_id: its id.
        pieces: the words of it that hold most of the query's terms, in order.
        judged: its grade; None where nobody judged it.
    """

    doc_id: str
    pieces: list[Segment]
    judged: int | None


class QueryCase(NamedTuple):
    """One query, with both values of the main measure and the first documents of both rankings.

    Attributes:
        place: its own among the queries that can be opened, from 1.
        query_id: its id.
        query: its text.
        value: of the system.
        other: of the baseline.
        first_relevant: the rank of the system's first relevant document; None where it ranks none.
        ranked: how many documents the system ranks.
        system: its first documents.
        baseline: the baseline's.
    """

    place: int
    query_id: str
    query: str
    value: float
    other: float
    first_relevant: int | None
    ranked: int
    system: list[DocumentExcerpt]
    baseline: list[DocumentExcerpt]

    @property
    def delta(self) -> float:
        """What the system gains."""
        return self.value - self.other

    @property
    def anchor(self) -> str:
        """Of its place in the page."""
        return f"query-{self.place}"

    @property
    def why(self) -> str:
        """What the system did with the relevant documents."""
        if self.first_relevant is not None:
            return f"first relevant document at rank {self.first_relevant:,}"
        return f"no relevant document among the {self.ranked:,} ranked" if self.ranked else "nothing found"


class Cases(NamedTuple):
    """Single queries of the best system but the baseline (see ``best_system``), with which it is compared.

    Attributes:
        system: its name.
        seed: of both.
        opened: queries that can be looked at: all by falling difference, or the ends where there are more than
            ``MAX_OPEN_QUERIES``, and behind them failures that lie between.
        between: how many are left out in the middle.
        gains: the queries on which it gains most, the largest gain first.
        losses: those on which it loses most.
        failures: those on which it is worst.
    """

    system: str
    seed: int
    opened: list[QueryCase]
    between: int
    gains: list[QueryCase]
    losses: list[QueryCase]
    failures: list[QueryCase]

    @property
    def bars(self) -> list[QueryCase]:
        """Those that stand in the plot of differences."""
        return self.opened[:MAX_OPEN_QUERIES]


def best_system(summary: Summary) -> System | None:
    """The best system beside the baseline by the main measure; None where there is no other.

    One that fell back to the baseline shows nothing, so it is only taken where all did.
    """

    def worth(system: System) -> tuple[bool, float]:
        _, own, other = values_of(summary, system)
        return own != other, system.measures[summary.main_measure].mean

    return max((system for system in summary.systems if system.name != summary.baseline), key=worth, default=None)


def values_of(summary: Summary, best_system: System) -> tuple[int, Mapping[str, float], Mapping[str, float]]:
    """The first seed on which the two differ, or else that they share, and the main measure of both by query id."""
    baseline = next(system for system in summary.systems if system.name == summary.baseline)
    own, other = best_system.scores(summary.main_measure), baseline.scores(summary.main_measure)
    shared = sorted(own.keys() & other.keys())
    seed = next((seed for seed in shared if own[seed] != other[seed]), shared[0])
    return seed, own[seed], other[seed]


def find_cases(summary: Summary, folders: Sequence[Path], collection: Collection) -> Cases | None:
    """Every query of the best system beside the baseline; None without a second system.

    Args:
        summary: of the results.
        folders: the results folders, in any order.
        collection: that they are of.
    """
    best = best_system(summary)
    if best is None:
        return None
    seed, own, other = values_of(summary, best)
    folder_of = {(one.model, one.strategy, one.seed): folder for folder in folders for one in [identity(folder)]}

    def rows_of(name: str) -> dict[str, RankedList]:
        model, strategy = name.split("/")
        run = read_trec_run(folder_of[model, strategy, seed] / "run.trec.gz")
        return {row.query_id: row for row in ranked_lists(run)}

    ranked, usual = rows_of(best.name), rows_of(summary.baseline)
    falling = sorted(own.keys() & other.keys(), key=lambda query_id: (other[query_id] - own[query_id], query_id))
    worst = sorted((one for one in falling if own[one] < 1), key=lambda query_id: (own[query_id], query_id))[:MAX_CASES]
    shown = (
        falling
        if len(falling) <= MAX_OPEN_QUERIES
        else [*falling[: MAX_OPEN_QUERIES // 2], *falling[-(MAX_OPEN_QUERIES // 2) :]]
    )
    shown += [one for one in worst if one not in set(shown)]
    teller = _CaseBuilder(collection, set(shown))
    teller.learn(row.doc_ids for rows in (ranked, usual) for one, row in rows.items() if one in set(shown))
    told = {
        one: teller.case(place, one, own[one], other[one], ranked.get(one), usual.get(one))
        for place, one in enumerate(shown, start=1)
    }
    opened = list(told.values())
    return Cases(
        *(best.name, seed, opened, max(0, len(falling) - MAX_OPEN_QUERIES)),
        gains=[case for case in opened if case.delta > EQUALITY_TOLERANCE][:MAX_CASES],
        losses=[case for case in opened[:MAX_OPEN_QUERIES][::-1] if case.delta < -EQUALITY_TOLERANCE][:MAX_CASES],
        failures=[told[one] for one in worst],
    )


def identity(folder: Path) -> SystemIdentity:
    """Which system a results folder is of."""
    return SystemIdentity.model_validate_json((folder / "system.json").read_text(encoding="utf-8"))


class _CaseBuilder:
    """Looks up what a case says."""

    def __init__(self, collection: Collection, query_ids: Container[str]) -> None:
        self.documents: dict[str, Document] = {document.doc_id: document for document in collection.documents}
        self.queries = {query.query_id: query.text for query in collection.queries if query.query_id in query_ids}
        self.stems = StemCache(collection.metadata.get("languages", {}).get("documents") or ENGLISH)
        self.terms = dict(zip(self.queries, self.stems.stem(list(self.queries.values())), strict=True))
        self.grades: dict[str, dict[str, int]] = {}
        for row in collection.judgments:
            if row.query_id in query_ids:
                self.grades.setdefault(row.query_id, {})[row.doc_id] = row.relevance

    def learn(self, rankings: Iterable[Sequence[str]]) -> None:
        """Looks up the words of all documents that will be shown, at once."""
        ids = {doc_id for doc_ids in rankings for doc_id in doc_ids[:CASE_DEPTH]}
        self.stems.add(self.documents[doc_id].content for doc_id in ids)

    def case(
        self, place: int, query_id: str, value: float, other: float, own: RankedList | None, baseline: RankedList | None
    ) -> QueryCase:
        ids = own.doc_ids if own else []
        grades = self.grades.get(query_id, {})
        first = next((rank for rank, doc_id in enumerate(ids, start=1) if grades.get(doc_id, 0) > 0), None)
        return QueryCase(
            place,
            query_id,
            self.queries[query_id],
            value,
            other,
            first,
            len(ids),
            self._shown(query_id, ids),
            self._shown(query_id, baseline.doc_ids if baseline else []),
        )

    def _shown(self, query_id: str, doc_ids: Sequence[str]) -> list[DocumentExcerpt]:
        terms, grades = self.terms[query_id], self.grades.get(query_id, {})
        return [
            DocumentExcerpt(doc_id, excerpt(self.documents[doc_id].content, terms, self.stems), grades.get(doc_id))
            for doc_id in doc_ids[:CASE_DEPTH]
        ]


class StemCache:
    """The stems of words, each looked up once: a tokenizer's call costs more than what it does for a word."""

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language
        self.known: dict[str, frozenset[str]] = {}

    def stem(self, texts: Sequence[str]) -> list[frozenset[str]]:
        """The stems of each text."""
        return [frozenset(found) for found in tokenize(texts, self.language)]

    def add(self, texts: Iterable[str]) -> None:
        """Looks up the words of many texts at once."""
        words = list(
            {word for text in texts for word in (*text.split(), *HIGHLIGHT_WORD.findall(text))} - self.known.keys()
        )
        self.known |= dict(zip(words, self.stem(words), strict=True))

    def hits(self, words: Sequence[str], terms: frozenset[str]) -> list[bool]:
        """Which of these words hold one of these stems."""
        return [not terms.isdisjoint(self.known[word]) for word in words]


def excerpt(text: str, terms: frozenset[str], stems: StemCache) -> list[Segment]:
    """The run of ``EXCERPT_WORDS`` words that holds most of a query's terms, the first of equals, with these marked.

    Args:
        text: of a document; one that is not longer is shown whole.
        terms: the stems of a query.
        stems: of the language of both; it has learned the text.
    """
    words, start = text.split(), 0
    if len(words) > EXCERPT_WORDS:
        total = np.concatenate([[0], np.cumsum(stems.hits(words, terms))])
        start = int((total[EXCERPT_WORDS:] - total[:-EXCERPT_WORDS]).argmax())
    before, after = ["…"] * (start > 0), ["…"] * (start + EXCERPT_WORDS < len(words))
    shown = " ".join([*before, *words[start : start + EXCERPT_WORDS], *after])
    parts = list(dict.fromkeys(HIGHLIGHT_WORD.findall(shown)))
    return list(segments(shown, {part for part, hit in zip(parts, stems.hits(parts, terms), strict=True) if hit}))
