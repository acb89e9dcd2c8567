"""Plain folders: what is read, and what each mistake is answered with."""

import os
from pathlib import Path

import pytest

from zero2ir.data.checks import check_collection, require_judged_queries
from zero2ir.data.loading import load_collection
from zero2ir.data.local import read
from zero2ir.data.records import Document, Judgment, Query
from zero2ir.data.settings import DatasetSettings
from zero2ir.errors import InputError

SHARED = Path(os.environ.get("LOCAL_COLLECTIONS", Path(__file__).parents[3] / "shared" / "collections"))
DOCS = '{"doc_id": "a", "title": "A", "text": "first"}\n{"doc_id": "b", "text": "second", "lang": "en"}\n'
QUERIES = '{"query_id": "q1", "text": "one?", "answers": ["first"]}\n'


def folder_of(tmp_path: Path, **files: str | bytes) -> Path:
    """A folder of files, "docs_jsonl" being docs.jsonl."""
    for name, content in files.items():
        path = tmp_path / name.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


def test_jsonl_with_trec_qrels(tmp_path):
    raw = read(folder_of(tmp_path, docs_jsonl=DOCS, queries_jsonl=QUERIES, qrels_trec="q1 0 a 2\nq1 0\tb 0\n"))
    assert raw.documents == [Document("a", "A", "first"), Document("b", "", "second")]
    assert raw.queries == [Query("q1", "one?", "test", answers=("first",))]
    assert raw.judgments == [Judgment("q1", "a", 2), Judgment("q1", "b", 0)]
    assert raw.places["document", "b"] == "docs.jsonl:2"
    assert raw.places["judgment", 1] == "qrels.trec:2"
    assert raw.source == f"folder {tmp_path.name}"  # no path of this machine goes into a manifest


@pytest.mark.parametrize(
    "docs",
    [
        "a\tA\tfirst\nb\t\tsecond\n",
        "doc_id\ttext\ttitle\nb\tsecond\t\na\tfirst\tA\n",
        "\ufeffa\tA\tfirst\r\nb\t\tsecond",
    ],
    ids=["bare", "header", "bom and crlf"],
)
def test_tsv_documents(tmp_path, docs):
    raw = read(folder_of(tmp_path, docs_tsv=docs))
    assert sorted(raw.documents) == [Document("a", "A", "first"), Document("b", "", "second")]
    assert raw.queries == []
    assert raw.judgments == []


def test_tsv_of_two_columns_has_no_title_and_quotes_mean_nothing(tmp_path):
    raw = read(folder_of(tmp_path, docs_tsv='1\tthe "first"\n2\t"open\n'))
    assert raw.documents == [Document("1", "", 'the "first"'), Document("2", "", '"open')]


@pytest.mark.parametrize("header", ["", "query_id\tdoc_id\tgrade\n"])
def test_tsv_queries_and_qrels(tmp_path, header):
    folder = folder_of(tmp_path, docs_tsv="1\tx\n", queries_tsv="7\tone\ttrain\n8\ttwo\ttest\n")
    raw = read(folder_of(folder, qrels_tsv=header + "7\t1\t1\n"))
    assert raw.queries == [Query("7", "one", "train"), Query("8", "two", "test")]
    assert raw.judgments == [Judgment("7", "1", 1)]


def test_bom_and_numbers_as_ids_in_jsonl(tmp_path):
    raw = read(folder_of(tmp_path, docs_jsonl='\ufeff{"doc_id": 7, "title": null, "text": "é\u2028é"}\n\n'))
    assert raw.documents == [Document("7", "", "é\u2028é")]


def test_languages_choose_the_files(tmp_path):
    folder = folder_of(tmp_path, docs_en_jsonl=DOCS, docs_es_jsonl=DOCS, queries_es_jsonl=QUERIES)
    assert len(read(folder, document_language="en", query_language="es").queries) == 1
    with pytest.raises(
        InputError, match=r"docs\.en\.jsonl, docs\.es\.jsonl: choose one with dataset\.document_language"
    ):
        read(folder)
    with pytest.raises(InputError, match=r"queries\.de\.jsonl"):
        read(folder, document_language="en", query_language="de")


def test_a_readme_does_not_hide_the_documents_of_a_language(tmp_path: Path) -> None:
    folder_of(tmp_path, docs_es_jsonl=DOCS, qrels_trec="q1 0 a 1\n", README_md="# About", docs_md="# Documents")
    with pytest.raises(InputError, match=r"found docs\.es\.jsonl: choose one with dataset\.document_language"):
        read(tmp_path)
    (tmp_path / "docs.es.jsonl").unlink()
    assert [document.doc_id for document in read(tmp_path).documents] == ["docs.md"]


def test_translations_stand_beside_their_queries(tmp_path):
    lines = QUERIES + '{"query_id": "q2", "text": "two?"}\n'
    folder = folder_of(tmp_path, docs_en_jsonl=DOCS, queries_es_jsonl=lines.replace("one", "uno"))
    with pytest.raises(InputError, match=r"queries\.en\.jsonl or \.tsv; .*dataset\.parallel=false"):
        read(folder, "en", "es", parallel=True)
    folder_of(tmp_path, queries_en_jsonl=QUERIES)
    raw = read(folder, "en", "es", parallel=True)
    assert raw.queries == [Query("q1", "uno?", "test", "one?", ("first",)), Query("q2", "two?")]
    assert read(folder, "en", "es").queries[0].translation == ""


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no docs\.jsonl or \.tsv; add one"),
        ({"docs_jsonl": DOCS, "docs_tsv": "a\tx\n"}, r"both docs\.jsonl and docs\.tsv exist; keep one"),
        ({"docs_jsonl": DOCS, "qrels_trec": "", "qrels_tsv": ""}, r"both qrels\.trec and qrels\.tsv"),
        ({"docs_jsonl": DOCS + '{"doc_id": "c"'}, r"docs\.jsonl:3: invalid JSON .*column 15"),
        (
            {"docs_jsonl": DOCS + '{"doc_id": ' + "1" * 5000},
            r"docs\.jsonl:3: invalid JSON \(a number has too many digits",
        ),
        ({"docs_jsonl": DOCS + '["c", "x"]'}, r"docs\.jsonl:3: list instead of a JSON object"),
        ({"docs_jsonl": DOCS + '{"doc_id": "c"}'}, r"docs\.jsonl:3: the key 'text' is missing; add it"),
        ({"docs_jsonl": DOCS + '{"doc_id": "c", "text": null}'}, r"docs\.jsonl:3: 'text' is None; pass a string"),
        ({"docs_jsonl": DOCS + '{"doc_id": "c", "text": "\\ud800"}'}, r"docs\.jsonl:3: .*surrogate"),
        ({"docs_jsonl": DOCS.encode() + b'{"doc_id": "\xe9"}'}, r"docs\.jsonl:3: not UTF-8 \(byte 13\)"),
        ({"docs_jsonl": DOCS.encode("utf-16")}, r"docs\.jsonl:1: not UTF-8"),
        ({"docs_tsv": "a\tx\nb\n"}, r"docs\.tsv:2: 1 tab-separated fields instead of 2"),
        ({"docs_tsv": "a,x\n"}, r"docs\.tsv:1: 1 tab-separated fields; name them in a header: doc_id, "),
        (
            {"docs_tsv": "doc_id\tspeech\na\tx\n"},
            r"docs\.tsv:1: the key 'text' is missing.*contents.*found 'doc_id', 'speech'",
        ),
        (
            {"docs_jsonl": DOCS, "queries_tsv": "q\tx\tdev\n"},
            r"queries\.tsv:1: unknown split 'dev'; write train",
        ),
        ({"docs_jsonl": DOCS, "qrels_trec": "q1 0 a 1\nq1 0 b high\n"}, r"qrels\.trec:2: the grade 'high'"),
        ({"docs_jsonl": DOCS, "qrels_trec": "q1 0 a 0.5\n"}, r"qrels\.trec:1: the grade '0\.5' is not an integer"),
        ({"docs_jsonl": DOCS, "qrels_trec": "q1 a 1\n"}, r"qrels\.trec:1: 3 fields instead of 4; write: query 0"),
        (
            {"docs_jsonl": DOCS, "qrels_tsv": "query_id\tdoc_id\nq1\ta\n"},
            r"qrels\.tsv:1: the key 'relevance' is missing",
        ),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path, files, message):
    with pytest.raises(InputError, match=message) as error:
        read(folder_of(tmp_path, **files))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"docs_jsonl": DOCS + '{"doc_id": "a", "text": "other"}'},
            r"docs\.jsonl:1 and docs\.jsonl:3: two texts have the document id 'a'",
        ),
        (
            {"docs_jsonl": DOCS, "queries_jsonl": QUERIES + '{"query_id": "q1", "text": "two"}'},
            r"queries\.jsonl:1 and queries\.jsonl:2: two texts have the query id 'q1'",
        ),
        (
            {"docs_jsonl": DOCS, "queries_jsonl": QUERIES, "qrels_trec": "q1 0 a 1\nq1 0 b 1\nq1 0 a 2\n"},
            r"qrels\.trec:1 and qrels\.trec:3: query 'q1' and document 'a' have two grades, 1 and 2; keep one",
        ),
        (
            {"docs_jsonl": '{"doc_id": "a b", "text": "x"}'},
            r"docs\.jsonl:1: the id 'a b' is empty or contains",
        ),
    ],
)
def test_contradictions_are_named_by_both_their_lines(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        check_collection(read(folder_of(tmp_path, **files)))


def test_a_missing_folder_says_which_key_to_set(tmp_path):
    with pytest.raises(InputError, match=r"folder not found; set dataset\.path="):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("folder", "languages", "counts"),
    [("squadshifts-newwiki", (None, None), (1581, 7938, 7938)), ("xquad", ("en", "es"), (240, 1190, 1190))],
)
def test_real_collections(folder, languages, counts):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no {folder} here; set LOCAL_COLLECTIONS to a folder that has it")
    collection, quality = check_collection(read(SHARED / folder, *languages))
    require_judged_queries(collection)
    assert (len(collection.documents), len(collection.queries), len(collection.judgments)) == counts
    assert not any(finding.count for finding in quality.values())


def settings_of(path: Path, **keys: str) -> DatasetSettings:
    return DatasetSettings(name="local", source="local", path=path, **keys)


def test_the_qrels_are_the_candidates_grade_0_too(tmp_path):
    folder_of(tmp_path, docs_jsonl=DOCS, queries_jsonl=QUERIES, qrels_trec="q1 0 b 0\nq1 0 a 2\n")
    assert load_collection(settings_of(tmp_path, candidates="qrels")).candidates == [("q1", "b"), ("q1", "a")]
    assert load_collection(settings_of(tmp_path)).candidates is None


def test_a_run_gives_the_candidates(tmp_path):
    folder_of(tmp_path, docs_jsonl=DOCS, queries_jsonl=QUERIES, qrels_trec="q1 0 a 2\n")
    with pytest.raises(InputError, match=r"candidates\.trec: file not found; add this TREC run, or set dataset"):
        load_collection(settings_of(tmp_path, candidates="run"))
    folder_of(tmp_path, candidates_trec="q1 Q0 b 1 2.5 bm25\nq1 Q0 a 2 1.5 bm25\n")
    assert load_collection(settings_of(tmp_path, candidates="run")).candidates == [("q1", "b"), ("q1", "a")]
    folder_of(tmp_path, candidates_trec="q1 0 b 1\n")
    with pytest.raises(InputError, match=r"candidates\.trec:1: 4 fields instead of 6; write: query Q0 document rank"):
        load_collection(settings_of(tmp_path, candidates="run"))


def test_two_folders_are_one_collection_of_two_splits(tmp_path):
    for name, query, document in (("dev", "q1", "a"), ("test", "q2", "c")):
        (tmp_path / name).mkdir()
        folder_of(
            tmp_path / name,
            docs_jsonl=f'{{"doc_id": "{document}", "text": "{name}"}}\n{{"doc_id": "same", "text": "same"}}\n',
            queries_jsonl=f'{{"query_id": "{query}", "text": "{name}?"}}\n',
            qrels_trec=f"{query} 0 {document} 1\n{query} 0 same 0\n{query} 0 nowhere 1\n",
        )
    raw = load_collection(settings_of(tmp_path, train="dev", test="test", candidates="qrels"))
    assert raw.source == f"folder {tmp_path.name}: dev, test"
    assert raw.places["judgment", 5] == "test/qrels.trec:3"
    assert raw.places["document", "same"] == "dev/docs.jsonl:2 and test/docs.jsonl:2"
    collection, quality = check_collection(raw)
    assert [document.doc_id for document in collection.documents] == ["a", "same", "c"]
    assert collection.queries == [Query("q1", "dev?", "train"), Query("q2", "test?", "test")]
    assert collection.candidates_of(["q1", "q2"]) == {"q1": ["a", "same"], "q2": ["c", "same"]}
    assert quality["judgments of unknown documents"].examples == (
        "dev/qrels.trec:3: no document has the id 'nowhere'",
        "test/qrels.trec:3: no document has the id 'nowhere'",
    )
    assert [query.query_id for query in load_collection(settings_of(tmp_path, test="test")).queries] == ["q2"]


def test_train_needs_test_beside_it(tmp_path):
    with pytest.raises(ValueError, match=r"dataset\.train is set, but dataset\.test is not; set both"):
        settings_of(tmp_path, train="dev")


def test_text_files_are_documents_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "a" / ".hidden").mkdir(parents=True)
    (tmp_path / "b c.txt").write_bytes(b"\xef\xbb\xbfone\r\n")
    (tmp_path / "a" / "d.md").write_text("# two")
    (tmp_path / "a" / ".hidden" / "e.txt").write_text("not this")
    (tmp_path / "f.bin").write_bytes(b"\xff")
    assert read(tmp_path).documents == [Document("a/d.md", "", "# two"), Document("b%20c.txt", "", "one\r\n")]
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt:1: not UTF-8 \(byte 4\); save the file as UTF-8"):
        read(tmp_path)
    (tmp_path / "docs.tsv").write_text("x\tthree\n")
    assert [document.doc_id for document in read(tmp_path).documents] == ["x"]


def test_a_file_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("one")
    with pytest.raises(InputError, match=r"the file name 'caf\\udce9\.txt' is not UTF-8; rename the file") as error:
        read(tmp_path)
    assert str(error.value).isprintable()
