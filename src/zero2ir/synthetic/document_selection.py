"""Chooses the documents that get synthetic queries."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import ENGLISH
from zero2ir.data.records import Document
from zero2ir.data.words import split_words
from zero2ir.encoders.clusters import cluster, round_robin
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.settings import MIN_DOCUMENT_WORDS

MAX_POOL_DOCUMENTS = 50_000  # a larger collection is sampled before clustering


def choose_documents(
    documents: Sequence[Document],
    judged: set[str],
    settings: SyntheticSettings,
    seed: int,
    language: str = ENGLISH,
) -> list[Document]:
    """Draws documents that are long enough and not in ``judged``, in the order of the draw.

    With the same seed a smaller number of documents is a subset of a larger one, so existing queries are reused.

    Source: diverse sampling from clusters of the collection as in DUQGen, arXiv 2404.02489, section 3.1; here equally
    from each cluster, and on TF-IDF, so that no encoder is needed.
    """
    free = [one for one in documents if one.doc_id not in judged]
    usable = [one for one in free if len(split_words(one.content)) >= MIN_DOCUMENT_WORDS]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(usable))
    if settings.choose == "clusters":
        order = order[:MAX_POOL_DOCUMENTS]
        labels = cluster([usable[number].content for number in order], settings.clusters, seed, language)
        order = order[round_robin(labels)]
    return [usable[number] for number in order[: settings.documents]]
