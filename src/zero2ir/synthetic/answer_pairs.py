"""Derives weak judgments from question-answer pairs by distant supervision: finds the passages with the answers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.data.answers import AnswerIndex
from zero2ir.data.judgments import draw_queries, judgments_within_budget
from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.data.records import Collection, DataIssue, Document, JudgedDocument, Judgment, Query
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.settings import Settings
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.models.sparse import Sparse

MIN_QUESTIONS = 2  # cross-validation needs at least two queries
SET_ASIDE = "question-answer pairs set aside"


class PairSettings(Settings):
    """How passages are found for question-answer pairs.

    Attributes:
        positives: maximum number of relevant passages per pair.
        depth: relevant passages are among this many top passages of BM25.
        min_score: minimum score of a relevant passage as a share of the best one's score. With 0.8, 98 % of the
            passages found on xquad are correct; with 0, 79 %.
    """

    positives: Annotated[int, Field(ge=1)] = 3
    depth: Annotated[int, Field(ge=1)] = 100
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.8


class WeakJudgments(NamedTuple):
    """Weak judgments of each usable pair, and why the other pairs are skipped, by query id."""

    rows: list[list[JudgedDocument]]
    skipped_questions: dict[str, str]


class AnswerPassageFinder:
    """Finds passages for question-answer pairs and grades them as weak judgments.

    Passages that BM25 ranks high and that contain an answer (compared word by word as in SQuAD) count as relevant;
    highly ranked passages without an answer as not relevant. An answer in the title alone does not count, because all
    passages of an article share the title.

    Source: distant supervision as in Chen et al. 2017, arXiv 1704.00051, section 4.2; negatives as in Karpukhin et al.
    2020, arXiv 2004.04906, section 3.2.
    """

    def __init__(self, documents: Sequence[Document], settings: PairSettings, language: str = AUTO_LANGUAGE) -> None:
        self.documents = documents
        self.settings = settings
        self.index = AnswerIndex([document.body for document in documents])
        self._sparse = Sparse().index(Corpus(documents, language=language))

    def find(self, pairs: Sequence[Query], most: int) -> WeakJudgments:
        """Returns weak judgments: at least one relevant passage per pair, then passages without an answer.

        A pair gets at most ``most`` judgments.

        Raises:
            InputError: fewer than two pairs are usable.
        """
        weak = WeakJudgments([], {})
        ranking = self._sparse.search([pair.text for pair in pairs], self.settings.depth)
        for pair, numbers, scores in zip(pairs, ranking.numbers, ranking.scores, strict=True):
            with_answer = self.index.matching_texts(pair.answers)
            ranked = {int(number): float(score) for number, score in zip(numbers, scores, strict=True)}
            ranked.pop(NO_DOCUMENT, None)
            if not with_answer:
                weak.skipped_questions[pair.query_id] = "no passage contains an answer"
            elif not with_answer & ranked.keys():
                weak.skipped_questions[pair.query_id] = (
                    f"none of BM25's first {self.settings.depth} passages contains an answer"
                )
            else:
                weak.rows.append(self._judged(pair, ranked, with_answer, most))
        if len(weak.rows) < MIN_QUESTIONS:
            reasons = "; ".join(
                f"{query_id}: {reason}" for query_id, reason in list(weak.skipped_questions.items())[:5]
            )
            raise InputError(
                f"only {len(weak.rows)} of {len(pairs)} question-answer pairs are usable, at least {MIN_QUESTIONS} are "
                f"needed; correct their answers, or add pairs ({reasons or 'there are no other pairs'})"
            )
        return weak

    def _judged(self, pair: Query, ranked: dict[int, float], with_answer: set[int], most: int) -> list[JudgedDocument]:
        answering = [number for number in ranked if number in with_answer]
        least = self.settings.min_score * ranked[answering[0]]
        relevant = [number for number in answering if ranked[number] >= least][: min(self.settings.positives, most)]
        other = [number for number in ranked if number not in with_answer][: most - len(relevant)]
        return [
            JudgedDocument(
                pair.query_id,
                pair.text,
                self.documents[number].doc_id,
                int(number in with_answer),
                pair.translation,
                pair.answers,
                weak=True,
            )
            for number in [*relevant, *other]
        ]


@dataclass(frozen=True)
class PreparedCollection:
    """A collection with judgments derived from its question-answer pairs."""

    collection: Collection  # test queries that only had answers now have judgments
    draws: dict[int, list[JudgedDocument]]  # the training judgments by seed
    quality: dict[str, DataIssue]  # in addition to the issues of the collection


def prepare_answer_pairs(
    collection: Collection, budget: JudgmentBudget, settings: PairSettings, seeds: Sequence[int]
) -> PreparedCollection:
    """Draws question-answer pairs and finds their passages; ignores judgments of these queries.

    A query with answers but without a relevant document is judged by the passages that contain an answer.

    Raises:
        InputError: there are fewer queries with answers than the budget needs, or too few usable ones.
    """
    finder = AnswerPassageFinder(collection.documents, settings, collection.metadata.get("language", AUTO_LANGUAGE))
    usable = {query.query_id for query in collection.queries if query.answers}
    draws: dict[int, list[JudgedDocument]] = {}
    aside: list[str] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        pairs = draw_queries(collection.queries, usable, budget, rng, "answers")
        weak = finder.find(pairs, budget.documents_per_query)
        draws[seed] = judgments_within_budget(weak.rows, budget)
        aside += [f"seed {seed}, {query_id}: {reason}" for query_id, reason in weak.skipped_questions.items()]
    tested = answered_judgments(collection, finder.index)
    own = [row for rows in draws.values() for row in rows]
    quality = {
        SET_ASIDE: DataIssue(len(aside), tuple(aside[:5])),
        "test queries judged by their answers": DataIssue(len({row.query_id for row in tested})),
        "weak judgments, relevant": DataIssue(sum(row.relevance > 0 for row in own)),
        "weak judgments, not relevant": DataIssue(sum(row.relevance <= 0 for row in own)),
    }
    return PreparedCollection(replace(collection, judgments=[*collection.judgments, *tested]), draws, quality)


def answered_judgments(collection: Collection, index: AnswerIndex) -> list[Judgment]:
    """Judges every passage with an answer as relevant, for each query with answers and without a relevant document.

    Source: how open-domain question answering counts hits, Karpukhin et al. 2020, arXiv 2004.04906, section 4.1.
    """
    graded: dict[str, dict[str, int]] = defaultdict(dict)
    for row in collection.judgments:
        graded[row.query_id][row.doc_id] = row.relevance
    return [
        Judgment(query.query_id, collection.documents[number].doc_id, 1)
        for query in collection.queries
        if query.answers and not any(grade > 0 for grade in graded[query.query_id].values())
        for number in sorted(index.matching_texts(query.answers))
        if collection.documents[number].doc_id not in graded[query.query_id]
    ]
