"""How a program is trained, in the library and in the pipeline alike: fit, calibrate, and what stands behind it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.prompted import search_without_leakage
from zero2ir.models.ranking import Ranking, concatenate_rankings
from zero2ir.program.confidence import CONFIDENCE_DEPTH, Confidence, QueryJudgments
from zero2ir.program.cost import lm_cost, peak_memory_mb, timed
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.policy import Policy
from zero2ir.program.program import FallbackLink, Program, reader_of
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs


class ConfidenceFit(NamedTuple):
    """How sure a retriever is of its answers, learned from the judged queries.

    Attributes:
        confidence: None where too few queries are judged.
        ranking: of the n judged queries, each by a retriever that did not learn from it.
        judged: (n,) what the judgments say of each query.
    """

    confidence: Confidence | None
    ranking: Ranking
    judged: Sequence[QueryJudgments]


@dataclass(frozen=True)
class TrainingResult:
    """A program, and what its training took and decided.

    Attributes:
        program: ready to search.
        fitted: what the strategy chose.
        calibration: the program's confidence, and the rankings that it is fitted on.
        cost: ``index_seconds``, ``train_seconds``, ``peak_memory_mb``, ``labels`` (judged documents that decided about
            the ranking), and what the language model took where one was asked, ``lm_calls`` and so on.
    """

    program: Program
    fitted: FitResult
    calibration: ConfidenceFit
    cost: Mapping[str, float]


def train_program(
    model: Retriever, strategy: Strategy, inputs: TrainingInputs, about: Mapping[str, Any], answers: bool = False
) -> TrainingResult:
    """Trains a model by a strategy and calibrates its confidence on the judged queries.

    Args:
        model: not yet indexed.
        strategy: how to train.
        inputs: all that training may see.
        about: what the program shall say of itself; ``chosen`` and ``reason`` are added.
        answers: whether the program shall point to answers, too.

    Raises:
        InputError: something that the strategy needs is missing.
    """
    indexed, index_seconds = timed(lambda: model.index(inputs.corpus))
    start = time.perf_counter()
    fitted = strategy.fit(indexed, inputs)
    calibration = calibrate(fitted.retriever, inputs, fitted.learner)
    program = Program(
        fitted.retriever,
        inputs.corpus.documents,
        calibration.confidence,
        {**about, "chosen": fitted.chosen, "reason": fitted.reason, "labels": fitted.labels},
        inputs.corpus.language_model,
        reader_of(fitted.retriever, inputs.corpus) if answers else None,
    )
    seconds = time.perf_counter() - start
    cost = {
        "index_seconds": index_seconds,
        "train_seconds": round(seconds, 2),
        "peak_memory_mb": peak_memory_mb(),
        "labels": fitted.labels,
    }
    return TrainingResult(program, fitted, calibration, cost | lm_cost(inputs.corpus.language_model))


def calibrate(retriever: Retriever, inputs: TrainingInputs, learner: Learner | None = None) -> ConfidenceFit:
    """Ranks the judged queries, none of which the prompts show, and fits the confidence on these rankings.

    Queries without judgments tell how scores spread, unless each query ranks candidates of its own.

    Args:
        retriever: the retriever whose answers get a confidence.
        inputs: what it was trained on.
        learner: makes the retriever from the judgments of some queries, where it learned from them. A retriever ranks
            the queries that it learned from better than all others, so each judged query is ranked by one that learned
            without it.
    """
    judged = _judged(inputs)
    ranking = _out_of_fold(retriever, inputs, learner)
    if not judged:
        return ConfidenceFit(None, ranking, judged)
    unlabelled = inputs.unlabelled_queries if inputs.candidates is None else ()
    spread = retriever.search(unlabelled, CONFIDENCE_DEPTH) if unlabelled else None
    return ConfidenceFit(Confidence.fit(ranking, judged, spread), ranking, judged)


def _judged(inputs: TrainingInputs) -> list[QueryJudgments]:
    """The relevant and the other judged documents of each judged query."""
    number_of = inputs.corpus.number_of
    relevant: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    other: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    for row in inputs.judgments:
        (relevant if row.relevance > 0 else other)[row.query_id].add(number_of[row.doc_id])
    return [QueryJudgments(frozenset(relevant[query_id]), frozenset(other[query_id])) for query_id in inputs.queries]


def _out_of_fold(retriever: Retriever, inputs: TrainingInputs, learner: Learner | None) -> Ranking:
    """The judged queries, each ranked by a retriever that did not learn from it."""
    every = list(inputs.queries)
    parts = (inputs.folds() if learner else []) or [(every, every)]
    rankings = []
    for held_out, rest in parts:
        fitted = (learner(rest) if learner else None) or retriever
        texts = [inputs.queries[query_id] for query_id in held_out]
        rankings.append(search_without_leakage(fitted, texts, CONFIDENCE_DEPTH, inputs.candidates_of(held_out)))
    place = {query_id: number for number, query_id in enumerate(one for held_out, _ in parts for one in held_out)}
    return concatenate_rankings(rankings).select_queries(np.array([place[query_id] for query_id in every], int))


def fit_policy(program: Program, calibration: ConfidenceFit, risk: float | None, max_risk: float | None) -> Program:
    """The program with a policy that is chosen on the judged queries; as it is where no risk is stated.

    Each first document counts as relevant by the mean of what the judgments say, where one that nobody judged is not,
    and of its stated probability. Of ten queries drawn 60 times from 400 train queries of beir/scifact, for BM25 and
    stated risks of 0.1 to 0.3, the risk on the other queries was above the stated one in 12 to 23 % of the draws, and
    in 42 to 50 % where the judgments alone counted.

    Args:
        program: trained.
        calibration: the one of its training.
        risk: see ``Policy.choose``.
        max_risk: see ``Policy.choose``.

    Raises:
        InputError: a risk is stated, and there are too few judged queries to know how sure an answer is.
    """
    if risk is None:
        return program
    if program.confidence is None:
        raise InputError(
            f"risk={risk}: {len(calibration.judged)} judged queries are too few for a confidence; judge more queries, "
            "or state no risk"
        )
    _, ranking, judged = calibration
    confidences = program.confidence.probabilities(ranking)[:, 0]
    right = [first in one.relevant for first, one in zip(ranking.numbers[:, 0].tolist(), judged, strict=True)]
    program.policy = Policy.choose(confidences, (np.array(right) + confidences) / 2, risk, max_risk)
    return program


def add_fallback(program: Program, simpler: Program, settings: FallbackSettings) -> Program:
    """A program behind whose last link stands a simpler one over the same documents."""
    return Program(
        program.retriever,
        program.documents,
        program.confidence,
        program.about,
        program.language_model or simpler.language_model,
        program.reader,
        program.policy,
        [*program.links, FallbackLink(simpler.name, simpler.retriever, simpler.confidence)],
        settings,
    )
