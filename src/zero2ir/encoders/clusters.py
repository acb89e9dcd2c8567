"""Texts and vectors in clusters of like ones."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import tokenize

MAX_LSA_TERMS = 1 << 16  # the most frequent
COMPONENTS = 100


def cluster(texts: Sequence[str], clusters: int, seed: int) -> np.ndarray:
    """(n_texts,) the cluster of each text, by k-means on latent semantic analysis.

    Each text is a cluster of its own where there are too few of them, or too few words in them.

    Args:
        texts: the documents' contents.
        clusters: the most that come out.
        seed: of the projection and of the first centres.
    """
    terms = tokenize(texts)
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
    """(n_texts,) the cluster of each vector (n_texts, dimension), by k-means; each its own where there are too few."""
    from sklearn.cluster import MiniBatchKMeans

    if len(vectors) <= clusters:
        return np.arange(len(vectors))
    # Small clusters are what is looked for, and stay.
    return MiniBatchKMeans(clusters, n_init=3, reassignment_ratio=0.0, random_state=seed).fit_predict(vectors)


def round_robin(labels: np.ndarray) -> np.ndarray:
    """(n,) the places of ``labels``, (n,): the first of each cluster, then the second of each, and so on."""
    seen: dict[int, int] = {}
    turns = np.zeros(len(labels), dtype=np.int64)
    for place, label in enumerate(labels.tolist()):
        turns[place] = seen[label] = seen.get(label, -1) + 1
    return np.argsort(turns, kind="stable")
