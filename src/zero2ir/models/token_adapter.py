"""A linear adapter of the query's token vectors; the documents' vectors stay as they are."""

from collections.abc import Sequence

import numpy as np
from pydantic import NonNegativeFloat

from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.encoders.examples import Example
from zero2ir.encoders.tokens import Tokens
from zero2ir.io.settings import PositiveInt
from zero2ir.models.dense_adapter import TAUGHT_PENALTY, AdamSteps, AdapterSettings, listwise_loss
from zero2ir.models.initialization import Initialization


class TokenAdapterSettings(AdapterSettings):
    """Settings of a token adapter's training.

    Attributes:
        penalty: weight of the map's squared norm, lower than for whole texts: token cosines have smaller gradients.
        batch_size: examples per step, each positive against all positives and negatives of the step.
    """

    penalty: NonNegativeFloat = 0.01
    batch_size: PositiveInt = 8


def fit_token_adapter(
    queries: Tokens,
    documents: Tokens,
    examples: Sequence[Example],
    settings: TokenAdapterSettings,
    seed: int,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns the map W of ``apply_adapter`` by a weighted contrastive loss of MaxSim.

    ``queries`` are those of the examples; ``seed`` draws the batches; ``start`` has the initial value of the parameter
    "map", and the penalty is of the distance from it. Returns (dimension, dimension) float32.
    """
    import torch
    from sentence_transformers.util.similarity import maxsim

    rng = np.random.default_rng(seed)
    relevant: dict[str, set[int]] = {}
    for example in examples:
        relevant.setdefault(example.query, set()).add(example.positive)
    usable = np.flatnonzero(queries.lengths)
    mean_weight = sum(example.weight for example in examples) / len(examples)
    steps = AdamSteps(queries.vectors.shape[1], settings, start)
    for optimizer in steps if len(usable) else ():
        weights = steps.weights
        chosen = rng.permutation(usable)[: settings.batch_size]
        batch = [examples[number] for number in chosen]
        pool = sorted({number for example in batch for number in (example.positive, *example.negatives)})
        candidates = [torch.from_numpy(documents.text(number)) for number in pool]
        anchors = [torch.from_numpy(queries.text(number)) for number in chosen]
        moved = [torch.nn.functional.normalize(anchor + anchor @ weights, dim=1) for anchor in anchors]
        excluded = [[n in relevant[e.query] and n != e.positive for n in pool] for e in batch]  # other positives
        target = torch.tensor([pool.index(example.positive) for example in batch])
        share = torch.tensor([example.weight for example in batch], dtype=torch.float32)

        optimizer.zero_grad()
        logits = maxsim(moved, candidates, length_normalize=True) * settings.scale  # -> (n_batch, n_pool)
        logits = logits.masked_fill(torch.tensor(excluded), -torch.inf)
        losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        loss = (losses * share).mean() / mean_weight + steps.penalty()
        loss.backward()
        optimizer.step()
    return steps.weights.detach().numpy()


def distil_token_adapter(
    queries: Tokens,
    documents: Tokens,
    taught: Sequence[TaughtQuery],
    contrast: float,
    settings: TokenAdapterSettings,
    seed: int,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns the map W of ``apply_adapter`` by ``listwise_loss`` of MaxSim; otherwise as ``fit_token_adapter``."""
    import torch
    from sentence_transformers.util.similarity import maxsim

    rng = np.random.default_rng(seed)
    usable = np.flatnonzero(queries.lengths)
    steps = AdamSteps(queries.vectors.shape[1], settings, start)
    for optimizer in steps if len(usable) else ():
        chosen = rng.permutation(usable)[: settings.batch_size]
        batch = [taught[number] for number in chosen]
        pool, columns = np.unique([one.documents for one in batch], return_inverse=True)
        candidates = [torch.from_numpy(documents.text(number)) for number in pool]
        anchors = [torch.from_numpy(queries.text(number)) for number in chosen]
        optimizer.zero_grad()
        moved = [torch.nn.functional.normalize(anchor + anchor @ steps.weights, dim=1) for anchor in anchors]
        logits = maxsim(moved, candidates, length_normalize=True) * settings.scale  # -> (n_batch, n_pool)
        places = torch.from_numpy(columns.reshape(len(batch), -1))
        loss = listwise_loss(logits, places, batch, contrast) + TAUGHT_PENALTY * steps.penalty()
        loss.backward()
        optimizer.step()
    return steps.weights.detach().numpy()
