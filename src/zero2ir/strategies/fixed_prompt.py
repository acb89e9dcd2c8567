"""fixed_prompt: learn from the synthetic queries of one fixed prompt, unless the judgments show a loss."""

import numpy as np

from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import learn, with_settings
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import (
    NOTHING_RELEVANT,
    GuardedStrategy,
    all_settings,
    gain_over,
    sweep_values,
    tune_parts,
)
from zero2ir.strategies.tuning import choose

SYNTHETIC_CHOICE = "learned from synthetic queries"
LEARNS_NOTHING = "this model cannot learn from examples"


class FixedPrompt(GuardedStrategy):
    """Learns from the synthetic queries, tunes the settings, and keeps the result unless the judgments show a loss.

    A loss is a negative expected gain over fine_tune's result for the same model. No judged query is among the
    synthetic queries, so that the measure on the judgments is unbiased. Without judgments the result is kept.
    """

    needs = frozenset[Need]({"synthetic"})
    order = 20

    def require(self, inputs: TrainingInputs) -> None:
        require_synthetic(inputs, "fixed_prompt")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        return learn_unless_worse(model, inputs, baseline_fit)


def require_synthetic(inputs: TrainingInputs, strategy: str) -> None:
    """Raises an InputError if there are no accepted synthetic queries."""
    if all(row.rejected for row in inputs.synthetic):
        raise InputError(
            f"strategy={strategy} needs synthetic queries; "
            "run with an LM (lm=smollm2), or raise pretraining.synthetic.documents"
        )


def learn_unless_worse(model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
    """Trains an indexed model on the synthetic queries and tunes it, unless the judgments show a loss."""
    examples = inputs.synthetic_examples()
    learned = learn(model, examples, inputs.seed)
    if learned is None:
        return baseline_fit.with_reason(f"{LEARNS_NOTHING}; {baseline_fit.reason}")
    if not inputs.measured_queries:
        nothing = NOTHING_RELEVANT if inputs.queries else "there are no judgments"
        reason = f"{nothing} to check {len(examples)} synthetic queries"
        return FitResult(learned, SYNTHETIC_CHOICE, reason)
    learned = tune_parts(learned, inputs)
    swept = sweep_values(learned, inputs, inputs.measured_queries)
    choice = choose(np.stack([values for _, values in swept]), inputs.tuning.prior_deviation)
    settings, values = swept[choice.index]
    gain = gain_over(baseline_fit, values, inputs)
    compared = (
        f"by {len(examples)} synthetic queries: {inputs.tuning.measure} {values.mean():.3f} against "
        f"{baseline_fit.values.mean():.3f} without them, on the judged queries"
    )
    if gain < 0:
        return baseline_fit.with_reason(f"the judgments show a loss {compared}")
    learned = with_settings(learned, settings)
    report = {
        "choice": choice.as_dict(),
        "settings": all_settings(learned),
        "examples": len(examples),
        "gain_of_synthetic": round(gain, 4),
    }
    because = f"the judgments show no loss {compared}"
    return FitResult(learned, SYNTHETIC_CHOICE, because, values, report, labels=len(inputs.judgments))
