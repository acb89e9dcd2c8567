"""Training of the vocabulary head: it learns from documents, and the body stays unchanged."""

import numpy as np
import pytest
import torch

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.masked_language_model import (
    HeadFit,
    LearnedSparseSettings,
    calibrate_head_bias,
    masked_states,
    train_head_reconstruction,
    train_learned_sparse,
    with_head,
)
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.sparse import SparseEncoder, last_hidden_states, term_counts, tokens
from zero2ir.errors import InputError

SHORT = HeadFit(steps=2, batch_size=8, learning_rate=0.01)
SETTINGS = LearnedSparseSettings(passages=8, max_tokens=16, reconstruction=SHORT, contrast=SHORT)


def test_the_result_depends_only_on_the_seed(docstrings: list[Document], tiny_transformer: DenseEncoder) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (train_learned_sparse(docstrings, tiny_transformer, SETTINGS, seed) for seed in (0, 0, 1))
    assert one.digest() == same.digest() != other.digest()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("part", ["reconstruction", "contrast"])
def test_no_steps_leave_a_part_out(docstrings: list[Document], tiny_transformer: DenseEncoder, part: str) -> None:
    none = SETTINGS.model_copy(update={part: SHORT.model_copy(update={"steps": 0})})
    trained = train_learned_sparse(docstrings, tiny_transformer, none, seed=0)
    curves = {"reconstruction": "reconstruction", "contrast": "pairs"}
    assert set(trained.losses) == set(curves.values()) - {curves[part]}


def test_the_body_stays_and_its_word_embeddings_are_the_output_layer(
    tiny_sparse_encoder: SparseEncoder, tiny_transformer: DenseEncoder
) -> None:
    trained, given = tiny_sparse_encoder.model[0].auto_model, tiny_transformer.model[0].auto_model.state_dict()
    for name, tensor in trained.bert.state_dict().items():
        assert torch.equal(tensor, given[name])
    assert trained.cls.predictions.decoder.weight is trained.bert.embeddings.word_embeddings.weight


@pytest.mark.parametrize(
    "documents", [[Document("d", "", "")], [Document("d", "", "short")], [Document("d", "T", "x")]]
)
def test_a_collection_without_pairs_still_yields_an_encoder(
    documents: list[Document], tiny_transformer: DenseEncoder
) -> None:
    rows = train_learned_sparse(documents, tiny_transformer, SETTINGS, seed=0).encode(["open a file"])
    assert np.isfinite(rows.data).all()


def test_states_are_read_as_the_whole_network_reads_them(
    docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    texts = [document.content for document in docstrings[:20]]
    network = with_head(tiny_transformer)
    network.max_seq_length = 32
    whole = network.encode(texts, convert_to_sparse_tensor=False)
    head = network[0].auto_model.cls.predictions.eval()
    for number, states in last_hidden_states(network, tokens(network, texts, 32)):
        with torch.no_grad():
            pooled = torch.log1p(torch.relu(head(states).amax(dim=0)))
        torch.testing.assert_close(pooled, whole[number], atol=1e-4, rtol=1e-4)


def test_chosen_tokens_are_half_masked_and_never_special(
    docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    network = with_head(tiny_transformer)
    passages = tokens(network, [document.content for document in docstrings], 32)
    states, labels = masked_states(network, passages, 0.3, np.random.default_rng(0))
    inner = sum(len(passage) - 2 for passage in passages)
    assert len(states) == len(labels) == pytest.approx(0.3 * inner, rel=0.15)
    assert not set(labels) & set(network.tokenizer.all_special_ids)
    everything, _ = masked_states(network, passages, 1.0, np.random.default_rng(0))
    unmasked = torch.cat([row[1:-1] for _, row in last_hidden_states(network, passages)])
    assert (everything - unmasked).abs().amax(dim=1).gt(1e-3).float().mean() > 0.5  # the masked change all around


def test_a_word_that_the_tokenizer_does_not_know_is_not_asked_for(tiny_transformer: DenseEncoder) -> None:
    network = with_head(tiny_transformer)
    passages = tokens(network, ["open the \N{SNAKE} file"])
    assert network.tokenizer.unk_token_id in passages[0]
    states, labels = masked_states(network, passages, 1.0, np.random.default_rng(0))
    assert network.tokenizer.convert_ids_to_tokens(labels.tolist()) == ["open", "the", "file"]
    assert len(states) == len(labels)


def test_reconstruction_lowers_the_loss_of_tokens_that_it_has_not_seen(
    docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    network = with_head(tiny_transformer)
    head = network[0].auto_model.cls.predictions
    texts = [document.content for document in docstrings]
    passages, frequency = tokens(network, texts, 64), term_counts(network.tokenizer, texts).sum(axis=0).A1
    rng = np.random.default_rng(0)
    states, labels = masked_states(network, passages, 0.5, rng)
    seen = rng.random(len(labels)) < 0.7
    curve = train_head_reconstruction(
        network, states[seen], labels[seen], frequency, HeadFit(steps=150, batch_size=64, learning_rate=0.01), rng
    )
    assert (curve[0].step, curve[-1].step) == (3, 150)
    assert curve[-1].loss < curve[0].loss - 0.25
    unigram = np.log(frequency / frequency.sum(), where=frequency > 0, out=np.full(len(frequency), -np.inf))
    with torch.no_grad():
        known = head(states[~seen])[:, frequency > 0].log_softmax(dim=1)
    place = np.cumsum(frequency > 0)[labels[~seen]] - 1
    assert known[torch.arange(len(place)), place].mean() > unigram[labels[~seen]].mean() + 0.25


def test_a_calibrated_head_gives_each_term_to_a_like_share(
    docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    network = with_head(tiny_transformer)
    passages = tokens(network, [document.content for document in docstrings[:40]], 32)
    known = np.arange(len(network.tokenizer)) % 3 > 0
    calibrate_head_bias(network, passages, known, active=0.1)
    head = network[0].auto_model.cls.predictions
    with torch.no_grad():
        given = (
            torch.stack([head(states).amax(dim=0) > 0 for _, states in last_hidden_states(network, passages)])
            .float()
            .mean(dim=0)
        )
    assert given[torch.from_numpy(known)].numpy() == pytest.approx(0.1, abs=0.03)
    assert not given[torch.from_numpy(~known)].any()


def test_an_encoder_without_a_bert_is_refused(tiny_encoder: DenseEncoder, docstrings: list[Document]) -> None:
    with pytest.raises(InputError, match=r"needs an encoder based on BERT, .*; choose encoder=minilm"):
        train_learned_sparse(docstrings, tiny_encoder, SETTINGS, seed=0)
    nothing = DenseEncoder(EncoderSettings(name="static", source="static"))
    with pytest.raises(InputError, match="encoder=static is trained on a collection"):
        train_learned_sparse(docstrings, nothing, SETTINGS, seed=0)
