import gzip
import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import (
    DEFAULT_MEASURES,
    Run,
    condensed,
    parse_measures,
    ranked_lists,
    read_trec_run,
    run_of,
    score_run,
    top_relevant,
    write_trec_run,
)

QRELS = [Judgment("q1", "a", 2), Judgment("q1", "b", 1), Judgment("q1", "c", 0), Judgment("q2", "d", 1)]
# A few ids and few distinct scores, so that ties are the rule.
SCORED = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.5, 0.5 + 1e-10, 1.0, -3.25, 16777217.0]), max_size=8
)
RUNS = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), SCORED, min_size=1)


def as_run(scored):
    return run_of({query_id: list(pairs.items()) for query_id, pairs in scored.items()})


def values(run, *measures):
    return {(row.query_id, row.measure): row.value for row in score_run(run, QRELS, measures)}


def test_measures_by_hand():
    run = Run(["q1", "q2"], [["c", "a", "b"], ["x", "d", ""]], [[3, 2, 1], [3, 2, 9]])
    found = values(run, "nDCG@10", "R@2", "AP", "RR@10")
    ideal = 2 + 1 / math.log2(3)
    assert found["q1", "nDCG@10"] == pytest.approx((2 / math.log2(3) + 1 / 2) / ideal)
    assert found["q1", "R@2"] == 0.5
    assert found["q1", "AP"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["q2", "RR@10"] == 0.5


def test_a_missed_query_counts_zero_and_an_unjudged_one_not_at_all():
    run = Run(["q1", "q9"], [["a"], ["a"]], [[1], [1]])
    rows = score_run(run, QRELS, ["AP", "RR@10"])
    assert [(row.measure, row.query_id) for row in rows] == [(m, q) for m in ("AP", "RR@10") for q in ("q1", "q2")]
    assert [row.value for row in rows] == [0.5, 0, 1, 0]


def test_a_query_with_negative_grades_alone_scores_zero():
    """trec_eval crashes on it, or never ends."""
    run = Run(["q1"], [["a", "b", "c", "d"]], [[4, 3, 2, 1]])
    qrels = [Judgment("q1", "a", -1), Judgment("q1", "x", -2), Judgment("q2", "a", 1)]
    for _ in range(300):
        found = {(row.measure, row.query_id): row.value for row in score_run(run, qrels, list(TREC_EVAL))}
    assert found["NumRet", "q1"] == 4
    assert {value for (measure, _), value in found.items() if measure != "NumRet"} <= {0.0, 1.0}
    assert found["nDCG@10", "q1"] == found["Bpref", "q1"] == found["infAP", "q1"] == found["SetP", "q1"] == 0


def test_equal_scores_go_by_document_id_last_first_in_every_measure():
    run = Run(["q1"], [["a", "b", "z"]], [[1.0, 1.0, 1.0 + 1e-12]])  # equal in single precision
    assert next(ranked_lists(run)).doc_ids == ["z", "b", "a"]
    assert values(run, "RR@10", "RR")["q1", "RR@10"] == values(run, "RR")["q1", "RR"] == 0.5


# What trec_eval calls them; hostile ids (case, accents, other scripts, numbers, very long), grades and scores.
TREC_EVAL = {
    **{"nDCG": "ndcg", "nDCG@5": "ndcg_cut_5", "nDCG@10": "ndcg_cut_10", "R@5": "recall_5", "R@100": "recall_100"},
    **{"AP": "map", "AP@5": "map_cut_5", "RR": "recip_rank", "P@5": "P_5", "P@10": "P_10", "Rprec": "Rprec"},
    **{"Bpref": "bpref", "infAP": "infAP", "Success@1": "success_1", "Success@5": "success_5"},
    **{"IPrec@0.1": "iprec_at_recall_0.10", "SetP": "set_P", "SetR": "set_recall", "SetAP": "set_map"},
    **{"NumRet": "num_ret", "NumRel": "num_rel", "NumRet(rel=1)": "num_rel_ret"},
}
DOCUMENTS = ["a", "A", "é", "e\u0301", "日本", "𝔸", "0", "00", "-1", "q1", "z" * 300, "<b>", "a.b|c"]
GRADED = st.dictionaries(
    st.sampled_from(["q1", "q2", "ü"]),
    st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(-1, 4), min_size=1, max_size=8),
    min_size=1,
)
ANY_SCORE = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-46, 1.0, 1.0 + 1e-9, 16777216.0, 16777217.0, -3e38, 3e38]),
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.floats(-1, 1),
)
ANY_RUN = st.dictionaries(
    st.sampled_from(["q1", "q2", "ü", "unjudged"]), st.dictionaries(st.sampled_from(DOCUMENTS), ANY_SCORE, max_size=13)
)


@given(GRADED, ANY_RUN)
def test_every_measure_agrees_with_trec_eval_on_hostile_runs(judged, scored):
    qrels = [Judgment(query_id, *row) for query_id, rows in judged.items() for row in rows.items()]
    safe = {query_id: rows if max(rows.values()) >= 0 else dict.fromkeys(rows, 0) for query_id, rows in judged.items()}
    theirs = pytrec_eval.RelevanceEvaluator(safe, set(pytrec_eval.supported_measures)).evaluate(scored)
    for row in score_run(as_run(scored), qrels, list(TREC_EVAL)):
        found = scored.get(row.query_id)
        expected = theirs[row.query_id][TREC_EVAL[row.measure]] if found else 0.0
        assert row.value == pytest.approx(expected, abs=1e-9), row


@given(GRADED, ANY_RUN)
def test_measures_that_trec_eval_lacks_agree_with_it_by_way_of_a_cut_run(judged, scored):
    qrels = [Judgment(query_id, *row) for query_id, rows in judged.items() for row in rows.items()]
    first = {row.query_id: row.doc_ids[:3] for row in ranked_lists(as_run(scored))}
    cut = {query_id: {doc_id: -float(rank) for rank, doc_id in enumerate(ids)} for query_id, ids in first.items()}
    theirs = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(cut)
    for row in score_run(as_run(scored), qrels, ["RR@3", "Judged@3"]):
        found = first.get(row.query_id, [])
        share = sum(doc_id in judged[row.query_id] for doc_id in found) / max(1, len(found))
        expected = share if row.measure == "Judged@3" else theirs[row.query_id]["recip_rank"] if found else 0.0
        assert row.value == pytest.approx(expected, abs=1e-9), row


@given(GRADED, ANY_RUN)
def test_a_condensed_run_is_the_run_of_its_judged_documents(judged, scored):
    qrels = [Judgment(query_id, *row) for query_id, rows in judged.items() for row in rows.items()]
    kept = {row.query_id: row.doc_ids for row in ranked_lists(condensed(as_run(scored), qrels))}
    for row in ranked_lists(as_run(scored)):
        assert kept[row.query_id] == [doc_id for doc_id in row.doc_ids if doc_id in judged.get(row.query_id, {})]


def test_unjudged_documents_do_not_lower_a_condensed_run():
    run = Run(["q1"], [["x", "y", "a", "b"]], [[4, 3, 2, 1]])
    assert values(run, "RR")["q1", "RR"] == pytest.approx(1 / 3)
    assert values(condensed(run, QRELS), "RR")["q1", "RR"] == 1


@given(RUNS)
def test_a_written_run_reads_back_ranked_alike(tmp_path_factory, scored):
    path = tmp_path_factory.mktemp("run") / "run.trec.gz"
    write_trec_run(path, as_run(scored), tag="t")
    before = [ranking for ranking in ranked_lists(as_run(scored)) if ranking.doc_ids]
    after = list(ranked_lists(read_trec_run(path)))
    assert [(r.query_id, r.doc_ids, r.scores.tolist()) for r in after] == [
        (r.query_id, r.doc_ids, r.scores.tolist()) for r in before
    ]


def test_a_written_run_is_trec_and_its_bytes_repeat(tmp_path):
    run = Run(["q1"], [["a", "b", ""]], [[0.1, 2.5, 0]])
    for name in ("one.gz", "two.gz"):
        write_trec_run(tmp_path / name, run, tag="sparse-prompt-seed0", depth=2)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert (tmp_path / "one.gz").read_bytes()[4:8] == bytes(4)  # gzip's time stamp
    assert gzip.decompress((tmp_path / "one.gz").read_bytes()).decode() == (
        "q1 Q0 b 1 2.5 sparse-prompt-seed0\nq1 Q0 a 2 0.1 sparse-prompt-seed0\n"
    )


def test_depth_cuts_the_run(tmp_path):
    write_trec_run(tmp_path / "run.gz", Run(["q"], [["a", "b", "c"]], [[1, 2, 3]]), tag="t", depth=2)
    assert read_trec_run(tmp_path / "run.gz").doc_ids.tolist() == [["c", "b"]]


def test_the_first_document_is_right_only_if_judged_relevant():
    run = Run(["q1", "q2"], [["c", "a"], ["", ""]], [[2, 1], [0, 0]])
    assert top_relevant(run, QRELS) == {"q1": False, "q2": False}
    assert top_relevant(Run(["q1"], [["c", "a"]], [[1, 2]]), QRELS) == {"q1": True, "q2": False}


@pytest.mark.parametrize("name", ["nDGC@10", "R", "nDCG@", "__import__('os')", "P@5 P@10", ""])
def test_a_bad_measure_is_named_with_examples(name):
    with pytest.raises(InputError, match=r"cannot compute .*nDCG@10, R@100, AP"):
        parse_measures([name])


def test_gdeval_takes_queries_of_any_name():
    """It strips what stands before a dash, and wants a number after it."""
    run = Run(["PLAIN-1", "PLAIN-2", "NEWS-2"], [["a"], ["x"], ["a"]], [[1], [1], [1]])
    qrels = [Judgment("PLAIN-1", "a", 1), Judgment("PLAIN-2", "a", 1), Judgment("NEWS-2", "a", 2)]
    rows = score_run(run, qrels, ["ERR@20"])
    assert [row.query_id for row in rows] == ["NEWS-2", "PLAIN-1", "PLAIN-2"]
    found = [row.value for row in rows]
    assert found[0] > found[1] > found[2] == 0


def test_measures_must_be_given_and_each_once():
    for names in ([], ["AP", "AP"]):
        with pytest.raises(InputError, match="each once"):
            parse_measures(names)
    assert [str(measure) for measure in parse_measures(DEFAULT_MEASURES)] == list(DEFAULT_MEASURES)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (Run(["q"], [["a", "a"]], [[1, 2]]), "query q: a document is repeated"),
        (Run(["q"], [["a", "b"]], [[1, math.nan]]), "query q: a score is not a finite number"),
        (Run(["q"], [["a", "b"]], [[1]]), "query q: 2 doc_ids but 1 scores"),
        (Run(["q", "q"], [["a"], ["b"]], [[1], [1]]), "query_id is repeated"),
        (Run(["q"], [], []), "1 query_ids, 0 rows"),
    ],
)
def test_a_malformed_run_says_where(run, message):
    with pytest.raises(InputError, match=message):
        score_run(run, QRELS)


def test_no_judgments_is_an_error():
    with pytest.raises(InputError, match="no judgments"):
        score_run(Run(["q"], [["a"]], [[1]]), [])


def test_ids_with_white_space_do_not_go_into_a_run(tmp_path):
    with pytest.raises(InputError, match=r"run\.gz: the id 'my file' .*white space"):
        write_trec_run(tmp_path / "run.gz", Run(["q"], [["my file"]], [[1]]), tag="t")
    assert list(tmp_path.iterdir()) == []


def test_damaged_runs_say_where(tmp_path):
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"q Q0 a 1 1.0 t\nq Q0 b one\n"))
    with pytest.raises(InputError, match=r"run\.gz:2: expected"):
        read_trec_run(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read as a gzipped TREC run"):
        read_trec_run(path)


def test_a_run_may_hold_arrays():
    run = Run(["q1"], np.array([["a", "b"]], dtype=object), np.array([[1.0, 2.0]], dtype=np.float32))
    assert next(ranked_lists(run)).doc_ids == ["b", "a"]


def test_a_query_that_nothing_is_found_for_counts_0_in_every_measure():
    run = Run(["q1", "q2"], [["d1", "d9"], ["", ""]], [[2.0, 1.0], [0.0, 0.0]])
    rows = score_run(run, [Judgment("q1", "d1", 1), Judgment("q2", "d1", 1)])
    assert {row.measure: row.value for row in rows if row.query_id == "q2"} == dict.fromkeys(DEFAULT_MEASURES, 0.0)
    assert {row.measure: row.value for row in rows if row.query_id == "q1"}["Judged@10"] == 0.5


def test_judgments_may_have_any_form_and_are_checked():
    run = Run(["q1"], [["x", "a"]], [[2, 1]])
    expected = score_run(run, QRELS, ["RR"])
    assert score_run(run, iter(QRELS), ["RR"]) == expected
    by_query: dict[str, dict[str, int]] = {}
    for row in QRELS:
        by_query.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    assert score_run(run, by_query, ["RR"]) == expected
    assert top_relevant(run, iter(QRELS)) == top_relevant(run, QRELS)
    for qrels, message in [
        ([("q1", "a", 0.5)], r"qrels\[0\]: grade 0\.5 is not an integer"),
        ([("q1", "a", 1), ("q1", "a", 2)], r"qrels\[1\]: an earlier row has another grade"),
        ([(None, "a", 1)], r"qrels\[0\]: query_id is None"),
    ]:
        with pytest.raises(InputError, match=message):
            score_run(run, qrels, ["RR"])


def test_the_ids_of_a_run_may_be_numbers_but_not_missing():
    qrels = [("7", "1", 1), ("7", "2", 0)]
    for doc_ids in ([[2, 1]], np.array([[2, 1]]), np.array([["2", "1"]], dtype=object), [["2", np.int64(1)]]):
        assert [row.value for row in score_run(Run([7], doc_ids, [[2, 1]]), qrels, ["RR"])] == [0.5]
    for run, message in [
        (Run(["7"], [["2", None]], [[2, 1]]), "run, query 7: doc_id is None"),
        (Run(["7"], [["2", math.nan]], [[2, 1]]), "run, query 7: doc_id is nan"),
        (Run([None], [["2", "1"]], [[2, 1]]), "run: query_id is None"),
        (Run(["7"], [["2", "1"]], [[2, "high"]]), "run, query 7: a score is not a number"),
    ]:
        with pytest.raises(InputError, match=message):
            score_run(run, qrels, ["RR"])
