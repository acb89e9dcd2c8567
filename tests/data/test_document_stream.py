"""Sources that are read one document after another."""

from collections import Counter
from pathlib import Path

import pytest

from zero2ir.data.document_stream import open_stream, reservoir
from zero2ir.data.local import read
from zero2ir.errors import InputError


def test_a_folder_streams_the_documents_that_are_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.md").write_text("first")
    stream = open_stream(str(tmp_path))
    assert [document for _, document in stream.read()] == read(tmp_path).documents
    before = stream.digest()
    assert open_stream(str(tmp_path)).digest() == before
    (tmp_path / "b.txt").write_text("changed")
    assert stream.digest() != before


def test_only_the_documents_take_part_in_the_digest(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"doc_id": "a", "text": "x"}')
    before = open_stream(str(tmp_path)).digest()
    (tmp_path / "queries.tsv").write_text("q\twhat is x")
    assert open_stream(str(tmp_path)).digest() == before


def test_a_stream_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"doc_id": "a", "text": "x"}\n{"doc_id": "b"}')
    rows = open_stream(str(tmp_path)).read()
    assert next(rows)[1].doc_id == "a"
    with pytest.raises(InputError, match=r"docs\.jsonl:2: the key 'text' is missing"):
        next(rows)


def test_a_reservoir_draws_all_alike() -> None:
    drawn = Counter(item for seed in range(600) for item in reservoir(iter(range(10)), 3, seed))
    assert sum(drawn.values()) == 1800
    assert set(drawn) == set(range(10))
    assert 130 < min(drawn.values()) <= max(drawn.values()) < 230  # 180 each; the deviation is 11
    assert reservoir(iter(range(10)), 3, 5) == reservoir(iter(range(10)), 3, 5)
    assert reservoir(range(4), 9, 0) == [0, 1, 2, 3]
