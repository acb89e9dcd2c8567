"""zero_shot: no training at all."""

from zero2ir.models.base import Retriever
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs


class ZeroShot(Strategy):
    """Keeps the indexed model and its settings, as a baseline."""

    order = 0

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        return FitResult(model, "zero_shot", "this strategy trains nothing")
