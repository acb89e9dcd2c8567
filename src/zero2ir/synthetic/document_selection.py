"""Which documents get synthetic queries."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.clusters import cluster, round_robin
from zero2ir.synthetic.settings import MIN_DOCUMENT_WORDS, SyntheticSettings

MAX_POOL_DOCUMENTS = 50_000  # of a larger collection so many documents, drawn at random, are clustered


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
    worth = [one for one in documents if one.doc_id not in judged and len(one.content.split()) >= MIN_DOCUMENT_WORDS]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(worth))
    if settings.choose == "clusters":
        order = order[:MAX_POOL_DOCUMENTS]
        labels = cluster([worth[number].content for number in order], settings.clusters, seed)
        order = order[round_robin(labels)]
    return [worth[number] for number in order[: settings.documents]]
