"""Folders as people have them: tables by the names of the field, and nothing else taken for one."""

import gzip
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.checks import check_collection
from zero2ir.data.local import read, read_for_training
from zero2ir.data.records import Collection
from zero2ir.errors import InputError

DOCS = '{"_id": "a", "title": "A", "text": "first"}\n{"_id": "b", "text": "second"}\n{"_id": "c", "text": "third"}\n'
QUERIES = "".join(f'{{"_id": "q{number}", "text": "query {number}"}}\n' for number in range(4))
HEADER = "query-id\tcorpus-id\tscore\n"


def folder_of(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return folder


BEIR = {"corpus.jsonl": DOCS, "queries.jsonl": QUERIES, "qrels/test.tsv": f"{HEADER}q0\ta\t2\n", "README.md": "About"}
MS_MARCO = {
    "collection.tsv": "7\tThe first passage\n8\tThe second passage\n",
    "queries.train.tsv": "1\twhat is first\n",
    "queries.dev.tsv": "2\twhat is second\n",
    "queries.eval.tsv": "3\twhat is third\n",
    "qrels.train.tsv": "1\t0\t7\t1\n",
    "qrels.dev.tsv": "2\t0\t8\t1\n",
}


@pytest.mark.parametrize("end", ["", ".gz"])
def test_beir_with_a_readme(tmp_path: Path, end: str) -> None:
    raw = read(folder_of(tmp_path, {name + (end if "README" not in name else ""): text for name, text in BEIR.items()}))
    assert [document.doc_id for document in raw.documents] == ["a", "b", "c"]
    assert raw.documents[0].title == "A"
    assert [tuple(row) for row in raw.judgments] == [("q0", "a", 2)]
    assert raw.places["judgment", 0] == f"qrels/test.tsv{end}:2"
    assert {query.split for query in raw.queries} == {"test"}


def test_ms_marco(tmp_path: Path) -> None:
    raw = read(folder_of(tmp_path, MS_MARCO))
    assert [tuple(document) for document in raw.documents] == [
        ("7", "", "The first passage"),
        ("8", "", "The second passage"),
    ]
    assert [(query.query_id, query.split) for query in raw.queries] == [("1", "train"), ("2", "test")]
    assert raw.notes == {"queries of queries.eval.tsv, left out in favour of queries.train.tsv and queries.dev.tsv": 1}


SPLITS = {
    **{name: text for name, text in BEIR.items() if "qrels" not in name},
    "qrels/train.tsv": f"{HEADER}q0\ta\t1\nq1\tb\t1\n",
    "qrels/dev.tsv": f"{HEADER}q2\ta\t1\n",
    "qrels/test.tsv": f"{HEADER}q1\ta\t1\nq3\tc\t1\n",
}


def test_a_collection_has_the_train_and_the_test_split_of_its_judgments(tmp_path: Path) -> None:
    raw = read(folder_of(tmp_path, SPLITS))
    assert [(query.query_id, query.split) for query in raw.queries] == [("q0", "train"), ("q1", "test"), ("q3", "test")]
    assert len(raw.judgments) == 4
    (note,) = raw.notes
    assert note.startswith("judgments of qrels/dev.tsv, left out in favour of qrels/train.tsv and qrels/test.tsv")
    (tmp_path / "qrels" / "test.tsv").unlink()
    assert {query.query_id: query.split for query in read(tmp_path).queries}["q2"] == "test"


def test_training_reads_the_first_split_only_and_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"judgments of qrels/test\.tsv, left out in favour of qrels/train\.tsv: 2"):
        data = read_for_training(folder_of(tmp_path, SPLITS), "ranking")
    assert [row[:3] for row in data.judgments] == [("query 0", "a", 1), ("query 1", "b", 1)]
    assert data.unlabelled_queries == []


def test_readmes_and_licences_beside_tables_are_no_documents(tmp_path: Path) -> None:
    files = {"README.md": "a", "LICENSE.txt": "b", "notes.txt": "c", "qrels.trec": "q 0 notes.txt 1\n"}
    assert [document.doc_id for document in read(folder_of(tmp_path, files)).documents] == ["notes.txt"]
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(InputError, match=r"no docs\.jsonl or \.tsv; add one, or text files"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Docs.jsonl", r"Docs\.jsonl: is not read as documents; rename it to docs\.jsonl, or move it away"),
        ("corpus_.jsonl", r"corpus_\.jsonl: is not read as documents; rename it to docs\.jsonl"),
        ("corpus.parquet", r"corpus\.parquet: is not read as documents; rename it to docs\.jsonl or \.tsv,"),
        ("documents.txt", r"documents\.txt: is not read as documents"),
        ("passages.jsonl.gz", r"passages\.jsonl\.gz: is not read as documents; rename it to docs\.jsonl\.gz,"),
        ("corpus-clean.csv", r"corpus-clean\.csv: is not read as documents; rename it to docs\.csv,"),
        ("docs.jsonl.zst", r"docs\.jsonl\.zst: is not read as documents; rename it to docs\.jsonl,"),
        ("stuff.jsonl", r"no docs\.jsonl or \.tsv; found stuff\.jsonl: name the table of documents docs"),
        ("data/corpus.jsonl", r"found data/corpus\.jsonl: name the table of documents docs, or give its folder"),
        ("docs.es.jsonl", r"found docs\.es\.jsonl: choose one with dataset\.document_language"),
    ],
)
def test_text_files_are_no_documents_if_a_table_may_be_meant(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(folder_of(tmp_path, {name: DOCS, "README.md": "About", "notes.md": "Notes"}))


@pytest.mark.parametrize("name", ["docs.zip", "corpus/train-0000.parquet", "passages/part.bin"])
def test_a_readme_alone_is_no_document_if_there_is_something_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"found {name}: name the table of documents docs"):
        read(folder_of(tmp_path, {name: "", "README.md": "About", "LICENSE.txt": "Licence"}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qrels.txt", r"qrels\.txt: is not read as judgments; rename it to qrels\.trec or \.tsv, or move it away"),
        ("Qrels.tsv", r"Qrels\.tsv: is not read as judgments"),
        ("qrel.tsv", r"qrel\.tsv: is not read as judgments"),
        ("judgements.csv", r"judgements\.csv: is not read as judgments"),
        ("dev.qrels", r"dev\.qrels: is not read as judgments; rename it to qrels\.trec or \.tsv"),
        ("test_qrels.tsv", r"test_qrels\.tsv: is not read as judgments; rename it to qrels\.tsv"),
        ("test_queries.jsonl", r"test_queries\.jsonl: is not read as queries"),
        ("qrels.dl19.tsv", r"found qrels\.dl19\.tsv: name it qrels\.trec or \.tsv"),
        ("qrels/dl19.tsv", r"dl19\.tsv: no split of judgments; name it train\.tsv, dev\.tsv or test\.tsv"),
        ("qrels/test.txt", r"test\.txt: no split of judgments"),
        ("querys.jsonl", r"querys\.jsonl: is not read as queries; rename it to queries\.jsonl,"),
        ("query.tsv", r"query\.tsv: is not read as queries"),
        ("queries.txt", r"queries\.txt: is not read as queries"),
        ("topics.xml", r"topics\.xml: is not read as queries"),
        ("queries.es.jsonl", r"found queries\.es\.jsonl: choose one with dataset\.query_language"),
    ],
)
def test_nearly_right_names_are_told(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(folder_of(tmp_path, {"docs.jsonl": DOCS, name: ""}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docs.jsonl", "corpus.jsonl"),
        ("docs.jsonl", "docs.jsonl.gz"),
        ("queries.tsv", "queries.train.tsv"),
        ("qrels.tsv", "qrels/test.tsv"),
        ("qrels.test.tsv", "qrels/test.tsv"),
    ],
)
def test_two_tables_for_one_purpose_are_refused(tmp_path: Path, one: str, other: str) -> None:
    files = {"docs.jsonl": DOCS, "queries.jsonl": QUERIES} if "q" not in one else {"docs.jsonl": DOCS}
    with pytest.raises(InputError, match=r"both .* and .* exist; keep one"):
        read(folder_of(tmp_path, files | {one: DOCS, other: DOCS}))


def test_the_export_and_the_answers_of_labelling_lie_beside_texts(tmp_path: Path) -> None:
    files = {
        "a.txt": "first",
        "annotations.jsonl": '{"query_id": "q1", "annotator": "me"}\n',
        "judgments.jsonl": "{}\n",
        "qrels.trec": "q1 0 a.txt 1\n",
        "queries.jsonl": '{"query_id": "q1", "text": "one"}\n',
    }
    raw = read(folder_of(tmp_path, files))
    assert [document.doc_id for document in raw.documents] == ["a.txt"]
    assert len(raw.judgments) == 1


def test_links_out_of_a_folder_of_texts_are_not_followed(tmp_path: Path) -> None:
    folder_of(tmp_path, {"outside/secret.txt": "secret", "folder/a.txt": "first", "folder/below/b.txt": "second"})
    folder = tmp_path / "folder"
    (folder / "c.txt").symlink_to(folder / "a.txt")
    (folder / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (folder / "all").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    raw = read(folder)
    assert [document.doc_id for document in raw.documents] == ["a.txt", "below/b.txt", "c.txt"]
    assert raw.notes == {"symbolic links out of the folder, which are not followed": 2}


NAMES = [
    *(
        f"{stem}{end}"
        for stem in ("docs", "corpus", "queries", "qrels", "topics.train", "qrels.dev")
        for end in (".tsv", ".jsonl", ".csv")
    ),
    *(
        "qrels.trec",
        "qrels/test.tsv",
        "qrels/train.tsv",
        "queries.es.jsonl",
        "README.md",
        "notes.txt",
        "qrels.txt",
        "Docs.json",
    ),
]
CONTENTS = [
    DOCS,
    QUERIES,
    HEADER + "q0\ta\t1\n",
    "q0 0 a 1\n",
    "q0\t0\ta\t1\n",
    "a\tfirst\n",
    "docno,text\na,x\n",
    "",
    "[]",
    "\t\n,",
]


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CONTENTS), max_size=5), st.booleans())
def test_any_folder_is_a_checked_collection_or_an_input_error(tmp_path_factory, files, training):
    folder = folder_of(tmp_path_factory.mktemp("any"), files)
    try:
        collection, _ = check_collection(read(folder, training=training))
    except InputError:
        return
    assert isinstance(collection, Collection)
    named = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert named & {"docs", "corpus"} or all(row.doc_id in ("README.md", "notes.txt") for row in collection.documents)


def test_a_nearly_right_name_beside_the_right_one_is_no_document(tmp_path: Path) -> None:
    folder_of(tmp_path, {"qrels.tsv": HEADER + "q0\ta\t1\n", "qrels.txt": "q0 0 a 1\n"})
    with pytest.raises(InputError, match=r"qrels\.txt: is not read as judgments; rename it to .*, or move it away"):
        read(tmp_path)


def test_a_broken_link_is_not_overlooked(tmp_path: Path) -> None:
    folder_of(tmp_path, {"README.md": "About"})
    (tmp_path / "docs.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"docs\.jsonl: cannot be read \(No such file"):
        read(tmp_path)


CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("name", ["bicycles-beir", "half-renamed", "pyterrier-style", "with-trec-qrels"])
def test_folders_that_users_brought(tmp_path: Path, name: str) -> None:
    raw = read(shutil.copytree(CASES / name, tmp_path / name))
    assert (len(raw.documents), len(raw.queries), len(raw.judgments)) == (12, 10, 14)
    assert raw.documents[0].doc_id == "chain"
    assert raw.documents[0].title == "Oiling the chain"
    assert raw.documents[0].text.startswith("Put one drop of oil")
