"""Late interaction: MaxSim as by hand, candidates, a graph that is nearly exact, and what learning changes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.encoders.tokens import TokenEncoder, Tokens
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.late_interaction import LateInteraction, maxsim, ward_centroids
from zero2ir.models.ranking import Ranking
from zero2ir.models.sparse import Sparse
from zero2ir.models.token_adapter import TokenAdapterSettings, fit_token_adapter

QUERIES = ["remove whitespace from both ends of a string", "open a file", "sort the items of a list", "parse a date"]
NOTHING = np.zeros((0, 2), dtype=np.float32)


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder, tiny_token_encoder: TokenEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder, "late_interaction": tiny_token_encoder})


@pytest.fixture(scope="module")
def late(corpus: Corpus) -> LateInteraction:
    return LateInteraction().index(corpus)


def tokens(*texts: list[list[float]]) -> Tokens:
    return Tokens.concatenate([np.array(text, dtype=np.float32).reshape(-1, 2) for text in texts], NOTHING)


# MaxSim.


def test_maxsim_by_hand() -> None:
    queries = tokens([[1, 0], [0, 1]], [], [[0, 2]])
    documents = tokens([[1, 0]], [[0.6, 0.8], [0.8, 0.6], [-1, 0]], [[-0.6, -0.8]])
    expected = [[1, 1.6, -1.4], [0, 0, 0], [0, 1.6, -1.6]]
    np.testing.assert_allclose(maxsim(queries, documents), expected, atol=1e-6)


vectors = st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), max_size=4)


@given(st.lists(vectors, max_size=3), st.lists(vectors.filter(len), min_size=1, max_size=5), st.integers(1, 9))
def test_maxsim_in_blocks_of_any_size(
    queries: list[list[list[float]]], documents: list[list[list[float]]], block: int
) -> None:
    expected = [
        [sum(max(np.dot(q, d) for d in document) for q in query) for document in documents] for query in queries
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zero2ir.models.late_interaction.MAX_BLOCK_PRODUCTS", block)
        scores = maxsim(tokens(*queries), tokens(*documents))
    np.testing.assert_array_equal(scores, np.array(expected).reshape(len(queries), len(documents)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 400))
def test_maxsim_of_int8_documents_is_nearly_that_of_floats(seed: int, vectors: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(size, dimension)).astype(np.float32) for size in (vectors, 30)]
    own, others = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in rows)
    queries, starts = Tokens(own / vectors, np.array([0, vectors])), np.array([0, 1, 9, 30])
    steps = np.rint(others * 127).astype(np.int8)
    exact = maxsim(queries, Tokens(steps.astype(np.float32) / 127, starts))
    np.testing.assert_allclose(maxsim(queries, Tokens(steps, starts)), exact, atol=0.01)


def test_a_document_finds_itself(late: LateInteraction, corpus: Corpus) -> None:
    found = late.search(corpus.contents[::7], 1)
    assert found.numbers[:, 0].tolist() == list(range(0, 60, 7))
    assert (found.scores > 0.8).all()
    assert (found.scores <= 1.02).all()  # a mean of cosines, but for the rounding to int8


# Candidates.


def test_the_first_stage_says_what_is_scored(late: LateInteraction, corpus: Corpus) -> None:
    first = Dense("static").index(corpus)
    after = LateInteraction(first_stage=first, depth=7).index(corpus)
    found, whole = after.search(QUERIES, 60), late.search(QUERIES, 60)
    for row, candidates in enumerate(first.search(QUERIES, 7).numbers):
        wanted = [number for number in whole.numbers[row] if number in candidates]
        assert found.numbers[row].tolist() == wanted + [-1] * 53
        scores = dict(zip(whole.numbers[row], whole.scores[row], strict=True))
        np.testing.assert_allclose(found.scores[row][:7], [scores[number] for number in wanted], rtol=1e-5)
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-5)  # the sample is the whole of so few
    np.testing.assert_allclose(found.deviation, whole.deviation, rtol=1e-4)


def test_what_is_usual_is_estimated_on_a_sample(
    late: LateInteraction, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zero2ir.models.ranking.REFERENCE_SAMPLE", 20)
    found = LateInteraction(first_stage=Dense("static"), depth=7).index(corpus).search(QUERIES, 5)
    whole = late.search(QUERIES, 5)
    np.testing.assert_allclose(found.mean, whole.mean, atol=0.05)
    np.testing.assert_allclose(found.deviation, whole.deviation, rtol=0.5)
    assert (found.mean != whole.mean).all()


def test_a_hybrid_scores_few_documents_nearly_as_all(corpus: Corpus) -> None:
    views = [Sparse(), Dense("static"), LateInteraction()]
    few, whole = (Hybrid(views, first_stage_depth=depth).index(corpus).search(QUERIES, 5) for depth in (10, 60))
    assert few.numbers[:, 0].tolist() == whole.numbers[:, 0].tolist()
    assert overlap(few, whole) > 0.8


def overlap(one: Ranking, other: Ranking) -> float:
    """The share of the documents of one ranking that the other has, too."""
    pairs = zip(one.numbers, other.numbers, strict=True)
    return float(np.mean([len(set(row) & set(others)) / len(row) for row, others in pairs]))


def test_the_graph_finds_nearly_what_exact_search_finds(late: LateInteraction, corpus: Corpus) -> None:
    queries = [text.partition(".")[0] for text in corpus.contents[::3]]
    exact = late.search(queries, 10)
    recall = [
        overlap(exact, LateInteraction(index_type="graph", depth=n).index(corpus).search(queries, 10)) for n in (1, 50)
    ]
    assert recall[0] < recall[1]
    assert recall[1] > 0.9
    assert len(late.documents.vectors) > 50 * 20  # far more than a query token looks at


def test_a_damaged_graph_is_refused_in_one_line(corpus: Corpus, tmp_path: Path) -> None:
    LateInteraction(index_type="graph").index(corpus).save(tmp_path)
    (tmp_path / "graph.0.usearch").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"graph\.0\.usearch: missing or damaged") as refused:
        load_retriever(tmp_path, corpus)
    assert "\n" not in str(refused.value)


def test_exact_search_has_a_limit_and_a_first_stage_has_none(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"^late_interaction: \d+ token vectors.*exact_limit=100; add a first stage"):
        LateInteraction(exact_limit=100).index(corpus)
    LateInteraction(exact_limit=100, first_stage=Dense("static")).index(corpus)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index_type": "plaid"}, "index_type: Input should be 'exact' or 'graph', not 'plaid'"),
        ({"index_type": "graph", "first_stage": Dense()}, "index_type='graph' and a first stage both"),
        ({"depth": 0}, "depth: Input should be greater than or equal to 1, not 0"),
        ({"adapter": {"batch_size": 0}}, "batch_size"),
    ],
)
def test_wrong_settings_are_rejected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LateInteraction(**options)  # type: ignore[arg-type]


# Feedback.


def test_feedback_moves_the_query_toward_the_documents(late: LateInteraction) -> None:
    ranking = late.search(QUERIES, 60).numbers
    near = ranking[:, 29:31]
    places = []
    for weight in (0.0, 0.1, 0.5):
        moved = late.search_with_feedback(QUERIES, near, weight, 60).numbers
        places.append(
            np.mean([row.tolist().index(number) for row, two in zip(moved, near, strict=True) for number in two])
        )
    assert places[0] == pytest.approx(29.5, abs=0.5)  # weight 0 leaves the query as it is
    assert places[0] > places[1] > places[2]
    assert places[2] < 3


def test_no_document_to_move_toward_leaves_the_query(late: LateInteraction) -> None:
    moved = late.search_with_feedback(QUERIES, np.full((4, 2), -1), 0.5, 10)
    np.testing.assert_array_equal(moved.numbers, late.search(QUERIES, 10).numbers)


def test_clusters_are_the_means_of_like_vectors() -> None:
    angles = np.array([0.0, 0.1, 1.5, 1.6, 3.0])
    found = ward_centroids(np.stack([np.cos(angles), np.sin(angles)], axis=1), 3)
    assert sorted(np.arctan2(found[:, 1], found[:, 0])) == pytest.approx([0.05, 1.55, 3.0], abs=1e-5)
    assert len(ward_centroids(found, 24)) == 3


# Learning.


def model(learning: str, corpus: Corpus) -> LateInteraction:
    fit = {"epochs": 5, "batch_size": 4, "learning_rate": 0.01}
    adapter = {"steps": 40, "learning_rate": 0.02, "penalty": 0.001}
    return LateInteraction(learning=learning, adapter=adapter, fit=fit).index(corpus)  # type: ignore[arg-type]


def examples(late: LateInteraction) -> list[Example]:
    """Queries, each with a document that is far from it, and the nearest ones as negatives."""
    rows = late.search(QUERIES, 60).numbers
    return [Example(query, int(row[40]), tuple(map(int, row[:3]))) for query, row in zip(QUERIES, rows, strict=True)]


def ranks(late: LateInteraction, wanted: list[Example]) -> list[int]:
    rows = late.search([one.query for one in wanted], 60).numbers
    return [row.tolist().index(one.positive) + 1 for row, one in zip(rows, wanted, strict=True)]


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_learning_lifts_the_positives_and_the_original_stays(learning: str, corpus: Corpus) -> None:
    late = model(learning, corpus)
    wanted = examples(late)
    before = late.search(QUERIES, 60)
    learned, same = (late.learn(wanted, seed=3) for _ in range(2))
    assert learned is not None
    assert same is not None
    assert np.median(ranks(learned, wanted)) <= 5 < 41 == min(ranks(late, wanted))
    np.testing.assert_array_equal(late.search(QUERIES, 60).scores, before.scores)
    np.testing.assert_array_equal(learned.search(QUERIES, 60).scores, same.search(QUERIES, 60).scores)
    assert (learned.documents is late.documents) == (learning == "adapter")  # it moves the queries alone
    assert (learned.network is late.network) == (learning == "adapter")


def test_an_example_of_weight_nought_has_no_influence(corpus: Corpus) -> None:
    late = model("adapter", corpus)
    void = Example("open a file", 59, (58, 57), weight=0.0)
    without, with_void = late.learn(examples(late), seed=0), late.learn([void, *examples(late)], seed=0)
    assert without is not None
    assert with_void is not None
    np.testing.assert_array_equal(without.map, with_void.map)  # type: ignore[arg-type]
    assert late.learn([void], seed=0) is None


def test_of_two_that_contradict_each_other_the_heavier_wins(corpus: Corpus) -> None:
    late = model("adapter", corpus)
    one, other = map(int, late.search(QUERIES[:1], 60).numbers[0][20:22])
    for first, second in ((20.0, 1.0), (1.0, 20.0)):
        pair = [  # the same words: one as the other's negative
            Example("open a file", one, (other,), first),
            Example("Open a file", other, (one,), second),
        ]
        learned = late.learn(pair, seed=0)
        assert learned is not None
        found = learned.search(["open a file"], 60).numbers[0].tolist()
        assert (found.index(one) < found.index(other)) == (first > second)


def test_a_further_relevant_document_is_no_negative() -> None:
    queries, documents = tokens([[0.6, 0.8]], [[0.6, 0.8]]), tokens([[1, 0]], [[0, 1]])
    both = [Example("q", 0), Example("q", 1)]
    settings = TokenAdapterSettings(steps=20, learning_rate=0.05, penalty=0.0)
    assert (fit_token_adapter(queries, documents, both, settings, 0) == 0).all()
    apart = [Example("q", 0), Example("p", 1)]
    assert (fit_token_adapter(queries, documents, apart, settings, 0) != 0).any()


def test_queries_without_a_word_teach_nothing(late: LateInteraction) -> None:
    learned = late.learn([Example("", 3, (4,))], seed=0)
    assert learned is not None
    assert learned.map is not None
    assert (learned.map == 0).all()


def test_a_first_stage_learns_too(corpus: Corpus) -> None:
    late = LateInteraction(first_stage=Dense("static", adapter={"steps": 5}), adapter={"steps": 5}).index(corpus)
    learned = late.learn([Example("open a file", 9, (1, 2))], seed=0)
    assert learned is not None
    assert isinstance(learned.first_stage, Dense)
    assert learned.first_stage.map is not None
    assert isinstance(late.first_stage, Dense)
    assert late.first_stage.map is None


def test_threads_that_search_at_once_get_what_they_would_get_alone(late: LateInteraction) -> None:
    queries = QUERIES * 6
    alone = late.search(queries, 5)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda query: late.search([query], 5), queries))
    for row, ranking in enumerate(found):
        np.testing.assert_allclose(ranking.scores[0], alone.scores[row], atol=1e-5)


def test_other_documents_are_passed_over_anew(late: LateInteraction, corpus: Corpus) -> None:
    late.search(QUERIES, 5)
    few = Corpus(corpus.documents[:2], corpus.encoders)
    changed = late.with_corpus(few, np.array([0, 1]))
    assert changed.search(QUERIES, 5).numbers.max() == 1
    assert late.search(QUERIES, 5).numbers.max() > 1
