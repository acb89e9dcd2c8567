"""Training examples: queries with their documents."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """A query with a relevant document and non-relevant ones.

    Attributes:
        query: the query's text.
        positive: number of the relevant document.
        negatives: numbers of non-relevant documents, possibly none.
        weight: relative weight of the example, at least 0.
        margins: a teacher's score of ``positive`` minus that of each negative; empty without a teacher.
        translation: the query in the documents' language; "" if unknown or not needed.
        answers: strings that answer the query; empty if unknown.
    """

    query: str
    positive: int
    negatives: tuple[int, ...] = ()
    weight: float = 1.0
    margins: tuple[float, ...] = ()
    translation: str = ""
    answers: tuple[str, ...] = ()


def weighted_examples(examples: Sequence[Example]) -> list[Example]:
    """Returns the examples of positive weight; the others are not used as negatives either."""
    return [example for example in examples if example.weight > 0]


def text_columns(
    examples: Sequence[Example],
    contents: Sequence[str],
    epochs: int,
    rng: np.random.Generator,
    prompts: tuple[str, str] = ("", ""),
) -> dict[str, list[str]]:
    """Returns training rows; an example occurs in a share of the epochs that is proportional to its weight.

    Args:
        examples: at least one, of positive weight.
        contents: the documents' texts.
        epochs: passes over the examples.
        rng: draws the order, the epochs of each example, and one of its negatives.
        prompts: prefixes of queries and of documents.

    Returns:
        The columns "anchor" and "positive", and "negative" if every example has a negative.
    """
    most = max(example.weight for example in examples)
    passes = [examples[number] for _ in range(epochs) for number in rng.permutation(len(examples))]
    rows = [row for row in passes if rng.random() * most < row.weight]
    before_query, before_document = prompts
    columns = {
        "anchor": [before_query + row.query for row in rows],
        "positive": [before_document + contents[row.positive] for row in rows],
    }
    if all(row.negatives for row in rows):
        drawn = [row.negatives[rng.integers(len(row.negatives))] for row in rows]
        columns["negative"] = [before_document + contents[number] for number in drawn]
    return columns
