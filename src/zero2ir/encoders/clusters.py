"""Clustering of texts and vectors."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import ENGLISH
from zero2ir.data.words import tokenize

MAX_LSA_TERMS = 1 << 16  # most frequent terms
COMPONENTS = 100


def cluster(texts: Sequence[str], clusters: int, seed: int, language: str = ENGLISH) -> np.ndarray:
    """Clusters texts by k-means on latent semantic analysis; returns (n_texts,) cluster numbers.

    With too few texts or words, each text is its own cluster. The seed is of the projection and the initial centres.
    """
    terms = tokenize(texts, language)
    different = len({term for text in terms for term in text})
    if len(texts) <= clusters or different < 2:
        return np.arange(len(texts))
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    latent: np.ndarray = make_pipeline(
        TfidfVectorizer(analyzer=list, sublinear_tf=True, max_features=MAX_LSA_TERMS),
        TruncatedSVD(min(COMPONENTS, len(texts) - 1, different), random_state=seed),
        Normalizer(),
    ).fit_transform(terms)
    return cluster_vectors(latent, clusters, seed)


def cluster_vectors(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Clusters vectors (n_texts, dimension) by k-means; each is its own cluster if there are too few."""
    from sklearn.cluster import MiniBatchKMeans

    if len(vectors) <= clusters:
        return np.arange(len(vectors))
    # A reassignment ratio of 0 keeps small clusters.
    return MiniBatchKMeans(clusters, n_init=3, reassignment_ratio=0.0, random_state=seed).fit_predict(vectors)


def round_robin(labels: np.ndarray) -> np.ndarray:
    """Orders the indices of ``labels``, (n,): the first of each cluster, then the second of each, and so on."""
    last_turn: dict[int, int] = {}
    turns = np.zeros(len(labels), dtype=np.int64)
    for place, label in enumerate(labels.tolist()):
        turns[place] = last_turn[label] = last_turn.get(label, -1) + 1
    return np.argsort(turns, kind="stable")
