"""distil: a student learns from a teacher that ranks better, on queries without judgments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.io.settings import PositiveInt
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.capabilities import distil, search_without
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import (
    NOTHING_RELEVANT,
    FineTune,
    GuardedStrategy,
    all_settings,
    compare,
    require_judgments,
    tune,
    tune_learned,
)

DISTILLED_CHOICE = "learned from a teacher"
LEARNS_NOTHING = "this model cannot learn from a teacher"


class Distil(GuardedStrategy):
    """Teaches a model the scores of a better one, its teacher, and keeps the result unless a loss is expected.

    The teacher is trained by fine_tune. If no gain of its rankings over the student's is expected, the student does not
    learn. The queries are unlabelled and written ones, and pretext queries (sentences and titles of documents) if those
    are too few. A teacher that learned from judgments, and its student, are measured out of fold.

    Args:
        teacher: any model.
        queries: number of queries to learn from.
        candidates: number of documents per query, the teacher's first ones.
        temperature: of the teacher's scores, after they are standardised for each query.
        contrast: weight of a contrastive loss of the teacher's first documents beside the listwise loss.

    Source: listwise distillation with a little contrast is Tamber et al. 2025, arXiv 2502.19712, section 3.
    """

    order = 45

    def __init__(
        self,
        teacher: Retriever,
        queries: PositiveInt = 1000,
        candidates: PositiveInt = 20,
        temperature: PositiveFloat = 1.0,
        contrast: NonNegativeFloat = 0.1,
    ) -> None:
        self.teacher = teacher
        self.queries = queries
        self.candidates = candidates
        self.temperature = temperature
        self.contrast = contrast
        self.needs = frozenset[Need](("synthetic with lm", "lm") if "lm" in teacher.needs() else ("synthetic with lm",))
        self.roles = frozenset(encoder_roles(teacher))

    def require(self, inputs: TrainingInputs) -> None:
        require_judgments(inputs, "distil")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        if not inputs.measured_queries:
            return baseline_fit.with_reason(NOTHING_RELEVANT)
        teacher = self.train_teacher(inputs)
        gate = compare("teacher", model, teacher.values, baseline_fit, inputs)
        queries, sources = learning_queries(inputs, self.queries)
        table: dict[str, Any] = {"teacher": {"chosen": teacher.chosen, "reason": teacher.reason}, "queries": sources}
        if gate.choice.expected <= 0:
            because = f"the teacher is not expected to rank better than the student: {gate.choice}"
            return baseline_fit.with_reason(f"{because}; {baseline_fit.reason}", table)

        def learner(query_ids: Sequence[str]) -> Retriever | None:
            return self.teach(model, teacher.retrained_on(query_ids), queries, inputs)

        tuned = tune_learned(model, learner, inputs) if teacher.learner else None
        if tuned is None:
            if (learned := learner(list(inputs.queries))) is None:
                return baseline_fit.with_reason(f"{LEARNS_NOTHING}; {baseline_fit.reason}", table)
            tuned = tune(learned, inputs)
        decision = compare("distil", model, tuned.values, baseline_fit, inputs)
        if decision.choice.expected < 0:
            return baseline_fit.with_reason(f"a loss by the teacher is expected: {decision.choice}", table)
        report = table | {
            "decisions": [one.as_dict() for one in (gate, *tuned.decisions, decision)],
            "settings": all_settings(tuned.retriever),
        }
        because = f"no loss is expected by {_described(sources)}: {decision.choice}; the teacher has {gate.choice}"
        labels = len(inputs.judgments)
        return FitResult(tuned.retriever, DISTILLED_CHOICE, because, tuned.values, report, labels, tuned.learner)

    def train_teacher(self, inputs: TrainingInputs) -> FitResult:
        """Indexes the teacher and trains it on the judgments."""
        return FineTune().fit(self.teacher.clone().index(inputs.corpus), inputs)

    def teach(
        self, student: Retriever, teacher: Retriever, queries: Sequence[str], inputs: TrainingInputs
    ) -> Retriever | None:
        """Returns an indexed student that learned from an indexed teacher; None if there is nothing to learn."""
        taught = self.lessons(teacher, queries, inputs)
        return distil(student, taught, self.contrast, inputs.seed) if taught else None

    def lessons(self, teacher: Retriever, queries: Sequence[str], inputs: TrainingInputs) -> list[TaughtQuery]:
        """Returns the queries for which the teacher finds enough documents and distinguishes them."""
        number = min(self.candidates, len(inputs.corpus.documents) - 1)
        ranking = search_without(teacher, queries, number, None, inputs.own_of(queries))
        lessons = []
        for query, documents, scores in zip(queries, ranking.numbers, ranking.scores.astype(np.float64), strict=True):
            if (documents != NO_DOCUMENT).all() and (deviation := scores.std()) > 0:
                logits = (scores - scores.mean()) / deviation / self.temperature
                lessons.append(TaughtQuery(query, tuple(documents.tolist()), tuple(logits.tolist())))
        return lessons


def learning_queries(inputs: TrainingInputs, number: int) -> tuple[list[str], dict[str, int]]:
    """Draws unlabelled and written queries, and pretext queries if those are fewer than ``number``.

    No judged query is among them, so that these measure what is learned.

    Returns:
        The queries, and their number by source.
    """
    rng = np.random.default_rng([inputs.seed, 4])
    judged = set(inputs.queries.values())
    written = [one.query for one in inputs.synthetic_examples()]
    drawn: dict[str, str] = {}
    for source, texts in (("unlabelled", inputs.unlabelled_queries), ("synthetic", written)):
        for place in rng.permutation(len(texts)):
            if texts[place] not in judged:
                drawn.setdefault(texts[place], source)
    if len(drawn) < number:
        for example in inputs.pretext_examples(number, rng):
            drawn.setdefault(example.query, "pretext")
    chosen = list(drawn)[:number]
    sources = [drawn[text] for text in chosen]
    return chosen, {source: sources.count(source) for source in ("unlabelled", "synthetic", "pretext")}


def _described(sources: Mapping[str, int]) -> str:
    """Says from which queries the student learns."""
    counts = " and ".join(f"{number} {source}" for source, number in sources.items() if number)
    alone = sources["pretext"] == sum(sources.values())
    return f"{counts} queries" + " (there are no unlabelled or synthetic ones)" * alone
