"""fine_tune: tune settings and train on the judgments alone."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zero2ir.errors import InputError
from zero2ir.io.terminal import progress
from zero2ir.models.base import Retriever, parts, with_parts
from zero2ir.models.capabilities import Tunable, learn, requires_learning, settings, sweep, with_settings
from zero2ir.models.initialization import interpolate, is_interpolable
from zero2ir.models.prompted import leakage_free_retrievers, search_without_leakage
from zero2ir.models.ranking import scope_without
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs
from zero2ir.strategies.prior import Prior, family_of, generic_prior, suite
from zero2ir.strategies.tuning import Choice, TuningCandidate, choose, judged_values

TUNED_CHOICE = "settings fitted to the judgments"
LEARNED_CHOICE = "learned from the judgments"
NOTHING_RELEVANT = "no judged query has a relevant document"
NO_ALTERNATIVES = "there are no alternatives"
STRENGTHS = (0.25, 0.5, 1.0)  # shares of what is learned

Measure = Callable[[Retriever, TrainingInputs, Sequence[str]], list[TuningCandidate]]


@dataclass(frozen=True)
class Decision:
    """A choice of the training.

    Attributes:
        subject: what was chosen, e.g. "settings of hybrid".
        best: what distinguishes the best alternative, JSON.
        choice: its figures.
    """

    subject: str
    best: Mapping[str, Any]
    choice: Choice

    @property
    def used(self) -> bool:
        """Whether the best alternative replaces the default."""
        return bool(self.choice.index)

    def as_dict(self) -> dict[str, Any]:
        return {"subject": self.subject, "best": dict(self.best), "used": self.used, **self.choice.as_dict()}

    def __str__(self) -> str:
        best = "".join(f"{name} {_shown(value)}, " for name, value in self.best.items())
        return f"{self.subject}: {best}{'used' if self.used else 'not used'}, {self.choice}"


class Tuned(NamedTuple):
    """A retriever that was adjusted to the judgments.

    Attributes:
        retriever: indexed.
        values: (n_queries,) its measure on the judged queries, out of fold if it learned.
        default: (n_queries,) the same without the last decisions: of the outermost retriever with its own settings.
        decisions: innermost first.
        learner: see ``FitResult``.
    """

    retriever: Retriever
    values: np.ndarray
    default: np.ndarray
    decisions: Sequence[Decision]
    learner: Learner | None = None


class FineTune(Strategy):
    """Chooses settings, and then whether and how strongly to learn from the judgments, by the expected gains.

    The settings of a wrapped retriever are chosen first, by its own rankings. The parts of a hybrid keep their
    settings, because what is best for a retriever alone is not best in a fusion. What is learned is measured out of
    fold. If a model requires learning, it learns, and its settings are chosen out of fold.

    Choices compare rankings on the judged queries with a relevant document. Without any, the model stays as it is.
    """

    order = 10

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        require_judgments(inputs, "fine_tune")
        if not inputs.measured_queries:
            return FitResult(model, "zero_shot", NOTHING_RELEVANT, labels=len(inputs.judgments))
        tuned = tune_learned(model, judgment_learner(model, inputs), inputs) if requires_learning(model) else None
        tuned = tuned or with_learning(tune(model, inputs), inputs)
        changed = all_settings(tuned.retriever) != all_settings(model)
        chosen = LEARNED_CHOICE if tuned.learner else TUNED_CHOICE if changed else "zero_shot"
        reason = "; ".join(map(str, tuned.decisions)) or NO_ALTERNATIVES
        report = decision_report(tuned.decisions, tuned.default) | {"settings": all_settings(tuned.retriever)}
        return FitResult(
            tuned.retriever, chosen, reason, tuned.values, report, labels=len(inputs.judgments), learner=tuned.learner
        )


class GuardedStrategy(Strategy):
    """A strategy that falls back to fine_tune's result if the judgments let expect that its own is worse.

    Each strategy states whether a loss or a missing gain counts as worse. Without judgments the baseline is the
    unchanged model.
    """

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        self.require(inputs)
        zero_shot = FitResult(model, "zero_shot", "there are no judgments")
        return self.fit_guarded(model, inputs, FineTune().fit(model, inputs) if inputs.judgments else zero_shot)

    @abstractmethod
    def require(self, inputs: TrainingInputs) -> None:
        """Checks the inputs before any work, and raises an InputError if one is missing."""

    @abstractmethod
    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        """Trains an indexed model on inputs that ``require`` has checked; ``baseline_fit`` is fine_tune's result."""


def fit_with_baseline(
    strategy: Strategy, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult
) -> FitResult:
    """Fits a strategy, reusing fine_tune's result as its baseline."""
    if isinstance(strategy, GuardedStrategy):
        return strategy.fit_guarded(model, inputs, baseline_fit)
    return strategy.fit(model, inputs)


def require_judgments(inputs: TrainingInputs, strategy: str) -> None:
    """Raises an InputError if there are no judgments."""
    if not inputs.judgments:
        raise InputError(f"strategy={strategy} needs judgments; add some, or use strategy=zero_shot")


def tune(retriever: Retriever, inputs: TrainingInputs) -> Tuned:
    """Chooses the settings of a retriever, and before those of one that it wraps."""
    decisions = list[Decision]()
    if len(wrapped := parts(retriever)) == 1:
        inner = tune(wrapped[0], inputs)
        retriever, decisions = with_parts(retriever, [inner.retriever]), [*inner.decisions]
    candidates = measure_settings(retriever, inputs, inputs.measured_queries)
    return _with_best_settings(retriever, candidates, decisions, inputs)


def tune_learned(model: Retriever, learner: Learner, inputs: TrainingInputs) -> Tuned | None:
    """Trains a model and chooses its settings out of fold; None if there are too few judgments to learn from."""
    if not (candidates := cross_validate(learner, inputs)):
        return None
    tuned = _with_best_settings(model, candidates, [], inputs)
    learner = learner_with_settings(learner, settings(tuned.retriever))
    return tuned._replace(retriever=learner(list(inputs.queries)) or tuned.retriever, learner=learner)


def with_learning(tuned: Tuned, inputs: TrainingInputs) -> Tuned:
    """Learns from the judgments with the strength of the highest expected gain, if there is a gain.

    Source: less than all of what was learned is a point on the line from the initial to the learned parameters, as in
    Wortsman et al., CVPR 2022, arXiv 2109.01903.
    """
    base = tuned.retriever
    if not (learned := cross_validate_learning(base, inputs)):
        return tuned
    candidates = [TuningCandidate({"strength": 0.0}, tuned.values), *learned]
    decision = decide("learning", candidates, learning_family(base), [one.settings for one in candidates], inputs)
    tuned = tuned._replace(decisions=[*tuned.decisions, decision])
    if not decision.used:
        return tuned
    chosen = candidates[decision.choice.index]
    learner = judgment_learner(base, inputs)

    def learn_partly(query_ids: Sequence[str]) -> Retriever | None:
        learned = learner(query_ids)
        return None if learned is None else interpolate(base, learned, chosen.settings["strength"])

    retriever = learn_partly(list(inputs.queries)) or base
    return tuned._replace(retriever=retriever, values=chosen.values, learner=learn_partly)


def cross_validate_learning(base: Retriever, inputs: TrainingInputs) -> list[TuningCandidate]:
    """Measures what a retriever learns, at each of its ``strengths``, out of fold; see ``cross_validate``."""

    def measured(learned: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]) -> list[TuningCandidate]:
        partly = {strength: interpolate(base, learned, strength) for strength in strengths(base)}
        return [TuningCandidate({"strength": one}, measure(model, inputs, query_ids)) for one, model in partly.items()]

    return cross_validate(judgment_learner(base, inputs), inputs, measured)


def strengths(retriever: Retriever) -> tuple[float, ...]:
    """Returns the shares of what a retriever learns that can be used; all of it if that is not in parameters."""
    return STRENGTHS if is_interpolable(retriever) else STRENGTHS[-1:]


def learning_family(retriever: Retriever) -> str:
    """Returns the name of a retriever's learning in the suite."""
    return f"learn({family_of(retriever)})"


def decide(
    subject: str,
    candidates: Sequence[TuningCandidate],
    family: str,
    coordinates: Sequence[Mapping[str, float]],
    inputs: TrainingInputs,
) -> Decision:
    """Compares candidates, the default first, by what the suite and the judged queries say.

    Args:
        subject: what is chosen.
        candidates: two or more, with their measure on the judged queries.
        family: the name of such a choice in the suite.
        coordinates: of each candidate, by name.
        inputs: name and documents of the collection at hand, which is left out.
    """
    values = np.stack([one.values for one in candidates])
    choice = choose(values, prior_of(family, coordinates, values, inputs))
    return Decision(subject, candidates[choice.best].settings, choice)


def prior_of(
    family: str, coordinates: Sequence[Mapping[str, float]], values: np.ndarray, inputs: TrainingInputs
) -> Prior:
    """Returns the suite's prior of candidates, or a generic one of such measured (n_candidates, n_queries) values."""
    known = suite().families.get(family) if inputs.tuning.measure == suite().measure else None
    prior = known and known.prior(coordinates, inputs.alike_collections)
    return prior or generic_prior(values - values[:1], inputs.tuning.prior_deviation)


def compare(
    kind: str, model: Retriever, values: np.ndarray, baseline_fit: FitResult, inputs: TrainingInputs
) -> Decision:
    """Compares the result of a kind of training, by its (n_queries,) values, with fine_tune's for the same model."""
    candidates = [TuningCandidate({}, baseline_fit.values), TuningCandidate({}, values)]
    return decide(kind, candidates, f"{kind}({family_of(model)})", [{"used": 0.0}, {"used": 1.0}], inputs)


def decision_report(decisions: Sequence[Decision], default: np.ndarray) -> dict[str, Any]:
    """Returns the figures of decisions, their total expected gain, and the mean of the default's values; JSON."""
    total = sum(one.choice.expected for one in decisions if one.used)
    rows = [one.as_dict() for one in decisions]
    return {"decisions": rows, "expected_gain": round(total, 4), "default": round(float(default.mean()), 4)}


def all_settings(retriever: Retriever) -> dict[str, Any]:
    """Returns the settings of a retriever and its parts; JSON."""
    nested = [all_settings(part) for part in parts(retriever)]
    return {**settings(retriever), **({"parts": nested} if any(nested) else {})}


def judgment_learner(retriever: Retriever, inputs: TrainingInputs) -> Learner:
    """Returns the function that trains a retriever on the judgments of some queries, if any document is relevant."""

    def learn_from(query_ids: Sequence[str]) -> Retriever | None:
        examples = inputs.judged_examples(query_ids)
        return learn(retriever, examples, inputs.seed) if examples else None

    return learn_from


def learner_with_settings(learner: Learner, chosen: Mapping[str, Any]) -> Learner:
    """Returns a learner that changes the settings after training."""

    def learn_and_set(query_ids: Sequence[str]) -> Retriever | None:
        learned = learner(query_ids)
        return None if learned is None else with_settings(learned, chosen)

    return learn_and_set


def measure_settings(retriever: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]) -> list[TuningCandidate]:
    """Measures each setting of a retriever on some judged queries, its own first, without leakage by prompts."""
    texts = [inputs.queries[query_id] for query_id in query_ids]
    rows: list[TuningCandidate] = []
    for leakage_free, places in leakage_free_retrievers(retriever, texts):
        ids = [query_ids[place] for place in places]
        own, k = inputs.own_of(ids), inputs.tuning.depth
        swept = sweep(
            leakage_free, [texts[place] for place in places], *scope_without(own, k, inputs.candidates_of(ids))
        )
        for number, (one, ranking) in enumerate(swept):
            if number == len(rows):
                rows.append(TuningCandidate(one, np.full(len(texts), np.nan)))
            rows[number].values[places] = judged_values(
                ranking.without(own, k), inputs.corpus, ids, inputs.qrels, inputs.tuning.measure
            )
    return rows


def measure(retriever: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]) -> np.ndarray:
    """Measures a retriever on some judged queries, (n_queries,), without leakage by prompts."""
    texts = [inputs.queries[query_id] for query_id in query_ids]
    scope = inputs.candidates_of(query_ids), inputs.own_of(query_ids)
    ranking = search_without_leakage(retriever, texts, inputs.tuning.depth, *scope)
    return judged_values(ranking, inputs.corpus, query_ids, inputs.qrels, inputs.tuning.measure)


def cross_validate(
    learner: Learner, inputs: TrainingInputs, measured: Measure = measure_settings
) -> list[TuningCandidate]:
    """Measures a learner out of fold.

    Args:
        learner: trains the retriever; it must use no other judgments.
        inputs: the judgments.
        measured: measures candidates made of a trained retriever on some judged queries; by default its settings.

    Returns:
        The candidates; none with fewer than two queries or no relevant document, or if the learner returns None.
    """
    folds = [([one for one in held_out if one in inputs.measured_queries], rest) for held_out, rest in inputs.folds()]
    folds = [(held_out, rest) for held_out, rest in folds if held_out]
    rows: list[TuningCandidate] = []
    values: dict[str, np.ndarray] = {}
    for held_out, rest in progress(folds, "cross-validating"):
        learned = learner(rest)
        if learned is None:
            return []
        rows = measured(learned, inputs, held_out)
        values |= dict(zip(held_out, np.stack([one.values for one in rows]).T, strict=True))
    if not rows:
        return []
    table = np.stack([values[query_id] for query_id in inputs.measured_queries]).T  # -> (n_candidates, n_queries)
    return [TuningCandidate(one.settings, row) for one, row in zip(rows, table, strict=True)]


def _with_best_settings(
    retriever: Retriever, candidates: Sequence[TuningCandidate], decisions: Sequence[Decision], inputs: TrainingInputs
) -> Tuned:
    default = candidates[0].values
    if len(candidates) == 1:
        return Tuned(retriever, default, default, decisions)
    assert isinstance(retriever, Tunable)
    coordinates = [retriever.coordinates(one.settings) for one in candidates]
    decision = decide(f"settings of {retriever.kind}", candidates, family_of(retriever), coordinates, inputs)
    chosen = candidates[decision.choice.index]
    if chosen.settings != settings(retriever):  # costly parts are off in the default, too
        retriever = retriever.with_settings(chosen.settings)
    return Tuned(retriever, chosen.values, default, [*decisions, decision])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
