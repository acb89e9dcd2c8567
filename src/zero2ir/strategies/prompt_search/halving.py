"""Successive halving over candidate prompts."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from zero2ir.data.records import Judgment
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.io.terminal import progress
from zero2ir.lm.usage import Usage
from zero2ir.models.base import Retriever
from zero2ir.models.prompted import search_without_leakage
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.prompt_search.proposals import AnyPrompt
from zero2ir.strategies.prompt_search.selection import (
    Evidence,
    GainPrior,
    PromptChoice,
    choose_prompt,
    gains,
    survivors,
)
from zero2ir.strategies.tuning import judged_values
from zero2ir.synthetic.records import SyntheticQuery

CONFIDENCE_LEVEL = 0.95  # of the intervals
RESAMPLES = 2000


class Rung(NamedTuple):
    """A rung of successive halving.

    Attributes:
        size: the budget of each candidate: documents to write queries for, or queries.
        candidates: number of candidates, with the fixed prompt.
    """

    size: int
    candidates: int


class CandidateScores(NamedTuple):
    """A candidate's measure on one rung.

    Attributes:
        judged: (n_queries,) on the judged queries, NaN for unmeasured ones.
        synthetic: (n_development,) on the synthetic development queries, NaN for unmeasured ones.
        figures: further figures, JSON.
    """

    judged: np.ndarray
    synthetic: np.ndarray
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class HalvingResult:
    """The choice, and the records of every candidate with its scores, its cost and whether it was chosen; JSON."""

    choice: PromptChoice
    records: list[dict[str, Any]]


@dataclass
class _CandidateState:
    """A candidate's last rung, scores and cost."""

    rung: int
    measured: CandidateScores
    calls: int = 0
    seconds: float = 0.0


def successive_halving(
    candidates: Sequence[AnyPrompt],
    rungs: Sequence[Rung],
    measure: Callable[[AnyPrompt, int], CandidateScores],
    prior: GainPrior,
    usage: Usage,
    seed: int,
) -> HalvingResult:
    """Measures all candidates with a small budget, the better ones with larger budgets, and chooses one.

    Args:
        candidates: the fixed prompt first; it is never dropped.
        rungs: at least one, with rising sizes and falling numbers of candidates.
        measure: measures a candidate with a budget; the language model caches its answers between rungs.
        prior: of the gains.
        usage: of the language model, for the cost of each candidate.
        seed: of the intervals' resamples.

    Source: Jamieson and Talwalkar 2016, arXiv 1502.07943.
    """
    complexity = [one.complexity for one in candidates]
    alive = np.arange(len(candidates))
    tried: dict[int, _CandidateState] = {}
    evidence: list[Evidence] = []
    for number, rung in enumerate(rungs):
        if evidence:
            alive = survivors(evidence[-1], prior, complexity, rung.candidates)
        for one in progress(alive.tolist(), f"prompts, rung {number + 1}"):
            calls, start = usage.calls, time.perf_counter()
            measured = measure(candidates[one], rung.size)
            before = tried.get(one) or _CandidateState(number, measured)
            seconds = before.seconds + time.perf_counter() - start
            tried[one] = _CandidateState(number, measured, before.calls + usage.calls - calls, seconds)
        evidence.append(_evidence({one: tried[one].measured for one in alive.tolist()}, len(candidates)))
    choice = choose_prompt(evidence, prior, complexity, [rung.candidates for rung in rungs[1:]])
    records = [
        candidate.as_dict()
        | {"chosen": one == choice.index}
        | _record(one, tried[one], evidence[tried[one].rung], prior, seed)
        for one, candidate in enumerate(candidates)
    ]
    return HalvingResult(choice, records)


def measured_values(
    model: Retriever, inputs: TrainingInputs, query_ids: Sequence[str], development: Sequence[SyntheticQuery]
) -> tuple[np.ndarray, np.ndarray]:
    """Measures a model on judged queries, (n_queries,), and on synthetic ones, (n_development,), without leakage."""
    judged = [(query_id, inputs.queries[query_id]) for query_id in query_ids]
    written = [(row.query_id, row.query) for row in development]
    own = [Judgment(row.query_id, row.doc_id, 1) for row in development]
    whole = replace(inputs, candidates=None, own_documents={})  # synthetic queries have neither
    return _values(model, inputs, judged, inputs.qrels), _values(model, whole, written, own)


def _values(
    model: Retriever, inputs: TrainingInputs, queries: Sequence[tuple[str, str]], qrels: Sequence[Judgment]
) -> np.ndarray:
    """Returns the measure, (n,), on n queries, pairs of id and text."""
    if not queries:
        return np.zeros(0)
    ids, texts = [query_id for query_id, _ in queries], [text for _, text in queries]
    ranking = search_without_leakage(model, texts, inputs.tuning.depth, inputs.candidates_of(ids), inputs.own_of(ids))
    return judged_values(ranking, inputs.corpus, ids, qrels, inputs.tuning.measure)


def _evidence(scores: Mapping[int, CandidateScores], candidates: int) -> Evidence:
    first = next(iter(scores.values()))
    judged, synthetic = (np.full((candidates, len(row)), np.nan) for row in (first.judged, first.synthetic))
    for one, measured in scores.items():
        judged[one], synthetic[one] = measured.judged, measured.synthetic
    return Evidence(judged, synthetic)


def _record(place: int, tried: _CandidateState, evidence: Evidence, prior: GainPrior, seed: int) -> dict[str, Any]:
    """Returns a candidate's figures on its last rung."""
    expected = gains(evidence, prior)
    judged, synthetic = (row[~np.isnan(row)] for row in (tried.measured.judged, tried.measured.synthetic))
    options: dict[str, Any] = {"resamples": RESAMPLES, "level": CONFIDENCE_LEVEL, "seed": seed}
    return {
        "rung": tried.rung + 1,
        **tried.measured.figures,
        "judged": bootstrap_interval(judged, **options).rounded() if len(judged) else None,
        "synthetic": _rounded(float(synthetic.mean())) if len(synthetic) else None,
        "expected_gain": _rounded(float(expected.mean[place])),
        "standard_error": _rounded(float(expected.error[place])),
        "lm_calls": tried.calls,
        "seconds": round(tried.seconds, 2),
    }


def _rounded(value: float) -> float | None:
    """Rounds to six digits; None for infinity and NaN, which JSON lacks."""
    return round(value, 6) if math.isfinite(value) else None
