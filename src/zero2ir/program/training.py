"""Training of programs, for the library and the pipeline: fit, calibration and fallback."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from zero2ir.models.auto import Auto
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.prompted import search_without_leakage
from zero2ir.models.ranking import Ranking, concatenate_rankings
from zero2ir.program.confidence import CONFIDENCE_DEPTH, Confidence, QueryJudgments
from zero2ir.program.confidence_prior import confidence_prior
from zero2ir.program.cost import lm_cost, peak_memory_mb, timed
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.model_choice import index_model
from zero2ir.program.program import FallbackLink, Program, reader_of
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs
from zero2ir.strategies.prior import family_of


@dataclass(frozen=True)
class TrainingResult:
    """A trained program, with its costs and the strategy's choices.

    Attributes:
        program: the trained program.
        fitted: the strategy's result.
        cost: ``index_seconds``, ``train_seconds``, ``peak_memory_mb``, ``labels`` (judged documents used), and the
            language model's usage, if any: ``lm_calls`` etc.
    """

    program: Program
    fitted: FitResult
    cost: Mapping[str, float]


def train_program(
    model: Retriever | Auto,
    strategy: Strategy,
    inputs: TrainingInputs,
    about: Mapping[str, Any],
    answers: bool = False,
) -> TrainingResult:
    """Trains a model by a strategy and calibrates its confidence on the judged queries.

    Args:
        model: unfitted, not indexed; of ``Auto``, the best candidate is trained.
        strategy: how to train it.
        inputs: the training inputs.
        about: metadata of the program; ``language`` and what ``describe_training`` returns are added, as ``encoders``
            the names of the encoders by role, as ``precision`` in what each encoded the documents, as
            ``own_documents`` the number of queries that are documents, if any, and with ``Auto`` ``model_choice``.
        answers: whether the program extracts answers.

    Raises:
        InputError: an input that the strategy requires is missing, most answers of the language model are unusable, or
            no candidate is within the limits.
    """
    indexed, index_seconds = timed(lambda: index_model(model, inputs))
    start = time.perf_counter()
    program, fitted = fit_program(indexed.retriever, strategy, inputs, about, answers, indexed.report)
    cost = {
        "index_seconds": index_seconds,
        "train_seconds": round(time.perf_counter() - start, 2),
        "peak_memory_mb": peak_memory_mb(),
        "labels": fitted.labels,
    }
    return TrainingResult(program, fitted, cost | lm_cost(inputs.corpus.language_model))


class FittedProgram(NamedTuple):
    """A program, and the strategy's result."""

    program: Program
    fitted: FitResult


def fit_program(
    retriever: Retriever,
    strategy: Strategy,
    inputs: TrainingInputs,
    about: Mapping[str, Any],
    answers: bool = False,
    report: Mapping[str, Any] = MappingProxyType({}),
) -> FittedProgram:
    """Trains an indexed retriever by a strategy and calibrates its confidence.

    The arguments are those of ``train_program``; ``report`` tells how the retriever was chosen.
    """
    fitted = strategy.fit(retriever, inputs)
    fitted = replace(fitted, report={**report, **fitted.report})
    confidence = calibrate(fitted.retriever, inputs, fitted.learner)
    own = {"own_documents": len(inputs.own_documents)} if inputs.own_documents else {}
    encoders = {role: inputs.corpus.encoder(role) for role in encoder_roles(fitted.retriever)}
    program = Program(
        fitted.retriever,
        inputs.corpus.documents,
        confidence,
        {
            **about,
            **report,
            "language": inputs.corpus.language,
            "encoders": {role: Path(encoder.settings.name).name for role, encoder in encoders.items()},
            "precision": {role: encoder.precision for role, encoder in encoders.items()},
            **describe_training(fitted, inputs),
            **own,
        },
        inputs.corpus.language_model,
        reader_of(fitted.retriever, inputs.corpus) if answers else None,
    )
    return FittedProgram(program, fitted)


def describe_training(fitted: FitResult, inputs: TrainingInputs) -> dict[str, Any]:
    """Returns what a program states of its training: the choices, their expected gains, and the judgments."""
    kept = ("subject", "used", "expected_gain", "low", "high", "queries")
    decisions = [{key: one[key] for key in kept} for one in fitted.report.get("decisions", ())]
    return {
        "chosen": fitted.chosen,
        "reason": fitted.reason,
        "labels": fitted.labels,
        "judged_queries": len(inputs.queries),
        "decisions": [one for one in decisions if math.isfinite(one["high"] - one["low"])],
    }


def calibrate(retriever: Retriever, inputs: TrainingInputs, learner: Learner | None = None) -> Confidence:
    """Returns the confidence, given out-of-fold rankings of the judged queries, which prompts do not show.

    Without judged queries it is that of the development suite. ``learner`` fits a retriever on some judged queries; it
    is None if the retriever did not learn from judgments. Raises an InputError if most answers of the language model
    are unusable.
    """
    prior = Confidence.prior(family_of(retriever), confidence_prior().alike(inputs.name, inputs.digest))
    confidence = prior.given(_out_of_fold(retriever, inputs, learner), _judged(inputs))
    if inputs.corpus.language_model is not None:
        inputs.corpus.language_model.require_usable_answers()
    return confidence


def _judged(inputs: TrainingInputs) -> list[QueryJudgments]:
    number_of = inputs.corpus.number_of
    relevant: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    other: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    for row in inputs.judgments:
        (relevant if row.relevance > 0 else other)[row.query_id].add(number_of[row.doc_id])
    return [QueryJudgments(frozenset(relevant[query_id]), frozenset(other[query_id])) for query_id in inputs.queries]


def _out_of_fold(retriever: Retriever, inputs: TrainingInputs, learner: Learner | None) -> Ranking:
    """Ranks each judged query with a retriever fitted without it."""
    query_ids = list(inputs.queries)
    parts = (inputs.folds() if learner else []) or [(query_ids, query_ids)]
    rankings = []
    for held_out, rest in parts:
        fitted = (learner(rest) if learner else None) or retriever
        texts = [inputs.queries[query_id] for query_id in held_out]
        scope = inputs.candidates_of(held_out), inputs.own_of(held_out)
        rankings.append(search_without_leakage(fitted, texts, CONFIDENCE_DEPTH, *scope))
    place = {query_id: number for number, query_id in enumerate(one for held_out, _ in parts for one in held_out)}
    return concatenate_rankings(rankings).select_queries(np.array([place[query_id] for query_id in query_ids], int))


def add_fallback(program: Program, simpler: Program, settings: FallbackSettings) -> Program:
    """Appends a simpler program over the same documents to a program's fallback chain."""
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
