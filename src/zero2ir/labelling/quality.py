"""Quality of judgments: self-agreement and suspicious judgments. Nothing here changes a grade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.annotators import Agreement, annotator_agreement

NEAR = 0.7  # Jaccard similarity of character trigrams from which two queries count as near-duplicates
DEEP = 10  # a relevant document that no model ranks within this depth is suspicious
MIN_MODELS = 2  # a single model is not evidence enough against a person's grade

QueryDocumentPair = tuple[str, str]  # query_id, doc_id


@dataclass(frozen=True)
class SuspiciousJudgment:
    """A judgment that should be reviewed, with its current grade, and why, in words."""

    query_id: str
    query: str
    doc_id: str
    grade: int
    reason: str


def self_agreement(rows: Sequence[Annotation], resamples: int = 1000) -> Agreement | None:
    """Returns how well annotators agree with themselves on repeated items; None if there are none.

    Compares each repeated item with the previous grade of the same annotator for the same pair.

    Args:
        rows: the valid answers, in order.
        resamples: bootstrap resamples for the interval of kappa (about a second); 0 for no interval.
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
    """Returns contradictory and surprising judgments; the same grade twice in a row settles a pair.

    Args:
        rows: the valid answers, in order.
        model_rankings: by query id and model, the ids of the retrieved documents, best first.
    """
    annotations: dict[QueryDocumentPair, list[Annotation]] = {}
    for row in rows:
        if row.grade is not None:
            annotations.setdefault((row.query_id, row.doc_id), []).append(row)
    settled = {pair for pair, rows in annotations.items() if len({row.grade for row in rows[-2:]}) < len(rows[-2:])}
    unsettled = {pair: rows for pair, rows in annotations.items() if pair not in settled}
    latest = {pair: grades[-1] for pair, grades in annotations.items()}
    suspicious = [*_regraded(unsettled), *_alike(latest, unsettled), *_surprising(unsettled, model_rankings)]
    return list({(one.query_id, one.doc_id): one for one in reversed(suspicious)}.values())[::-1]


def _regraded(annotations: Mapping[QueryDocumentPair, Sequence[Annotation]]) -> list[SuspiciousJudgment]:
    return [
        _doubt(now, f"graded {before.grade} by {before.annotator}, then {now.grade} by {now.annotator}")
        for *_, before, now in (rows for rows in annotations.values() if len(rows) > 1)
    ]


def _alike(
    latest: Mapping[QueryDocumentPair, Annotation], unsettled: Mapping[QueryDocumentPair, Sequence[Annotation]]
) -> list[SuspiciousJudgment]:
    """Returns documents that are relevant to one query and not relevant to a near-duplicate of it."""
    from zero2ir.writing.filters import jaccard, trigrams

    texts = {query_id: row.query for (query_id, _), row in latest.items()}
    grams = trigrams(list(texts.values()) or [""])
    near = jaccard(grams, grams) >= NEAR
    doubts = []
    for (place, one), (other_place, other) in combinations(enumerate(texts), 2):
        if not near[place, other_place]:
            continue
        for doc_id in [doc_id for query_id, doc_id in latest if query_id == one and (other, doc_id) in latest]:
            pair = latest[one, doc_id], latest[other, doc_id]
            if bool(pair[0].grade) != bool(pair[1].grade):
                for row, twin in (pair, pair[::-1]):
                    if (row.query_id, doc_id) in unsettled:
                        doubts.append(_doubt(row, f"graded {twin.grade} for the query “{twin.query}”"))
    return doubts


def _surprising(
    annotations: Mapping[QueryDocumentPair, Sequence[Annotation]],
    model_rankings: Mapping[str, Mapping[str, Sequence[str]]],
) -> list[SuspiciousJudgment]:
    doubts = []
    for (query_id, doc_id), rows in annotations.items():
        rankings = list(model_rankings.get(query_id, {}).values())
        if len(rankings) < MIN_MODELS:
            continue
        if rows[-1].grade == 0 and all(doc_ids[:1] == [doc_id] for doc_ids in map(list, rankings)):
            doubts.append(_doubt(rows[-1], f"graded 0, but all {len(rankings)} models rank it first"))
        elif rows[-1].grade and not any(doc_id in doc_ids[:DEEP] for doc_ids in rankings):
            why = f"graded {rows[-1].grade}, but none of the {len(rankings)} models ranks it in its first {DEEP}"
            doubts.append(_doubt(rows[-1], why))
    return doubts


def _doubt(row: Annotation, why: str) -> SuspiciousJudgment:
    return SuspiciousJudgment(row.query_id, row.query, row.doc_id, row.grade or 0, why)
