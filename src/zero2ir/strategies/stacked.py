"""hybrid: train by several strategies and stack their results."""

from collections.abc import Mapping, Sequence
from typing import Any

from zero2ir.models.base import Retriever
from zero2ir.models.hybrid import Hybrid
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import (
    GuardedStrategy,
    all_settings,
    compare,
    cross_validate,
    decide,
    fit_with_baseline,
    learner_with_settings,
    require_judgments,
)

STACKED = "stacked"
WEIGHT_STEPS = 10  # of the grid of fusion weights


class Stacked(GuardedStrategy):
    """Fuses the results of several strategies by weights from 0 to 1; equal weights are the default.

    The fusion weights are chosen on out-of-fold rankings: the strategies' learners train each result again on the
    judgments of the other folds. Other than equal weights need an expected gain. If a loss against fine_tune's result
    is expected, that is kept.

    Args:
        strategies: two or more, by name.

    Source: stacking on cross-validated predictions with weights of at least 0 is Breiman, Machine Learning 24, 1996.
    """

    order = 50

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        if len(strategies) < 2:
            raise ValueError(f"strategies: {len(strategies)}; stack two or more")
        self.strategies = dict(strategies)
        self.needs = frozenset(need for one in strategies.values() for need in one.needs)
        self.roles = frozenset(role for one in strategies.values() for role in one.roles)

    def require(self, inputs: TrainingInputs) -> None:
        require_judgments(inputs, "hybrid")
        for strategy in self.strategies.values():
            if isinstance(strategy, GuardedStrategy):
                strategy.require(inputs)

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        def fall_back(because: str) -> FitResult:
            return baseline_fit.with_reason(because, table)

        trained = [fit_with_baseline(strategy, model, inputs, baseline_fit) for strategy in self.strategies.values()]
        table = merge_reports([one.report for one in trained]) | {
            "strategies": [{"chosen": one.chosen, "reason": one.reason} for one in trained]
        }
        changed = [one for one in trained if one.chosen != baseline_fit.chosen]
        if not changed:
            return fall_back(f"every strategy falls back to fine_tune; {baseline_fit.reason}")
        parts = changed if len(changed) > 1 else [baseline_fit, *changed]

        def stack(query_ids: Sequence[str]) -> Hybrid:
            return stacked([one.retrained_on(query_ids) for one in parts], inputs)

        if not (candidates := cross_validate(stack, inputs)):
            return fall_back(f"too few judged queries for stacking; {baseline_fit.reason}")
        fused = decide("fusion weights", candidates, "stacked", [{}] * len(candidates), inputs)
        best = candidates[fused.choice.index]
        decision = compare("hybrid", model, best.values, baseline_fit, inputs)
        if decision.choice.expected < 0:
            return fall_back(f"a loss by stacking is expected: {decision.choice}")
        retriever = stacked([one.retriever for one in parts], inputs).with_settings(best.settings)
        learner = learner_with_settings(stack, best.settings) if any(one.learner for one in parts) else None
        weights = " and ".join(
            f"{weight:.1f} {one.chosen}"
            for weight, one in zip(retriever.settings()["weights"], parts, strict=True)
            if weight
        )
        report = table | {"decisions": [fused.as_dict(), decision.as_dict()], "settings": all_settings(retriever)}
        return FitResult(
            retriever,
            f"{STACKED}: {weights}",
            f"no loss is expected: {decision.choice}",
            best.values,
            report,
            len(inputs.judgments),
            learner,
        )


def stacked(retrievers: Sequence[Retriever], inputs: TrainingInputs) -> Hybrid:
    """Combines indexed retrievers in a hybrid whose fusion weights may be 0."""
    hybrid = Hybrid(retrievers, steps=WEIGHT_STEPS, min_weight=0.0)
    hybrid.corpus = inputs.corpus
    return hybrid


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merges the strategies' reports without the names that several of them have."""
    names = [name for report in reports for name in report]
    return {name: value for report in reports for name, value in report.items() if names.count(name) == 1}
