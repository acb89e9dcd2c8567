"""The prior of the confidence: its statistics, and whom it leaves out."""

import numpy as np
import pytest

from zero2ir.models.sparse import Sparse
from zero2ir.program.confidence import Confidence
from zero2ir.program.confidence_prior import ANY_MODEL, ModelSignals, Regression, confidence_prior
from zero2ir.strategies.prior import family_of


def signals_of(*rows: tuple[list[float], list[list[float]]]) -> ModelSignals:
    regressions = {
        f"c{number}": Regression(coefficients=coefficients, precision=precision)
        for number, (coefficients, precision) in enumerate(rows)
    }
    return ModelSignals(centre=(1.0, 0.1), spread=(0.5, 0.1), collections=regressions)


def test_equally_sure_collections_give_the_mean_of_slopes_and_levels() -> None:
    same = np.diag([9.0, 4.0, 4.0]).tolist()
    slopes, mean, deviation = signals_of(([1.0, 0.5, 0.1], same), ([3.0, 0.7, 0.5], same)).prior()
    assert slopes == pytest.approx([0.6, 0.3])
    assert mean == pytest.approx(2.0)
    assert deviation == pytest.approx(np.sqrt(2) * np.sqrt(1.5))  # their own, and that of their mean


def test_slopes_are_weighted_by_precision_and_never_negative() -> None:
    sure, unsure = np.diag([9.0, 8.0, 8.0]).tolist(), np.diag([9.0, 2.0, 2.0]).tolist()
    slopes, _, _ = signals_of(([1.0, 1.0, -1.0], sure), ([1.0, 0.5, 1.0], unsure)).prior()
    assert slopes == pytest.approx([0.9, 0.0])


def test_a_level_moves_with_the_slopes_that_are_common() -> None:
    """Where level and slope trade off, a smaller slope means a level that is higher by their covariance."""
    tied = [[4.0, 2.0, 0.0], [2.0, 5.0, 0.0], [0.0, 0.0, 5.0]]
    _, mean, _ = signals_of(([1.0, 1.0, 0.0], tied), ([1.0, 0.0, 0.0], tied)).prior()
    assert mean == pytest.approx(1.0)
    rows = signals_of(([1.0, 1.0, 0.0], tied), ([1.0, 0.0, 0.0], tied), ([1.0, 0.5, 0.0], tied))
    assert rows.prior()[2] == pytest.approx(np.std([1.25, 0.75, 1.0], ddof=1) * np.sqrt(4 / 3))


def test_the_collection_at_hand_is_left_out() -> None:
    prior = confidence_prior()
    for name, digest in prior.documents.items():
        assert prior.alike("another", digest) == prior.alike(name, "") == {name}
        family = prior.of(family_of(Sparse()))
        rest = {one: row for one, row in family.collections.items() if one != name}
        assert family.prior({name})[1:] == family.model_copy(update={"collections": rest}).prior()[1:]
        assert family.prior({name})[1:] != family.prior()[1:]


def test_every_model_has_the_same_collections_and_a_plausible_prior() -> None:
    prior = confidence_prior()
    for family in prior.models:
        assert prior.models[family].collections.keys() == prior.documents.keys()
        confidence = Confidence.prior(family)
        assert confidence.slopes[0] > 0
        assert -1 < confidence.level < 3
        assert 0.3 < confidence.deviation < 3
    assert Confidence.prior("a model of somebody") == Confidence.prior(ANY_MODEL)
