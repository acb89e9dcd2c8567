"""Examples that count as much as they agree with the judgments."""

from typing import Any

import numpy as np


def agreement_weights(cosines: np.ndarray) -> np.ndarray:
    """How much each example counts: the mean cosine of its gradient with those of the judged examples, at least 0.

    Args:
        cosines: (n_examples, n_judged).

    Returns:
        (n_examples,) of mean 1; all 0 where no example agrees.

    Source: MetaAdaptRank, Sun et al. 2020, arXiv 2012.14862, section 3.2, in first order; each gradient is taken at
    unit length, so that neither hard examples nor hard judgments decide alone.
    """
    weights = np.maximum(cosines.mean(axis=1), 0.0)
    return weights / max(float(weights.mean()), 1e-12)


def quantiles(weights: np.ndarray) -> dict[str, Any]:
    """What became of the examples; JSON."""
    named = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "most": 1.0}
    found = {name: round(float(np.quantile(weights, share)), 4) for name, share in named.items()}
    return {"dropped": int((weights == 0).sum()), **found}
