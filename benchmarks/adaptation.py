"""Measures what query vectors gain without labels, and what a linear adapter learns, on the development suite.

    python -m benchmarks.adaptation            # all collections; or their names

Ten queries are drawn several times. Of these, closed forms see the texts alone, and adapters examples as stated; all
other queries measure the change of nDCG@10 by the vectors of the pretrained encoder, alone and fused with BM25 (0.3 and
0.7). Judgments are those of documents that BM25 and both encoders rank first, five for each query. Columns: the mean
over the collections, the lowest collection, and the share of draws of which the fused ranking loses more than 0.005.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.suite import NAMES, SuiteCollection, open_collection
from zero2ir.encoders.examples import Example
from zero2ir.labelling.committee import Committee
from zero2ir.models.base import copy_with
from zero2ir.models.dense import Dense
from zero2ir.models.dense_adapter import DenseAdapterSettings, apply_adapter, fit_adapter
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.initialization import Initialization
from zero2ir.models.query_adaptation import AdaptationSettings, apply_adaptation, fit_adaptation
from zero2ir.models.sparse import Sparse
from zero2ir.models.vector_index import Moments
from zero2ir.synthetic.negatives import hard_negatives

QUERIES, JUDGED, NEGATIVES, RANKS = 10, 5, 4, (5, 50)
LOSS = 0.005
PAIRS = ("right", "shuffled", "random", "first of BM25")
Vectors = np.ndarray  # (n_queries, dimension)
Form = Callable[[Vectors], Vectors]  # moves the vectors of all queries


class Views(NamedTuple):
    """The rankings and vectors of one collection."""

    dense: Dense
    sparse: Sparse
    queries: Vectors
    documents: Vectors
    pools: list[list[int]]  # the judged documents of each query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    parser.add_argument("--draws", type=int, default=6)
    given = parser.parse_args()
    gains: dict[str, list[np.ndarray]] = {}  # (n_draws, 2) of each collection
    for name in given.collections:
        for form, values in measured(name, given.draws).items():
            gains.setdefault(form, []).append(values)
    print("\n| form | dense | lowest | fused | lowest | losses |\n|---|---|---|---|---|---|")
    for form, found in gains.items():
        dense, fused = np.stack([values.mean(axis=0) for values in found]).T * 1000
        share = float(np.mean(np.concatenate(found)[:, 1] < -LOSS))
        cells = (f"{one.mean():+.1f} | {one.min():+.1f}" for one in (dense, fused))
        print(f"| {form} | {' | '.join(cells)} | {share:.0%} |")


def measured(name: str, draws: int) -> dict[str, np.ndarray]:
    """Returns the gains of each form, (n_draws, 2): of the vectors alone, and fused."""
    models = [Sparse(), Dense(adaptation=None), Dense("static", adaptation=None)]
    suite = open_collection(name, models)
    sparse, dense, static = (model.index(suite.corpus) for model in models)
    assert isinstance(sparse, Sparse)
    assert isinstance(dense, Dense)
    members = {"sparse": sparse, "dense": dense, "static": static}
    committee = Committee(suite.corpus, suite.texts, members, candidates=suite.candidates)
    pools = [committee.pool(place, "round-robin", JUDGED) for place in range(len(suite.texts))]
    views = Views(dense, sparse, dense.network.encode_queries(suite.texts), dense.nearest.vectors[:], pools)
    base = _values(suite, views, views.queries)
    gains: dict[str, list[np.ndarray]] = {}
    for seed in range(draws):
        drawn, rest = suite.draw(QUERIES, seed)
        for form, move in forms(suite, views, drawn, seed):
            change = _values(suite, views, move(views.queries)) - base
            gains.setdefault(form, []).append(change[:, rest].mean(axis=1))
    print(f"{name} measured", flush=True)
    return {form: np.stack(rows) for form, rows in gains.items()}


def forms(suite: SuiteCollection, views: Views, drawn: np.ndarray, seed: int) -> Iterator[tuple[str, Form]]:
    """Yields every form with what moves query vectors, fitted to the drawn queries."""
    moments = Moments.of([views.documents])
    known = views.queries[drawn]
    yield "mean of ten queries off the queries", _closed(moments, known, centring=1.0, power=0.0, pseudo_queries=0)
    yield "mean of the documents off the queries", _closed(moments, known[:0], centring=1.0, power=0.0)
    yield "both, the latter as ten queries", _closed(moments, known, centring=1.0, power=0.0)
    yield "half of that", _closed(moments, known, power=0.0)
    for power in (0.1, 0.2, 0.3, 0.5, 1.0):
        yield f"half of that, whitened, power {power}", _closed(moments, known, power=power)
    yield "whitened alone, power 0.2", _closed(moments, known, centring=0.0)
    yield "documents alone, half, whitened, power 0.2", _closed(moments, known[:0])
    yield "the first ten directions of the documents removed", _without_first(moments, known, 10)
    adapted = _closed(moments, known)
    for start, base in (("", _same), ("adapted, then ", adapted)):
        for pairs in PAIRS:
            examples = _examples(suite, views, drawn, pairs, "BM25", seed)
            yield f"{start}adapter, {pairs} pairs", _adapter(views, base, examples)
        for negatives in ("random", "no"):
            for pairs in ("right", "shuffled"):
                examples = _examples(suite, views, drawn, pairs, negatives, seed)
                yield f"{start}adapter, {pairs} pairs, {negatives} negatives", _adapter(views, base, examples)
        for pairs in ("right", "shuffled"):
            examples = _examples(suite, views, drawn, pairs, "BM25", seed)
            yield f"{start}diagonal adapter, {pairs} pairs", _adapter(views, base, examples, diagonal=True)
            for penalty in (0.3, 3.0):
                move = _adapter(views, base, examples, penalty=penalty)
                yield f"{start}adapter, {pairs} pairs, penalty {penalty}", move


class _Moved(NamedTuple):
    """Has the moved vectors of all queries, in place of an encoder."""

    vectors: dict[str, np.ndarray]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.vectors[text] for text in texts])


def _same(queries: Vectors) -> Vectors:
    return queries


def _closed(moments: Moments, known: Vectors, **settings: float) -> Form:
    mean = known.sum(axis=0) / max(len(known), 1)
    affine = fit_adaptation(moments, mean, len(known), AdaptationSettings.model_validate(settings))
    return lambda queries: apply_adaptation(queries, affine)


def _without_first(moments: Moments, known: Vectors, number: int) -> Form:
    """Removes the directions in which documents vary most (Mu and Viswanath, ICLR 2018, arXiv 1702.01417)."""
    centred = _closed(moments, known, centring=1.0, power=0.0)
    first = np.linalg.eigh(moments.covariance)[1][:, -number:].astype(np.float32)
    return lambda queries: (moved := centred(queries)) - moved @ first @ first.T


def _adapter(views: Views, base: Form, examples: list[Example], diagonal: bool = False, penalty: float = 1.0) -> Form:
    """Returns the base, with an adapter learned from the examples; nothing is learned without them."""
    if not examples:
        return base
    texts = views.dense.network.encode_queries([example.query for example in examples])
    rates = {"map": np.eye(texts.shape[1], dtype=np.float32)} if diagonal else {}
    settings = DenseAdapterSettings(penalty=penalty)
    learned = fit_adapter(base(texts), views.documents, examples, settings, Initialization(rates=rates))
    return lambda queries: apply_adapter(base(queries), learned)


def _examples(
    suite: SuiteCollection, views: Views, drawn: np.ndarray, pairs: str, negatives: str, seed: int
) -> list[Example]:
    """Returns an example for each positive document of the drawn queries."""
    rng = np.random.default_rng(seed)
    judged = [[number for number in views.pools[place] if number in suite.relevant[place]] for place in drawn]
    zeros = [[number for number in views.pools[place] if number not in suite.relevant[place]] for place in drawn]
    if pairs == "shuffled":
        judged, zeros = [*judged[1:], judged[0]], [*zeros[1:], zeros[0]]
    if pairs == "random":
        judged = [rng.integers(len(views.documents), size=len(row)).tolist() for row in judged]
    texts = [suite.texts[place] for place in drawn]
    if pairs == "first of BM25":
        first = views.sparse.search(texts, 1).numbers[:, 0]
        judged, zeros = [[int(number)] if number >= 0 else [] for number in first], [[] for _ in drawn]
    found = [(text, positive, row) for text, row, other in zip(texts, judged, zeros, strict=True) for positive in row]
    of_query = dict(zip(texts, zeros, strict=True))
    known = [{*row, *of_query[text]} for text, _, row in found]
    if negatives == "BM25":
        hard = hard_negatives(
            views.sparse, [text for text, _, _ in found], known, number=NEGATIVES, ranks=RANKS, rng=rng
        )
    elif negatives == "random":
        hard = [rng.integers(len(views.documents), size=NEGATIVES).tolist() for _ in found]
    else:
        hard = [[] for _ in found]
    kept = of_query if negatives == "BM25" else {text: [] for text in texts}
    return [
        Example(text, positive, tuple(number for number in (*kept[text], *more) if number != positive))
        for (text, positive, _), more in zip(found, hard, strict=True)
    ]


def _values(suite: SuiteCollection, views: Views, queries: Vectors) -> np.ndarray:
    """Returns nDCG@10, (2, n_queries), of the vectors alone, and fused with BM25."""
    moved = copy_with(views.dense, network=_Moved(dict(zip(suite.texts, queries, strict=True))))
    hybrid = Hybrid([views.sparse, moved], [0.3, 0.7])
    hybrid.corpus = suite.corpus
    return np.stack([suite.values(model.search(suite.texts, 10, suite.candidates)) for model in (moved, hybrid)])


if __name__ == "__main__":
    main()
