"""A linear adapter on the queries' side: learns in a second, and the documents' embeddings stay as they are."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.models.base import Example
from zero2ir.models.nearest import Vectors


class AdapterSettings(BaseModel):
    """How an adapter learns.

    Attributes:
        steps: full-batch steps of Adam.
        learning_rate: of Adam.
        penalty: weight of the map's squared norm, which keeps it near "change nothing".
        scale: inverse temperature of the softmax over cosines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[int, Field(ge=1)] = 60
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    penalty: Annotated[float, Field(ge=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 20.0


def adapt(queries: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Moves query vectors q to (q + qW) / |q + qW|.

    Args:
        queries: (n_queries, dimension) unit vectors.
        weights: (dimension, dimension).
    """
    moved = queries + queries @ weights
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)


def fit_adapter(
    queries: np.ndarray, documents: np.ndarray | Vectors, examples: Sequence[Example], settings: AdapterSettings
) -> np.ndarray:
    """Learns the map W by weighted contrast: each positive against all positives and negatives of the examples.

    Args:
        queries: (n_examples, dimension) unit vectors of the examples' queries.
        documents: (n_documents, dimension) unit vectors.
        examples: their positives and negatives are rows of ``documents``.
        settings: steps, learning rate, penalty; the fit starts from zero and draws nothing.

    Returns:
        (dimension, dimension) float32.
    """
    import torch

    pool = sorted({number for example in examples for number in (example.positive, *example.negatives)})
    place = {number: column for column, number in enumerate(pool)}
    candidates = torch.from_numpy(documents[pool])
    anchors = torch.from_numpy(queries)
    target = torch.tensor([place[example.positive] for example in examples])
    share = torch.tensor([example.weight for example in examples], dtype=torch.float32)
    share = share / share.sum()
    excluded = torch.from_numpy(other_positives(examples, place))

    weights = torch.zeros(queries.shape[1], queries.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=settings.learning_rate)
    for _ in range(settings.steps):
        optimizer.zero_grad()
        moved = torch.nn.functional.normalize(anchors + anchors @ weights, dim=1)
        logits = (moved @ candidates.T * settings.scale).masked_fill(excluded, -torch.inf)  # -> (n_examples, n_pool)
        losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        loss = (losses * share).sum() + settings.penalty * weights.square().sum()
        loss.backward()
        optimizer.step()
    return weights.detach().numpy()


def other_positives(examples: Sequence[Example], place: dict[int, int]) -> np.ndarray:
    """(n_examples, n_pool) bool: further relevant documents of the same query, which are no negatives of it."""
    of_query: dict[str, set[int]] = {}
    for example in examples:
        of_query.setdefault(example.query, set()).add(place[example.positive])
    excluded = np.zeros((len(examples), len(place)), dtype=bool)
    for row, example in enumerate(examples):
        excluded[row, sorted(of_query[example.query] - {place[example.positive]})] = True
    return excluded
