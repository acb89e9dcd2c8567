"""How a labelling goes on."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Pooling = Literal["round-robin", "reciprocal-rank"]


class LabellingSettings(BaseModel):
    """The cost, the batches, and when to stop.

    Attributes:
        budget: queries to judge, those judged before among them.
        batches: how many queries are chosen at once, the first time, the second, ...; the last number holds on. The
            model is fitted again after each batch.
        depth: documents to judge for each query.
        pooling: how the committee's rankings become one list of documents to judge.
        candidates: queries that may be chosen; of a longer log so many are drawn.
        repeats: further items as a share of a batch, which were judged before and are shown again.
        patience: batches in a row that change nothing before it stops; 0 is for ever.
        min_queries: judged queries before it may stop.
        max_changed_share: the share of the candidate queries' first ten documents that counts as nothing when it moves.
        max_gain_change: the change of the cross-validated gain that counts as nothing, in units of the measure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: Annotated[int, Field(ge=1)] = 10
    batches: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 1, 3, 5)
    depth: Annotated[int, Field(ge=1)] = 5
    pooling: Pooling = "round-robin"
    candidates: Annotated[int, Field(ge=1)] = 300
    repeats: Annotated[float, Field(ge=0, le=1)] = 0.0
    patience: Annotated[int, Field(ge=0)] = 2
    min_queries: Annotated[int, Field(ge=1)] = 20
    max_changed_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    max_gain_change: Annotated[float, Field(ge=0)] = 0.002

    def batch(self, number: int) -> int:
        """How many queries the batch of this number, from 0, has."""
        return self.batches[min(number, len(self.batches) - 1)]
