"""The encoder from scratch learns from documents, reproducibly."""

import numpy as np
import pytest

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.pretext.base import split_sentences
from zero2ir.encoders.static import StaticSettings, random_table, train_static
from zero2ir.encoders.training import FitSettings

SMALL = StaticSettings(dimension=16, fit=FitSettings(epochs=1, batch_size=32, learning_rate=0.02))


def test_the_result_depends_only_on_the_seed(docstrings: list[Document]) -> None:
    texts = [document.content for document in docstrings]
    one, same, other = (train_static(docstrings[:20], SMALL, seed).encode(texts) for seed in (0, 0, 1))
    assert one.tobytes() == same.tobytes()
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("documents", [[], [Document("d", "", "short")], [Document("d", "Title", "one text")]])
def test_a_collection_without_pairs_still_yields_an_encoder(documents: list[Document]) -> None:
    vectors = train_static(documents, SMALL, seed=0).encode(["open a file"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0], abs=1e-5)


def test_a_tokenizer_of_the_collection_has_its_own_vocabulary(docstrings: list[Document]) -> None:
    own = SMALL.model_copy(update={"tokenizer": "collection", "vocabulary": 1000})
    one, same = (train_static(docstrings, own, seed=0) for _ in range(2))
    assert one.digest() == same.digest()
    assert (
        len(one.model[0].embedding.weight) <= 1000 < len(train_static(docstrings, SMALL, 0).model[0].embedding.weight)
    )


def test_beyond_the_most_pairs_a_sample_is_learned(docstrings: list[Document]) -> None:
    twice = SMALL.fit.model_copy(update={"epochs": 2})
    steps = []
    for most in (None, 10_000, 64):
        settings = SMALL.model_copy(update={"fit": twice, "max_pairs": most})
        steps.append(train_static(docstrings, settings, seed=0).losses["pairs"][-1].step)
    assert steps[0] == steps[1] > 3
    assert steps[2] == 2


def test_training_generalises_to_unseen_sentences() -> None:
    """A sentence of each document is kept from training; it should find the rest of its document."""
    held_out, documents = [], []
    for doc_id, _, text in read_pydocs()[0]:
        pieces = split_sentences(text)
        if len(pieces) >= 4 and len(pieces[-1].split()) >= 8:
            held_out.append(pieces[-1])
            documents.append(Document(doc_id, "", " ".join(pieces[:-1])))
    held_out, documents = held_out[:400], documents[:400]
    settings = StaticSettings(dimension=64, fit=FitSettings(epochs=8, batch_size=64, learning_rate=0.02))

    def reciprocal_rank(encoder: DenseEncoder) -> float:
        scores = encoder.encode(held_out) @ encoder.encode([document.content for document in documents]).T
        return float((1 / (1 + (scores > scores.diagonal()[:, None]).sum(axis=1))).mean())

    trained = train_static(documents, settings, seed=0)
    untrained = DenseEncoder(trained.settings, random_table(documents, settings, seed=0))
    assert reciprocal_rank(trained) > reciprocal_rank(untrained) + 0.1


def test_documents_without_pairs_cause_a_warning() -> None:
    documents = [Document(str(number), "", word) for number, word in enumerate(["bolt", "nut", "washer"])]
    settings = StaticSettings(dimension=16)
    with pytest.warns(
        UserWarning, match=r"^no document yields a pair for inverse_cloze, title: the encoder is not trained$"
    ):
        trained = train_static(documents, settings, seed=0)
    assert trained.losses == {"pairs": []}
    assert (trained.model[0].embedding.weight == random_table(documents, settings, seed=0)[0].embedding.weight).all()
