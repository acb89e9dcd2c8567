"""Learned sparse encoders: exact term weights, learned ones, and saving."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.loading import load_encoded, load_encoder
from zero2ir.encoders.sparse import EXPANSION, MAX_EXPANSION_TERMS, Lexicon, SparseEncoder, saturated, term_counts
from zero2ir.errors import InputError

TEXTS = ["Open the file.", "", "open OPEN open", "Open the file.", "x\ud800y"]


def test_the_weight_of_exact_matches_by_hand() -> None:
    counts = csr_matrix(np.array([[2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32))
    rows = saturated(counts, mean_length=2.0).toarray()
    assert rows[0].tolist() == pytest.approx([2 / (2 + 1.2 * (0.25 + 0.75 * 2)), 0, 2 / (2 + 1.2 * 1.75)])
    assert rows[2, 1] == pytest.approx(1 / (1 + 1.2 * (0.25 + 0.75 / 2)))
    lexicon = Lexicon.from_counts(counts)
    assert lexicon.mean_length == pytest.approx(5 / 3)
    assert lexicon.importance.tolist() == pytest.approx([np.log(1 + 2.5 / 1.5)] * 3)


def test_a_row_is_the_sum_of_exact_and_learned_weights(tiny_sparse_encoder: SparseEncoder) -> None:
    rows = tiny_sparse_encoder.encode(TEXTS)
    assert rows.shape == (5, len(tiny_sparse_encoder.lexicon.importance))
    assert rows.dtype == np.float32
    assert rows.data.min() >= 0
    assert (rows[[0]] != rows[[3]]).nnz == 0  # equal texts
    network = tiny_sparse_encoder.model.encode(
        TEXTS[:1], convert_to_sparse_tensor=False, max_active_dims=MAX_EXPANSION_TERMS
    )
    exact = saturated(
        term_counts(tiny_sparse_encoder.model.tokenizer, TEXTS[:1]), tiny_sparse_encoder.lexicon.mean_length
    )
    expected = exact.toarray() + EXPANSION * network.cpu().numpy()
    np.testing.assert_allclose(rows[[0]].toarray(), expected, atol=1e-4)
    learned = (rows - saturated(term_counts(tiny_sparse_encoder.model.tokenizer, TEXTS), 1e9)).getnnz(axis=1)
    assert (learned <= MAX_EXPANSION_TERMS + 4).all()


def test_terms_outside_the_collection_have_no_weight(tiny_sparse_encoder: SparseEncoder) -> None:
    rows = tiny_sparse_encoder.encode(["gumbo zydeco", "open a file"])
    own = term_counts(tiny_sparse_encoder.model.tokenizer, ["gumbo zydeco", "open a file"])
    unknown = tiny_sparse_encoder.lexicon.importance == 0
    assert set(rows[:, unknown].nonzero()[1]) == set(own[:, unknown].nonzero()[1])


def test_a_repeated_query_term_counts_once(tiny_sparse_encoder: SparseEncoder) -> None:
    once, twice, none, special = tiny_sparse_encoder.encode_queries(["file", "file File", "", "[SEP] gumbo"]).toarray()
    np.testing.assert_array_equal(once, twice)
    number = tiny_sparse_encoder.model.tokenizer.convert_tokens_to_ids("file")
    assert once.nonzero()[0].tolist() == [number]
    assert once[number] == tiny_sparse_encoder.lexicon.importance[number] > 0
    assert not none.any()
    assert not special.any()
    assert tiny_sparse_encoder.terms([number]) == ["file"]


def test_no_texts_yield_no_rows(tiny_sparse_encoder: SparseEncoder) -> None:
    assert tiny_sparse_encoder.encode([]).shape[0] == tiny_sparse_encoder.encode_queries([]).shape[0] == 0


def test_a_saved_encoder_is_loaded_unchanged(tiny_sparse_encoder: SparseEncoder, tmp_path: Path) -> None:
    rows = tiny_sparse_encoder.encode(TEXTS)
    save_encoded(tiny_sparse_encoder, rows, tmp_path)
    encoder, read = load_encoded(tmp_path, len(TEXTS))
    assert isinstance(encoder, SparseEncoder)
    assert encoder.digest() == tiny_sparse_encoder.digest()
    assert (encoder.encode(TEXTS) != rows).nnz == (read != rows).nnz == 0
    other = SparseEncoder(encoder.settings, encoder.model, encoder.lexicon._replace(mean_length=1.0))
    assert other.digest() != encoder.digest()


def test_damaged_files_and_other_documents_are_errors(tiny_sparse_encoder: SparseEncoder, tmp_path: Path) -> None:
    path = tmp_path / "terms.safetensors"
    tiny_sparse_encoder.write(path, tiny_sparse_encoder.encode(TEXTS))
    with pytest.raises(InputError, match=r"indptr: int64 of 6 instead of int32\|int64 of 7"):
        tiny_sparse_encoder.read(path, 6)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"terms\.safetensors: missing or damaged .*create or get it again"):
        tiny_sparse_encoder.read(path, 5)
    tiny_sparse_encoder.save(tmp_path / "encoder")
    state = (tmp_path / "encoder" / "encoder.json").read_text(encoding="utf-8")
    (tmp_path / "encoder" / "encoder.json").write_text(state.replace("true", "false"), encoding="utf-8")
    with pytest.raises(InputError, match="no weights were saved with it"):
        load_encoder(tmp_path / "encoder")
