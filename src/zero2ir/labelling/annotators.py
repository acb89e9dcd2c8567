"""Automatic annotators (simulated from qrels, language model) and the agreement between two annotators."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from zero2ir.data.records import Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.evaluation.intervals import Interval
from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.loop import AnnotationItem, Labelling

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel

GRADES = (0, 1, 2)


class Annotator(Protocol):
    """Judges documents; ``name`` is recorded with each answer."""

    name: str

    def grades(self, items: Sequence[AnnotationItem]) -> list[int | None]:
        """Returns one grade per item; None skips the item."""
        ...


class AnswerList:
    """Keeps answers in memory only, for simulations."""

    def __init__(self) -> None:
        self.rows: list[Annotation] = []

    def add(self, annotation: Annotation) -> None:
        self.rows.append(annotation)

    def undo(self) -> Annotation:
        return self.rows.pop()


class Simulated:
    """Answers with the grades of the qrels.

    Args:
        qrels: qrels of the candidate queries.
        noise: share of the answers that are replaced by another grade of the qrels, 0 to 1.
        unjudged: answer for a document without a judgment.
        seed: seed of the noise. The same item always gets the same answer; a repeated item gets its own draw.
    """

    name = "simulated"

    def __init__(
        self,
        qrels: Sequence[Judgment],
        noise: float = 0.0,
        unjudged: Literal["zero", "skipped"] = "zero",
        seed: int = 0,
    ) -> None:
        if not 0 <= noise <= 1:
            raise ValueError(f"noise={noise}: must be between 0 and 1")
        self.known = {(row.query_id, row.doc_id): max(row.relevance, 0) for row in qrels}
        self.scale = sorted({0, *self.known.values()})
        self.noise = noise
        self.unjudged = unjudged
        self.seed = seed

    def grades(self, items: Sequence[AnnotationItem]) -> list[int | None]:
        return [self._grade(item) for item in items]

    def _grade(self, item: AnnotationItem) -> int | None:
        grade = self.known.get((item.query_id, item.doc_id), 0 if self.unjudged == "zero" else None)
        if grade is None or not self.noise or len(self.scale) < 2:
            return grade
        key = f"{item.query_id}\0{item.doc_id}\0{item.repeat}".encode("utf-8", "surrogatepass")
        rng = np.random.default_rng([self.seed, *key])
        wrong = [other for other in self.scale if other != grade]
        return wrong[int(rng.integers(len(wrong)))] if rng.random() < self.noise else grade


class LMAnnotator:
    """Grades with a language model: 0 not relevant, 1 partly, 2 fully. An unusable answer skips the item.

    Args:
        corpus: the documents.
        language_model: the model that grades.
        words: number of words after which queries and documents are cut.

    Source: Thomas et al., SIGIR 2024, "Large language models can accurately predict searcher preferences",
    doi:10.1145/3626772.3657707.
    """

    def __init__(self, corpus: Corpus, language_model: "LanguageModel", words: int = 200) -> None:
        self.corpus = corpus
        self.language_model = language_model
        self.words = words
        self.name = f"lm:{language_model.settings.name}"

    def grades(self, items: Sequence[AnnotationItem]) -> list[int | None]:
        from zero2ir.models.llm_reranker import leading_words

        inputs = [
            {
                "query": leading_words(item.query, self.words),
                "document": leading_words(self.corpus.contents[self.corpus.number_of[item.doc_id]], self.words),
            }
            for item in items
        ]
        answers = self.language_model.map(grader(), inputs, "judging")
        return [getattr(answer, "grade", None) for answer in answers]


def grader() -> "dspy.Predict":
    """Returns the DSPy program that grades one document."""
    import dspy

    class GradeDocument(dspy.Signature):
        """Grade how well the document answers the query. 0: not at all, 1: in part, 2: fully."""

        query: str = dspy.InputField()
        document: str = dspy.InputField()
        grade: Literal[0, 1, 2] = dspy.OutputField()

    return dspy.Predict(GradeDocument)


def label_all(labelling: Labelling, annotator: Annotator) -> None:
    """Lets the annotator answer every item until the labelling stops."""
    while items := list(labelling.waiting):
        for grade in annotator.grades(items):
            labelling.answer(grade, annotator.name)


class Agreement(NamedTuple):
    """Cohen's kappa of two annotators with its interval over the pairs, and the share of pairs with equal grades.

    Kappa, the agreement beyond chance, is NaN if both annotators give one and the same grade throughout.
    """

    kappa: Interval
    equal: float


def annotator_agreement(
    first: Sequence[int], second: Sequence[int], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Agreement:
    """Returns Cohen's kappa of two annotators with its percentile bootstrap interval.

    Args:
        first: (n_pairs,) grades of one annotator, at least one.
        second: (n_pairs,) grades of the other annotator for the same pairs.
        resamples: number of bootstrap resamples of the pairs.
        level: coverage of the interval.
        seed: seed of the resampling.

    Source: Cohen 1960, doi:10.1177/001316446002000104.
    """
    one, two = np.asarray(first), np.asarray(second)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(one), size=len(one)) for _ in range(resamples)]
    kappas = np.array([_kappa(one[rows], two[rows]) for rows in drawn])
    defined = kappas[~np.isnan(kappas)]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]) if len(defined) else (np.nan, np.nan)
    return Agreement(Interval(_kappa(one, two), float(low), float(high), len(one)), float((one == two).mean()))


def graded_by_both(rows: Sequence[Annotation], first: str, second: str) -> tuple[list[int], list[int]]:
    """Returns both annotators' last grades of the pairs that both judged."""
    grades = {(row.annotator, row.query_id, row.doc_id): row.grade for row in rows if row.grade is not None}
    pairs = [key[1:] for key in grades if key[0] == first and (second, *key[1:]) in grades]
    return [grades[first, *pair] for pair in pairs], [grades[second, *pair] for pair in pairs]


def _kappa(one: np.ndarray, two: np.ndarray) -> float:
    from sklearn.metrics import cohen_kappa_score

    if len(np.union1d(one, two)) < 2:
        return float("nan")  # kappa is undefined, and sklearn would warn
    return float(cohen_kappa_score(one, two))
