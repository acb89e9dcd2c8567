"""hybrid: train by several strategies, and stack what comes out of them as one program."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zero2ir.models.base import Retriever
from zero2ir.models.hybrid import Hybrid
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import (
    GuardedStrategy,
    all_settings,
    comparison_text,
    cross_validate,
    fit_with_baseline,
    gain_over,
    learner_with_settings,
    require_judgments,
)
from zero2ir.strategies.tuning import choose

STACKED = "stacked"
WEIGHT_STEPS = 10  # of the grid of weights


class Stacked(GuardedStrategy):
    """Fuses what several strategies make of a model, by weights that start even and may leave one of them alone.

    Weights are chosen on rankings of judged queries by retrievers that did not learn from them: each strategy tells how
    its result is made again from the judgments of the other queries, as far as it learned from any. The choice is the
    usual one: shrunk toward even weights, and kept only where it pays when cross-validated. Where a loss is to be
    expected beside what fine_tune makes of the model, that stays.

    Args:
        strategies: two or more, by name.

    Source: stacking on cross-validated predictions with weights of at least 0 is Breiman, Machine Learning 24, 1996.
    """

    order = 50

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        if len(strategies) < 2:
            raise ValueError(f"strategies: {len(strategies)}; give two or more to stack")
        self.strategies = dict(strategies)
        self.needs = frozenset(need for one in strategies.values() for need in one.needs)

    def require(self, inputs: TrainingInputs) -> None:
        require_judgments(inputs, "hybrid")
        for strategy in self.strategies.values():
            if isinstance(strategy, GuardedStrategy):
                strategy.require(inputs)

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        trained = [fit_with_baseline(strategy, model, inputs, baseline_fit) for strategy in self.strategies.values()]
        table = merge_reports([one.report for one in trained]) | {"strategies": [choice_text(one) for one in trained]}
        moved = [one for one in trained if one.chosen != baseline_fit.chosen]
        if not moved:
            return fall_back(baseline_fit, f"no strategy leaves anything to stack; {baseline_fit.reason}", table)
        parts = moved if len(moved) > 1 else [baseline_fit, *moved]

        def stack(query_ids: Sequence[str]) -> Hybrid:
            return stacked([one.retrained_on(query_ids) for one in parts], inputs)

        candidates = cross_validate(stack, STACKED, inputs)
        if not candidates:
            return fall_back(baseline_fit, f"too few queries are judged to stack on; {baseline_fit.reason}", table)
        values = np.stack([one.values for one in candidates])
        choice = choose(values, inputs.tuning.prior_deviation)
        best = candidates[choice.index]
        because = comparison_text(baseline_fit, best.values, inputs)
        if gain_over(baseline_fit, best.values, inputs) < 0:
            return fall_back(baseline_fit, f"the judgments object to stacking: {because}", table)
        retriever = stacked([one.retriever for one in parts], inputs)
        if best.settings is not None:
            retriever = retriever.with_settings(best.settings)
        learner = learner_with_settings(stack, best.settings) if any(one.learner for one in parts) else None
        weights = " and ".join(
            f"{weight:.1f} {one.chosen}"
            for weight, one in zip(retriever.settings()["weights"], parts, strict=True)
            if weight
        )
        report = table | {"choice": choice.as_dict(), "settings": all_settings(retriever)}
        return FitResult(
            retriever, f"{STACKED}: {weights}", because, best.values, report, len(inputs.judgments), learner
        )


def stacked(retrievers: Sequence[Retriever], inputs: TrainingInputs) -> Hybrid:
    """The retrievers, which are indexed, as one; every weight from 0 is worth trying."""
    hybrid = Hybrid(retrievers, steps=WEIGHT_STEPS, min_weight=0.0)
    hybrid.corpus = inputs.corpus
    return hybrid


def choice_text(fitted: FitResult) -> dict[str, str]:
    """What a strategy said of its own choice."""
    return {"chosen": fitted.chosen, "reason": fitted.reason}


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each strategy alone reports, such as its prompts; what several report is told of the whole."""
    names = [name for report in reports for name in report]
    return {name: value for report in reports for name, value in report.items() if names.count(name) == 1}


def fall_back(simple: FitResult, because: str, table: Mapping[str, Any]) -> FitResult:
    """What fine_tune made, with the reason and what was tried."""
    return replace(simple.with_reason(because), report={**table, **simple.report})
