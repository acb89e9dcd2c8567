"""Queries to label come from tables as from text files, with their ids."""

from pathlib import Path

import pytest

from zero2ir.errors import InputError
from zero2ir.labelling.candidates import query_id, read_candidate_queries


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        (
            "topics.tsv",
            "101\twhy does it squeak\n102\tback pain\n",
            [("101", "why does it squeak"), ("102", "back pain")],
        ),
        ("topics.csv", 'qid,query\nq1,"why, then"\n', [("q1", "why, then")]),
        ("topics.jsonl", '{"query_id": "q1", "query": "why"}\n{"text": "who"}\n', None),
        ("topics.json", '{"q1": "why"}', [("q1", "why")]),
        ("log.txt", " why \n", [(query_id("why"), "why")]),
        ("log", "why\n", [(query_id("why"), "why")]),
    ],
)
def test_ids_and_texts_are_told_apart(tmp_path: Path, name: str, content: str, wanted: list[tuple[str, str]]) -> None:
    (tmp_path / name).write_text(content)
    assert read_candidate_queries(tmp_path / name) == (wanted or [("q1", "why"), (query_id("who"), "who")])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "101\twhy\n", r"a\.txt:1: a tab in a text file of queries; name a table of ids and texts \.tsv"),
        ("a.jsonl", '{"query_id": "q1"}\n', r"a\.jsonl:1: the key 'text' is missing; .*query"),
        ("a.tsv", "q1\twhy\nq2\t\n", r"a\.tsv:2: the query is empty"),
        ("a.tsv", "q1\twhy\nq1\twho\n", r"a\.tsv:1 and a\.tsv:2: two queries have the id 'q1'"),
        ("a.tsv", "why not\tq1\n", r"a\.tsv:1: the id 'why not' contains white space"),
        ("a.xlsx", "x", r"a\.xlsx: unknown form of a table"),
        ("a.csv", "query\n", r"a\.csv: contains no query"),
    ],
)
def test_what_is_no_query_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_candidate_queries(tmp_path / name)
