"""What a model learns from, one query and its documents at a time; and the same as rows of text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """One thing to learn from: this query should find ``positive`` rather than ``negatives``.

    Attributes:
        query: the query's text.
        positive: a document number.
        negatives: document numbers, possibly none.
        weight: how much it counts beside the other examples, at least 0.
        margins: by how much a teacher scores ``positive`` above each of the negatives; empty where there is none.
        translation: the query in the documents' language, where it is in another one and somebody translated it.
        answers: strings that answer the query; empty where none is known.
    """

    query: str
    positive: int
    negatives: tuple[int, ...] = ()
    weight: float = 1.0
    margins: tuple[float, ...] = ()
    translation: str = ""
    answers: tuple[str, ...] = ()


def weighted_examples(examples: Sequence[Example]) -> list[Example]:
    """The examples that teach anything: one of weight 0 is no negative of the others, either."""
    return [example for example in examples if example.weight > 0]


def text_columns(
    examples: Sequence[Example],
    contents: Sequence[str],
    epochs: int,
    rng: np.random.Generator,
    prompts: tuple[str, str] = ("", ""),
) -> dict[str, list[str]]:
    """Rows of text; an example comes in a share of the epochs that is proportional to its weight.

    Args:
        examples: at least one, of positive weight.
        contents: the documents' texts.
        epochs: passes over the examples.
        rng: the order, which passes an example is in, and which of its negatives.
        prompts: what stands before queries and before documents.

    Returns:
        "anchor", "positive", and "negative" where every example has one.
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
