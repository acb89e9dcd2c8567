"""Dense retrieval: what the adapter and the encoder learn from examples, and what they leave alone."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.dense import Dense
from zero2ir.models.dense_adapter import DenseAdapterSettings, apply_adapter, fit_adapter

QUERIES = [f"{word} gumbo" for word in ("zydeco", "bayou", "okra", "crawfish", "jambalaya", "mardi")]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


def model(learning: str, corpus: Corpus) -> Dense:
    fit = {"epochs": 12, "batch_size": 4, "learning_rate": 0.1}
    adapter = {"steps": 40, "learning_rate": 0.05, "penalty": 0.001}
    return Dense("static", learning, adapter, fit, adaptation=None).index(corpus)  # type: ignore[arg-type]


def examples(corpus: Corpus, **options: float) -> list[Example]:
    """Queries in words that no document has, each with a document that is far from it."""
    ranking = model("adapter", corpus).search(QUERIES, 60).numbers
    return [Example(query, int(row[30 + place]), **options) for place, (query, row) in enumerate(zip(QUERIES, ranking))]  # type: ignore[arg-type]  # noqa: B905


def ranks(dense: Dense, wanted: list[Example]) -> list[int]:
    """The rank of each example's positive for its query."""
    rows = dense.search([one.query for one in wanted], 60).numbers
    return [row.tolist().index(one.positive) + 1 for row, one in zip(rows, wanted, strict=True)]


def vectors(dense: Dense) -> np.ndarray:
    return dense.encode_queries([*QUERIES, "open a file"])


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_learning_lifts_the_positives(learning: str, corpus: Corpus) -> None:
    dense, wanted = model(learning, corpus), examples(corpus)
    assert min(ranks(dense, wanted)) > 20
    learned = dense.learn(wanted, seed=0)
    assert learned is not None
    assert np.median(ranks(learned, wanted)) <= 4


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_the_same_seed_learns_the_same(learning: str, corpus: Corpus) -> None:
    dense, wanted = model(learning, corpus), [one._replace(negatives=(1, 2, 3)) for one in examples(corpus)]
    one, same = (dense.learn(wanted, seed=3) for _ in range(2))
    assert one is not None
    assert same is not None
    assert vectors(one).tobytes() == vectors(same).tobytes()
    assert one.nearest.vectors.values.tobytes() == same.nearest.vectors.values.tobytes()
    other = dense.learn(wanted, seed=4)
    assert other is not None
    assert (vectors(other).tobytes() == vectors(one).tobytes()) == (learning == "adapter")  # it draws nothing


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_the_original_stays_as_it_was(learning: str, corpus: Corpus) -> None:
    dense = model(learning, corpus)
    before = vectors(dense).tobytes(), dense.nearest.vectors.values.tobytes(), dense.network.digest()
    learned = dense.learn(examples(corpus), seed=0)
    assert learned is not None
    assert (vectors(dense).tobytes(), dense.nearest.vectors.values.tobytes(), dense.network.digest()) == before
    assert vectors(learned).tobytes() != before[0]
    assert corpus.encoded("static").tobytes() == before[1]
    assert (learned.nearest.vectors.values.tobytes() == before[1]) == (
        learning == "adapter"
    )  # it moves the queries alone
    assert (learned.network.digest() == before[2]) == (learning == "adapter")


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_an_example_of_weight_nought_has_no_influence(learning: str, corpus: Corpus) -> None:
    dense, wanted = model(learning, corpus), examples(corpus)
    void = Example("open a file", 59, (58, 57), weight=0.0)
    without, with_void = dense.learn(wanted, seed=0), dense.learn([void, *wanted, void], seed=0)
    assert without is not None
    assert with_void is not None
    assert vectors(with_void).tobytes() == vectors(without).tobytes()
    assert dense.learn([void], seed=0) is None


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_of_two_that_contradict_each_other_the_heavier_wins(learning: str, corpus: Corpus) -> None:
    dense = model(learning, corpus)
    ranking = dense.search(["zydeco gumbo"], 60).numbers[0]
    one, other = int(ranking[40]), int(ranking[41])
    for first, second in ((20.0, 1.0), (1.0, 20.0)):
        # One as the other's negative: further relevant documents of a query are no negatives of it.
        pair = [
            Example("zydeco gumbo", one, (other,), weight=first),
            Example("gumbo zydeco", other, (one,), weight=second),
        ]
        learned = dense.learn(pair, seed=0)
        assert learned is not None
        place = ranks(learned, [Example("zydeco gumbo", one), Example("zydeco gumbo", other)])
        assert (place[0] < place[1]) == (first > second)


def test_a_further_relevant_document_is_no_negative() -> None:
    documents = np.eye(3, 4, dtype=np.float32)
    query = np.array([[0.5, 0.5, 0.5, 0.5]], dtype=np.float32)
    both = [Example("q", 0, (2,)), Example("q", 1, (2,))]
    settings = DenseAdapterSettings(steps=200, learning_rate=0.05, penalty=0.0)
    moved = apply_adapter(query, fit_adapter(query.repeat(2, axis=0), documents, both, settings))[0]
    assert moved[0] == pytest.approx(moved[1], abs=1e-4)
    assert moved[0] > 0.6 > 0.0 > moved[2]


def test_a_teacher_s_margins_are_learned_whatever_their_unit() -> None:
    documents = np.eye(3, 4, dtype=np.float32)
    query = np.array([[0.5, 0.5, 0.5, 0.5]], dtype=np.float32)
    settings = DenseAdapterSettings(steps=300, learning_rate=0.02, penalty=0.0, distillation=1000.0)
    start = np.array([[0.9, 0.3, 0.1, 0.3]], dtype=np.float32)
    for unit in (1.0, 50.0):
        told = [Example("q", 0, (1, 2), margins=(0.1 * unit, 0.2 * unit))]
        cosines = (documents @ apply_adapter(start, fit_adapter(start, documents, told, settings))[0]).tolist()
        assert (cosines[0] - cosines[2]) / (cosines[0] - cosines[1]) == pytest.approx(2.0, rel=0.02)
    untold = [Example("q", 0, (1, 2))]  # without margins it is contrast alone
    plain = settings.model_copy(update={"distillation": 0.0})
    assert np.array_equal(fit_adapter(query, documents, untold, settings), fit_adapter(query, documents, untold, plain))


def test_negatives_are_pushed_away(corpus: Corpus) -> None:
    dense = model("adapter", corpus)
    nearest = tuple(int(number) for number in dense.search(["zydeco gumbo"], 5).numbers[0])
    learned = dense.learn([Example("zydeco gumbo", 59, nearest)], seed=0)
    assert learned is not None
    assert not set(nearest) & set(learned.search(["zydeco gumbo"], 5).numbers[0].tolist())


def test_a_heavy_penalty_changes_little_and_none_changes_much(corpus: Corpus) -> None:
    wanted = examples(corpus)
    plain = vectors(model("adapter", corpus))
    moved = []
    for penalty in (0.0, 1.0, 1e6):
        settings = DenseAdapterSettings(steps=100, learning_rate=0.01, penalty=penalty)
        learned = Dense("static", adapter=settings, adaptation=None).index(corpus).learn(wanted, seed=0)
        assert learned is not None
        moved.append(float(np.abs(vectors(learned) - plain).max()))
    assert moved[0] > moved[1] > moved[2]
    assert moved[0] > 0.3
    assert moved[2] < 0.06


def test_one_step_moves_by_no_more_than_the_learning_rate(corpus: Corpus) -> None:
    settings = DenseAdapterSettings(steps=1, learning_rate=1e-3)
    learned = Dense("static", adapter=settings).index(corpus).learn(examples(corpus), seed=0)
    assert learned is not None
    assert learned.map is not None
    assert 0 < np.abs(learned.map).max() <= 1.001e-3


@pytest.mark.parametrize("settings", [{"steps": 0}, {"penalty": -1.0}, {"learning_rate": 0.0}, {"step": 5}])
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Dense(adapter=settings)


@given(
    st.lists(st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3), min_size=1, max_size=4), st.integers(0, 9)
)
def test_adapted_vectors_are_unit_vectors(rows: list[list[float]], seed: int) -> None:
    queries = np.array(rows, dtype=np.float32)
    length = np.linalg.norm(queries, axis=1, keepdims=True)
    queries = np.where(length > 1e-3, queries / np.maximum(length, 1e-3), 0.0)
    weights = np.random.default_rng(seed).normal(0, 0.1, (3, 3))
    moved = apply_adapter(queries, weights)
    assert np.linalg.norm(moved, axis=1) == pytest.approx((length[:, 0] > 1e-3).astype(float), abs=1e-5)
    np.testing.assert_allclose(apply_adapter(queries, np.zeros((3, 3))), queries, atol=1e-6)


def test_nothing_to_learn_from_gives_none(corpus: Corpus) -> None:
    assert model("adapter", corpus).learn([], seed=0) is None
    assert model("encoder", corpus).learn([], seed=0) is None


def test_a_missing_encoder_is_named(docstrings: list[Document]) -> None:
    with pytest.raises(InputError, match=r"'pretrained'.*none.*pretrain-synthetic"):
        Dense("pretrained").index(Corpus(docstrings))


def test_many_queries_are_searched_in_blocks(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = model("adapter", corpus)
    whole = dense.search(QUERIES, 7)
    monkeypatch.setattr("zero2ir.models.ranking.MAX_BLOCK_SCORES", 2 * 60)  # two queries at once
    parts = dense.search(QUERIES, 7)
    np.testing.assert_array_equal(parts.numbers, whole.numbers)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-5)


def test_a_network_learns_with_its_prompts(tiny_encoder: DenseEncoder, docstrings: list[Document]) -> None:
    network = deepcopy(tiny_encoder.model)
    network.prompts.update(query="gumbo ", document="open ")
    prompted = model("encoder", Corpus(docstrings, {"static": DenseEncoder(tiny_encoder.settings, network)}))
    written = [Document(document.doc_id, "", "open " + document.content) for document in docstrings]
    plain = model("encoder", Corpus(written, {"static": tiny_encoder}))
    one = prompted.learn([Example("zydeco", 7, (1, 2)), Example("okra", 9, (3,))], seed=0)
    other = plain.learn([Example("gumbo zydeco", 7, (1, 2)), Example("gumbo okra", 9, (3,))], seed=0)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.nearest.vectors.values, other.nearest.vectors.values, atol=1e-6)
    np.testing.assert_allclose(one.encode_queries(["bayou"]), other.encode_queries(["gumbo bayou"]), atol=1e-6)
