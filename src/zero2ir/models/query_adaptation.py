"""Adaptation of query vectors to a collection, from its documents and unlabelled queries."""

from typing import Annotated

import numpy as np
from pydantic import Field

from zero2ir.io.settings import Fraction, NonNegativeInt, Settings
from zero2ir.models.vector_index import Moments


class AdaptationSettings(Settings):
    """Settings of the adaptation.

    Attributes:
        centring: share of the queries' mean that is removed, 0 (none) to 1.
        power: of the whitening, 0 (none) to 1 (full: the documents' covariance becomes the identity).
        ridge: added to the covariance, in units of its mean eigenvalue.
        pseudo_queries: number of queries that the documents' mean stands for in the queries' mean.
        pseudo_documents: number of documents of mean 0, equal in all directions, that are added to the others, so that
            a handful of documents adapts little.
    """

    centring: Fraction = 0.5
    power: Fraction = 0.2
    ridge: Annotated[float, Field(gt=0)] = 0.1
    pseudo_queries: NonNegativeInt = 10
    pseudo_documents: NonNegativeInt = 50


def fit_adaptation(
    documents: Moments, query_mean: np.ndarray, n_queries: int, settings: AdaptationSettings
) -> np.ndarray:
    """Returns the affine map of query vectors q to (q - sm)W, (dimension + 1, dimension); the last row is -smW.

    What all queries of a collection have in common makes some documents, called hubs, near to every query. Without the
    queries' mean m they are not. A share s of it is removed. W weakens the directions in which documents vary most.

    Args:
        documents: moments of the documents' vectors.
        query_mean: (dimension,) mean vector of unlabelled queries.
        n_queries: their number, 0 or more.
        settings: of the adaptation. W is (C / c + ridge)^-power, with the covariance C and its mean eigenvalue c.

    Source: removing the mean against hubs, Suzuki et al., EMNLP 2013, section 3; whitening of sentence vectors, Su et
    al. 2021, arXiv 2103.15316; with a ridge, Diera et al. 2024, arXiv 2411.17538 (Soft-ZCA).
    """
    share = documents.number / max(documents.number + settings.pseudo_documents, 1)
    total = n_queries * query_mean + settings.pseudo_queries * share * documents.mean
    centre = settings.centring * total / max(n_queries + settings.pseudo_queries, 1)
    spread, directions = np.linalg.eigh(documents.covariance)
    relative = share * np.maximum(spread, 0) / max(float(spread.mean()), 1e-12) + (1 - share) + settings.ridge
    whitening = (directions * relative**-settings.power) @ directions.T
    return np.vstack([whitening, -centre @ whitening]).astype(np.float32)


def apply_adaptation(queries: np.ndarray, adaptation: np.ndarray) -> np.ndarray:
    """Moves (n_queries, dimension) vectors by the result of ``fit_adaptation``, to unit length; 0 stays 0."""
    moved = queries @ adaptation[:-1] + adaptation[-1]
    moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    return np.where(queries.any(axis=1, keepdims=True), moved, np.float32(0))
