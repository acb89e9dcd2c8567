"""Examples as the rows of text that an encoder trains on."""

from collections.abc import Sequence

import numpy as np

from zero2ir.models.base import Example


def columns(
    examples: Sequence[Example], contents: Sequence[str], epochs: int, rng: np.random.Generator
) -> dict[str, list[str]]:
    """Rows of text; an example comes in a share of the epochs that is proportional to its weight.

    Args:
        examples: at least one, of weights above 0.
        contents: the documents' texts.
        epochs: passes over the examples.
        rng: draws the order, and which negative each row has.

    Returns:
        "anchor", "positive" and, where every example has negatives, "negative".
    """
    most = max(example.weight for example in examples)
    passes = [examples[number] for _ in range(epochs) for number in rng.permutation(len(examples))]
    rows = [row for row in passes if rng.random() * most < row.weight]
    texts = {"anchor": [row.query for row in rows], "positive": [contents[row.positive] for row in rows]}
    if all(row.negatives for row in rows):
        texts["negative"] = [contents[row.negatives[rng.integers(len(row.negatives))]] for row in rows]
    return texts
