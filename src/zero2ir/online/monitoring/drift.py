"""Tests and measures of the drift between a reference and a window of searches."""

import numpy as np

PSI_BINS = 10
PSI_FLOOR = 1e-3  # minimum share of a bin: an empty bin would give an infinite index
ENOUGH, BATCH = 20, 200  # permutations: number of extreme ones at which to stop, and number drawn at a time
MAX_MMD_VECTORS = 400  # maximum number of vectors compared on each side


def stability_index(reference: np.ndarray, current: np.ndarray) -> float:
    """Returns the population stability index (PSI) over the deciles of the reference.

    By convention 0.1 is a small and 0.25 a large change. Chance alone gives about (bins - 1) * (1 / n_reference +
    1 / n_current); PSI is not a test.

    Args:
        reference: (n_reference,) values; equal values can reduce the number of bins.
        current: (n_current,) values.

    Source: Yurdakul and Naranjo 2020, Journal of Risk Model Validation, doi:10.21314/JRMV.2020.227.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    shares = [_shares(values, edges) for values in (reference, current)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / counts.sum(), PSI_FLOOR)


def distribution_p(reference: np.ndarray, current: np.ndarray) -> float:
    """Returns the p-value of the Kolmogorov-Smirnov test, or of Fisher's exact test if all values are 0 or 1.

    With many ties the former rejects less often than its level.
    """
    from scipy.stats import fisher_exact, ks_2samp

    if np.isin(np.concatenate([reference, current]), (0, 1)).all():
        return float(fisher_exact([[(side == one).sum() for one in (0, 1)] for side in (reference, current)]).pvalue)
    return float(ks_2samp(reference, current).pvalue)


def vectors_p(reference: np.ndarray, current: np.ndarray, *, permutations: int, seed: int) -> tuple[float, np.ndarray]:
    """Returns the permutation p-value of the maximum mean discrepancy (MMD) and the witness of each current vector.

    Args:
        reference: (n_reference, dimension) vectors; for the test, at most 400 of each side are sampled.
        current: (n_current, dimension) vectors.
        permutations: number of permutations; the smallest p-value is 1 / (1 + permutations).
        seed: seed of sampling and permutations.

    Returns:
        The p-value, and (n_current,) the witness: how much nearer each vector is to the current vectors than to the
        reference.

    Source: Gretton et al., JMLR 13, 2012, "A kernel two-sample test", sections 2 and 5, with a Gaussian kernel of the
    median distance.
    """
    rng = np.random.default_rng(seed)
    sides = [
        side if len(side) <= MAX_MMD_VECTORS else side[np.sort(rng.permutation(len(side))[:MAX_MMD_VECTORS])]
        for side in (reference, current)
    ]
    pooled = np.concatenate(sides).astype(np.float64)
    distances = _squared(pooled, pooled)
    width = float(np.median(distances[np.triu_indices(len(pooled), 1)])) or 1.0
    kernel = np.exp(-distances / width)
    np.fill_diagonal(kernel, 0.0)
    weights = np.concatenate([np.full(len(sides[0]), -1 / len(sides[0])), np.full(len(sides[1]), 1 / len(sides[1]))])
    p_value = _permutation_p(kernel, weights, permutations, rng)
    all_current = current.astype(np.float64)
    near = [np.exp(-_squared(all_current, side.astype(np.float64)) / width).mean(axis=1) for side in sides]
    return p_value, near[1] - near[0]


def _permutation_p(kernel: np.ndarray, weights: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """Stops early if the p-value is high: Besag and Clifford, Biometrika 78, 1991, doi:10.1093/biomet/78.2.301."""
    observed = weights @ kernel @ weights
    larger = 0
    for start in range(0, permutations, BATCH):
        draws = rng.permuted(np.tile(weights, (min(BATCH, permutations - start), 1)), axis=1)
        hits = np.flatnonzero(((draws @ kernel) * draws).sum(axis=1) >= observed - 1e-12)
        if larger + len(hits) >= ENOUGH:
            return ENOUGH / float(start + hits[ENOUGH - larger - 1] + 1)
        larger += len(hits)
    return (larger + 1) / (permutations + 1)


def _squared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    return np.maximum(squares, 0.0)
