"""Learned factors of query terms; the documents' term weights stay as they are."""

from collections.abc import Sequence

import numpy as np
from pydantic import PositiveFloat
from scipy.sparse import csr_matrix

from zero2ir.encoders.examples import Example
from zero2ir.io.settings import Settings
from zero2ir.models.dense_adapter import other_positives
from zero2ir.models.initialization import Initialization


class TermFactorSettings(Settings):
    """Settings of the factors' fit.

    Attributes:
        penalty: weight of the squared distance of all factors from 1.
        scale: inverse temperature of the softmax over scores.
    """

    penalty: PositiveFloat = 0.1
    scale: PositiveFloat = 0.3


def fit_factors(
    queries: csr_matrix,
    documents: csr_matrix,
    examples: Sequence[Example],
    settings: TermFactorSettings,
    start: Initialization = Initialization(),  # noqa: B008
) -> np.ndarray:
    """Learns a factor for each term by a weighted contrastive loss: each positive against the examples' documents.

    Args:
        queries: (n_examples, n_terms) the weights of the examples' queries.
        documents: (n_documents, n_terms).
        examples: their positives and negatives are rows of ``documents``.
        settings: of the fit, which is convex and deterministic.
        start: initial value of the parameter "factors", 1 by default; the penalty is of the distance from it, and is
            divided by the rates.

    Returns:
        (n_terms,) float32, at least 0; the initial value for terms in no query of the examples.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    pool = sorted({number for example in examples for number in (example.positive, *example.negatives)})
    place = {number: column for column, number in enumerate(pool)}
    terms = np.unique(queries.indices)
    anchors = queries[:, terms].toarray().astype(np.float64) * settings.scale
    candidates = documents[pool][:, terms].toarray().astype(np.float64)
    target = np.array([place[example.positive] for example in examples])
    excluded = other_positives(examples, place)
    share = np.array([example.weight for example in examples])
    share = share / share.sum()
    rows = np.arange(len(examples))
    factors = np.array(start.parameters.get("factors", np.ones(queries.shape[1])), dtype=np.float32)
    origin = factors[terms].astype(np.float64)
    penalty = np.broadcast_to(start.penalty(settings.penalty, "factors"), factors.shape)[terms]

    def loss(factors: np.ndarray) -> tuple[float, np.ndarray]:
        logits = (anchors * factors) @ candidates.T
        logits[excluded] = -np.inf  # -> (n_examples, n_pool)
        likelihood = log_softmax(logits, axis=1)
        error = np.exp(likelihood) * share[:, None]
        error[rows, target] -= share
        away = factors - origin
        value = -(share * likelihood[rows, target]).sum() + (penalty * away**2).sum()
        return value, (anchors * (error @ candidates)).sum(axis=0) + 2 * penalty * away

    factors[terms] = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(terms)).x
    return factors
