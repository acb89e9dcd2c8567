"""fine_tune: fit what the ten judgments alone can fit."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.errors import InputError
from zero2ir.io.terminal import progress
from zero2ir.models.base import Retriever, parts, with_parts
from zero2ir.models.capabilities import Tunable, learn, requires_learning, settings, sweep, with_settings
from zero2ir.models.prompted import leakage_free_retrievers
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs
from zero2ir.strategies.tuning import TuningCandidate, TuningChoice, choose, expected_gains, judged_values

DEFAULT_CHOICE = "the default settings"
TUNED_CHOICE = "settings fitted to the judgments"
LEARNED_CHOICE = "learned from the judgments"


class FineTune(Strategy):
    """Chooses settings, and whether to learn from the judgments, by cross-validation with a prior on the default.

    The default is the model before it has learned; for one that has to learn first, what it has learned. The settings
    of parts are chosen before, on all judged queries, each part on its own: only what comes after is cross-validated.
    """

    order = 10

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        require_judgments(inputs, "fine_tune")
        base = tune_parts(model, inputs)
        learned = cross_validate(judgment_learner(base, inputs), LEARNED_CHOICE, inputs)
        candidates = learned if learned and requires_learning(base) else [*evaluate_settings(base, inputs), *learned]
        choice = choose(np.stack([candidate.values for candidate in candidates]), inputs.tuning.prior_deviation)
        chosen = candidates[choice.index]
        learner = (
            learner_with_settings(judgment_learner(base, inputs), chosen.settings)
            if chosen.name == LEARNED_CHOICE
            else None
        )
        retriever = (learner(list(inputs.queries)) if learner else None) or base
        if learner is None and chosen.settings is not None:
            retriever = with_settings(base, chosen.settings)
        because = explain(choice, len(candidates), inputs)
        if all_settings(base) != all_settings(model):
            because = f"parts of it were fitted, each on its own; of the whole, {because}"
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
    """A strategy beside whose result stands fine_tune's, which stays where the judgments object, or do not gain.

    Which of the two it takes, each says. Where nothing is judged, the model as it is takes the place of fine_tune's
    result.

    Attributes:
        needs: as of every strategy.
    """

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        self.require(inputs)
        simple = (
            FineTune().fit(model, inputs) if inputs.judgments else FitResult(model, "zero_shot", "nothing is judged")
        )
        return self.fit_guarded(model, inputs, simple)

    @abstractmethod
    def require(self, inputs: TrainingInputs) -> None:
        """Says what is missing before any work.

        Raises:
            InputError: something is.
        """

    @abstractmethod
    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        """Trains the model.

        Args:
            model: indexed.
            inputs: nothing that is required is missing.
            baseline_fit: what fine_tune makes of the same model.
        """


def fit_with_baseline(strategy: Strategy, model: Retriever, inputs: TrainingInputs, simple: FitResult) -> FitResult:
    """What a strategy makes of a model, where it is known what fine_tune does."""
    return (
        strategy.fit_guarded(model, inputs, simple)
        if isinstance(strategy, GuardedStrategy)
        else strategy.fit(model, inputs)
    )


def require_judgments(inputs: TrainingInputs, strategy: str) -> None:
    """Refuses to fit on nothing.

    Raises:
        InputError: there are no judgments.
    """
    if not inputs.judgments:
        raise InputError(
            f"strategy={strategy} needs judgments, and there are none; give some, or use strategy=zero_shot"
        )


def tune_parts(retriever: Retriever, inputs: TrainingInputs) -> Retriever:
    """The retriever with the settings of its parts fitted to the judgments, from the inside out, each on its own."""
    tuned_parts = [tune(part, inputs) for part in parts(retriever)]
    return with_parts(retriever, tuned_parts) if tuned_parts else retriever


def tune(retriever: Retriever, inputs: TrainingInputs) -> Retriever:
    """The retriever with all its settings fitted to the judgments, from the inside out."""
    retriever = tune_parts(retriever, inputs)
    if not isinstance(retriever, Tunable) or not retriever.alternative_settings() or not inputs.queries:
        return retriever
    candidates = evaluate_settings(retriever, inputs)
    choice = choose(np.stack([candidate.values for candidate in candidates]), inputs.tuning.prior_deviation)
    chosen = candidates[choice.index].settings
    return retriever if chosen is None else retriever.with_settings(chosen)


def choice_name(name: str, fitted: Retriever, given: Retriever) -> str:
    """What was chosen, in words; "zero_shot" where nothing came out other than it was given."""
    if name == LEARNED_CHOICE:
        return LEARNED_CHOICE
    return "zero_shot" if all_settings(fitted) == all_settings(given) else TUNED_CHOICE


def all_settings(retriever: Retriever) -> dict[str, Any]:
    """What is set in a retriever and in its parts; JSON."""
    nested = [all_settings(part) for part in parts(retriever)]
    return {**settings(retriever), **({"parts": nested} if any(nested) else {})}


def evaluate_settings(retriever: Retriever, inputs: TrainingInputs) -> list[TuningCandidate]:
    """The retriever with each setting worth trying, measured on the judged queries; what to fall back to first."""
    swept = sweep_values(retriever, inputs, list(inputs.queries))
    return [
        TuningCandidate(DEFAULT_CHOICE if number == 0 else TUNED_CHOICE, *pair) for number, pair in enumerate(swept)
    ]


def judgment_learner(retriever: Retriever, inputs: TrainingInputs) -> Learner:
    """How a retriever learns from the judgments of some queries; None comes out where it does not."""
    return lambda query_ids: learn(retriever, inputs.judged_examples(query_ids), inputs.seed)


def gain_over(simple: FitResult, values: np.ndarray, inputs: TrainingInputs) -> float:
    """The expected gain of what has these values on the judged queries, over what fine_tune made."""
    return float(expected_gains(np.stack([simple.values, values]), inputs.tuning.prior_deviation)[1])


def comparison_text(simple: FitResult, values: np.ndarray, inputs: TrainingInputs) -> str:
    """The two in words."""
    return (
        f"{inputs.tuning.measure} {values.mean():.3f} against {simple.values.mean():.3f} of fine_tune, "
        "on the judged queries when cross-validated"
    )


def learner_with_settings(learner: Learner, chosen: Mapping[str, Any] | None) -> Learner:
    """As ``learner``, with other settings; those that come out of learning where they are None."""

    def learned(query_ids: Sequence[str]) -> Retriever | None:
        found = learner(query_ids)
        return found if found is None or chosen is None else with_settings(found, chosen)

    return learned


def cross_validate(learner: Learner, name: str, inputs: TrainingInputs) -> list[TuningCandidate]:
    """What learns from judgments, measured on queries that it did not learn from.

    Args:
        learner: makes the retriever; what it learned from judgments has to come from here.
        name: of the candidates, one a setting.
        inputs: the judgments.

    Returns:
        Nothing where there are too few queries, or nothing is learned.
    """
    folds = inputs.folds()
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
    table = np.stack([values[query_id] for query_id in inputs.queries]).T  # -> (n_settings, n_queries)
    return [TuningCandidate(name, one, row) for one, row in zip(tried, table, strict=True)]


def sweep_values(
    retriever: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]
) -> list[tuple[Mapping[str, Any], np.ndarray]]:
    """Each setting of the retriever with its measure on some judged queries; none of which its prompts show."""
    texts = [inputs.queries[query_id] for query_id in query_ids]
    found: list[tuple[Mapping[str, Any], np.ndarray]] = []
    for asked, places in leakage_free_retrievers(retriever, texts):
        ids = [query_ids[place] for place in places]
        candidates = inputs.candidates_of(ids)
        swept = sweep(asked, [texts[place] for place in places], inputs.tuning.depth, candidates)
        for number, (one, ranking) in enumerate(swept):
            if number == len(found):
                found.append((one, np.full(len(texts), np.nan)))
            measured = judged_values(ranking, inputs.corpus, ids, inputs.qrels, inputs.tuning.measure)
            found[number][1][places] = measured
    return found


def explain(choice: TuningChoice, candidates: int, inputs: TrainingInputs) -> str:
    """One sentence: how the choice stood on the judgments."""
    measure, queries = inputs.tuning.measure, len(inputs.queries)
    if candidates == 1:
        return f"there was nothing to choose; {measure} {choice.default:.3f} on the {queries} judged queries"
    if choice.expected_gain == 0:
        return f"none of {candidates - 1} others can be told to gain {measure} on the {queries} judged queries"
    if choice.index == 0:
        return (
            f"fitting the {queries} judged queries does not pay when cross-validated: "
            f"{measure} {choice.cross_validated:.3f} against {choice.default:.3f} of the default"
        )
    return (
        f"{measure} {choice.observed:.3f} against {choice.default:.3f} of the default on the {queries} judged queries, "
        f"an expected gain of {choice.expected_gain:.3f}; {choice.cross_validated:.3f} when cross-validated"
    )
