"""How good judgments are, and which of them deserve a second look. Nothing here changes a grade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.annotators import Agreement, annotator_agreement

NEAR = 0.7  # Jaccard similarity of the character trigrams of two queries that ask the same
DEEP = 10  # a relevant document that no model has among so many surprises
MIN_MODELS = 2  # one model alone is no reason to doubt a person

QueryDocumentPair = tuple[str, str]  # query_id, doc_id


@dataclass(frozen=True)
class SuspiciousJudgment:
    """A judgment that deserves a second look.

    Attributes:
        query_id: of the query.
        query: its text.
        doc_id: of the document.
        grade: the one that stands.
        reason: in words.
    """

    query_id: str
    query: str
    doc_id: str
    grade: int
    reason: str


def self_agreement(rows: Sequence[Annotation], resamples: int = 1000) -> Agreement | None:
    """How well annotators agree with themselves on what they judged twice; None where nobody did.

    Each repeated item is compared with the last grade that the same annotator had given to the pair.

    Args:
        rows: the answers that stand, in order.
        resamples: of the interval of kappa, which take a second; 0 for no interval.
    """
    last: dict[tuple[str, QueryDocumentPair], int] = {}
    first, second = [], []
    for row in rows:
        if row.grade is None:
            continue
        key = row.annotator, (row.query_id, row.doc_id)
        if row.repeat and key in last:
            first.append(last[key])
            second.append(row.grade)
        last[key] = row.grade
    return annotator_agreement(first, second, resamples=resamples) if first else None


def find_suspicious_judgments(
    rows: Sequence[Annotation], model_rankings: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[SuspiciousJudgment]:
    """Contradictions and suspicious grades; a judgment that was given twice in a row is settled.

    Args:
        rows: the answers that stand, in order.
        model_rankings: by query id, the ids of the documents that each model finds, best first.
    """
    annotations: dict[QueryDocumentPair, list[Annotation]] = {}
    for row in rows:
        if row.grade is not None:
            annotations.setdefault((row.query_id, row.doc_id), []).append(row)
    open_ones = {
        pair: grades
        for pair, grades in annotations.items()
        if len({row.grade for row in grades[-2:]}) == len(grades[-2:])
    }
    standing = {pair: grades[-1] for pair, grades in annotations.items()}
    doubts = [*_regraded(open_ones), *_alike(standing, open_ones), *_surprising(open_ones, model_rankings)]
    return list({(doubt.query_id, doubt.doc_id): doubt for doubt in reversed(doubts)}.values())[::-1]


def _regraded(annotations: Mapping[QueryDocumentPair, Sequence[Annotation]]) -> list[SuspiciousJudgment]:
    """Pairs whose last two grades differ."""
    return [
        _doubt(now, f"graded {before.grade} by {before.annotator}, then {now.grade} by {now.annotator}")
        for *_, before, now in (rows for rows in annotations.values() if len(rows) > 1)
    ]


def _alike(
    standing: Mapping[QueryDocumentPair, Annotation], unsettled: Mapping[QueryDocumentPair, Sequence[Annotation]]
) -> list[SuspiciousJudgment]:
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
    annotations: Mapping[QueryDocumentPair, Sequence[Annotation]],
    model_rankings: Mapping[str, Mapping[str, Sequence[str]]],
) -> list[SuspiciousJudgment]:
    """Grades far from what all models say."""
    doubts = []
    for (query_id, doc_id), rows in annotations.items():
        rankings = list(model_rankings.get(query_id, {}).values())
        if len(rankings) < MIN_MODELS:
            continue
        if rows[-1].grade == 0 and all(doc_ids[:1] == [doc_id] for doc_ids in map(list, rankings)):
            doubts.append(_doubt(rows[-1], f"graded 0, and all {len(rankings)} models find it first"))
        elif rows[-1].grade and not any(doc_id in doc_ids[:DEEP] for doc_ids in rankings):
            why = f"graded {rows[-1].grade}, and none of the {len(rankings)} models has it among its first {DEEP}"
            doubts.append(_doubt(rows[-1], why))
    return doubts


def _doubt(row: Annotation, why: str) -> SuspiciousJudgment:
    return SuspiciousJudgment(row.query_id, row.query, row.doc_id, row.grade or 0, why)
