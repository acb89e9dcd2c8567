"""Single queries for the report: gains and losses of a system against the baseline, and its failures."""

from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zero2ir.data.highlight import Segment, segments
from zero2ir.data.languages import ENGLISH
from zero2ir.data.records import Collection, Document
from zero2ir.data.words import tokenize, word_places
from zero2ir.evaluation.measures import RankedList, ranked_lists, read_trec_run
from zero2ir.evaluation.results import SystemIdentity
from zero2ir.report.tables import Summary, System

MAX_CASES = 10  # queries of each kind
MAX_OPEN_QUERIES = 300  # queries in the plot; more bars would be too narrow to click
CASE_DEPTH = 5  # documents shown of each ranking
EXCERPT_WORDS = 45  # words shown of a document
EQUALITY_TOLERANCE = 1e-9  # values this close are equal


class DocumentExcerpt(NamedTuple):
    """An excerpt of a document: the part with most of the query's terms."""

    doc_id: str
    pieces: list[Segment]
    judged: int | None  # the grade; None if the document is unjudged


class QueryCase(NamedTuple):
    """A query with the main measure and the first documents of the system and the baseline."""

    place: int  # position among the queries that can be opened, from 1
    query_id: str
    query: str
    value: float  # of the system
    other: float  # of the baseline
    first_relevant: int | None  # rank of the system's first relevant document; None if it ranks none
    ranked: int  # number of documents that the system ranks
    system: list[DocumentExcerpt]
    baseline: list[DocumentExcerpt]

    @property
    def delta(self) -> float:
        return self.value - self.other

    @property
    def anchor(self) -> str:
        """The HTML id of the query."""
        return f"query-{self.place}"

    @property
    def why(self) -> str:
        """The rank of the first relevant document, in words."""
        if self.first_relevant is not None:
            return f"first relevant document at rank {self.first_relevant:,}"
        return f"no relevant document among the {self.ranked:,} ranked" if self.ranked else "no document ranked"


class Cases(NamedTuple):
    """Single queries of the best system other than the baseline (see ``best_system``), compared with the baseline.

    ``opened`` are the queries that can be opened, by descending difference; with more than ``MAX_OPEN_QUERIES``, only
    those with the largest and the smallest differences, followed by failures in between.
    """

    system: str
    seed: int  # of both systems
    opened: list[QueryCase]
    between: int  # number of queries omitted from the middle of the plot
    gains: list[QueryCase]  # the largest first
    losses: list[QueryCase]  # the largest first
    failures: list[QueryCase]  # the lowest values of the system

    @property
    def bars(self) -> list[QueryCase]:
        """The queries in the plot of differences."""
        return self.opened[:MAX_OPEN_QUERIES]


def best_system(summary: Summary) -> System | None:
    """Returns the best system other than the baseline by the main measure; None if there is none.

    A system with the baseline's values (after a fallback) is returned only if all systems have them.
    """

    def worth(system: System) -> tuple[bool, float]:
        _, own, other = values_of(summary, system)
        return own != other, system.measures[summary.main_measure].mean

    return max((system for system in summary.systems if system.name != summary.baseline), key=worth, default=None)


def values_of(summary: Summary, best_system: System) -> tuple[int, Mapping[str, float], Mapping[str, float]]:
    """Returns a seed and the main measure of system and baseline by query id.

    The seed is the first shared one on which the two differ, or else the first shared one.
    """
    baseline = next(system for system in summary.systems if system.name == summary.baseline)
    own, other = best_system.scores(summary.main_measure), baseline.scores(summary.main_measure)
    shared = sorted(own.keys() & other.keys())
    seed = next((seed for seed in shared if own[seed] != other[seed]), shared[0])
    return seed, own[seed], other[seed]


def find_cases(summary: Summary, folders: Sequence[Path], collection: Collection) -> Cases | None:
    """Returns the cases of the best system other than the baseline; None if there is no other system.

    ``folders`` are the results folders, in any order.
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
    builder = _CaseBuilder(collection, set(shown))
    builder.learn(row.doc_ids for rows in (ranked, usual) for one, row in rows.items() if one in set(shown))
    by_id = {
        one: builder.case(place, one, own[one], other[one], ranked.get(one), usual.get(one))
        for place, one in enumerate(shown, start=1)
    }
    opened = list(by_id.values())
    return Cases(
        *(best.name, seed, opened, max(0, len(falling) - MAX_OPEN_QUERIES)),
        gains=[case for case in opened if case.delta > EQUALITY_TOLERANCE][:MAX_CASES],
        losses=[case for case in opened[:MAX_OPEN_QUERIES][::-1] if case.delta < -EQUALITY_TOLERANCE][:MAX_CASES],
        failures=[by_id[one] for one in worst],
    )


def identity(folder: Path) -> SystemIdentity:
    return SystemIdentity.model_validate_json((folder / "system.json").read_text(encoding="utf-8"))


class _CaseBuilder:
    def __init__(self, collection: Collection, query_ids: Container[str]) -> None:
        self.documents: dict[str, Document] = {document.doc_id: document for document in collection.documents}
        self.queries = {query.query_id: query.text for query in collection.queries if query.query_id in query_ids}
        self.stems = StemCache(collection.metadata.get("language", ENGLISH))
        self.terms = dict(zip(self.queries, self.stems.stem(list(self.queries.values())), strict=True))
        self.grades: dict[str, dict[str, int]] = {}
        for row in collection.judgments:
            if row.query_id in query_ids:
                self.grades.setdefault(row.query_id, {})[row.doc_id] = row.relevance

    def learn(self, rankings: Iterable[Sequence[str]]) -> None:
        """Stems the words of all documents that will be shown, in one call."""
        ids = {doc_id for doc_ids in rankings for doc_id in doc_ids[:CASE_DEPTH]}
        self.stems.add(self.documents[doc_id].content for doc_id in ids)

    def case(
        self, place: int, query_id: str, value: float, other: float, own: RankedList | None, baseline: RankedList | None
    ) -> QueryCase:
        ids = own.doc_ids if own else []
        grades = self.grades.get(query_id, {})
        first = next((rank for rank, doc_id in enumerate(ids, start=1) if grades.get(doc_id, 0) > 0), None)
        shown = self._shown(query_id, ids), self._shown(query_id, baseline.doc_ids if baseline else [])
        return QueryCase(place, query_id, self.queries[query_id], value, other, first, len(ids), *shown)

    def _shown(self, query_id: str, doc_ids: Sequence[str]) -> list[DocumentExcerpt]:
        terms, grades = self.terms[query_id], self.grades.get(query_id, {})
        return [
            DocumentExcerpt(doc_id, excerpt(self.documents[doc_id].content, terms, self.stems), grades.get(doc_id))
            for doc_id in doc_ids[:CASE_DEPTH]
        ]


class StemCache:
    """Caches the stems of words, because a call of the tokenizer costs more than its work on a word."""

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language
        self.stems: dict[str, frozenset[str]] = {}

    def stem(self, texts: Sequence[str]) -> list[frozenset[str]]:
        return [frozenset(stems) for stems in tokenize(texts, self.language, grams=(2,))]

    def add(self, texts: Iterable[str]) -> None:
        """Stems the words of many texts in one call."""
        found = [(text.split(), [text[slice(*place)] for place in word_places(text, self.language)]) for text in texts]
        self._add(word for both in found for words in both for word in words)

    def _add(self, words: Iterable[str]) -> None:
        new = list(dict.fromkeys(word for word in words if word not in self.stems))
        self.stems |= dict(zip(new, self.stem(new), strict=True))

    def hits(self, words: Sequence[str], terms: frozenset[str]) -> list[bool]:
        """Returns for each word whether it has one of these stems."""
        self._add(words)
        return [not terms.isdisjoint(self.stems[word]) for word in words]


def excerpt(text: str, terms: frozenset[str], stems: StemCache) -> list[Segment]:
    """Returns the first window of ``EXCERPT_WORDS`` words with most of a query's terms (stems), with the terms marked.

    A shorter text is returned whole.
    """
    words, start = text.split(), 0
    if len(words) > EXCERPT_WORDS:
        total = np.concatenate([[0], np.cumsum(stems.hits(words, terms))])
        start = int((total[EXCERPT_WORDS:] - total[:-EXCERPT_WORDS]).argmax())
    before, after = ["…"] * (start > 0), ["…"] * (start + EXCERPT_WORDS < len(words))
    shown = " ".join([*before, *words[start : start + EXCERPT_WORDS], *after])
    places = word_places(shown, stems.language)
    hits = stems.hits([shown[slice(*place)] for place in places], terms)
    return list(segments(shown, [place for place, hit in zip(places, hits, strict=True) if hit]))
