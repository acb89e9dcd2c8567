"""Quality beside its price: who is beaten by nobody."""

from hypothesis import given
from hypothesis import strategies as st

from zero2ir.evaluation.intervals import Interval
from zero2ir.report.efficiency import COST_AXES, PARETO_MARK, differing_cost_axes, pareto_front, pareto_table
from zero2ir.report.tables import Summary, System

(BUILDING, *_, LABELS) = COST_AXES


def summary(*systems: tuple[float, dict[str, float]]) -> Summary:
    made = [
        System(f"m{place}", "s", [], {"AP": Interval(mean, mean, mean, 9)}, cost, None, [], None, {}, {})
        for place, (mean, cost) in enumerate(systems)
    ]
    return Summary("d", ["AP"], 0.95, "m0/s", [], made, [], [], [])


def test_a_cost_axis_sums_its_costs() -> None:
    cost = {"pretrain_seconds": 30.0, "train_seconds": 2.0, "lm_seconds": 9.0, "labels": 0.0}
    cost |= {"lm_prompt_tokens": 100.0, "lm_completion_tokens": 10.0, "search_lm_prompt_tokens": 5.0}
    (system,) = summary((0.5, cost)).systems
    price_of = {price.label: price.total(system) for price in COST_AXES}
    assert price_of["Building, s"] == 32
    assert price_of["LM tokens"] == 115
    assert price_of["Labels"] == 0
    assert price_of["Memory, MiB"] is None


def test_the_front_by_hand() -> None:
    found = summary(
        (0.3, {"train_seconds": 1.0}),
        (0.3, {"train_seconds": 2.0}),  # as good and dearer
        (0.5, {"train_seconds": 5.0}),
        (0.4, {"train_seconds": 9.0}),  # worse and dearer
        (0.2, {}),  # states no price: pays none
    )
    assert [system.model for system in pareto_front(found, BUILDING)] == ["m4", "m0", "m2"]
    assert differing_cost_axes(found) == [BUILDING]
    cells = [row[3] for row in pareto_table(found, [BUILDING]).rows]
    assert cells == [f"1 {PARETO_MARK}", "2", f"5 {PARETO_MARK}", "9", f"0 {PARETO_MARK}"]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=8))
def test_systems_on_the_front_are_not_dominated_and_others_are(points: list[tuple[float, float]]) -> None:
    found = summary(*((mean, {"labels": labels}) for mean, labels in points))
    best = {points[int(system.model[1:])] for system in pareto_front(found, LABELS)}
    for mean, labels in points:
        beaten = any(m >= mean and c <= labels and (m, c) != (mean, labels) for m, c in points)
        assert ((mean, labels) in best) == (not beaten)
