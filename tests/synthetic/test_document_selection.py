"""Which documents get synthetic queries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.clusters import cluster, round_robin
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.settings import MIN_DOCUMENT_WORDS

TOPICS = {
    "bread": "flour water yeast oven dough loaf crust bake",
    "sea": "ship wave harbour anchor sail tide captain storm",
    "law": "court judge verdict appeal statute lawyer plaintiff trial",
}


def topical(number: int) -> list[Document]:
    """Documents of three topics, most of them about bread."""
    rng = np.random.default_rng(0)
    topics = ["sea", "law"] * 3 + ["bread"] * (number - 6)
    return [
        Document(f"{topic}{n}", "", " ".join(rng.permutation(TOPICS[topic].split() * 2)))
        for n, topic in enumerate(topics)
    ]


def chosen(
    collection: list[Document], seed: int = 0, judged: frozenset[str] = frozenset(), **changes: object
) -> list[str]:
    found = choose_documents(collection, set(judged), SyntheticSettings.model_validate(changes), seed)
    return [document.doc_id for document in found]


def test_clusters_are_topics() -> None:
    documents = topical(40)
    labels = cluster([document.text for document in documents], 3, seed=0)
    assert len(set(labels[6:])) == 1
    assert len(set(labels)) == 3


@pytest.mark.parametrize("seed", range(3))
def test_the_first_documents_are_of_all_clusters(seed: int) -> None:
    first = chosen(topical(40), seed, documents=3, clusters=3)
    assert {doc_id.strip("0123456789") for doc_id in first} == set(TOPICS)


@given(st.lists(st.integers(0, 4), max_size=20))
def test_round_robin_draws_equally_from_clusters(labels: list[int]) -> None:
    order = round_robin(np.array(labels, dtype=np.int64))
    assert sorted(order) == list(range(len(labels)))
    drawn = [labels[place] for place in order]
    for end in range(len(drawn) + 1):
        rest = set(drawn[end:])
        taken = [drawn[:end].count(label) for label in rest]
        assert not taken or max(drawn[:end].count(label) for label in labels) <= min(taken) + 1


@settings(max_examples=20)
@given(st.sampled_from(["clusters", "random"]), st.integers(0, 70), st.integers(1, 20), st.integers(0, 9))
def test_a_smaller_sample_is_a_subset_of_a_larger_one(
    docstrings: list[Document], choose: str, number: int, clusters: int, seed: int
) -> None:
    short = Document("short", "", "a " * (MIN_DOCUMENT_WORDS - 1))
    judged = frozenset(document.doc_id for document in docstrings[:5])
    every = chosen([*docstrings, short], seed, judged, documents=1000, choose=choose, clusters=clusters)
    assert sorted(every) == sorted(document.doc_id for document in docstrings[5:])
    assert (
        chosen([*docstrings, short], seed, judged, documents=number, choose=choose, clusters=clusters) == every[:number]
    )


def test_the_seed_decides(docstrings: list[Document]) -> None:
    for choose in ("clusters", "random"):
        assert chosen(docstrings, 1, choose=choose, documents=20) != chosen(docstrings, 2, choose=choose, documents=20)


def test_documents_without_words_do_not_break_the_choice() -> None:
    assert sorted(chosen([Document(str(n), "", "? " * 9) for n in range(9)], clusters=3)) == list("012345678")
    assert chosen([], clusters=3) == []
