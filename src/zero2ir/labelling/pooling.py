"""The documents of a collection that a person would judge: those that a committee of untrained models ranks first."""

import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from zero2ir.data.records import Collection, Query
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoded
from zero2ir.encoders.making import MakingSettings, source_role
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.io import paths
from zero2ir.labelling.committee import COMMITTEE_DEPTH, Committee
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.program.pretraining import store_encoder

COMMITTEE_SEED = 0  # one committee serves all draws of a collection, so that a query has the same pool in each


def committee_members(
    models: Mapping[str, Retriever],
    corpus: Corpus,
    pretrained: EncoderSettings,
    settings: MakingSettings,
    folder: Path,
) -> dict[str, Retriever]:
    """Returns the members of a committee, indexed, by name, and stores their encoders.

    Args:
        models: the members, not indexed.
        corpus: the documents.
        pretrained: the general-purpose encoder.
        settings: settings of the other encoders, which are trained on the documents alone.
        folder: where ``store_encoder`` stores the encoders.
    """
    needed = {role for model in models.values() for role in encoder_roles(model)}
    roles = {role: source_role(role, pretrained, corpus.language) for role in needed}
    for role in sorted(set(roles.values())):
        stored = store_encoder(role, corpus, pretrained, settings, COMMITTEE_SEED, folder)
        shutil.rmtree(stored.checkpoints, ignore_errors=True)
    encoders, encoded = dict[str, TextEncoder](), dict[str, Any]()
    for role, source in roles.items():
        stored_in = folder / paths.encoder(source, COMMITTEE_SEED).name
        encoders[role], encoded[role] = load_encoded(stored_in, len(corpus.documents))
    encoded_corpus = Corpus(corpus.documents, encoders, encoded, language=corpus.language)
    return {name: model.index(encoded_corpus) for name, model in models.items()}


class JudgmentPool:
    """Orders the documents of a query as people judge them: the members' next documents in turn.

    Only the candidates of a query are in its pool, and never its own document. A query with a translation into the
    documents' language is ranked by that.

    Args:
        collection: the documents, queries and candidates.
        own: the ids of the queries' own documents, by query id.
        members: returns the committee's members, indexed, by name; called when the first query needs them.
    """

    def __init__(
        self, collection: Collection, own: Mapping[str, str], members: Callable[[], Mapping[str, Retriever]]
    ) -> None:
        self.collection = collection
        self.own = own
        self._members = members

    @cached_property
    def members(self) -> Mapping[str, Retriever]:
        return self._members()

    @cached_property
    def candidates(self) -> Mapping[str, list[str]] | None:
        return self.collection.candidates_of(query.query_id for query in self.collection.queries)

    def __call__(self, query: Query) -> list[str]:
        """Returns the ids of all documents that the committee ranks for a query.

        Each query is ranked alone, because a batch could change the last digits of its scores, and with them ties.
        """
        corpus = next(iter(self.members.values())).corpus
        own = corpus.numbers_of(filter(None, [self.own.get(query.query_id)]))
        committee = Committee(
            corpus,
            [query.translation or query.text],
            self.members,
            own if len(own) else None,
            None if self.candidates is None else [corpus.numbers_of(self.candidates[query.query_id])],
        )
        numbers = committee.pool(0, "round-robin", len(self.members) * COMMITTEE_DEPTH)
        return [corpus.documents[number].doc_id for number in numbers]
