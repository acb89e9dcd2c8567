"""Records to Parquet and back."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.records import Document, Query
from zero2ir.errors import InputError
from zero2ir.io.files import sha256
from zero2ir.io.parquet import read_records, write_records


class Row(NamedTuple):
    text: str
    number: int
    share: float
    flag: bool
    names: list[str]


rows = st.lists(
    st.builds(
        Row,
        st.text(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.booleans(),
        st.lists(st.text(), max_size=3),
    ),
    max_size=4,
)


@given(rows)
def test_records_come_back_in_order_and_the_bytes_repeat(
    tmp_path_factory: pytest.TempPathFactory, records: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("parquet")
    write_records(records, Row, folder / "one.parquet")
    write_records(iter(records), Row, folder / "other.parquet")
    read = read_records(folder / "one.parquet", Row)
    assert read == records
    assert all(type(row) is Row and type(row.flag) is bool for row in read)
    assert sha256(folder / "one.parquet") == sha256(folder / "other.parquet")


def test_a_hydra_multirun_folder_adds_no_column(tmp_path: Path) -> None:
    path = tmp_path / "model=dense,seed=1" / "rows.parquet"
    write_records([Query("q", "text")], Query, path)
    assert read_records(path, Query) == [Query("q", "text")]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet: .*create the file again"):
        read_records(tmp_path / "nowhere.parquet", Query)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "rows.parquet"
    write_records([Row("text " * 20, n, n / 7, n % 2 == 0, ["ü"] * n) for n in range(9)], Row, path)
    return path.read_bytes()


@settings(max_examples=100)
@given(st.data())
def test_a_file_that_was_cut_off_is_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.parquet"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InputError, match=r"rows\.parquet: .*create the file again") as caught:
        read_records(path, Row)
    assert len(str(caught.value).splitlines()) == 1


def test_an_altered_byte_is_noticed_or_harmless(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(whole)
    records, refused, changed = read_records(path, Row), 0, 0
    for place in range(0, len(whole), 4):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            changed += read_records(path, Row) != records
        except InputError:
            refused += 1
    assert refused > len(whole) / 8
    assert changed < len(whole) / 800  # in headers, which Parquet's checksums leave out


def test_records_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_records([Document("d", "title", "text")], Document, tmp_path / "documents.parquet")
    with pytest.raises(InputError, match=r"documents\.parquet: .*doc_id.*query_id"):
        read_records(tmp_path / "documents.parquet", Query)  # three columns of text, too


def test_a_field_with_a_default_may_have_come_later(tmp_path: Path) -> None:
    class Older(NamedTuple):
        name: str
        number: int

    class Newer(NamedTuple):
        name: str
        number: int
        topic: str = "none"

    class Stricter(NamedTuple):
        name: str
        number: int
        topic: str

    write_records([Older("a", 1)], Older, tmp_path / "rows.parquet")
    assert read_records(tmp_path / "rows.parquet", Newer) == [Newer("a", 1, "none")]
    with pytest.raises(InputError, match="the columns are name, number instead of name, number, topic"):
        read_records(tmp_path / "rows.parquet", Stricter)


def repeated(path: Path, rows: int, letters: int, use_dictionary: bool = True) -> Path:
    """Writes documents with different ids and one text."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * letters]))
    table = pa.table({"doc_id": pa.array(map(str, range(rows))), "title": [""] * rows, "text": text})
    pq.write_table(table, path, compression="zstd", use_dictionary=use_dictionary)
    return path


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_small_file_of_very_many_bytes_is_refused_before_it_takes_memory(
    tmp_path: Path, use_dictionary: bool
) -> None:
    path = repeated(tmp_path / "documents.parquet", 300, 2**20, use_dictionary)
    assert path.stat().st_size < 200_000
    limited = (
        "import re, sys; from pathlib import Path; from zero2ir.data.records import Document\n"
        "from zero2ir.io.parquet import read_records\n"
        "try: read_records(Path(sys.argv[1]), Document)\n"
        "except Exception as error: print(error)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text()).group(1))"
    )
    ended = subprocess.run([sys.executable, "-c", limited, path], stdout=subprocess.PIPE, text=True, check=True)
    message, kilobytes = ended.stdout.splitlines()
    assert "documents.parquet" in message
    assert "too many to be true; create the file again" in message
    assert int(kilobytes) < 500_000


def test_a_small_file_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    class Flag(NamedTuple):
        flag: bool

    pq.write_table(pa.table({"flag": pa.array([True] * 1_000_001)}), tmp_path / "flags.parquet", compression="zstd")
    with pytest.raises(InputError, match=r"flags\.parquet: .* bytes stand for .* 1,000,001 rows, too many to be true"):
        read_records(tmp_path / "flags.parquet", Flag)


def test_equal_texts_share_memory(tmp_path: Path) -> None:
    first, second = read_records(repeated(tmp_path / "documents.parquet", 2, 50), Document)
    assert first.text is second.text
