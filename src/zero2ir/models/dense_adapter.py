"""A linear adapter of query embeddings; the documents' embeddings stay as they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.encoders.examples import Example
from zero2ir.io.settings import PositiveInt, Settings
from zero2ir.models.initialization import Initialization
from zero2ir.models.vector_index import Vectors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


TAUGHT_PENALTY = 0.1  # share of the penalty with a teacher's hundreds of queries, where ten judged ones need all of it


class AdapterSettings(Settings):
    """Settings of an adapter's training.

    Attributes:
        steps: full-batch steps of Adam.
        learning_rate: of Adam.
        penalty: weight of the map's squared norm.
        scale: inverse temperature of the softmax over cosines.
    """

    steps: PositiveInt = 60
    learning_rate: PositiveFloat = 1e-3
    penalty: NonNegativeFloat = 1.0
    scale: PositiveFloat = 20.0


class DenseAdapterSettings(AdapterSettings):
    """Settings of an adapter of single-vector embeddings.

    Attributes:
        distillation: weight of the MarginMSE loss beside the contrastive loss, for examples with teacher margins.
    """

    distillation: NonNegativeFloat = 0.0


def apply_adapter(queries: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Moves (n_queries, dimension) unit vectors q to (q + qW) / |q + qW|, by (dimension, dimension) weights W."""
    moved = queries + queries @ weights
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)


def fit_adapter(
    queries: np.ndarray,
    documents: np.ndarray | Vectors,
    examples: Sequence[Example],
    settings: DenseAdapterSettings,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns the map W by a weighted contrastive loss: each positive against all documents of the examples.

    Distillation adds the squared error between the cosines' margins and the teacher's. The teacher's margins are
    scaled to the mean square of the cosines' margins before training.

    Args:
        queries: (n_examples, dimension) unit vectors of the examples' queries.
        documents: (n_documents, dimension) unit vectors.
        examples: their positives and negatives are rows of ``documents``.
        settings: of the fit, which is deterministic.
        start: initial value of the parameter "map"; the penalty is of the distance from it.

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


def distil_adapter(
    queries: np.ndarray,
    documents: np.ndarray | Vectors,
    taught: Sequence[TaughtQuery],
    contrast: float,
    settings: DenseAdapterSettings,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns the map W by ``listwise_loss``; deterministic.

    ``queries`` are the (n_taught, dimension) unit vectors of the taught queries, and ``start`` has the initial value of
    the parameter "map". The penalty is ``TAUGHT_PENALTY`` of the settings'. Returns (dimension, dimension) float32.
    """
    import torch

    anchors = torch.from_numpy(queries)
    pool, columns = np.unique([one.documents for one in taught], return_inverse=True)
    candidates = torch.from_numpy(documents[pool])
    places = torch.from_numpy(columns.reshape(len(taught), -1))
    steps = AdamSteps(queries.shape[1], settings, start)
    for optimizer in steps:
        optimizer.zero_grad()
        moved = torch.nn.functional.normalize(anchors + anchors @ steps.weights, dim=1)
        loss = listwise_loss(moved @ candidates.T * settings.scale, places, taught, contrast)
        loss = loss + TAUGHT_PENALTY * steps.penalty()
        loss.backward()
        optimizer.step()
    return steps.weights.detach().numpy()


def listwise_loss(logits: "Tensor", places: "Tensor", taught: Sequence[TaughtQuery], contrast: float) -> "Tensor":
    """Returns the KL divergence from a teacher, up to a constant, plus ``contrast`` times a contrastive loss.

    The former compares the softmax over each query's documents; the latter is of the teacher's first document against
    those of the other queries.

    Args:
        logits: (n_taught, n_pool) the student's scores.
        places: (n_taught, n_documents) columns of the queries' documents in the pool.
        taught: the teacher's opinion.
        contrast: weight of the contrastive loss.
    """
    import torch

    teacher = torch.tensor([one.logits for one in taught]).softmax(dim=1)
    divergence = torch.nn.functional.cross_entropy(logits.gather(1, places), teacher)
    first = places[:, 0]
    same = (first[:, None] == first[None]) & ~torch.eye(len(first), dtype=torch.bool)
    firsts = logits[:, first].masked_fill(same, -torch.inf)
    return divergence + contrast * torch.nn.functional.cross_entropy(firsts, torch.arange(len(first)))


class AdamSteps:
    """Iterates over the Adam steps that train a square map from its initial value.

    The map is W0 + rates * V. Adam, which is invariant to a gradient's scale, updates V, so that each entry of the map
    has its own learning rate.
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
        """The current map, (dimension, dimension)."""
        return self.origin + self.rates * self.moved

    def penalty(self) -> "Tensor":
        """Returns the penalty of the squared distance from the initial map."""
        return self.settings.penalty * (self.rates * self.moved).square().sum()


def adapter_gradient_cosines(
    queries: np.ndarray,
    documents: np.ndarray | Vectors,
    examples: Sequence[Example],
    judged: Sequence[Example],
    scale: float,
) -> np.ndarray:
    """Returns the cosines between the gradients of examples and of judged examples, for the map W at zero.

    If a cosine is above 0, a step for the one helps the other; it is 0 for a zero gradient. The gradient of an
    example's contrastive loss is the outer product of its query q and of v, the softmax-weighted mean of the pool less
    the positive, with the component along q removed. The inner product of two gradients is therefore the product of
    the inner products of the q and of the v.

    Args:
        queries: (n_examples + n_judged, dimension) unit vectors, the judged ones last.
        documents: (n_documents, dimension) unit vectors.
        examples: n_examples.
        judged: n_judged.
        scale: inverse temperature of the softmax over cosines.

    Returns:
        (n_examples, n_judged).
    """
    from scipy.special import softmax

    every = [*examples, *judged]
    pool = sorted({number for example in every for number in (example.positive, *example.negatives)})
    place = {number: column for column, number in enumerate(pool)}
    candidates = documents[pool]
    logits = queries @ candidates.T * scale
    excluded = [other_positives(some, place) for some in (examples, judged)]
    logits[np.concatenate(excluded)] = -np.inf
    moves = softmax(logits, axis=1) @ candidates - candidates[[place[example.positive] for example in every]]
    moves -= (moves * queries).sum(axis=1, keepdims=True) * queries
    moves /= np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-12)
    n = len(examples)
    return (queries[:n] @ queries[n:].T) * (moves[:n] @ moves[n:].T)


class _Margins(NamedTuple):
    rows: "Tensor"  # (n,) the examples
    positives: "Tensor"  # (n,) columns of the pool
    negatives: "Tensor"  # (n,) columns of the pool
    values: "Tensor"  # (n,) the teacher's score of the positive less that of the negative

    def from_cosines(self, cosines: "Tensor") -> "Tensor":
        """Returns the same margins, (n,), of (n_examples, n_pool) cosines."""
        return cosines[self.rows, self.positives] - cosines[self.rows, self.negatives]

    def in_units_of(self, cosines: "Tensor") -> "_Margins":
        """Scales the margins to the mean square of the cosines' margins."""
        own, teacher = self.from_cosines(cosines).square().mean(), self.values.square().mean().clamp(min=1e-12)
        return self._replace(values=self.values * (own / teacher).sqrt())

    def error(self, cosines: "Tensor") -> "Tensor":
        """Returns the mean squared error in units of the mean square."""
        return (self.from_cosines(cosines) - self.values).square().mean() / self.values.square().mean().clamp(min=1e-12)


def _margins(examples: Sequence[Example], place: Mapping[int, int]) -> _Margins | None:
    """Returns the teacher's margins of all examples; None if there are none."""
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
    """Returns (n_examples, n_pool) bool: the query's other relevant documents, which are no negatives."""
    of_query: dict[str, set[int]] = {}
    for example in examples:
        of_query.setdefault(example.query, set()).add(place[example.positive])
    excluded = np.zeros((len(examples), len(place)), dtype=bool)
    for row, example in enumerate(examples):
        excluded[row, sorted(of_query[example.query] - {place[example.positive]})] = True
    return excluded
