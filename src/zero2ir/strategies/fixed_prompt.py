"""fixed_prompt: learn from the synthetic queries of one fixed prompt, unless the judgments object."""

import numpy as np

from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import learn, with_settings
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import GuardedStrategy, all_settings, gain_over, sweep_values, tune_parts
from zero2ir.strategies.tuning import choose

SYNTHETIC_CHOICE = "learned from synthetic queries"
LEARNS_NOTHING = "this model learns nothing from examples"


class FixedPrompt(GuardedStrategy):
    """Learns from the synthetic queries, tunes the settings, and keeps the result if the judgments do not object.

    They object when a loss is to be expected beside what fine_tune makes of the same model. The synthetic queries hold
    no judged query, so what was learned from them is measured honestly on the judgments. Without judgments nothing
    objects.
    """

    needs = frozenset[Need]({"synthetic"})
    order = 20

    def require(self, inputs: TrainingInputs) -> None:
        require_synthetic(inputs, "fixed_prompt")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        return learn_unless_worse(model, inputs, baseline_fit)


def require_synthetic(inputs: TrainingInputs, strategy: str) -> None:
    """Refuses to learn from nothing.

    Raises:
        InputError: there are no accepted synthetic queries.
    """
    if all(row.rejected for row in inputs.synthetic):
        raise InputError(
            f"strategy={strategy} needs synthetic queries, and there are none; "
            "run with an LM (lm=smollm2), or raise pretraining.synthetic.documents"
        )


def learn_unless_worse(model: Retriever, inputs: TrainingInputs, simple: FitResult) -> FitResult:
    """The model after learning from the synthetic queries, its settings tuned, if the judgments do not object.

    Args:
        model: indexed.
        inputs: with at least one accepted synthetic query.
        baseline_fit: what stays where they do: the same model without synthetic queries.
    """
    examples = inputs.synthetic_examples()
    learned = learn(model, examples, inputs.seed)
    if learned is None:
        return simple.with_reason(f"{LEARNS_NOTHING}; {simple.reason}")

    if not inputs.queries:
        return FitResult(
            learned, SYNTHETIC_CHOICE, f"nothing is judged that could object to {len(examples)} synthetic queries"
        )

    learned = tune_parts(learned, inputs)
    swept = sweep_values(learned, inputs, list(inputs.queries))
    table = np.stack([values for _, values in swept])
    choice = choose(table, inputs.tuning.prior_deviation)
    settings, values = swept[choice.index]
    gain = gain_over(simple, values, inputs)
    report = {
        "choice": choice.as_dict(),
        "settings": all_settings(with_settings(learned, settings)),
        "examples": len(examples),
        "gain_of_synthetic": round(gain, 4),
    }
    measure = inputs.tuning.measure
    compared = f"{measure} {values.mean():.3f} against {simple.values.mean():.3f} without them, on the judged queries"
    if gain < 0:
        return simple.with_reason(
            f"the judgments object to learning from {len(examples)} synthetic queries: {compared}"
        )
    return FitResult(
        with_settings(learned, settings),
        SYNTHETIC_CHOICE,
        f"the judgments do not object to {len(examples)} synthetic queries: {compared}",
        values,
        report,
        labels=len(inputs.judgments),
    )
