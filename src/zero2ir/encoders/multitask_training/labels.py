"""Classes of documents for training without labels: their titles, or clusters."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.clusters import cluster
from zero2ir.errors import InputError

MIN_DOCUMENTS_PER_CLASS = 5  # documents that share a title, to make it a class
MIN_COVERED_SHARE = 0.9  # share of the documents in such classes, to use titles as classes
MIN_DOCUMENTS = 20
TERMS_PER_CLASS_NAME = 3  # terms in the name of a cluster
SOURCE_TITLES = "the documents' titles"
SOURCE_CLUSTERS = "clusters of the documents"


class Labels(NamedTuple):
    """The classes of documents.

    Attributes:
        names: name of each class: a title, or terms typical of a cluster.
        class_ids: (n_documents,) int64 class of each document; -1 for none.
        source: description of their origin.
    """

    names: tuple[str, ...]
    class_ids: np.ndarray
    source: str


def label_documents(documents: Sequence[Document], clusters: int, seed: int) -> Labels:
    """Uses titles as classes if most documents share theirs, as passages of articles do; otherwise clusters.

    Args:
        documents: the collection.
        clusters: maximum number of clusters.
        seed: of the clusters.

    Raises:
        InputError: there are too few documents.
    """
    if len(documents) < MIN_DOCUMENTS:
        raise InputError(
            f"multitask: {len(documents)} documents are too few for classes; give {MIN_DOCUMENTS}, or use model=dense"
        )
    return _by_titles(documents) or _by_clusters(documents, clusters, seed)


def _by_titles(documents: Sequence[Document]) -> Labels | None:
    counts = Counter(document.title for document in documents if document.title.strip())
    names = tuple(sorted(title for title, count in counts.items() if count >= MIN_DOCUMENTS_PER_CLASS))
    if len(names) < 2 or sum(counts[name] for name in names) < MIN_COVERED_SHARE * len(documents):
        return None
    return Labels(names, of_titles(documents, names), SOURCE_TITLES)


def of_titles(documents: Sequence[Document], names: Sequence[str]) -> np.ndarray:
    """Returns the index of each document's title in ``names``, (n_documents,) int64; -1 if it is not there."""
    place = {name: number for number, name in enumerate(names)}
    return np.array([place.get(document.title, -1) for document in documents], dtype=np.int64)


def _by_clusters(documents: Sequence[Document], clusters: int, seed: int) -> Labels:
    contents = [document.content for document in documents]
    number = min(clusters, max(2, len(documents) // (2 * MIN_DOCUMENTS_PER_CLASS)))
    found, of = np.unique(cluster(contents, number, seed), return_inverse=True)
    return Labels(_typical(contents, of, len(found)), of.astype(np.int64), SOURCE_CLUSTERS)


def _typical(contents: Sequence[str], of: np.ndarray, classes: int) -> tuple[str, ...]:
    """Returns a name for each cluster: its number and its most typical words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(stop_words="english", token_pattern=r"(?u)\b[^\W\d]{3,}\b", max_features=20_000)
    try:
        weights = vectorizer.fit_transform(contents)
    except ValueError:  # no words
        return tuple(f"{number}" for number in range(classes))
    words = vectorizer.get_feature_names_out()
    usual = np.asarray(weights.mean(axis=0)).ravel()
    names = []
    for number in range(classes):
        more = np.asarray(weights[of == number].mean(axis=0)).ravel() - usual
        names.append(f"{number}: {', '.join(words[np.argsort(-more, kind='stable')[:TERMS_PER_CLASS_NAME]])}")
    return tuple(names)
