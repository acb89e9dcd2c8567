"""Exports add lines to the files of a folder, and change none that are there."""

import json
from pathlib import Path

import pytest

from zero2ir.data.records import JudgedDocument
from zero2ir.errors import InputError
from zero2ir.labelling.export import check_export, export_judgments

JUDGMENTS = [
    JudgedDocument("q1", "oil for the chain", "chain", 2),
    JudgedDocument("q1", "oil for the chain", "brake", 0),
    JudgedDocument("q7", "flat tyre", "tube", 1),
]
OWN = '{"query_id": "q1", "text": "oil for the chain", "split": "train", "answers": ["wax"], "asked_by": "Ada"}\n'
UNJUDGED = '{"text": "bent rim",   "query_id": "q2", "split": "test"}'


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_an_export_beside_the_documents_keeps_queries_and_columns_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text("{}")
    (tmp_path / "queries.jsonl").write_text(OWN + UNJUDGED, encoding="utf-8")  # without a line end
    (tmp_path / "qrels.trec").write_text("q1\t0\tchain\t2\nq2 0 rim 1\n")
    for _ in range(2):  # twice is once
        export_judgments(tmp_path, JUDGMENTS)
        assert (tmp_path / "queries.jsonl").read_text(encoding="utf-8") == (
            OWN + UNJUDGED + '\n{"query_id": "q7", "text": "flat tyre"}\n'
        )
        assert (tmp_path / "qrels.trec").read_text() == "q1\t0\tchain\t2\nq2 0 rim 1\nq1 0 brake 0\nq7 0 tube 1\n"
        rows = [json.loads(line) for line in (tmp_path / "judgments.jsonl").read_text().splitlines()]
        assert [(row["doc_id"], row["relevance"]) for row in rows] == [("chain", 2), ("brake", 0), ("tube", 1)]
    assert (tmp_path / "docs.jsonl").read_text() == "{}"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "qrels.trec",
            "q2 0 x 1\nq1 0 chain 1\n",
            "qrels.trec:2: '1' for q1, chain, not '2'; export to",
        ),
        ("qrels.trec", "q1 chain 1\n", "qrels.trec:1: not query 0 document grade; export to another folder"),
        ("queries.jsonl", '{"query_id": "q1", "text": "grease"}\n', "queries.jsonl:1: 'grease' for q1, not 'oil for"),
        ("queries.jsonl", '{"_id": "q1", "text": "grease"}\n', "queries.jsonl:1: no query_id, text; export to another"),
        ("judgments.jsonl", "my notes\n", "judgments.jsonl:1: invalid JSON"),
        ("queries.tsv", "q1\toil for the chain\n", "queries.tsv: excludes queries.jsonl, which is exported"),
        ("qrels.tsv", "q1\tchain\t2\n", "qrels.tsv: excludes qrels.trec, which is exported; export to another folder"),
    ],
)
def test_a_file_that_says_something_else_stays_as_it_is(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as refused:
        export_judgments(tmp_path, JUDGMENTS)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert contents(tmp_path) == {name: text}


def test_a_folder_that_cannot_be_written_is_refused_before_labelling(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        check_export(tmp_path / "file" / "folder")
