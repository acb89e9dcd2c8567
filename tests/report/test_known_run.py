"""Every figure of two runs made by hand, computed once more with tools that are not ours: pytrec_eval and scipy."""

import math
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytrec_eval
from scipy import stats

from zero2ir.data.records import Judgment
from zero2ir.evaluation.intervals import crossed_weights
from zero2ir.evaluation.measures import run_of
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_all, write_results
from zero2ir.report.tables import Summary, summarise

RESAMPLES, EXACT = 999, 1e-9
MEASURES = {"nDCG@10": "ndcg_cut_10", "R@5": "recall_5", "AP": "map", "RR": "recip_rank", "P@5": "P_5"}
QUERIES = [f"q{number:02}" for number in range(12)]
DOCUMENTS = [f"d{number:02}" for number in range(30)]
RANDOM = random.Random(0)
QRELS = {q: {d: RANDOM.choice([0, 0, 0, 0, 1, 3]) for d in RANDOM.sample(DOCUMENTS, 12)} | {"d00": 1} for q in QUERIES}


def scored(skill: float) -> dict[str, dict[str, float]]:
    """A run that knows the grades a little; scores in steps, so that some are equal."""
    return {
        q: {d: round(skill * QRELS[q].get(d, 0) + RANDOM.random(), 1) for d in RANDOM.sample(DOCUMENTS, 20)}
        for q in QUERIES
    }


RUNS = {"sparse": scored(0.1), "dense": scored(0.3)}
CONFIDENCE = {q: (number + 1) / 13 for number, q in enumerate(QUERIES)}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    folder = tmp_path_factory.mktemp("known")
    for model, run in RUNS.items():
        write_results(
            folder / model,
            system=SystemIdentity(model=model, strategy="zero_shot", seed=0, dataset="d"),
            run=run_of({q: list(rows.items()) for q, rows in run.items()}),
            qrels=[Judgment(q, *row) for q, rows in QRELS.items() for row in rows.items()],
            confidence=CONFIDENCE,
            cost={},
            settings=EvaluationSettings(measures=tuple(MEASURES), resamples=RESAMPLES),
            seed=0,
        )
    found = read_all(sorted(Path(folder).iterdir()))
    return summarise(found, baseline="sparse/zero_shot", resamples=RESAMPLES, level=0.95, seed=0)


def theirs(model: str, *, condensed: bool = False) -> dict[str, np.ndarray]:
    """Each measure by trec_eval, [queries]."""
    run = RUNS[model]
    if condensed:
        run = {q: {d: score for d, score in rows.items() if d in QRELS[q]} for q, rows in run.items()}
    values = pytrec_eval.RelevanceEvaluator(QRELS, set(MEASURES.values())).evaluate(run)
    return {ours: np.array([values[q][name] for q in QUERIES]) for ours, name in MEASURES.items()}


def picks() -> np.ndarray:
    """How often each resample holds each query, [resamples, queries]."""
    return np.concatenate([one for _, one in crossed_weights(1, len(QUERIES), resamples=RESAMPLES, seed=0)])


def scipy_bca(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and bounds by scipy, over the same resamples."""
    means = picks() @ values / len(values)
    means[np.isclose(means, values.mean(), rtol=0, atol=1e-12)] = values.mean()  # but for rounding they are
    drawn = SimpleNamespace(bootstrap_distribution=means)
    found = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=0, bootstrap_result=drawn)
    return float(values.mean()), *map(float, found.confidence_interval)


@pytest.mark.parametrize("measure", MEASURES)
def test_means_and_intervals(summary: Summary, measure: str) -> None:
    for system in summary.systems:
        for found, values in (
            (system.measures[measure], theirs(system.model)[measure]),
            (system.condensed[measure], theirs(system.model, condensed=True)[measure]),
        ):
            assert found == pytest.approx((*scipy_bca(values), len(QUERIES)), abs=EXACT)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_comparison(summary: Summary, measure: str) -> None:
    found = summary.versus_baseline("dense/zero_shot", measure)
    assert found is not None
    own, other = theirs("dense")[measure], theirs("sparse")[measure]
    differences = own - other
    each = found.comparison
    assert each.difference == pytest.approx((*scipy_bca(differences), len(QUERIES)), abs=EXACT)
    exact = stats.permutation_test(
        (own, other), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert each.p_value == pytest.approx(exact.pvalue, abs=EXACT)
    assert each.t_p_value == pytest.approx(stats.ttest_rel(own, other).pvalue, abs=EXACT)
    assert each.effect_size == pytest.approx(differences.mean() / stats.tstd(differences), abs=EXACT)
    effects = [
        values.mean() / stats.tstd(values) for row in picks() for values in [np.repeat(differences, row.astype(int))]
    ]
    assert (each.effect_low, each.effect_high) == pytest.approx(tuple(np.percentile(effects, [2.5, 97.5])), abs=EXACT)
    record = [int((np.sign(np.round(differences, 12)) == sign).sum()) for sign in (1, 0, -1)]
    assert [each.wins, each.ties, each.losses] == record
    assert (found.p_holm, found.t_p_holm) == (each.p_value, each.t_p_value)  # a family of one
    needed = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * stats.tstd(differences) / math.sqrt(len(QUERIES))
    assert found.detectable == pytest.approx(needed, abs=EXACT)


def test_measures_adjusted_by_confidence(summary: Summary) -> None:
    weights = np.array([CONFIDENCE[q] for q in QUERIES])
    for system in summary.systems:
        values = theirs(system.model)["nDCG@10"]
        means = [np.average(values, weights=row * weights) for row in picks()]
        assert system.weighted is not None
        assert system.weighted == pytest.approx(
            (np.average(values, weights=weights), *np.percentile(means, [2.5, 97.5]), len(QUERIES)), abs=EXACT
        )
        of_all, *_, of_half = system.selective
        assert of_all.mean == pytest.approx(values.mean(), abs=EXACT)
        assert of_half.mean == pytest.approx(values[6:].mean(), abs=EXACT)  # confidence rises with the query's number
