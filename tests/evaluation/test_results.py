import json

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run, condensed, score_run
from zero2ir.evaluation.results import (
    EvaluationSettings,
    SystemIdentity,
    all_topics,
    read_all,
    read_results,
    write_results,
)
from zero2ir.io.files import files_below, sha256

QRELS = [Judgment("q1", "a", 2), Judgment("q1", "b", 0), Judgment("q2", "c", 1), Judgment("q3", "a", 1)]
RUN = Run(["q1", "q2"], [["a", "b"], ["b", "c"]], [[2.0, 1.0], [2.0, 1.0]])
SETTINGS = EvaluationSettings(resamples=200)
SYSTEM = SystemIdentity(model="dense", strategy="prompt", seed=3, dataset="pydocs", notes={"reason": "it ranked first"})


def write(folder, system=SYSTEM, **changes):
    arguments = {
        "run": RUN,
        "qrels": QRELS,
        "confidence": {"q1": 0.9, "q2": 0.4, "q3": 0.0},
        "cost": {"train_seconds": 1.5, "lm_calls": 0},
        "settings": SETTINGS,
        "seed": 0,
    }
    return write_results(folder, system=system, **{**arguments, **changes})


def test_round_trip(tmp_path):
    metrics = write(tmp_path / "one")
    found = read_results(tmp_path / "one")
    assert found.system == SYSTEM
    assert found.metrics == metrics == json.loads((tmp_path / "one" / "metrics.json").read_text())
    expected = {(row.measure, row.query_id): row.value for row in score_run(RUN, QRELS)}
    assert {(m, q): v for m, values in found.per_query.items() for q, v in values.items()} == expected
    assert list(found.per_query) == list(SETTINGS.measures)
    without = {(row.measure, row.query_id): row.value for row in score_run(condensed(RUN, QRELS), QRELS)}
    assert {(m, q): v for m, values in found.condensed.items() for q, v in values.items()} == {
        key: value for key, value in without.items() if key[0] != "Judged@10"
    }
    assert found.condensed["RR@10"]["q2"] == 1 > found.per_query["RR@10"]["q2"]  # nobody judged b for q2
    assert [tuple(row) for row in found.confidence] == [("q1", 0.9, True), ("q2", 0.4, False), ("q3", 0.0, False)]


def test_metrics_keep_their_contract(tmp_path):
    metrics = write(tmp_path / "one")
    assert set(metrics) == {"nDCG@10", "R@100", "AP", "RR@10", "Judged@10", "condensed", "confidence", "cost"}
    assert set(metrics["condensed"]) == {"nDCG@10", "R@100", "AP", "RR@10"}
    assert set(metrics["RR@10"]) == {"mean", "ci_low", "ci_high", "n"}
    assert metrics["RR@10"]["mean"] == 0.5  # 1, 1/2, and 0 for the query that the run misses
    assert metrics["RR@10"]["n"] == 3
    assert metrics["confidence"]["accuracy"]["mean"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["cost"] == {"train_seconds": 1.5, "lm_calls": 0}


def test_same_inputs_same_bytes(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name)
    one, two = ([sha256(path) for path in files_below(tmp_path / name)] for name in ("one", "two"))
    assert one == two
    assert sorted(path.name for path in files_below(tmp_path / "one")) == [
        "condensed.parquet",
        "confidence.parquet",
        "metrics.json",
        "per_query.parquet",
        "run.trec.gz",
        "system.json",
    ]


def test_a_system_may_state_no_confidence(tmp_path):
    assert write(tmp_path / "one", confidence={})["confidence"] == {}
    assert read_results(tmp_path / "one").confidence == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": {"q1": 0.9, "q2": 0.4}}, "1 judged queries have none, e.g. q3"),
        ({"confidence": {"q1": 0.9, "q2": 0.4, "q3": 1.1}}, "outside 0 to 1"),
        ({"cost": {"train_seconds": float("nan")}}, "train_seconds is nan"),
        ({"run": Run(["q 1"], [["a"]], [[1]])}, "white space"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "one", **changes)
    assert list(tmp_path.iterdir()) == []


def test_all_results_come_in_order(tmp_path):
    for model, seed in (("sparse", 1), ("dense", 10), ("dense", 2)):
        system = SYSTEM.model_copy(update={"model": model, "seed": seed})
        write(tmp_path / system.name, system)
    found = [(each.system.model, each.system.seed) for each in read_all(sorted(tmp_path.iterdir()))]
    assert found == [("dense", 2), ("dense", 10), ("sparse", 1)]


def test_results_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(InputError, match="there are no results; run evaluate first"):
        read_all(sorted(tmp_path.iterdir()))
    write(tmp_path / "one")
    write(tmp_path / "copy")
    with pytest.raises(InputError, match="two results folders have the system dense-prompt-seed3"):
        read_all(sorted(tmp_path.iterdir()))
    write(tmp_path / "copy", SYSTEM.model_copy(update={"dataset": "cranfield"}))
    with pytest.raises(InputError, match=r"several datasets \(cranfield, pydocs\)"):
        read_all(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize(
    "name", ["system.json", "metrics.json", "per_query.parquet", "condensed.parquet", "confidence.parquet"]
)
@pytest.mark.parametrize("damage", [b"", b"{}"])
def test_a_damaged_folder_is_named(tmp_path, name, damage):
    write(tmp_path / "one")
    if damage == b"{}" and name == "metrics.json":
        damage = b"{"
    (tmp_path / "one" / name).write_bytes(damage)
    with pytest.raises(InputError, match=r"one: incomplete or damaged results folder .*run evaluate again"):
        read_results(tmp_path / "one")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"measures": ["nDGC@10"]}, "cannot compute 'nDGC@10'"),
        ({"measures": ["R@1000"], "depth": 100}, "depth: 100 is less than the cutoff of R@1000"),
        ({"resample": 10}, "Extra inputs are not permitted"),
        ({"confidence_level": 95}, "less than 1"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(ValidationError, match=message):
        EvaluationSettings(**values)


def test_a_ceiling_is_measured_on_the_same_queries(tmp_path):
    ceiling = Run(["q1", "q2", "q3"], [["a", "b"], ["c", "b"], ["a"]], [[2.0, 1.0], [2.0, 1.0], [1.0]])
    metrics = write(tmp_path / "one", ceiling=ceiling)
    assert metrics["ceiling"]["RR@10"]["mean"] == 1.0
    assert metrics["ceiling_share"]["RR@10"]["mean"] == metrics["RR@10"]["mean"] == 0.5
    assert metrics["ceiling_share"]["RR@10"]["ci_low"] < 0.5 < metrics["ceiling_share"]["RR@10"]["ci_high"]
    nothing = Run(["q1"], [["b"]], [[1.0]])
    assert write(tmp_path / "two", ceiling=nothing)["ceiling_share"] == {}


def test_topics_are_stored_and_widen_the_intervals(tmp_path):
    write(tmp_path / "none")
    metrics = write(tmp_path / "shared", topics={"q1": "t", "q2": "t"})
    assert read_results(tmp_path / "none").topics == {}
    shared = read_results(tmp_path / "shared")
    assert shared.topics == {"q1": "t", "q2": "t"}
    assert shared.per_query == read_results(tmp_path / "none").per_query
    assert metrics["RR@10"]["mean"] == 0.5
    assert all_topics([shared, read_results(tmp_path / "none")]) == {"q1": "t", "q2": "t"}
    one_topic = write(tmp_path / "one", topics=dict.fromkeys(("q1", "q2", "q3"), "t"))
    for name in ("nDCG@10", "AP"):
        assert one_topic[name]["ci_low"] == one_topic[name]["mean"] == one_topic[name]["ci_high"]
    accuracy = one_topic["confidence"]["accuracy"]
    assert accuracy["ci_low"] == accuracy["mean"] == accuracy["ci_high"]


def test_results_that_were_written_before_there_were_topics_can_be_read(tmp_path):
    write(tmp_path / "one")
    for name in ("per_query.parquet", "condensed.parquet"):
        table = pq.read_table(tmp_path / "one" / name)
        pq.write_table(table.drop_columns(["topic"]), tmp_path / "one" / name, write_page_checksum=True)
    write(tmp_path / "two")
    assert read_results(tmp_path / "one") == read_results(tmp_path / "two")
