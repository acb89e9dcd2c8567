"""The draw of the few judgments, and the test queries that it leaves."""

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from zero2ir.data.judgments import (
    draw_judgments,
    draw_unlabelled_queries,
    judgment_counts,
    normalised,
    queries_passed_over,
    read_candidates,
    read_judgments,
    read_unlabelled_queries,
    test_queries,
    write_candidates,
    write_judgments,
    write_unlabelled_queries,
)
from zero2ir.data.records import CandidateDocument, Collection, Document, JudgedDocument, Judgment, Query
from zero2ir.data.settings import JudgmentBudget
from zero2ir.errors import InputError

DOCUMENTS = [Document(f"d{i}", "", f"text {i}") for i in range(6)]
TEXTS = ["strip a string", "Strip  a string?", "sort a list", "open a file", "parse a date", "join paths"]


@st.composite
def collections(draw_: st.DrawFn) -> Collection:
    """Queries of both splits, whose texts may agree, and graded judgments of them."""
    n = draw_(st.integers(3, 12))
    splits = draw_(st.lists(st.sampled_from(["train", "test"]), min_size=n, max_size=n))
    texts = draw_(st.lists(st.sampled_from(TEXTS), min_size=n, max_size=n))
    queries = [Query(f"q{i}", text, split) for i, (text, split) in enumerate(zip(texts, splits, strict=True))]
    pairs = st.tuples(st.sampled_from(queries), st.sampled_from(DOCUMENTS))
    judged = draw_(st.dictionaries(pairs, st.integers(0, 2), max_size=40))
    judgments = [Judgment(query.query_id, doc.doc_id, grade) for (query, doc), grade in judged.items()]
    # One relevant document of one test query makes every such collection one that can be drawn from.
    first_test = next((q for q in queries if q.split == "test"), None)
    if first_test is None:
        queries.append(first_test := Query("q-test", "a test query", "test"))
    judgments = [j for j in judgments if j[:2] != (first_test.query_id, "d0")]
    return Collection(DOCUMENTS, queries, [*judgments, Judgment(first_test.query_id, "d0", 1)])


def from_qrels(**options: Any) -> JudgmentBudget:
    """A budget for draws from the qrels alone."""
    return JudgmentBudget(judging="relevant", **options)


def pool_of(collection: Collection) -> list[Query]:
    """What the draw may choose from, found the long way."""
    relevant = {j.query_id for j in collection.judgments if j.relevance > 0}
    train = [q for q in collection.queries if q.query_id in relevant and q.split == "train"]
    return train or [q for q in collection.queries if q.query_id in relevant]


@st.composite
def draws(draw_: st.DrawFn) -> tuple[Collection, JudgmentBudget, int]:
    collection = draw_(collections())
    budget = JudgmentBudget(
        queries=draw_(st.integers(1, len(pool_of(collection)))),
        documents_per_query=draw_(st.integers(1, 5)),
        judging="relevant",
    )
    return collection, budget, draw_(st.integers(0, 2**32))


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(draws(), st.randoms(use_true_random=False))
def test_draw_depends_on_the_seed_and_not_on_file_order(case, shuffler):
    collection, budget, seed = case
    shuffled = replace(
        collection,
        queries=shuffler.sample(collection.queries, len(collection.queries)),
        judgments=shuffler.sample(collection.judgments, len(collection.judgments)),
    )
    assert draw_judgments(collection, budget, seed) == draw_judgments(shuffled, budget, seed)


@given(draws())
def test_what_was_asked_is_neither_judged_nor_tested(case):
    collection, budget, seed = case
    judgments = draw_judgments(collection, budget, seed)
    left = [query for query in collection.queries if query.split == "train"]
    taken = {normalised(row.query) for row in judgments}
    taken |= {normalised(query.text) for query in collection.queries if query.split == "test"}
    possible = {normalised(query.text) for query in left} - taken
    asked = draw_unlabelled_queries(collection, judgments, JudgmentBudget(unlabelled_queries=len(possible)), seed)
    assert {normalised(text) for text in asked} == possible
    with pytest.raises(
        InputError, match=rf"budget\.unlabelled_queries={len(possible) + 1}, but the train split has {len(possible)}"
    ):
        draw_unlabelled_queries(collection, judgments, JudgmentBudget(unlabelled_queries=len(possible) + 1), seed)


def test_what_was_asked_survives_the_file(tmp_path):
    write_unlabelled_queries(["wo ist 北京?", ""], tmp_path / "asked.json")
    assert read_unlabelled_queries(tmp_path / "asked.json") == ["wo ist 北京?", ""]
    with pytest.raises(InputError, match="run the ingest stage first"):
        read_unlabelled_queries(tmp_path / "none.json")


def test_each_seed_draws_its_own_and_zero_is_a_seed():
    queries = [Query(f"q{i}", f"query {i}") for i in range(50)]
    collection = Collection(DOCUMENTS, queries, [Judgment(q.query_id, d.doc_id, 1) for q in queries for d in DOCUMENTS])
    drawn = {tuple(draw_judgments(collection, from_qrels(), seed)) for seed in [*range(5), *range(5)]}
    assert len(drawn) == 5


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(draws())
def test_draw_holds_the_budget_and_copies_true_judgments(case):
    collection, budget, seed = case
    drawn = draw_judgments(collection, budget, seed)
    per_query = Counter(row.query_id for row in drawn)
    assert len(per_query) == budget.queries
    assert max(per_query.values()) <= budget.documents_per_query
    assert len({(row.query_id, row.doc_id) for row in drawn}) == len(drawn)
    for query_id, n in per_query.items():
        judged = sum(judgment.query_id == query_id for judgment in collection.judgments)
        assert n == min(judged, budget.documents_per_query)
    texts = {query.query_id: query.text for query in collection.queries}
    assert {Judgment(row.query_id, row.doc_id, row.relevance) for row in drawn} <= set(collection.judgments)
    assert all(row.query == texts[row.query_id] for row in drawn)


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(draws())
def test_every_drawn_query_starts_with_a_relevant_document_and_is_in_the_pool(case):
    drawn = draw_judgments(*case)
    first = {row.query_id: row for row in reversed(drawn)}
    assert all(row.relevance > 0 for row in first.values())
    assert set(first) <= {query.query_id for query in pool_of(case[0])}


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(draws())
def test_a_smaller_budget_draws_a_part_of_a_larger_one(case):
    collection, budget, seed = case
    larger = budget.model_copy(
        update={"queries": len(pool_of(collection)), "documents_per_query": budget.documents_per_query + 1}
    )
    assert set(draw_judgments(collection, budget, seed)) <= set(draw_judgments(collection, larger, seed))


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(draws())
def test_shuffled_judgments_are_those_of_other_queries(case):
    collection, budget, seed = case
    assume(budget.queries > 1)
    true = draw_judgments(collection, budget, seed)
    shuffled = draw_judgments(collection, budget.model_copy(update={"shuffled": True}), seed)
    queries = list(dict.fromkeys(row.query_id for row in true))
    assert list(dict.fromkeys(row.query_id for row in shuffled)) == queries
    for query_id, other in zip(queries, queries[1:] + queries[:1], strict=True):
        own = [row for row in shuffled if row.query_id == query_id]
        assert {row.query for row in own} == {row.query for row in true if row.query_id == query_id}
        assert [row[2:] for row in own] == [row[2:] for row in true if row.query_id == other]


def test_a_single_query_cannot_be_shuffled():
    with pytest.raises(ValueError, match="shuffled: needs at least two queries"):
        JudgmentBudget(queries=1, shuffled=True)


@given(draws())
def test_test_queries_share_neither_id_nor_text_with_the_judgments(case):
    collection, budget, seed = case
    drawn = draw_judgments(collection, budget, seed)
    relevant = {j.query_id for j in collection.judgments if j.relevance > 0}
    seen = {row.query_id for row in drawn}, {normalised(row.query) for row in drawn}
    unseen = [
        query
        for query in collection.queries
        if query.split == "test" and query.query_id in relevant
        if query.query_id not in seen[0] and normalised(query.text) not in seen[1]
    ]
    if not unseen:
        with pytest.raises(InputError, match=r"lower budget\.queries"):
            test_queries(collection, drawn)
        return
    queries, judgments = test_queries(collection, drawn)
    assert queries == unseen
    ids = {query.query_id for query in unseen}
    assert sorted(judgments) == sorted(j for j in collection.judgments if j.query_id in ids)


def test_queries_of_the_train_split_are_never_tested():
    queries = [Query("a", "one", "train"), Query("b", "two", "train"), Query("c", "three", "test")]
    collection = Collection(DOCUMENTS, queries, [Judgment(q.query_id, "d0", 1) for q in queries])
    for seed in range(5):
        drawn = draw_judgments(collection, from_qrels(queries=1), seed)
        assert drawn[0].query_id in "ab"
        assert test_queries(collection, drawn)[0] == [queries[2]]


def test_a_drawn_query_leaves_the_test_even_where_its_text_was_edited():
    queries = [Query("a", "one"), Query("b", "two")]
    collection = Collection(DOCUMENTS, queries, [Judgment(q.query_id, "d0", 1) for q in queries])
    assert test_queries(collection, [JudgedDocument("a", "edited", "d0", 1)])[0] == [queries[1]]


def test_a_train_split_without_a_relevant_document_leaves_the_draw_to_the_test_split():
    queries = [Query("a", "one", "train"), Query("b", "two", "test")]
    collection = Collection(DOCUMENTS, queries, [Judgment("a", "d0", 0), Judgment("b", "d0", 1)])
    assert draw_judgments(collection, from_qrels(queries=1), 0) == [JudgedDocument("b", "two", "d0", 1)]


def test_too_few_judged_queries_say_how_many_there_are():
    queries = [Query("a", "one"), Query("b", "two")]
    collection = Collection(DOCUMENTS, queries, [Judgment("a", "d0", 1), Judgment("b", "d0", 0)])
    with pytest.raises(InputError, match=r"budget\.queries=2, but the test split has 1 queries .* lower"):
        draw_judgments(collection, from_qrels(queries=2), 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How do I sort?", " how  do i\tSORT", True),
        ("ｆｕｌｌ width", "full width", True),
        ("¿Qué es?", "qué es", True),
        ("what is C++", "what is C#", False),
        ("sort ascending", "sort descending", False),
    ],
)
def test_normalised(one, other, same):
    assert (normalised(one) == normalised(other)) is same


rows = st.builds(
    JudgedDocument,
    st.text("ab1", min_size=1),
    st.text(),
    st.text("cd2", min_size=1),
    st.integers(0, 4),
    st.text("é? ", max_size=3),
    st.lists(st.text("xy ", min_size=1).filter(str.strip), max_size=2).map(tuple),
    st.booleans(),
)


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(st.lists(rows, max_size=5))
def test_judgments_survive_the_file(tmp_path_factory, judgments):
    path = tmp_path_factory.mktemp("judgments") / "seed0.jsonl"
    write_judgments(judgments, path)
    assert read_judgments(path) == judgments


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query_id": "q", "query": "x", "doc_id": "d"', r"seed0\.jsonl:2: invalid JSON"),
        ('{"query_id": "q", "doc_id": "d", "relevance": 1}', r"seed0\.jsonl:2: the key 'query' is missing"),
        ('{"query_id": "q", "query": "x", "doc_id": "d", "relevance": 0.5}', r"seed0\.jsonl:2: the grade 0\.5"),
        ('{"query_id": "q", "query": "x", "doc_id": "d", "relevance": true}', r"seed0\.jsonl:2: the grade True"),
    ],
)
def test_a_bad_judgment_is_named_by_its_line(tmp_path, line, message):
    path = tmp_path / "seed0.jsonl"
    path.write_text('{"query_id": "q", "query": "x", "doc_id": "d", "relevance": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=message):
        read_judgments(path)


def with_candidates(queries: int = 4, judged: int = 6) -> Collection:
    """Each query has one relevant document of six, and all six are its candidates."""
    asked = [Query(f"q{i}", f"{TEXTS[i]} {i}") for i in range(queries)]
    documents = [Document(f"d{i}-{j}", "", f"text {i} {j}") for i in range(queries) for j in range(judged)]
    judgments = [Judgment(f"q{i}", f"d{i}-{j}", int(j == 2)) for i in range(queries) for j in range(judged)]
    return Collection(documents, asked, judgments, {}, [CandidateDocument(*row[:2]) for row in judgments])


def test_what_is_drawn_keeps_as_many_of_grade_0_as_the_budget_allows():
    rows = draw_judgments(with_candidates(), from_qrels(queries=3, documents_per_query=5), seed=0)
    assert Counter(row.query_id for row in rows) == dict.fromkeys({row.query_id for row in rows}, 5)
    assert Counter(row.relevance for row in rows) == {1: 3, 0: 12}


@pytest.mark.parametrize("shuffled", [False, True])
def test_only_the_judged_queries_candidates_are_written_for_training(tmp_path, shuffled):
    collection = with_candidates()
    rows = draw_judgments(collection, from_qrels(queries=3, documents_per_query=2, shuffled=shuffled), seed=0)
    write_candidates(collection, rows, tmp_path / "candidates.json", shuffled=shuffled)
    candidates = read_candidates(tmp_path / "candidates.json")
    assert candidates is not None
    assert set(candidates) == {row.query_id for row in rows}
    assert {query_id: len(ids) for query_id, ids in candidates.items()} == dict.fromkeys(candidates, 6)
    assert all(row.doc_id in candidates[row.query_id] for row in rows)


def test_no_candidates_are_the_whole_collection(tmp_path):
    write_candidates(replace(with_candidates(), candidates=None), [], tmp_path / "candidates.json")
    assert read_candidates(tmp_path / "candidates.json") is None
    with pytest.raises(InputError, match="run the ingest stage first"):
        read_candidates(tmp_path / "nowhere.json")


def test_a_judged_query_carries_its_translation_and_no_other_ones(tmp_path):
    queries = [Query(f"q{n}", f"pregunta {n}", "test", f"question {n}") for n in range(6)]
    collection = Collection(DOCUMENTS, queries, [Judgment(f"q{n}", f"d{n}", 1) for n in range(6)])
    drawn = draw_judgments(collection, from_qrels(queries=2), 0)
    assert [row.translation for row in drawn] == [row.query.replace("pregunta", "question") for row in drawn]
    path = tmp_path / "judgments.jsonl"
    write_judgments(drawn, path)
    assert read_judgments(path) == drawn
    left, _ = test_queries(collection, drawn)
    assert not {query.translation for query in left} & {row.translation for row in drawn}
    assert not any(query.translation in path.read_text() for query in left)
    shuffled = draw_judgments(collection, from_qrels(queries=2, shuffled=True), 0)
    assert {(row.query, row.translation) for row in shuffled} == {(row.query, row.translation) for row in drawn}


def of_topics(*topics: str, split: str = "test") -> Collection:
    """A query of each topic, with a relevant document."""
    queries = [Query(f"q{i}", f"{topic} {i}", split, topic=topic) for i, topic in enumerate(topics)]
    return Collection(DOCUMENTS, queries, [Judgment(query.query_id, "d0", 1) for query in queries])


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12), st.integers(0, 9), st.data())
def test_a_topic_is_judged_once_and_then_not_tested(topics, seed, data):
    collection, number = of_topics(*topics), len({*topics})
    budget = from_qrels(queries=data.draw(st.integers(1, number)))
    topic_of = {query.query_id: query.topic for query in collection.queries}
    drawn = [topic_of[row.query_id] for row in draw_judgments(collection, budget, seed)]
    assert len({*drawn}) == len(drawn) == budget.queries
    larger = draw_judgments(collection, from_qrels(queries=number), seed)
    assert [topic_of[row.query_id] for row in larger][: budget.queries] == drawn
    if {*drawn} == {*topics}:
        with pytest.raises(InputError, match="all judged test queries are used"):
            test_queries(collection, draw_judgments(collection, budget, seed))
        return
    tested = test_queries(collection, draw_judgments(collection, budget, seed))[0]
    assert [query.topic for query in tested] == [topic for topic in topics if topic not in drawn]


def test_the_budget_counts_topics():
    with pytest.raises(InputError, match=r"budget\.queries=3, but the test split has 2 topics of queries with"):
        draw_judgments(of_topics("a", "a", "b"), from_qrels(queries=3), 0)


@given(collections(), st.integers(0, 9))
def test_topics_of_one_query_each_change_nothing(collection, seed):
    named = replace(collection, queries=[query._replace(topic=f"t{query.query_id}") for query in collection.queries])
    budget = from_qrels(queries=len(pool_of(collection)) // 2)
    drawn = draw_judgments(collection, budget, seed)
    assert draw_judgments(named, budget, seed) == drawn


def test_which_queries_a_seed_draws_is_pinned():
    collection = of_topics(*[""] * 12)
    drawn = [row.query_id for row in draw_judgments(collection, from_qrels(queries=4), 0)]
    assert drawn == ["q7", "q10", "q5", "q2"]  # as before there were topics


def test_unlabelled_queries_have_no_topic_of_the_test():
    train, test = of_topics("a", "b", "b", "", split="train"), of_topics("b")
    test_query = test.queries[0]._replace(query_id="tested", text="tested")
    collection = replace(train, queries=[*train.queries, test_query])
    found = draw_unlabelled_queries(collection, [], JudgmentBudget(unlabelled_queries=2), 0)
    assert sorted(found) == [" 3", "a 0"]
    with pytest.raises(InputError, match="the train split has 2 further queries"):
        draw_unlabelled_queries(collection, [], JudgmentBudget(unlabelled_queries=3), 0)


def test_relevant_draws_stay_as_they_were() -> None:
    """What this collection gave before there was another way of judging."""
    queries = [Query(f"q{i}", f"query {i}", "train") for i in range(6)]
    judgments = [
        Judgment(query.query_id, document.doc_id, (i + 2 * k) % 4 // 2)
        for i, query in enumerate(queries)
        for k, document in enumerate(DOCUMENTS)
        if (i + k) % 3
    ]
    collection = Collection(DOCUMENTS, queries, judgments)
    drawn = [
        row[0::2][:2] + row[3:4] for row in draw_judgments(collection, from_qrels(queries=3, documents_per_query=2), 1)
    ]
    assert [(query_id, doc_id, grade) for query_id, doc_id, grade in drawn] == [
        ("q4", "d1", 1),
        ("q4", "d4", 0),
        ("q0", "d5", 1),
        ("q0", "d4", 0),
        ("q2", "d2", 1),
        ("q2", "d0", 1),
    ]


# pooled draws

POOLED = {"judging": "pooled"}


def pool(query: Query) -> list[str]:
    """All documents but one, in an order that depends on the query alone."""
    order = sorted(
        DOCUMENTS, key=lambda document: hashlib.sha256(f"{query.query_id} {document.doc_id}".encode()).digest()
    )
    return [document.doc_id for document in order[:-1]]


@st.composite
def pooled_draws(draw_: st.DrawFn) -> tuple[Collection, JudgmentBudget, int]:
    """A draw that succeeds: the qrels hold a document of the pool for as many queries as are drawn."""
    collection, asked, seed = draw_(draws())
    deep = draw_(st.booleans())
    collection = replace(collection, metadata={"deep_judgments": deep})
    known = {row[:2] for row in collection.judgments}
    found = [q for q in pool_of(collection) if deep or any((q.query_id, doc_id) in known for doc_id in pool(q))]
    assume(found)
    number = draw_(st.integers(1, len(found)))
    return collection, asked.model_copy(update={**POOLED, "queries": number}), seed


@settings(deadline=None)
@given(pooled_draws())
def test_a_person_judges_the_first_documents_of_the_pool(case):
    collection, asked, seed = case
    grades = {row[:2]: row.relevance for row in collection.judgments}
    rows = draw_judgments(collection, asked, seed, pool)
    assert len({row.query_id for row in rows}) == asked.queries
    for query in collection.queries:
        judged = [(row.doc_id, row.relevance) for row in rows if row.query_id == query.query_id]
        if judged:
            first = [(doc_id, grades.get((query.query_id, doc_id))) for doc_id in pool(query)]
            if collection.metadata["deep_judgments"]:
                first = [(doc_id, grade or 0) for doc_id, grade in first]
            known = [(doc_id, grade) for doc_id, grade in first if grade is not None]
            assert judged == known[: asked.documents_per_query]


@settings(deadline=None)
@given(pooled_draws(), st.randoms(use_true_random=False))
def test_pooled_draws_depend_on_the_seed_and_not_on_file_order(case, shuffler):
    collection, asked, seed = case
    shuffled = replace(
        collection,
        queries=shuffler.sample(collection.queries, len(collection.queries)),
        judgments=shuffler.sample(collection.judgments, len(collection.judgments)),
    )
    assert draw_judgments(collection, asked, seed, pool) == draw_judgments(shuffled, asked, seed, pool)


@settings(deadline=None)
@given(pooled_draws())
def test_a_smaller_pooled_draw_is_a_part_of_a_larger_one(case):
    collection, asked, seed = case
    smaller = asked.model_copy(
        update={"queries": asked.queries // 2, "documents_per_query": max(1, asked.documents_per_query - 1)}
    )
    rows = draw_judgments(collection, asked, seed, pool)
    part = draw_judgments(collection, smaller, seed, pool)
    assert set(part) <= set(rows)
    assert list(dict.fromkeys(row.query_id for row in rows))[: smaller.queries] == list(
        dict.fromkeys(row.query_id for row in part)
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(pooled_draws())
def test_shuffled_pooled_judgments_are_those_of_other_queries(case):
    collection, asked, seed = case
    assume(asked.queries > 1)
    true = draw_judgments(collection, asked, seed, pool)
    shuffled = draw_judgments(collection, asked.model_copy(update={"shuffled": True}), seed, pool)
    queries = list(dict.fromkeys(row.query_id for row in true))
    for query_id, other in zip(queries, queries[1:] + queries[:1], strict=True):
        swapped = [(row.doc_id, row.relevance) for row in shuffled if row.query_id == query_id]
        assert swapped == [(row.doc_id, row.relevance) for row in true if row.query_id == other]


@settings(deadline=None)
@given(pooled_draws())
def test_only_the_judged_queries_are_ranked_and_the_test_queries_judgments_change_nothing(case):
    collection, asked, seed = case
    ranked: list[str] = []

    def watched(query: Query) -> list[str]:
        ranked.append(query.query_id)
        return pool(query)

    rows = draw_judgments(collection, asked, seed, watched)
    judged = {row.query_id for row in rows}
    assert len(ranked) == len(judged) + queries_passed_over(collection, rows, seed)
    assert judged <= set(ranked)
    other = [
        row if row.query_id in ranked else row._replace(doc_id=DOCUMENTS[-1].doc_id) for row in collection.judgments
    ]
    assert draw_judgments(replace(collection, judgments=list(dict.fromkeys(other))), asked, seed, pool) == rows


def test_deep_judgments_draw_the_same_queries_whatever_is_judged() -> None:
    queries = [Query(f"q{i}", f"query {i}") for i in range(9)]
    qrels = [Judgment(query.query_id, "d0", 1) for query in queries]
    collection = Collection(DOCUMENTS, queries, qrels, {"deep_judgments": True})
    asked = JudgmentBudget(queries=4, documents_per_query=3, **POOLED)
    pooled, relevant = (draw_judgments(collection, one, 2, pool) for one in (asked, from_qrels(queries=4)))
    assert [row.query_id for row in pooled][::3] == [row.query_id for row in relevant]
    assert judgment_counts(pooled) == {
        "queries": 4,
        "documents": 12,
        "relevant": sum(row.doc_id == "d0" for row in pooled),
        "queries_without_relevant": sum("d0" not in pool(queries[int(row.query_id[1:])])[:3] for row in relevant),
    }
    assert 0 < judgment_counts(pooled)["queries_without_relevant"] < 4


def test_nobody_knows_the_grade_of_an_unjudged_document_in_shallow_judgments() -> None:
    queries = [Query("a", "one"), Query("b", "two"), Query("c", "three")]
    collection = Collection(
        DOCUMENTS, queries, [Judgment("a", "d3", 1), Judgment("b", "d5", 1), Judgment("c", "d4", 1)]
    )

    def first_five(query: Query) -> list[str]:
        return [document.doc_id for document in DOCUMENTS[:5]]

    asked = JudgmentBudget(queries=2, **POOLED)
    for seed in range(6):
        rows = draw_judgments(collection, asked, seed, first_five)
        assert {row[:4] for row in rows} == {("a", "one", "d3", 1), ("c", "three", "d4", 1)}
        assert queries_passed_over(collection, rows, seed) in (0, 1)
    with pytest.raises(
        InputError, match=r"budget\.queries=3, but the qrels hold a document that the committee ranks for 2"
    ):
        draw_judgments(collection, JudgmentBudget(queries=3, **POOLED), 0, first_five)
