"""Examples as rows of text, for networks that learn from text."""

from collections.abc import Sequence

import numpy as np

from zero2ir.models.base import Example


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
