"""fixed_prompt: learn from the synthetic queries of one fixed prompt, unless the judgments show a loss."""

from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import learn
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import NOTHING_RELEVANT, GuardedStrategy, all_settings, compare, tune

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
    tuned = tune(learned, inputs)
    decision = compare("fixed_prompt", model, tuned.values, baseline_fit, inputs)
    compared = (
        f"by {len(examples)} synthetic queries: {inputs.tuning.measure} {tuned.values.mean():.3f} against "
        f"{baseline_fit.values.mean():.3f} without them, on the judged queries; {decision.choice}"
    )
    if decision.choice.expected < 0:
        return baseline_fit.with_reason(f"a loss is expected {compared}")
    report = {
        "decisions": [one.as_dict() for one in (*tuned.decisions, decision)],
        "settings": all_settings(tuned.retriever),
        "examples": len(examples),
        "gain_of_synthetic": round(decision.choice.expected, 4),
    }
    because = f"no loss is expected {compared}"
    return FitResult(tuned.retriever, SYNTHETIC_CHOICE, because, tuned.values, report, labels=len(inputs.judgments))
