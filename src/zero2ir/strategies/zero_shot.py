"""zero_shot: no training at all."""

from zero2ir.models.base import Retriever
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs


class ZeroShot(Strategy):
    """Indexes the documents and leaves every setting as it is: what the labels and the LM must beat."""

    order = 0

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        return FitResult(model, "zero_shot", "this strategy trains nothing")
