"""model=auto: a choice of model types, and the limits that the chosen one must meet."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from zero2ir.errors import InputError
from zero2ir.models.base import Retriever

Limit = Annotated[float, Field(gt=0)]


class Auto:
    """Stands for the best of several candidates on the documents at hand; ``zero2ir.program.model_choice`` chooses.

    It is no model itself: training goes on with the chosen candidate alone.

    Args:
        candidates: unfitted, by name; of those named as in conf/model, the development suite tells how good they are
            elsewhere. The first wins ties.
        latency_ms: the most milliseconds that a query may take, the median of some; None for no limit.
        memory_mb: the most megabytes (10^6 bytes) of the index and the encoders' weights; None for no limit.
        language_model: whether candidates may search with a language model, if there is one.
    """

    order: ClassVar[int] = 110

    def __init__(
        self,
        candidates: Mapping[str, Retriever],
        latency_ms: Limit | None = None,
        memory_mb: Limit | None = None,
        language_model: bool = True,
    ) -> None:
        self.candidates = dict(candidates)
        self.latency_ms = latency_ms
        self.memory_mb = memory_mb
        self.language_model = language_model
        if not self.considered(has_language_model=False):
            raise InputError("model.candidates: none works without a language model; add one, e.g. sparse")

    def needs(self) -> set[str]:
        """Returns the encoder roles of all candidates; a language model is optional."""
        return {need for model in self.candidates.values() for need in model.needs()} - {"lm"}

    def optional_needs(self) -> set[str]:
        """Returns "lm" if a candidate may search with a language model."""
        asks = self.language_model and any("lm" in model.needs() for model in self.candidates.values())
        return {"lm"} if asks else set()

    def considered(self, has_language_model: bool) -> dict[str, Retriever]:
        """Returns the candidates that can search with what there is."""
        asks = has_language_model and self.language_model
        return {name: model for name, model in self.candidates.items() if asks or "lm" not in model.needs()}
