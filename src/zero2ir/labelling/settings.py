"""Settings of a labelling."""

from typing import Annotated, Literal

from pydantic import Field

from zero2ir.io.settings import Settings

Pooling = Literal["round-robin", "reciprocal-rank"]


class LabellingSettings(Settings):
    """Budget, batch sizes and stopping rule.

    Attributes:
        budget: number of queries to judge, including those judged before.
        batches: number of queries in the first batch, the second, ...; the last number repeats. The model is refitted
            after each batch.
        depth: number of documents to judge per query.
        pooling: how the committee's rankings are merged into the documents to judge.
        candidates: maximum number of candidate queries; a longer log is sampled.
        repeats: number of already judged items shown again, as a share of a batch.
        patience: stop after this many consecutive batches without a change; 0 never stops early.
        min_queries: minimum number of judged queries before an early stop.
        max_changed_share: share of the candidate queries' first ten documents that may change in a batch "without a
            change".
        max_gain_change: change of the expected gain allowed in such a batch, in units of the measure.
    """

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
        """Returns the number of queries in a batch; batches are numbered from 0."""
        return self.batches[min(number, len(self.batches) - 1)]
