"""The embedded collection: its documents depend on nothing but the Python version, its judgments are sound."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from zero2ir.data import pydocs
from zero2ir.data.pydocs import documents
from zero2ir.data.records import RawCollection


@pytest.fixture(scope="module")
def collection() -> RawCollection:
    return pydocs.read()


def test_well_known_names_are_documents(collection: RawCollection) -> None:
    titles = {document.doc_id: document.title for document in collection.documents}
    names = {"str.strip", "json.dumps", "collections.OrderedDict", "topics.lambda", "open", "os.path.join", "math.gcd"}
    assert names <= titles.keys()
    assert titles["str.strip"] == "str.strip(self, chars=None, /)"
    assert titles["topics.lambda"] == "topics.lambda"


def test_one_name_stands_for_a_text_that_several_share(collection: RawCollection) -> None:
    texts = [document.text for document in collection.documents]
    ids = [document.doc_id for document in collection.documents]
    assert len(texts) == len(set(texts)) > 3000
    assert ids == sorted(set(ids))
    assert "io.open" not in ids, "the built-in name is the shorter one"
    assert "bool.bit_count" not in ids, "int defines it"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_documents_depend_on_the_python_version_alone(collection: RawCollection, seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": seed, "HOME": "/elsewhere", "COLUMNS": "20"}
    command = [sys.executable, "-S", "-X", "utf8", documents.__file__]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(printed)["documents"] == [list(document) for document in collection.documents]


def test_nothing_of_this_process_or_machine_is_in_a_document(collection: RawCollection) -> None:
    address = re.compile(r" at 0x[0-9a-fA-F]{6,}")
    titles = [document.title for document in collection.documents]
    assert not [title for title in titles if address.search(title) or "<" in title]
    places = [sys.prefix, sys.base_prefix, os.path.expanduser("~")]
    assert not [place for place in places for document in collection.documents if f"{place}/" in document.content]


def test_counts_and_grades(collection: RawCollection) -> None:
    splits = Counter(query.split for query in collection.queries)
    assert splits.keys() == {"train", "test"}
    assert splits["train"] >= 40
    assert splits["test"] >= 80
    assert {judgment.relevance for judgment in collection.judgments} == {0, 1, 2}
    pairs = [(judgment.query_id, judgment.doc_id) for judgment in collection.judgments]
    assert len(pairs) == len(set(pairs))
    answered = {judgment.query_id for judgment in collection.judgments if judgment.relevance == 2}
    assert answered == {query.query_id for query in collection.queries}


def test_questions_differ_and_do_not_name_their_answer(collection: RawCollection) -> None:
    texts = {query.query_id: query.text for query in collection.queries}
    assert len(set(texts.values())) == len(texts)
    named = [
        judgment
        for judgment in collection.judgments
        if judgment.relevance == 2 and "." in judgment.doc_id and judgment.doc_id in texts[judgment.query_id]
    ]
    assert not named


def test_every_relevant_document_exists(collection: RawCollection) -> None:
    ids = {document.doc_id for document in collection.documents}
    assert {judgment.doc_id for judgment in collection.judgments} <= ids


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="judged on 3.11")
def test_nothing_is_lacking_on_the_version_that_was_judged(collection: RawCollection) -> None:
    assert set(collection.notes.values()) == {0}


def test_what_a_version_lacks_is_left_out_and_counted(collection: RawCollection) -> None:
    relevant = {j.doc_id for j in collection.judgments if j.query_id == "q001" and j.relevance > 0}
    ids = {document.doc_id for document in collection.documents} - relevant
    queries, judgments, lacking = pydocs.questions(ids, "3.99")
    assert "q001" not in {query.query_id for query in queries}
    assert "q001" not in {judgment.query_id for judgment in judgments}
    assert not relevant & {judgment.doc_id for judgment in judgments}
    gone = sum(judgment.doc_id in relevant for judgment in collection.judgments)
    assert lacking["judgments of documents that Python 3.99 lacks"] == gone
    assert lacking["queries with no relevant document in Python 3.99"] == 1
