"""Classes: shared titles, or else clusters."""

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.multitask_training.labels import SOURCE_CLUSTERS, SOURCE_TITLES, label_documents
from zero2ir.errors import InputError


def articles(sizes: dict[str, int]) -> list[Document]:
    words = ["monastery", "bishop", "church", "abbey", "rocket", "orbit", "engine", "launch"]
    return [
        Document(f"{title}{n}", title, f"{words[(n + len(title)) % 8]} of number {n}")
        for title, size in sizes.items()
        for n in range(size)
    ]


def test_shared_titles_are_classes() -> None:
    labels = label_documents(articles({"Church": 12, "Space": 9, "Rare": 1}), clusters=4, seed=0)
    assert (labels.names, labels.source) == (("Church", "Space"), SOURCE_TITLES)
    assert labels.class_ids.tolist() == [0] * 12 + [1] * 9 + [-1]


@pytest.mark.parametrize(
    "sizes", [{"Church": 30}, {"": 30}, {f"title {n}": 1 for n in range(30)}, {"A": 9, "B": 9, "C": 3}]
)
def test_clusters_are_classes_if_titles_are_not(sizes: dict[str, int]) -> None:
    labels = label_documents(articles(sizes), clusters=4, seed=0)
    assert labels.source == SOURCE_CLUSTERS
    assert 1 <= len(labels.names) <= 4
    assert set(labels.class_ids) == set(range(len(labels.names)))


def test_a_cluster_is_named_by_its_typical_terms() -> None:
    texts = [f"bishop abbey monastery {n}" for n in "abcdefghijkl"] + [
        f"rocket orbit engine {n}" for n in "abcdefghijkl"
    ]
    documents = [Document(str(n), "", text) for n, text in enumerate(texts)]
    labels = label_documents(documents, clusters=2, seed=0)
    assert len(set(labels.class_ids[:12])) == len(set(labels.class_ids[12:])) == 1
    assert set(labels.names[labels.class_ids[0]].split(": ")[1].split(", ")) == {"bishop", "abbey", "monastery"}
    np.testing.assert_array_equal(labels.class_ids, label_documents(documents, clusters=2, seed=0).class_ids)


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(InputError, match=r"19 documents are too few for classes; give 20, or use model=dense"):
        label_documents(articles({"Church": 19}), clusters=2, seed=0)
