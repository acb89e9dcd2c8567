"""What the first screen of the report says, and that it claims nothing that the figures do not show."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.results import LANGUAGE_MODEL, PRETRAINED_WEIGHTS, Results, SystemIdentity
from zero2ir.evaluation.significance import detectable_difference, needed_queries
from zero2ir.report.budget_curves import Curve
from zero2ir.report.story import Answer, highest, tell
from zero2ir.report.tables import Summary, power, summarise

QUERIES = [f"q{number:02}" for number in range(40)]
ALONE, WEIGHTS = (), (PRETRAINED_WEIGHTS,)
PARTS = {"sparse": ("sparse",), "static_hybrid": ("sparse", "static"), "dense": ("pretrained",), "own": ("my_part",)}
ORDER = {"sparse": 10, "static_hybrid": 20, "dense": 30, "zero_shot": 0, "fine_tune": 10, "fixed_prompt": 20}
DOCUMENTS, ENCODER = "What do the documents alone give?", "What does a pretrained encoder add?"
JUDGMENTS, LM = "What do ten judged queries add?", "What does a language model add?"
MORE = "What would more judgments have shown?"


def result(
    model: str,
    strategy: str = "zero_shot",
    gain: float = 0.0,
    *,
    sources: tuple[str, ...] | None = ALONE,
    noise: float = 0.01,
    seed: int = 0,
    judged: int | None = 10,
) -> Results:
    """Values with the mean 0.3 + ``gain``; the ``noise`` of a system differs from that of all others."""
    spread = [math.sin((number + 1) * (3 + len(model) + 7 * len(strategy) + seed)) for number in range(len(QUERIES))]
    middle = sum(spread) / len(spread)
    values = {query: 0.3 + gain + noise * (one - middle) for query, one in zip(QUERIES, spread, strict=True)}
    system = SystemIdentity(
        model=model,
        strategy=strategy,
        seed=seed,
        dataset="d",
        judged_queries=judged,
        sources=sources,
        parts=PARTS.get(model, ()),
        model_order=ORDER.get(model, 100),
        strategy_order=ORDER.get(strategy, 100),
    )
    return Results(system, {"cost": {}}, {"nDCG@10": values}, [])


def same(other: Results, strategy: str, **changes: object) -> Results:
    """The result of a strategy that ended at the same system."""
    system = other.system.model_copy(update={"strategy": strategy, "strategy_order": ORDER[strategy], **changes})
    return Results(system, other.metrics, other.per_query, [])


def summed_up(*results: Results, baseline: str = "sparse/zero_shot") -> Summary:
    return summarise(results, baseline=baseline, resamples=300, level=0.95, seed=0)


def answers(*results: Results, **options: str) -> dict[str, Answer]:
    return {one.question: one for one in tell(summed_up(*results, **options))}


SPARSE, FUSED = result("sparse"), result("static_hybrid", gain=0.1)
DENSE = result("dense", gain=0.2, sources=WEIGHTS)
PANEL = [
    *(SPARSE, same(SPARSE, "fine_tune"), same(SPARSE, "fixed_prompt", sources=(LANGUAGE_MODEL,))),
    *(FUSED, result("static_hybrid", "fine_tune", 0.101, noise=0.3)),
    result("static_hybrid", "fixed_prompt", -0.1, sources=(LANGUAGE_MODEL,)),
    *(DENSE, learned := result("dense", "fine_tune", 0.25, sources=WEIGHTS)),
    same(learned, "fixed_prompt", sources=(LANGUAGE_MODEL, PRETRAINED_WEIGHTS)),
]


def test_the_default_panel_is_told_in_five_answers() -> None:
    told = answers(*PANEL)
    assert list(told) == [DOCUMENTS, ENCODER, JUDGMENTS, LM, MORE]
    assert told[DOCUMENTS].claim == (
        "`static_hybrid` (BM25 and an encoder from scratch) reaches nDCG@10 0.400 and ranks better than BM25 (0.300)."
    )
    assert told[ENCODER].claim == (
        "`dense` (a pretrained encoder) reaches nDCG@10 0.500 and ranks better than `static_hybrid`, the best from the "
        "documents alone."
    )
    assert told[JUDGMENTS].claim == (
        "`dense` ranks better (+0.050). No gain or loss is shown for `static_hybrid`. `sparse` ranks as before."
    )
    assert told[LM].claim == "`static_hybrid` ranks worse (−0.201). `sparse` and `dense` rank as without one."
    assert told[JUDGMENTS].evidence.startswith("`dense`: +0.050 [+0.0")
    assert "higher on 40 of 40 queries, lower on 0" in told[JUDGMENTS].evidence
    assert "One draw of judgments" in told[JUDGMENTS].evidence


def test_what_more_judgments_would_show_follows_from_the_spread_of_the_differences() -> None:
    summary = summed_up(*PANEL)
    (said,) = (one for one in tell(summary) if one.question == MORE)
    found = power(summary)
    assert found is not None
    assert f"Ten judged queries can show differences between systems from {found.ten:.3f} on." in said.claim
    (best,) = summary.best_models
    needed = needed_queries(best.comparison.sd, best.comparison.difference.mean)
    assert (best.system, best.other, needed) == ("dense/fine_tune", "static_hybrid/fine_tune", 17)
    assert "about 17 to tell the best two apart, `dense/fine_tune` and `static_hybrid/fine_tune` (0.1" in said.claim
    assert f"The 40 test queries can show them from {found.single:.3f} on." in said.evidence


def test_other_budgets_are_told_as_measured() -> None:
    points = {10: Interval(0.4, 0.35, 0.45, 30), 50: Interval(0.5, 0.45, 0.55, 30)}
    said = tell(summed_up(*PANEL), [Curve("dense", "fine_tune", points)])[-1]
    text = "`dense/fine_tune` has nDCG@10 0.400 [0.350, 0.450] with 10 and 0.500 [0.450, 0.550] with 50 judged queries."
    assert text in said.evidence


def test_what_model_auto_expects_of_judgments_is_told() -> None:
    choice = {"gain_of_judging": {"10": 0.001, "50": 0.0125}}
    chosen = replace(DENSE, system=DENSE.system.model_copy(update={"model": "auto", "model_choice": choice}))
    text = "By `model=auto`, choosing the model type again is expected to gain +0.001 after 10, +0.013 after 50 more"
    assert text in tell(summed_up(SPARSE, chosen))[-1].evidence


@given(st.floats(0.01, 1), st.floats(0.001, 0.5))
def test_the_needed_queries_detect_the_difference_and_one_less_does_not(sd: float, difference: float) -> None:
    queries = int(needed_queries(sd, difference))
    assert detectable_difference(sd, queries) <= difference * (1 + 1e-9)
    assert queries == 1 or detectable_difference(sd, queries - 1) > difference * (1 - 1e-9)
    assert needed_queries(sd, -difference) == queries
    assert needed_queries(sd, 0) == math.inf


@pytest.mark.parametrize(
    ("results", "claims"),
    [
        ([result("sparse", judged=0)], {DOCUMENTS: "`sparse` (BM25) reaches nDCG@10 0.300."}),
        ([result("own")], {DOCUMENTS: "`own` (my part) reaches nDCG@10 0.300."}),
        ([result("own", sources=None)], {}),
        (
            [result("dense", sources=WEIGHTS)],
            {ENCODER: "`dense` (a pretrained encoder) reaches nDCG@10 0.300; nothing"},
        ),
        ([SPARSE, result("static_hybrid", gain=-0.1)], {DOCUMENTS: "`sparse` (BM25) reaches nDCG@10 0.300. `static_"}),
        ([SPARSE, result("static_hybrid", gain=0.01, noise=0.3)], {DOCUMENTS: "BM25 and an encoder from scratch"}),
        ([FUSED, result("dense", gain=0.01, sources=WEIGHTS)], {ENCODER: "ranks worse than `static_hybrid`, the best"}),
        ([FUSED, result("dense", gain=0.1, noise=0.3, sources=WEIGHTS)], {ENCODER: "no difference to `static_hybrid`"}),
        ([SPARSE, same(SPARSE, "fine_tune")], {JUDGMENTS: "Nothing: `sparse` ranks as before."}),
        ([same(SPARSE, "fine_tune")], {JUDGMENTS: "Not measured: the strategies lack zero_shot to compare with."}),
        ([result("sparse", "fine_tune", judged=None)], {"What do judgments add?": "Not measured"}),
    ],
)
def test_any_panel_is_told(results: list[Results], claims: Mapping[str, str]) -> None:
    told = answers(*results)
    assert set(claims) <= set(told)
    assert set(told) <= {*claims, DOCUMENTS, MORE}
    assert all(claim in told[question].claim for question, claim in claims.items())


def test_a_verdict_that_hangs_on_unjudged_documents_is_said() -> None:
    sparse, fused = (replace(one, condensed=one.per_query) for one in (SPARSE, result("static_hybrid", gain=-0.1)))
    summary = summed_up(sparse, fused)
    assert "unjudged" not in tell(summary)[0].evidence
    rows = [row._replace(p_holm=1.0) for row in summary.against_condensed]
    said = tell(replace(summary, against_condensed=rows))[0]
    assert said.evidence.endswith("Without unjudged documents, `static_hybrid`: undecided.")


def test_several_strategies_of_a_model_type_keep_their_names() -> None:
    told = answers(SPARSE, result("sparse", "fine_tune", 0.1), result("sparse", "meta", 0.2))
    assert told[JUDGMENTS].claim == "`sparse/meta` and `sparse/fine_tune` rank better (+0.200 and +0.100)."


def test_draws_are_counted() -> None:
    gains = {"zero_shot": 0.0, "fine_tune": 0.1}
    both = [result("sparse", strategy, gain, seed=seed) for seed in (0, 1) for strategy, gain in gains.items()]
    assert answers(*both)[JUDGMENTS].evidence.endswith("2 draws of judgments.")


def test_the_highest_was_selected_on_these_queries() -> None:
    assert highest(summed_up(SPARSE)) == "The highest mean is 0.300, of `sparse/zero_shot`."
    assert highest(summed_up(*PANEL)) == (
        "The highest mean is 0.550, of `dense/fine_tune`. It is the best of 6 on these queries; expect a little less "
        "on new ones."
    )


SYSTEMS = st.tuples(
    st.sampled_from(["sparse", "static_hybrid", "dense", "own"]),
    st.sampled_from(["zero_shot", "fine_tune", "fixed_prompt"]),
    st.sampled_from([-0.05, 0.0, 0.0, 0.02, 0.1]),
    st.sampled_from([None, ALONE, WEIGHTS, (LANGUAGE_MODEL,)]),
    st.sampled_from([0.0, 0.01, 0.3]),
)


@settings(max_examples=40)
@given(st.lists(SYSTEMS, min_size=1, max_size=6, unique_by=lambda one: one[:2]), st.integers(1, 2))
def test_better_and_worse_are_claimed_only_if_a_comparison_shows_it(systems: list[tuple], seeds: int) -> None:  # type: ignore[type-arg]
    results = [
        result(model, strategy, gain, sources=sources, noise=noise, seed=seed)
        for model, strategy, gain, sources, noise in systems
        for seed in range(seeds)
    ]
    summary = summed_up(*results)
    shown = {DOCUMENTS: summary.against_baseline, ENCODER: summary.with_weights, LM: summary.with_lm}
    for one in tell(summary):
        verdicts = {row.verdict for row in shown.get(one.question, summary.against_untrained)}
        assert "better" in verdicts or "better" not in one.claim.replace("Nothing is shown to rank better", "")
        assert "worse" in verdicts or "worse" not in one.claim
        assert all(text == "" or text.endswith(".") for text in (one.claim, one.evidence))
        assert one.claim.count("`") % 2 == one.evidence.count("`") % 2 == 0
        assert not {"nan", "inf", "..", "  "} & {part for part in ("nan", "inf", "..", "  ") if part in one.claim}
