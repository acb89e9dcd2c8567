"""How much, and how surely, a window of searches differs from a reference."""

import numpy as np

PSI_BINS = 10
PSI_FLOOR = 1e-3  # the least share of a bin: an empty one would be infinitely far away
ENOUGH, BATCH = 20, 200  # permutations: so many as extreme ones tell enough; so many at a time
MAX_MMD_VECTORS = 400  # of each side whose vectors are compared


def stability_index(reference: np.ndarray, current: np.ndarray) -> float:
    """The population stability index (PSI) over the tenths of the reference; 0.1 is little and 0.25 much, they say.

    It grows by chance, too, by about (bins - 1) * (1 / n_reference + 1 / n_current), and is no test.

    Args:
        reference: (n_reference,) values; fewer bins where many are equal.
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
    """The p-value of the Kolmogorov-Smirnov test; of Fisher's exact test where all values are 0 or 1.

    Where values are often equal the first one rejects less often than its level.
    """
    from scipy.stats import fisher_exact, ks_2samp

    if np.isin(np.concatenate([reference, current]), (0, 1)).all():
        return float(fisher_exact([[(side == one).sum() for one in (0, 1)] for side in (reference, current)]).pvalue)
    return float(ks_2samp(reference, current).pvalue)


def vectors_p(reference: np.ndarray, current: np.ndarray, *, permutations: int, seed: int) -> tuple[float, np.ndarray]:
    """The p-value of the maximum mean discrepancy (MMD) by permutation, and how foreign each current vector is.

    Args:
        reference: (n_reference, dimension); at most 400 of them, drawn by the seed, are compared.
        current: (n_current, dimension); the same.
        permutations: how many; the least p-value is 1 / (1 + permutations).
        seed: of draws and permutations.

    Returns:
        The p-value, and (n_current,) the witness: by how much each is nearer to the current vectors than to the
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
    """How often permuted weights have as large a discrepancy; a high p-value is known after a few permutations.

    Source: Besag and Clifford, Biometrika 78, 1991, doi:10.1093/biomet/78.2.301: drawn until so many were as large.
    """
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
    """(n, m) squared distances."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    return np.maximum(squares, 0.0)
