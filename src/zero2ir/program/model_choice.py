"""Chooses among the candidates of ``model=auto``: expected measure, limits of cost, and what further judgments tell."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.files import files_below
from zero2ir.io.terminal import progress
from zero2ir.models.auto import Auto
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.capabilities import search_without
from zero2ir.models.ranking import ranking_agreement, reference_sample
from zero2ir.program.program import index_bytes
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import measure
from zero2ir.strategies.prior import DRAWS, Posterior, suite

TIMED_QUERIES = 10
TIMED_DEPTH = 10
FURTHER = (10, 20, 50)  # judged queries whose worth is estimated
COMPARED_QUERIES = 100  # without judgments, on which the two likeliest candidates are compared
NAMED_QUERIES = 3  # of these, on which they differ most
INTERVAL = 1.96  # standard deviations of a 95 % interval
MEGABYTE = 1e6


class Cost(NamedTuple):
    """The cost of searching with a candidate.

    Attributes:
        milliseconds_per_query: the median of single searches; None if it was not indexed.
        bytes_per_document: of the index.
        megabytes: of the index and the encoders' weights.
    """

    milliseconds_per_query: float | None
    bytes_per_document: float
    megabytes: float


@dataclass(frozen=True)
class CandidateReport:
    """What is known about a candidate.

    Attributes:
        name: of the model type.
        difference: expected nDCG@10 minus that of the chosen one.
        ci_low: of its 95 % interval.
        ci_high: of its 95 % interval.
        probability_best: among the candidates within the limits; None for the others.
        expected_loss: of nDCG@10, of choosing it instead of the best within the limits, which is not known.
        milliseconds_per_query: see ``Cost``.
        bytes_per_document: see ``Cost``.
        megabytes: see ``Cost``.
        measured: its tuning measure on the judged queries; None if it was not measured.
        in_suite: whether the development suite has measured it.
    """

    name: str
    difference: float
    ci_low: float
    ci_high: float
    probability_best: float | None
    expected_loss: float | None
    milliseconds_per_query: float | None
    bytes_per_document: float
    megabytes: float
    measured: float | None
    in_suite: bool


@dataclass(frozen=True)
class ModelChoice:
    """The chosen candidate, and why.

    Attributes:
        name: of the chosen candidate.
        retriever: the candidate, indexed.
        queries: number of judged queries with a relevant document.
        candidates: all, the best first.
        gain_of_judging: expected gain of nDCG@10 by choosing again, by the number of further judged queries.
        queries_to_judge: queries without judgments on which the two likeliest candidates differ most.
    """

    name: str
    retriever: Retriever
    queries: int
    candidates: Sequence[CandidateReport]
    gain_of_judging: Mapping[int, float]
    queries_to_judge: Sequence[str] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Returns what there is to report; JSON."""
        return {
            "model": self.name,
            "queries": self.queries,
            "candidates": [asdict(one) for one in self.candidates],
            "gain_of_judging": {str(number): gain for number, gain in self.gain_of_judging.items()},
            "queries_to_judge": list(self.queries_to_judge),
        }


class IndexedModel(NamedTuple):
    """A model that is indexed, and the choice of it as JSON, if there was one."""

    retriever: Retriever
    report: Mapping[str, Any]


def index_model(model: Retriever | Auto, inputs: TrainingInputs) -> IndexedModel:
    """Indexes a model on ``inputs.corpus``; of ``Auto``, the best candidate."""
    if isinstance(model, Auto):
        choice = choose_model(model, inputs)
        return IndexedModel(choice.retriever, {"model_choice": choice.as_dict()})
    return IndexedModel(model.index(inputs.corpus), {})


def choose_model(auto: Auto, inputs: TrainingInputs) -> ModelChoice:
    """Indexes the candidates, measures them untrained on the judged queries, and chooses by their expected measure.

    The expectation is that of ``zero2ir.strategies.prior``; without judgments it is the suite's mean.

    Raises:
        InputError: no candidate is within the limits.
    """
    indexed, costs = _index_candidates(auto, inputs)
    names, queries = list(costs), len(inputs.measured_queries)
    within = [number for number, name in enumerate(names) if not _exceeds(costs[name], auto)]
    if not within:
        raise InputError(_nobody(auto, costs))
    observed = [number for number, name in enumerate(names) if name in indexed]
    values = {name: measured_values(retriever, inputs) for name, retriever in indexed.items()}
    prior = suite().model_type_prior(names, inputs.alike_collections)
    posterior = prior.posterior(np.stack(list(values.values())), observed)
    best = prior.choose(posterior, within)
    rng = np.random.default_rng(inputs.seed)
    probability, loss = _probabilities(posterior, within, rng)
    reports = [
        CandidateReport(
            name,
            *_interval(posterior, number, best),
            probability.get(number),
            loss.get(number),
            *costs[name],
            float(values[name].mean()) if name in values and queries else None,
            name in suite().model_types,
        )
        for number, name in enumerate(names)
    ]
    likeliest = sorted(probability, key=lambda number: -probability[number])[:2]
    return ModelChoice(
        names[best],
        indexed[names[best]],
        queries,
        sorted(reports, key=lambda one: (one.probability_best is None, one.name != names[best], -one.difference)),
        {number: prior.gain_of_judging(posterior, observed, within, queries + number, rng) for number in FURTHER},
        _disputed_queries([indexed[names[number]] for number in likeliest], inputs),
    )


def _index_candidates(auto: Auto, inputs: TrainingInputs) -> tuple[dict[str, Retriever], dict[str, Cost]]:
    """Indexes the candidates that are not too large by far; returns them, and the cost of all."""
    language_model = inputs.corpus.language_model
    considered = auto.considered(language_model is not None and language_model.available)
    indexed, costs = dict[str, Retriever](), dict[str, Cost]()
    for name, model in progress(considered.items(), "comparing model types", total=len(considered)):
        costs[name] = _cost_on_sample(model.clone(), inputs.corpus, auto)
        if not _exceeds(costs[name], auto):
            indexed[name] = model.index(inputs.corpus)
            costs[name] = measure_cost(indexed[name], inputs)  # first, since an LM answers faster the second time
    return indexed, costs


def measured_values(retriever: Retriever, inputs: TrainingInputs) -> np.ndarray:
    """Returns (n_queries,), the tuning measure on ``inputs.measured_queries``."""
    ids = inputs.measured_queries
    return measure(retriever, inputs, ids) if ids else np.zeros(0)


def measure_cost(retriever: Retriever, inputs: TrainingInputs) -> Cost:
    """Measures single searches, and what the retriever would be when saved.

    The queries are user queries, or without any the beginnings of documents.
    """
    queries = [*inputs.queries.values(), *inputs.unlabelled_queries]
    if not queries:
        documents = [inputs.corpus.contents[number] for number in reference_sample(len(inputs.corpus.contents))]
        queries = [" ".join(text.split()[:8]) for text in documents]
    asked = np.random.default_rng(inputs.seed).permutation(len(queries))[: TIMED_QUERIES + 1]
    seconds = []
    for place in asked:
        start = time.perf_counter()
        retriever.search([queries[place]], TIMED_DEPTH)
        seconds.append(time.perf_counter() - start)
    milliseconds = 1000 * float(np.median(seconds[1:] or seconds))  # the first one loads libraries
    return _saved_size(retriever, len(inputs.corpus.documents))._replace(milliseconds_per_query=milliseconds)


def _cost_on_sample(model: Retriever, corpus: Corpus, auto: Auto) -> Cost:
    """Estimates the memory from a sample of the documents, so that nobody waits for an index that is too large."""
    numbers = reference_sample(len(corpus.documents))
    if auto.memory_mb is None or len(numbers) == len(corpus.documents):
        return Cost(None, 0.0, 0.0)
    documents = [corpus.documents[number] for number in numbers]
    sample = Corpus(documents, corpus.encoders, language_model=corpus.language_model, language=corpus.language)
    return _saved_size(model.index(sample), len(corpus.documents))


def _saved_size(retriever: Retriever, documents: int) -> Cost:
    """Returns the size of a retriever's files, scaled to this number of documents, and of weights not among them."""
    encoders = [retriever.corpus.encoder(role) for role in encoder_roles(retriever)]
    not_saved = sum(encoder.n_bytes() for encoder in encoders if not encoder.trained)
    with TemporaryDirectory() as folder:
        retriever.save(Path(folder) / "retriever")
        total = sum(path.stat().st_size for path in files_below(Path(folder)))
        index = index_bytes(Path(folder))
    per_document = index / len(retriever.corpus.documents)
    return Cost(None, per_document, (not_saved + total - index + per_document * documents) / MEGABYTE)


def _exceeds(cost: Cost, auto: Auto) -> bool:
    too_slow = auto.latency_ms is not None and (cost.milliseconds_per_query or 0.0) > auto.latency_ms
    return too_slow or (auto.memory_mb is not None and cost.megabytes > auto.memory_mb)


def _nobody(auto: Auto, costs: Mapping[str, Cost]) -> str:
    """Says that no candidate is within the limits, and which is the cheapest by each."""
    parts = []
    if auto.latency_ms is not None:
        timed = {name: one.milliseconds_per_query for name, one in costs.items() if one.milliseconds_per_query}
        if timed:
            fastest = min(timed, key=lambda name: timed[name])
            parts.append(f"{fastest} is the fastest with {timed[fastest]:.3g} ms a query (limit {auto.latency_ms:g})")
    if auto.memory_mb is not None:
        smallest = min(costs, key=lambda name: costs[name].megabytes)
        parts.append(f"{smallest} is the smallest with {costs[smallest].megabytes:.3g} MB (limit {auto.memory_mb:g})")
    return f"model=auto: no candidate is within the limits: {'; '.join(parts)}; raise the limits"


def _interval(posterior: Posterior, number: int, best: int) -> tuple[float, float, float]:
    """Returns the expected gain of a candidate over the chosen one, and its 95 % interval."""
    mean, deviation = (float(values[number]) for values in posterior.gains_over(best))
    return mean, mean - INTERVAL * deviation, mean + INTERVAL * deviation


def _probabilities(
    posterior: Posterior, within: Sequence[int], rng: np.random.Generator
) -> tuple[dict[int, float], dict[int, float]]:
    """Returns the probability of being the best, and the expected loss, of the candidates within the limits."""
    draws = posterior.draws(DRAWS, rng)[:, list(within)]
    wins = np.bincount(draws.argmax(axis=1), minlength=len(within)) / len(draws)
    losses = (draws.max(axis=1, keepdims=True) - draws).mean(axis=0)
    return dict(zip(within, wins.tolist(), strict=True)), dict(zip(within, losses.tolist(), strict=True))


def _disputed_queries(likeliest: Sequence[Retriever], inputs: TrainingInputs) -> list[str]:
    """Returns the queries without judgments for which two candidates share the fewest first documents."""
    unlabelled = inputs.unlabelled_queries
    if len(likeliest) < 2 or not unlabelled:
        return []
    drawn = np.sort(np.random.default_rng(inputs.seed).permutation(len(unlabelled))[:COMPARED_QUERIES])
    texts = [unlabelled[place] for place in drawn]
    own = inputs.own_of(texts)
    rankings = [search_without(one, texts, TIMED_DEPTH, None, own) for one in likeliest]
    order = np.argsort(ranking_agreement(rankings), kind="stable")[:NAMED_QUERIES]
    return [texts[place] for place in order]
