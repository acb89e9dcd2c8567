"""fine_tune: tune settings and train on the judgments alone."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.errors import InputError
from zero2ir.io.terminal import progress
from zero2ir.models.base import Retriever, parts, with_parts
from zero2ir.models.capabilities import Tunable, learn, requires_learning, settings, sweep, with_settings
from zero2ir.models.prompted import leakage_free_retrievers
from zero2ir.models.ranking import scope_without
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs
from zero2ir.strategies.tuning import TuningCandidate, TuningChoice, choose, expected_gains, judged_values

DEFAULT_CHOICE = "the default settings"
TUNED_CHOICE = "settings fitted to the judgments"
LEARNED_CHOICE = "learned from the judgments"
NOTHING_RELEVANT = "no judged query has a relevant document"


class FineTune(Strategy):
    """Chooses settings, and whether to learn from the judgments, by cross-validation with a prior on the default.

    The default is the untrained model, or the trained one if a model requires learning. The settings of parts are
    tuned before, each part on its own, on all judged queries without cross-validation.

    Choices compare rankings on the judged queries with a relevant document. Without any, the model stays as it is.
    """

    order = 10

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        require_judgments(inputs, "fine_tune")
        if not inputs.measured_queries:
            return FitResult(model, "zero_shot", NOTHING_RELEVANT, labels=len(inputs.judgments))
        base = tune_parts(model, inputs)
        learned = cross_validate(judgment_learner(base, inputs), LEARNED_CHOICE, inputs)
        candidates = learned if learned and requires_learning(base) else [*evaluate_settings(base, inputs), *learned]
        choice = choose(np.stack([candidate.values for candidate in candidates]), inputs.tuning.prior_deviation)
        chosen = candidates[choice.index]
        learner, retriever = None, base
        if chosen.name == LEARNED_CHOICE:
            learner = learner_with_settings(judgment_learner(base, inputs), chosen.settings)
            retriever = learner(list(inputs.queries)) or base
        elif chosen.settings is not None:
            retriever = with_settings(base, chosen.settings)
        because = explain(choice, len(candidates), inputs)
        if all_settings(base) != all_settings(model):
            because = f"its parts were tuned separately; for the whole, {because}"
        return FitResult(
            retriever,
            choice_name(chosen.name, retriever, model),
            because,
            chosen.values,
            {"choice": choice.as_dict(), "settings": all_settings(retriever), "candidates": len(candidates)},
            labels=len(inputs.judgments),
            learner=learner,
        )


class GuardedStrategy(Strategy):
    """A strategy that falls back to fine_tune's result if its own is worse on the judgments.

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


def tune_parts(retriever: Retriever, inputs: TrainingInputs) -> Retriever:
    """Tunes the settings of each part on the judgments, innermost first."""
    tuned_parts = [tune(part, inputs) for part in parts(retriever)]
    return with_parts(retriever, tuned_parts) if tuned_parts else retriever


def tune(retriever: Retriever, inputs: TrainingInputs) -> Retriever:
    """Tunes the settings of the retriever and its parts on the judgments, innermost first."""
    retriever = tune_parts(retriever, inputs)
    if not isinstance(retriever, Tunable) or not retriever.alternative_settings() or not inputs.measured_queries:
        return retriever
    candidates = evaluate_settings(retriever, inputs)
    choice = choose(np.stack([candidate.values for candidate in candidates]), inputs.tuning.prior_deviation)
    chosen = candidates[choice.index].settings
    return retriever if chosen is None else retriever.with_settings(chosen)


def choice_name(name: str, fitted: Retriever, original: Retriever) -> str:
    """Describes the choice; "zero_shot" if no setting changed."""
    if name == LEARNED_CHOICE:
        return LEARNED_CHOICE
    return "zero_shot" if all_settings(fitted) == all_settings(original) else TUNED_CHOICE


def all_settings(retriever: Retriever) -> dict[str, Any]:
    """Returns the settings of a retriever and its parts; JSON."""
    nested = [all_settings(part) for part in parts(retriever)]
    return {**settings(retriever), **({"parts": nested} if any(nested) else {})}


def evaluate_settings(retriever: Retriever, inputs: TrainingInputs) -> list[TuningCandidate]:
    """Measures each setting of a retriever on the judged queries with a relevant document, the default first."""
    swept = sweep_values(retriever, inputs, inputs.measured_queries)
    return [
        TuningCandidate(DEFAULT_CHOICE if number == 0 else TUNED_CHOICE, *pair) for number, pair in enumerate(swept)
    ]


def judgment_learner(retriever: Retriever, inputs: TrainingInputs) -> Learner:
    """Returns the function that trains a retriever on the judgments of some queries, if any document is relevant."""

    def learn_from(query_ids: Sequence[str]) -> Retriever | None:
        examples = inputs.judged_examples(query_ids)
        return learn(retriever, examples, inputs.seed) if examples else None

    return learn_from


def gain_over(baseline_fit: FitResult, values: np.ndarray, inputs: TrainingInputs) -> float:
    """Returns the expected gain over fine_tune of a retriever with these values on the judged queries."""
    return float(expected_gains(np.stack([baseline_fit.values, values]), inputs.tuning.prior_deviation)[1])


def comparison_text(baseline_fit: FitResult, values: np.ndarray, inputs: TrainingInputs) -> str:
    """Compares these values with fine_tune's in words."""
    return (
        f"{inputs.tuning.measure} {values.mean():.3f} against {baseline_fit.values.mean():.3f} of fine_tune, "
        "on the judged queries when cross-validated"
    )


def learner_with_settings(learner: Learner, chosen: Mapping[str, Any] | None) -> Learner:
    """Returns a learner that changes the settings after training; None keeps them."""

    def learn_and_set(query_ids: Sequence[str]) -> Retriever | None:
        learned = learner(query_ids)
        return learned if learned is None or chosen is None else with_settings(learned, chosen)

    return learn_and_set


def cross_validate(learner: Learner, name: str, inputs: TrainingInputs) -> list[TuningCandidate]:
    """Measures a learner out of fold, as one candidate per setting.

    Args:
        learner: trains the retriever; it must use no other judgments.
        name: of the candidates.
        inputs: the judgments.

    Returns:
        The candidates; none with fewer than two queries or no relevant document, or if the learner returns None.
    """
    folds = [([one for one in held_out if one in inputs.measured_queries], rest) for held_out, rest in inputs.folds()]
    folds = [(held_out, rest) for held_out, rest in folds if held_out]
    if not folds:
        return []
    values: dict[str, np.ndarray] = {}
    tried: list[Mapping[str, Any] | None] = []
    for held_out, rest in progress(folds, "cross-validating"):
        learned = learner(rest)
        if learned is None:
            return []
        swept = sweep_values(learned, inputs, held_out)
        tried = [None if one == settings(learned) else one for one, _ in swept]
        values |= dict(zip(held_out, np.stack([row for _, row in swept]).T, strict=True))
    table = np.stack([values[query_id] for query_id in inputs.measured_queries]).T  # -> (n_settings, n_queries)
    return [TuningCandidate(name, one, row) for one, row in zip(tried, table, strict=True)]


def sweep_values(
    retriever: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]
) -> list[tuple[Mapping[str, Any], np.ndarray]]:
    """Returns each setting of the retriever with its measure on some judged queries, without leakage by prompts."""
    texts = [inputs.queries[query_id] for query_id in query_ids]
    rows: list[tuple[Mapping[str, Any], np.ndarray]] = []
    for leakage_free, places in leakage_free_retrievers(retriever, texts):
        ids = [query_ids[place] for place in places]
        own, k = inputs.own_of(ids), inputs.tuning.depth
        swept = sweep(
            leakage_free, [texts[place] for place in places], *scope_without(own, k, inputs.candidates_of(ids))
        )
        for number, (one, ranking) in enumerate(swept):
            if number == len(rows):
                rows.append((one, np.full(len(texts), np.nan)))
            measured = judged_values(ranking.without(own, k), inputs.corpus, ids, inputs.qrels, inputs.tuning.measure)
            rows[number][1][places] = measured
    return rows


def explain(choice: TuningChoice, candidates: int, inputs: TrainingInputs) -> str:
    """Explains the choice in one sentence."""
    measure, number = inputs.tuning.measure, len(inputs.measured_queries)
    queries = f"{number} judged queries" + (" with a relevant document" if number < len(inputs.queries) else "")
    if candidates == 1:
        return f"there are no alternatives; {measure} {choice.default:.3f} on the {queries}"
    if choice.expected_gain == 0:
        return f"none of {candidates - 1} alternatives gains {measure} significantly on the {queries}"
    if choice.index == 0:
        return (
            f"tuning on the {queries} does not gain in cross-validation: "
            f"{measure} {choice.cross_validated:.3f} against {choice.default:.3f} of the default"
        )
    return (
        f"{measure} {choice.observed:.3f} against {choice.default:.3f} of the default on the {queries}, "
        f"an expected gain of {choice.expected_gain:.3f}; {choice.cross_validated:.3f} when cross-validated"
    )
