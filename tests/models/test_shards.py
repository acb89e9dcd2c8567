"""An index made in shards ranks as one that is made at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import StoredDocuments, write_documents
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever, load_retriever
from zero2ir.models.capabilities import of_shards, search_with_feedback, write_shard
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.feedback import PseudoRelevanceFeedback
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.ranking import Ranking
from zero2ir.models.reranked import Reranked
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse
from zero2ir.models.vector_index import GraphIndex

DOCUMENTS = [Document(*row) for row in read_pydocs()[0]][:1001]  # cannot be divided evenly
QUERIES = [document.title for document in DOCUMENTS[::90]] + ["zzz", ""]
MODELS = {
    "sparse": lambda: Sparse(1.2, 0.75),
    "dense": lambda: Dense("static"),
    "dense in int8": lambda: Dense("static", vectors="int8"),
    "hybrid": lambda: Hybrid([Sparse(), Dense("static")], [0.4, 0.6]),
    "feedback": lambda: PseudoRelevanceFeedback(Hybrid([Sparse(), Dense("static")])),
    "smoothed": lambda: Smoothed(Hybrid([Sparse(), Dense("static")]), "static"),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredDocuments:
    path = tmp_path_factory.mktemp("stored") / "documents.arrow"
    write_documents(DOCUMENTS, path)
    return StoredDocuments(path)


def sharded(model: Retriever, stored: StoredDocuments, encoder: DenseEncoder, shards: int, folder: Path) -> Retriever:
    bounds = [len(stored) * place // shards for place in range(shards + 1)]
    folders = [folder / str(place) for place in range(shards)]
    for part, first, end in zip(folders, bounds, bounds[1:], strict=False):
        write_shard(model, Corpus(stored.part(first, end), {"static": encoder}, language="en"), part, len(stored))
    corpus = Corpus(stored, {"static": encoder}, language="en")
    return of_shards(model, corpus, folders, folder / "joined")


def whole(model: Retriever, encoder: DenseEncoder) -> Retriever:
    return model.index(Corpus(DOCUMENTS, {"static": encoder}, language="en"))


def assert_same(one: Ranking, other: Ranking) -> None:
    for name, values in one._asdict().items():
        np.testing.assert_array_equal(values, getattr(other, name), name)


@pytest.mark.parametrize(("name", "shards"), [*((name, 4) for name in MODELS), ("hybrid", 1)])
def test_shards_rank_as_the_whole_to_the_last_bit(
    name: str, shards: int, stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    one = whole(MODELS[name](), tiny_encoder)
    other = sharded(MODELS[name](), stored, tiny_encoder, shards, tmp_path)
    chosen = [np.arange(place, len(DOCUMENTS), 7) for place in range(len(QUERIES))]
    other.save(tmp_path / "saved")
    loaded = load_retriever(tmp_path / "saved", Corpus(stored, language="en"))
    for again in (other, loaded):
        assert_same(one.search(QUERIES, 100), again.search(QUERIES, 100))
        assert_same(one.search(QUERIES[:1], 100), again.search(QUERIES[:1], 100))  # a product with a single vector
        assert_same(one.search(QUERIES, 20, chosen), again.search(QUERIES, 20, chosen))
        near = one.search(QUERIES, 5).numbers
        assert_same(
            search_with_feedback(one, QUERIES, near, 0.3, 50), search_with_feedback(again, QUERIES, near, 0.3, 50)
        )
        texts: Sequence[Sequence[str]] = [[DOCUMENTS[3].content, "words"]] * len(QUERIES)
        for scores, same in zip(one.score(QUERIES, texts), again.score(QUERIES, texts), strict=True):
            np.testing.assert_array_equal(scores, same)


def test_vectors_and_counts_are_mapped_into_memory(
    stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    sharded(MODELS["hybrid"](), stored, tiny_encoder, 3, tmp_path).save(tmp_path / "saved")
    loaded = load_retriever(tmp_path / "saved", Corpus(stored, language="en"))
    sparse, dense = loaded.retrievers
    for array in (dense.nearest.vectors.values, *(shard.by_term.data for shard in sparse.postings.shards)):
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable


def test_a_graph_for_each_shard_finds_the_nearest_of_all(
    stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    one = whole(Dense("static"), tiny_encoder)
    other = sharded(Dense("static", exact_limit=0), stored, tiny_encoder, 4, tmp_path)
    other.save(tmp_path / "saved")
    loaded = load_retriever(tmp_path / "saved", Corpus(stored, language="en"))
    assert isinstance(loaded.nearest, GraphIndex)
    assert [len(shard.numbers) for shard in loaded.nearest.graph.shards] == [250, 250, 250, 251]
    expected, found = one.search(QUERIES[:-2], 10), loaded.search(QUERIES[:-2], 10)
    assert_same(found, other.search(QUERIES[:-2], 10))
    shared = [len({*a} & {*b}) for a, b in zip(expected.numbers, found.numbers, strict=True)]
    assert np.mean(shared) > 9.5
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.deviation, expected.deviation, rtol=1e-3)


def test_more_shards_than_documents_with_words(tiny_encoder: DenseEncoder, tmp_path: Path) -> None:
    documents = [Document("a", "", "the of and"), Document("b", "", "apples"), Document("c", "", "apples pears")]
    write_documents(documents, tmp_path / "documents.arrow")
    stored = StoredDocuments(tmp_path / "documents.arrow")
    other = sharded(Sparse(), stored, tiny_encoder, 3, tmp_path)
    one = Sparse().index(Corpus(documents, language="en"))
    assert_same(one.search(["pears and apples"], 3), other.search(["pears and apples"], 3))


def test_a_model_that_needs_more_is_refused(
    stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="reranked: a model of this type cannot be indexed in shards"):
        sharded(Reranked(Sparse(), CrossEncoder()), stored, tiny_encoder, 2, tmp_path)


def test_documents_of_shards_do_not_change(stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path) -> None:
    other = sharded(Sparse(), stored, tiny_encoder, 2, tmp_path)
    with pytest.raises(InputError, match="index them again"):
        other.with_corpus(Corpus(DOCUMENTS[:5], language="en"), np.arange(5))


@pytest.mark.parametrize(
    ("name", "row"),
    [("by_term.indices.npy", 10**6), ("by_document.data.npy", -3), ("by_term.indptr.npy", 10**6), ("terms.npy", 9999)],
)
def test_an_altered_shard_is_refused(
    name: str, row: int, stored: StoredDocuments, tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    sharded(Sparse(), stored, tiny_encoder, 2, tmp_path).save(tmp_path / "saved")
    path = tmp_path / "saved" / "shards" / "00001" / name
    values = np.load(path)
    values[5] = row
    np.save(path, values)
    with pytest.raises(InputError, match="create or get it again"):
        load_retriever(tmp_path / "saved", Corpus(stored, language="en"))
