"""Weights of examples by their gradients' agreement with the judgments."""

from typing import Any

import numpy as np


def agreement_weights(cosines: np.ndarray) -> np.ndarray:
    """Returns each example's weight: the mean cosine of its gradient with those of the judged examples, at least 0.

    Args:
        cosines: (n_examples, n_judged).

    Returns:
        (n_examples,) of mean 1; all 0 if no example agrees.

    Source: MetaAdaptRank, Sun et al. 2020, arXiv 2012.14862, section 3.2, in first order, with gradients of unit
    length, so that hard examples and judgments do not dominate.
    """
    weights = np.maximum(cosines.mean(axis=1), 0.0)
    mean = float(weights.mean())
    return weights / mean if mean > 1e-12 else np.zeros_like(weights)  # rounding errors are no agreement


def quantiles(weights: np.ndarray) -> dict[str, Any]:
    """Summarises the weights; JSON."""
    shares = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "most": 1.0}
    values = {name: round(float(np.quantile(weights, share)), 4) for name, share in shares.items()}
    return {"dropped": int((weights == 0).sum()), **values}
