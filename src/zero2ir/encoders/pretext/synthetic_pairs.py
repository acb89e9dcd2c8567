"""Synthetic pairs: a synthetic query should retrieve the document that it was written for."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.base import PairTask, TextPair
from zero2ir.errors import InputError


class SyntheticPairs(PairTask):
    """The accepted synthetic queries, each with the document that it was written for.

    Attributes:
        queries: (query, doc_id); set by the pipeline.
    """

    queries: tuple[tuple[str, str], ...] = ()

    def check(self, documents: Sequence[Document]) -> None:
        if not self.queries:
            raise InputError(
                "pairs.synthetic: there are no synthetic queries; add a strategy that generates them, e.g. "
                "fixed_prompt, to params.yaml, or remove synthetic"
            )

    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        contents = {document.doc_id: document.content for document in documents}
        known = [(query, doc_id) for query, doc_id in self.queries if doc_id in contents]
        drawn = [known[number] for number in rng.permutation(len(known))]
        before: Counter[str] = Counter()
        rounds: list[int] = []  # the first queries of all documents precede the second ones
        for _, doc_id in drawn:
            rounds.append(before[doc_id])
            before[doc_id] += 1
        for number in np.argsort(rounds, kind="stable"):
            query, doc_id = drawn[number]
            yield query, contents[doc_id]
