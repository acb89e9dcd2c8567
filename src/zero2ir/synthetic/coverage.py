"""Which documents get synthetic queries."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import tokenize
from zero2ir.data.records import Document
from zero2ir.synthetic.settings import LEAST_WORDS, SyntheticSettings

POOL = 50_000  # of a larger collection so many documents, drawn at random, are clustered
TERMS = 1 << 16  # the most frequent
COMPONENTS = 100


def choose_documents(
    documents: Sequence[Document], judged: set[str], settings: SyntheticSettings, seed: int
) -> list[Document]:
    """Draws documents that say something and are not judged already.

    With one seed, a smaller number is a part of a larger one, so that what was written for it is not written again.

    Args:
        documents: the collection.
        judged: ids of documents that are left out.
        settings: how many, and how.
        seed: of the draw and of the clusters.

    Returns:
        Documents in the order in which they were drawn.

    Source: diverse sampling from clusters of the collection as in DUQGen, arXiv 2404.02489, section 3.1, here from
    each cluster alike, and on TF-IDF, so that no encoder is needed.
    """
    worth = [one for one in documents if one.doc_id not in judged and len(one.content.split()) >= LEAST_WORDS]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(worth))
    if settings.choose == "clusters":
        order = order[:POOL]
        labels = cluster([worth[number].content for number in order], settings.clusters, seed)
        order = order[in_turn(labels)]
    return [worth[number] for number in order[: settings.documents]]


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
        TfidfVectorizer(analyzer=list, sublinear_tf=True, max_features=TERMS),
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


def in_turn(labels: np.ndarray) -> np.ndarray:
    """(n,) the places of ``labels``, (n,): the first of each cluster, then the second of each, and so on."""
    seen: dict[int, int] = {}
    turns = np.zeros(len(labels), dtype=np.int64)
    for place, label in enumerate(labels.tolist()):
        turns[place] = seen[label] = seen.get(label, -1) + 1
    return np.argsort(turns, kind="stable")
