"""A linear adapter on the queries' side: learns in a second, and the documents' embeddings stay as they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.encoders.examples import Example
from zero2ir.io.settings import Settings
from zero2ir.models.initialization import Initialization
from zero2ir.models.vector_index import Vectors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class AdapterSettings(Settings):
    """How an adapter learns.

    Attributes:
        steps: full-batch steps of Adam.
        learning_rate: of Adam.
        penalty: weight of the map's squared norm, which keeps it near "change nothing".
        scale: inverse temperature of the softmax over cosines.
    """

    steps: Annotated[int, Field(ge=1)] = 60
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    penalty: Annotated[float, Field(ge=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 20.0


class DenseAdapterSettings(AdapterSettings):
    """How an adapter of whole texts' vectors learns.

    Attributes:
        distillation: weight of a teacher's margins beside the contrast, where the examples have some.
    """

    distillation: Annotated[float, Field(ge=0)] = 0.0


def apply_adapter(queries: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Moves query vectors q to (q + qW) / |q + qW|.

    Args:
        queries: (n_queries, dimension) unit vectors.
        weights: (dimension, dimension).
    """
    moved = queries + queries @ weights
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)


def fit_adapter(
    queries: np.ndarray,
    documents: np.ndarray | Vectors,
    examples: Sequence[Example],
    settings: DenseAdapterSettings,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns the map W by weighted contrast: each positive against all positives and negatives of the examples.

    With distillation the difference of two documents' cosines shall be the teacher's margin, too. A teacher's scores
    have a unit of their own, so its margins are scaled to have the mean square that the cosines' have at the start.

    Args:
        queries: (n_examples, dimension) unit vectors of the examples' queries.
        documents: (n_documents, dimension) unit vectors.
        examples: their positives and negatives are rows of ``documents``.
        settings: steps, learning rate, penalty; the fit draws nothing.
        start: of the parameter "map"; the penalty is of the distance from there.

    Returns:
        (dimension, dimension) float32.

    Source: the distillation is MarginMSE, Hofstätter et al. 2020, arXiv 2010.02666, section 4.1, as in GPL, Wang et
    al., NAACL 2022, arXiv 2112.07577, section 3.
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

    taught = _margins(examples, place) if settings.distillation else None
    if taught is not None:
        taught = taught.in_units_of(anchors @ candidates.T)

    steps = AdamSteps(queries.shape[1], settings, start)
    for optimizer in steps:
        weights = steps.weights
        optimizer.zero_grad()
        moved = torch.nn.functional.normalize(anchors + anchors @ weights, dim=1)
        cosines = moved @ candidates.T  # -> (n_examples, n_pool)
        logits = (cosines * settings.scale).masked_fill(excluded, -torch.inf)
        losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        loss = (losses * share).sum() + steps.penalty()
        if taught is not None:
            loss = loss + settings.distillation * taught.error(cosines)
        loss.backward()
        optimizer.step()
    return steps.weights.detach().numpy()


class AdamSteps:
    """The steps of Adam that move a square map away from where it starts.

    The map is W0 + rates * V, and Adam, which does not see a gradient's scale, moves V: so each entry of the map has a
    learning rate of its own.

    Args:
        dimension: of the vectors that are mapped.
        settings: steps, learning rate, penalty.
        start: of the parameter "map".
    """

    def __init__(self, dimension: int, settings: AdapterSettings, start: Initialization) -> None:
        import torch

        self.settings = settings
        self.number = start.count(settings.steps)
        self.origin = torch.zeros(dimension, dimension)
        if "map" in start.parameters:
            self.origin += torch.as_tensor(start.parameters["map"], dtype=torch.float32)
        self.rates = torch.as_tensor(start.rate("map"), dtype=torch.float32)
        self.moved = torch.zeros(dimension, dimension, requires_grad=True)

    def __iter__(self) -> Iterator["Optimizer"]:
        import torch

        optimizer = torch.optim.Adam([self.moved], lr=self.settings.learning_rate)
        for _ in range(self.number):
            yield optimizer

    @property
    def weights(self) -> "Tensor":
        """(dimension, dimension) the map as it is now."""
        return self.origin + self.rates * self.moved

    def penalty(self) -> "Tensor":
        """Of the squared distance from the start."""
        return self.settings.penalty * (self.rates * self.moved).square().sum()


def adapter_gradient_cosines(
    queries: np.ndarray,
    documents: np.ndarray | Vectors,
    examples: Sequence[Example],
    judged: Sequence[Example],
    scale: float,
) -> np.ndarray:
    """The cosines of examples' gradients with those of judged examples, by the map W at zero.

    The gradient of one example's contrast is the outer product of its query q and of v, the mean document that it is
    compared with, by softmax, less its positive, both without their share along q. So the inner product of two
    gradients is that of the queries times that of the v.

    Args:
        queries: (n_examples + n_judged, dimension) unit vectors, the judged ones last.
        documents: (n_documents, dimension) unit vectors.
        examples: n_examples of them.
        judged: n_judged of them.
        scale: inverse temperature of the softmax over cosines.

    Returns:
        (n_examples, n_judged) -1 to 1; above 0 where a step for the one helps the other. 0 for a gradient of 0.
    """
    from scipy.special import softmax

    every = [*examples, *judged]
    pool = sorted({number for example in every for number in (example.positive, *example.negatives)})
    place = {number: column for column, number in enumerate(pool)}
    candidates = documents[pool]
    logits = queries @ candidates.T * scale
    excluded = [other_positives(some, place) for some in (examples, judged)]  # each knows its own positives alone
    logits[np.concatenate(excluded)] = -np.inf
    moves = softmax(logits, axis=1) @ candidates - candidates[[place[example.positive] for example in every]]
    moves -= (moves * queries).sum(axis=1, keepdims=True) * queries
    moves /= np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-12)
    n = len(examples)
    return (queries[:n] @ queries[n:].T) * (moves[:n] @ moves[n:].T)


class _Margins(NamedTuple):
    """What a teacher says of pairs of documents.

    Attributes:
        rows: (n,) the examples.
        positives: (n,) columns of the pool.
        negatives: (n,) columns of the pool.
        values: (n,) by how much the positive scores above the negative.
    """

    rows: "Tensor"
    positives: "Tensor"
    negatives: "Tensor"
    values: "Tensor"

    def from_cosines(self, cosines: "Tensor") -> "Tensor":
        """(n,) the same of (n_examples, n_pool) cosines."""
        return cosines[self.rows, self.positives] - cosines[self.rows, self.negatives]

    def in_units_of(self, cosines: "Tensor") -> "_Margins":
        """Scaled to the mean square of the cosines' margins."""
        own, teacher = self.from_cosines(cosines).square().mean(), self.values.square().mean().clamp(min=1e-12)
        return self._replace(values=self.values * (own / teacher).sqrt())

    def error(self, cosines: "Tensor") -> "Tensor":
        """The mean squared error, in units of the mean square."""
        return (self.from_cosines(cosines) - self.values).square().mean() / self.values.square().mean().clamp(min=1e-12)


def _margins(examples: Sequence[Example], place: Mapping[int, int]) -> _Margins | None:
    """The teacher's margins of all examples; None where there are none."""
    import torch

    pairs = [
        (row, place[example.positive], place[negative], margin)
        for row, example in enumerate(examples)
        for negative, margin in zip(example.negatives, example.margins, strict=bool(example.margins))
    ]
    if not pairs:
        return None
    rows, positives, negatives, values = (torch.tensor(column) for column in zip(*pairs, strict=True))
    return _Margins(rows, positives, negatives, values.float())


def other_positives(examples: Sequence[Example], place: dict[int, int]) -> np.ndarray:
    """(n_examples, n_pool) bool: further relevant documents of the same query, which are no negatives of it."""
    of_query: dict[str, set[int]] = {}
    for example in examples:
        of_query.setdefault(example.query, set()).add(place[example.positive])
    excluded = np.zeros((len(examples), len(place)), dtype=bool)
    for row, example in enumerate(examples):
        excluded[row, sorted(of_query[example.query] - {place[example.positive]})] = True
    return excluded
