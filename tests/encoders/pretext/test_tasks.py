"""The other pair tasks, and the order of pairs in an epoch."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.synthetic_pairs import SyntheticPairs
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.pretext.title import Title
from zero2ir.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def story(number: int, sentences: int, title: str = "") -> Document:
    """A document whose words tell where they stand: d<document>s<sentence>w<word>."""
    text = " ".join(" ".join(f"d{number}s{s}w{w}" for w in range(4)) + "." for s in range(sentences))
    return Document(f"id{number}", title, text)


def test_a_title_pair_needs_both() -> None:
    assert Title().pair(Document("d", "Title", "text"), rng()) == ("Title", "text")
    assert Title().pair(Document("d", "", "text"), rng()) is None
    assert Title().pair(Document("d", "Title", ""), rng()) is None


@given(st.integers(1, 200), st.floats(0.01, 1), st.floats(0.01, 1), seeds)
def test_a_crop_has_the_stated_length(words: int, one: float, other: float, seed: int) -> None:
    shortest, longest = sorted((one, other))
    document = Document("d", "", " ".join(f"w{n}" for n in range(words)))
    pair = Cropping(shortest=shortest, longest=longest).pair(document, rng(seed))
    assert (pair is None) == (words < 6)
    for span in pair or ():
        assert f" {span} " in f" {document.text} "
        assert max(3, round(words * shortest)) <= len(span.split()) <= max(3, round(words * longest))


def test_the_two_spans_are_drawn_independently() -> None:
    document, source = Document("d", "", " ".join(f"w{n}" for n in range(100))), rng()
    pairs = [Cropping().pair(document, source) or ("", "") for _ in range(2000)]
    starts = np.array([[int(span.split()[0][1:]) for span in pair] for pair in pairs])
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.06
    assert starts.min() == 0
    assert max(int(span.split()[-1][1:]) for pair in pairs for span in pair) == 99
    assert any(set(one.split()) & set(other.split()) for one, other in pairs)  # they may overlap


def test_a_minimum_length_above_the_maximum_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"shortest=0\.6 is greater than longest=0\.5; swap them"):
        Cropping(shortest=0.6)


@given(st.integers(0, 9), st.integers(1, 4), seeds)
def test_neighbouring_passages_follow_each_other(sentences: int, most: int, seed: int) -> None:
    pair = Adjacency(sentences=most).pair(story(0, sentences), rng(seed))
    assert (pair is None) == (sentences < 2)
    if pair is not None:
        one, other = ([int(word.split("s")[1].split("w")[0]) for word in text.split()[::4]] for text in pair)
        assert len(one) == len(other) == min(most, sentences // 2)
        assert one + other == list(range(one[0], one[0] + 2 * len(one)))


def test_the_next_document_is_the_next_of_the_collection() -> None:
    documents = [story(number, 2) for number in range(8)]
    pairs = list(Adjacency(unit="documents", ordered=True).pairs(documents, rng()))
    follows = {one.content: other.content for one, other in pairwise(documents)}
    assert len(pairs) == 7
    assert dict(pairs) == follows
    assert [query for query, _ in pairs] != list(follows)  # in random order


@pytest.mark.parametrize(
    ("task", "documents", "reason"),
    [
        (Adjacency(unit="documents"), 3, r"does not say .* meaningful order; set dataset\.ordered=true"),
        (Adjacency(unit="documents", ordered=True), 1, "a single document has no next one"),
        (Adjacency(), 3, "every document is a single sentence"),
        (SyntheticPairs(), 3, r"no synthetic queries; add a strategy"),
    ],
)
def test_a_task_that_does_not_apply_is_refused_with_the_reason(task: object, documents: int, reason: str) -> None:
    name = "synthetic" if isinstance(task, SyntheticPairs) else "adjacency"
    with pytest.raises(InputError, match=rf"^pairs\.{name}: .*{reason}") as refused:
        PairTasks(**{name: task}).check([story(number, 1) for number in range(documents)])
    assert "\n" not in str(refused.value)


def test_tasks_that_apply_are_not_refused() -> None:
    documents = [story(number, 2) for number in range(2)]
    PairTasks(adjacency=Adjacency(), title=Title()).check(documents)
    PairTasks(adjacency=Adjacency(unit="documents", ordered=True)).check([story(0, 1), story(1, 1)])


def test_synthetic_queries_are_paired_with_their_documents_and_spread_evenly() -> None:
    documents = [story(number, 2) for number in range(3)]
    queries = tuple((f"q{number}{turn}", f"id{number}") for number in range(3) for turn in range(3))
    pairs = list(SyntheticPairs(queries=(*queries, ("lost", "elsewhere"))).pairs(documents, rng()))
    assert sorted(pairs) == sorted((query, documents[int(doc_id[2:])].content) for query, doc_id in queries)
    for turn in range(3):
        assert len({text for _, text in pairs[3 * turn : 3 * turn + 3]}) == 3


def test_tasks_are_given_the_properties_of_the_collection() -> None:
    tasks = PairTasks(adjacency=Adjacency(unit="documents"), synthetic=SyntheticPairs(), title=Title())
    told = tasks.with_collection(ordered=True, written=[("q", "id0")])
    assert told.adjacency is not None
    assert told.synthetic is not None
    assert (told.adjacency.ordered, told.synthetic.queries, told.title) == (True, (("q", "id0"),), Title())
    assert DEFAULT_PAIR_TASKS.with_collection(ordered=True, written=[("q", "id0")]) == DEFAULT_PAIR_TASKS


def test_at_least_one_task_must_be_enabled() -> None:
    with pytest.raises(
        ValidationError, match="no task is enabled; list at least one of inverse_cloze, title, cropping"
    ):
        PairTasks()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8), seeds)
def test_each_document_occurs_once_per_task(parts: list[tuple[int, bool]], seed: int) -> None:
    documents = [story(n, count, f"title{n}" if titled else "") for n, (count, titled) in enumerate(parts)]
    pairs = list(DEFAULT_PAIR_TASKS.pairs(documents, rng(seed)))
    cloze, titles = (list(task.pairs(documents, rng(seed))) for task in (InverseCloze(), Title()))
    assert len(pairs) == len(cloze) + len(titles)
    assert pairs[: len(cloze)] == cloze
    assert sorted(pairs[len(cloze) :]) == sorted(titles)
    assert len({query for query, _ in titles}) == len(titles)
    assert pairs == list(DEFAULT_PAIR_TASKS.pairs(documents, rng(seed)))


def test_another_seed_draws_another_order(docstrings: list[Document]) -> None:
    one, other = (list(DEFAULT_PAIR_TASKS.pairs(docstrings, rng(seed))) for seed in (0, 1))
    assert one != other
    assert len(one) == len(other)


@given(seeds)
def test_all_tasks_make_pairs_of_texts(seed: int) -> None:
    documents = [story(number, 4, f"title{number}") for number in range(5)]
    queries = tuple((f"q{number}", f"id{number}") for number in range(5))
    tasks = PairTasks(
        inverse_cloze=InverseCloze(),
        title=Title(),
        cropping=Cropping(),
        adjacency=Adjacency(),
        synthetic=SyntheticPairs(queries=queries),
    )
    pairs = list(tasks.pairs(documents, rng(seed)))
    assert len(pairs) == 5 * 5
    assert all(query.strip() and text.strip() for query, text in pairs)


@given(most=st.integers(1, 70), seed=st.integers(0, 9))
def test_sampled_pairs_are_the_first_of_each_task(most: int, seed: int) -> None:
    documents = [
        Document(f"d{number}", f"title {number}" * (number < 5), f"one two three {number}. four five six.")
        for number in range(30)
    ]
    pairs = list(DEFAULT_PAIR_TASKS.pairs(documents, rng(seed), most))
    cloze = list(InverseCloze().pairs(documents, rng(seed)))[: most // 2]
    assert pairs[: len(cloze)] == cloze
    titles = pairs[len(cloze) :]
    assert len(titles) == min(5, most - len(cloze))
    assert set(titles) <= {(document.title, document.text) for document in documents}
    assert list(DEFAULT_PAIR_TASKS.pairs(documents, rng(seed), 70)) == list(
        DEFAULT_PAIR_TASKS.pairs(documents, rng(seed))
    )
