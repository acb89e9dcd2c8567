"""Takes what is best on the judged queries, without asking whether that is luck."""

from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import with_settings
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import measure_settings, require_judgments


class Greedy(Strategy):
    """Chooses the settings with the highest mean.

    Args:
        margin: by how much they have to beat the default settings.
    """

    order = 5  # reports list it between zero_shot and fine_tune

    def __init__(self, margin: float = 0.0) -> None:
        self.margin = margin

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        require_judgments(inputs, "greedy")
        default, *others = measure_settings(model, inputs, inputs.measured_queries)
        best = max(others, key=lambda one: one.values.mean(), default=default)
        if best.values.mean() <= default.values.mean() + self.margin:
            best = default
        return FitResult(
            with_settings(model, best.settings),
            "the best settings",
            f"{inputs.tuning.measure} {best.values.mean():.3f} against {default.values.mean():.3f} of the default",
            best.values,
            labels=len(inputs.judgments),
        )
