"""How good judgments are, and which of them deserve a second look. Nothing here changes a grade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.annotators import Agreement, agreement

NEAR = 0.7  # Jaccard similarity of the character trigrams of two queries that ask the same
DEEP = 10  # a relevant document that no model has among so many surprises
LEAST_MODELS = 2  # one model alone is no reason to doubt a person

Pair = tuple[str, str]  # query_id, doc_id


@dataclass(frozen=True)
class Doubt:
    """A judgment that deserves a second look.

    Attributes:
        query_id: of the query.
        query: its text.
        doc_id: of the document.
        grade: the one that stands.
        why: in words.
    """

    query_id: str
    query: str
    doc_id: str
    grade: int
    why: str


def self_agreement(rows: Sequence[Annotation], resamples: int = 1000) -> Agreement | None:
    """How well annotators agree with themselves on what they judged twice; None where nobody did.

    Each repeated item is compared with the last grade that the same annotator had given to the pair.

    Args:
        rows: the answers that stand, in order.
        resamples: of the interval of kappa, which take a second; 0 for no interval.
    """
    last: dict[tuple[str, Pair], int] = {}
    first, second = [], []
    for row in rows:
        if row.grade is None:
            continue
        key = row.annotator, (row.query_id, row.doc_id)
        if row.repeat and key in last:
            first.append(last[key])
            second.append(row.grade)
        last[key] = row.grade
    return agreement(first, second, resamples=resamples) if first else None


def second_look(rows: Sequence[Annotation], found: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Doubt]:
    """Contradictions and suspicious grades; a judgment that was given twice in a row is settled.

    Args:
        rows: the answers that stand, in order.
        found: by query id, the ids of the documents that each model finds, best first.
    """
    given: dict[Pair, list[Annotation]] = {}
    for row in rows:
        if row.grade is not None:
            given.setdefault((row.query_id, row.doc_id), []).append(row)
    open_ones = {
        pair: grades for pair, grades in given.items() if len({row.grade for row in grades[-2:]}) == len(grades[-2:])
    }
    standing = {pair: grades[-1] for pair, grades in given.items()}
    doubts = [*_regraded(open_ones), *_alike(standing, open_ones), *_surprising(open_ones, found)]
    return list({(doubt.query_id, doubt.doc_id): doubt for doubt in reversed(doubts)}.values())[::-1]


def _regraded(given: Mapping[Pair, Sequence[Annotation]]) -> list[Doubt]:
    """Pairs whose last two grades differ."""
    return [
        _doubt(now, f"graded {before.grade} by {before.annotator}, then {now.grade} by {now.annotator}")
        for *_, before, now in (rows for rows in given.values() if len(rows) > 1)
    ]


def _alike(standing: Mapping[Pair, Annotation], unsettled: Mapping[Pair, Sequence[Annotation]]) -> list[Doubt]:
    """Documents that are relevant to one query and not to another that asks almost the same."""
    from zero2ir.synthetic.filters import jaccard, trigrams

    texts = {query_id: row.query for (query_id, _), row in standing.items()}
    grams = trigrams(list(texts.values()) or [""])
    near = jaccard(grams, grams) >= NEAR
    doubts = []
    for (place, one), (other_place, other) in combinations(enumerate(texts), 2):
        if not near[place, other_place]:
            continue
        for doc_id in [doc_id for query_id, doc_id in standing if query_id == one and (other, doc_id) in standing]:
            pair = standing[one, doc_id], standing[other, doc_id]
            if bool(pair[0].grade) != bool(pair[1].grade):
                for row, twin in (pair, pair[::-1]):
                    if (row.query_id, doc_id) in unsettled:
                        doubts.append(_doubt(row, f"graded {twin.grade} for the query “{twin.query}”"))
    return doubts


def _surprising(
    given: Mapping[Pair, Sequence[Annotation]], found: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[Doubt]:
    """Grades far from what all models say."""
    doubts = []
    for (query_id, doc_id), rows in given.items():
        rankings = list(found.get(query_id, {}).values())
        if len(rankings) < LEAST_MODELS:
            continue
        if rows[-1].grade == 0 and all(doc_ids[:1] == [doc_id] for doc_ids in map(list, rankings)):
            doubts.append(_doubt(rows[-1], f"graded 0, and all {len(rankings)} models find it first"))
        elif rows[-1].grade and not any(doc_id in doc_ids[:DEEP] for doc_ids in rankings):
            why = f"graded {rows[-1].grade}, and none of the {len(rankings)} models has it among its first {DEEP}"
            doubts.append(_doubt(rows[-1], why))
    return doubts


def _doubt(row: Annotation, why: str) -> Doubt:
    return Doubt(row.query_id, row.query, row.doc_id, row.grade or 0, why)
