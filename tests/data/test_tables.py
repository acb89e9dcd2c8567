"""Tables of users: every form and the names of the field are read; what is unknown or broken is refused by line."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zero2ir.data.tables import DOCUMENTS, JUDGMENTS, QUERIES, QUERY_LOG, TableKind, read_query_log, read_table
from zero2ir.errors import InputError

FORMS = ("jsonl", "json", "csv", "tsv")
KINDS = (DOCUMENTS, QUERIES, JUDGMENTS, QUERY_LOG)


def rows_of(folder: Path, name: str, content: str | bytes, kind: TableKind = DOCUMENTS) -> list[dict[str, object]]:
    path = folder / name
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return [row for _, row in read_table(path, kind)]


@pytest.mark.parametrize(
    ("names", "kind", "wanted"),
    [
        ("_id title text metadata", DOCUMENTS, "doc_id title text"),  # BEIR
        ("docno text title", DOCUMENTS, "doc_id text title"),  # PyTerrier
        ("id contents", DOCUMENTS, "doc_id text"),  # Anserini
        ("doc_id url title body", DOCUMENTS, "doc_id - title text"),  # ir_datasets, MS MARCO documents
        ("pid passage docid", DOCUMENTS, "doc_id text -"),  # MS MARCO passages, version 2
        ("Doc ID,Title,Text".replace(",", "|"), DOCUMENTS, "doc_id title text"),
        ("_id text metadata", QUERIES, "query_id text -"),
        ("qid query", QUERIES, "query_id text"),
        ("topic_id title description narrative", QUERIES, "query_id text - -"),  # TREC topics
        ("question_id question answer", QUERIES, "query_id text answers"),
        ("query-id corpus-id score", JUDGMENTS, "query_id doc_id relevance"),
        ("qid iteration docno label", JUDGMENTS, "query_id - doc_id relevance"),
        ("grade doc_id query_id", JUDGMENTS, "relevance doc_id query_id"),
        ("topic docno rel", JUDGMENTS, "query_id doc_id relevance"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_the_names_of_other_tools_are_known(
    tmp_path: Path, names: str, kind: TableKind, wanted: str, form: str
) -> None:
    header = names.split("|") if "|" in names else names.split()
    cells = [f"{place} w" for place in range(len(header))]
    contents = {
        "jsonl": json.dumps(dict(zip(header, cells, strict=True))),
        "json": json.dumps([dict(zip(header, cells, strict=True))], indent=2),
        "csv": ",".join(header) + "\n" + ",".join(cells),
        "tsv": "\t".join(header) + "\n" + "\t".join(cells),
    }
    row = {column: cell for column, cell in zip(wanted.split(), cells, strict=False) if column != "-"}
    assert rows_of(tmp_path, f"table.{form}", contents[form], kind) == [row]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ids = st.text("abcdefgh0123456789-._", min_size=1, max_size=6)
documents = st.lists(st.fixed_dictionaries({"doc_id": ids, "title": texts, "text": texts}), min_size=1, max_size=5)


@settings(deadline=None)
@given(
    documents,
    st.sampled_from(FORMS),
    st.permutations(["doc_id", "title", "text"]),
    st.fixed_dictionaries(
        {
            "doc_id": st.sampled_from(["doc_id", "docno", "_id", "pid", "Doc-ID"]),
            "title": st.sampled_from(["title", "headline", "TITLE"]),
            "text": st.sampled_from(["text", "body", "contents", "passage"]),
        }
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([",", ";"]),
    st.booleans(),
    st.booleans(),
)
def test_a_table_is_the_same_in_every_form(
    tmp_path_factory, rows, form, order, names, quoting, delimiter, has_bom, is_zipped
):
    named = [{names[column]: row[column] for column in order} for row in rows]
    if form == "jsonl":
        content = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in named) + "\r\n"
    elif form == "json":
        content = json.dumps(named, indent=1)
    else:
        written = io.StringIO()
        table = csv.writer(written, delimiter="\t" if form == "tsv" else delimiter, quoting=quoting)
        table.writerow(names[column] for column in order)
        table.writerows(row.values() for row in named)
        content = written.getvalue()
    name = f"docs.{form}{'.gz' if is_zipped else ''}"
    found = rows_of(tmp_path_factory.mktemp("form"), name, ("\ufeff" if has_bom else "") + content)
    assert found == [{column: value for column, value in row.items() if column != "title" or value} for row in rows]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('{}[]",:;\t\n\r\\ de1', max_size=60).map(lambda text: text.encode("utf-8")),
        st.lists(st.sampled_from(['"', "\t", ",", "\n", "\r", "doc_id", "text", "qid", "1", "a b", "{", '{"id": 1}']))
        .map("".join)
        .map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["id", "text", "qid", "score", "a"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    st.sampled_from(["t.jsonl", "t.json", "t.csv", "t.tsv", "t.trec", "t.txt", "t.xml", "t.tsv.gz", "t.json.gz"]),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_any_bytes_are_rows_or_an_input_error_in_one_line(tmp_path_factory, content, name, kind, is_raw):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") and not is_raw else content)
    for read in (lambda: read_table(path, kind), lambda: read_query_log(path)):
        message, rows = refusal_or_rows(read)
        assert all(place.startswith(f"{name}:") and row for place, row in rows)
        assert len(message.splitlines()) < 2
        assert not message or name in message


def refusal_or_rows(read) -> tuple[str, list[object]]:
    try:
        return "", list(read())
    except InputError as error:
        return str(error), []


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        (
            "a.tsv",
            "nr\tinhalt\n1\tein Text\n2\tnoch einer\n",
            DOCUMENTS,
            r"a\.tsv:1: nr, inhalt look like unknown names.*docno",
        ),
        (
            "a.csv",
            "name,inhalt\nx,ein Text\ny,noch einer\nz,ein dritter\n",
            QUERIES,
            r"a\.csv:1: name, inhalt look like",
        ),
        (
            "a.tsv",
            "docno\tinhalt\n1\tein Text\n",
            DOCUMENTS,
            r"a\.tsv:1: the key 'text' is missing; .*contents.*found 'docno', 'inhalt'",
        ),
        (
            "a.tsv",
            "nr\ttext\nx\tein Text\n",
            DOCUMENTS,
            r"a\.tsv:1: the key 'doc_id' is missing; .*found 'nr', 'text'",
        ),
        (
            "a.tsv",
            "doc_id\tbody\tcontents\n1\tx\ty\n",
            DOCUMENTS,
            r"a\.tsv:1: '(body|contents)' and '(body|contents)' may both be the text",
        ),
        ("a.tsv", "doc_id\ttext\ttext\n1\tx\ty\n", DOCUMENTS, r"a\.tsv:1: 'text' and 'text' may both be the text"),
        ("a.jsonl", '{"qid": 1, "query": "x", "text": "y"}', QUERIES, r"a\.jsonl:1: 'query' and 'text' may both"),
        (
            "a.tsv",
            "1\ta long text of a document\tshort\n",
            DOCUMENTS,
            r"a\.tsv:1: .* the title, is longer than the text; add a header",
        ),
        (
            "a.tsv",
            "1\thttp://a\tA title\ta body\n",
            DOCUMENTS,
            r"a\.tsv:1: 4 tab-separated fields; name them in a header: doc_id",
        ),
        ("a.tsv", "q1 0 d1 1\n", JUDGMENTS, r"a\.tsv:1: 1 tab-separated fields; name TREC qrels \.trec, or name them"),
        ("a.tsv", "q1\t7\td1\t1\n", JUDGMENTS, r"a\.tsv:1: the second of 4 fields is '7' instead of 0"),
        ("a.csv", 'doc_id,text\n1,"open\n2,x\n', DOCUMENTS, r"a\.csv:2: a quotation mark is open"),
        (
            "a.csv",
            'doc_id,text\n1,5" pipe and 6" pipe\n',
            DOCUMENTS,
            r"a\.csv:2: a quotation mark is open or within a field",
        ),
        ("a.csv", 'doc_id,text\n1,"two\nlines"\n2,x,y\n', DOCUMENTS, r"a\.csv:4: 3 fields instead of 2"),
        ("a.jsonl", '[{"doc_id": 1, "text": "x"}]', DOCUMENTS, r"a\.jsonl:1: list instead of a JSON object"),
        ("a.jsonl", '{"doc_id": 1, "text": "x", "text": "y"}', DOCUMENTS, r"a\.jsonl:1: the key 'text' occurs twice"),
        ("a.jsonl", "[" * 100_000, DOCUMENTS, r"a\.jsonl:1: invalid JSON"),
        (
            "a.json",
            '[\n {"doc_id": 1, "text": "x"},\n {"doc_id": 2}\n]',
            DOCUMENTS,
            r"a\.json:3: the key 'text' is missing",
        ),
        ("a.json", '[\n {"doc_id": 1,}\n]', DOCUMENTS, r"a\.json: invalid JSON \(.*, line 2, column 15\)"),
        ("a.json", '{"doc_id": "1", "text": "x"}', DOCUMENTS, r"a\.json:1: the key 'doc_id' does not hold a row"),
        ("a.json", "3", DOCUMENTS, r"a\.json: int instead of a JSON array or object"),
        ("a.xlsx", "x", DOCUMENTS, r"a\.xlsx: unknown form of a table; give \.jsonl, \.json, \.csv, \.tsv"),
        ("a.jsonl", gzip.compress(b"{}", mtime=0), DOCUMENTS, r"a\.jsonl: the file is gzipped; add \.gz to its name"),
        ("a.tsv", b"1\tx\n2\tcaf\xe9\n", DOCUMENTS, r"a\.tsv:2: not UTF-8 \(byte 6\)"),
    ],
)
def test_what_is_unknown_or_broken_is_named(
    tmp_path: Path, name: str, content: str | bytes, kind: TableKind, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path, name, content, kind)


@pytest.mark.parametrize("raw", [b'{"doc_id": 1}', gzip.compress(b'{"doc_id": 1, "text": "x"}', mtime=0)[:-9]])
def test_a_gzipped_file_that_is_not_whole_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "docs.jsonl.gz").write_bytes(raw)
    with pytest.raises(InputError, match=r"docs\.jsonl\.gz: cannot be read"):
        list(read_table(tmp_path / "docs.jsonl.gz", DOCUMENTS))


def test_a_gzipped_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"docs\.tsv\.gz:1: longer than 64 MiB; split the line"):
        rows_of(tmp_path, "docs.tsv.gz", b"a\t" + b"x" * 2**26)


def test_a_small_gzipped_file_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"docs\.tsv\.gz:\d+: unpacks to more than 256 MiB, too many to be true"):
        rows_of(tmp_path, "docs.tsv.gz", (b"a\t" + b"x" * 2**20 + b"\n") * 257)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('1\tthe "first"\n2\t"open\n', ['the "first"', '"open']),
        ('1\t"a phrase"\n2\tno phrase\n', ['"a phrase"', "no phrase"]),
        ('1\t"say ""yes"""\n2\tno\n', ['say "yes"', "no"]),
        ('1\t"one\ttab"\n2\tno\n', ["one\ttab", "no"]),
        ('1\t"two\nlines"\n2\tno\n', ["two\nlines", "no"]),
        ('"1"\t"all"\n"2"\t"quoted"\n', ["all", "quoted"]),
        ('1\t"texts"\n2\t"quoted"\n', ["texts", "quoted"]),
    ],
)
def test_quotes_of_a_tab_separated_file_count_if_a_writer_of_tables_wrote_them(
    tmp_path: Path, content: str, wanted: list[str]
) -> None:
    assert [row["text"] for row in rows_of(tmp_path, "docs.tsv", content)] == wanted


@pytest.mark.parametrize(
    ("content", "kind", "wanted"),
    [
        ('{"q1": "one", "q2": "two"}', QUERIES, [{"query_id": "q1", "text": "one"}, {"query_id": "q2", "text": "two"}]),
        ('{"d1": {"title": "A", "text": "x"}}', DOCUMENTS, [{"doc_id": "d1", "title": "A", "text": "x"}]),
        ('{"q1": {"d1": 2}}', JUDGMENTS, [{"query_id": "q1", "doc_id": "d1", "relevance": 2}]),  # pytrec_eval
        (
            '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\n',
            DOCUMENTS,
            [{"doc_id": "d1", "text": "x"}, {"doc_id": "d2", "text": "y"}],
        ),
        ("[]", DOCUMENTS, []),
    ],
)
def test_json_files_by_id_and_by_line(tmp_path: Path, content: str, kind: TableKind, wanted: list[object]) -> None:
    assert rows_of(tmp_path, "a.json", content, kind) == wanted


def test_headers_are_not_needed_where_the_order_is_a_convention(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "collection.tsv", "0\tThe presence\n1\tThe text\n")[0] == {
        "doc_id": "0",
        "text": "The presence",
    }
    marco = rows_of(tmp_path, "qrels.dev.tsv", "7\t0\t12\t1\n", JUDGMENTS)
    assert marco == [{"query_id": "7", "iteration": "0", "doc_id": "12", "relevance": "1"}]
    assert rows_of(tmp_path, "a.csv", 'q1,"what, then"\nq2,text\n', QUERIES)[0] == {
        "query_id": "q1",
        "text": "what, then",
    }
    assert rows_of(tmp_path, "q.tsv", "q1\tquestion\nq2\tquery two\n", QUERIES)[0]["text"] == "question"


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.txt", "one\n\n two \n", [{"text": "one"}, {"text": "two"}]),
        (
            "a.tsv",
            "101\twhy\n102\twhere to\n",
            [{"query_id": "101", "text": "why"}, {"query_id": "102", "text": "where to"}],
        ),
        ("a.csv", 'qid,query\nq1,"why, then"\n', [{"query_id": "q1", "text": "why, then"}]),
        ("a.csv", "query\nwhy\nwhere to\n", [{"text": "why"}, {"text": "where to"}]),
        ("a.csv", "date,user,query\n1,ada,why\n", [{"text": "why"}]),
        ("a.jsonl", '{"query_id": "q1", "query": "why"}', [{"query_id": "q1", "text": "why"}]),
        ("a.jsonl", '{"text": "why"}', [{"text": "why"}]),
    ],
)
def test_query_logs(tmp_path: Path, name: str, content: str, wanted: list[object]) -> None:
    (tmp_path / name).write_text(content)
    assert [row for _, row in read_query_log(tmp_path / name)] == wanted


def test_a_table_is_no_text_file_of_queries(tmp_path: Path) -> None:
    (tmp_path / "topics.txt").write_text("101\twhy\n")
    with pytest.raises(InputError, match=r"topics\.txt:1: a tab in a text file of queries; name a table .* \.tsv"):
        list(read_query_log(tmp_path / "topics.txt"))
