"""The embedded collection: the running Python's own documentation, with questions and graded judgments.

It needs no network and no download; see README.md in this folder.
"""

import csv
import sys
from collections.abc import Iterator, Set
from pathlib import Path

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document, Judgment, Query, RawCollection

DATA_FOLDER = Path(__file__).parent


def read() -> RawCollection:
    """Reads the documents of the running Python, and the questions that they answer.

    Judgments and questions without documents in this Python version are dropped and counted in the notes.

    Raises:
        subprocess.CalledProcessError: the interpreter that reads the documents failed; see standard error.
    """
    rows, failed = read_pydocs()
    documents = [Document(*row) for row in rows]
    version = ".".join(map(str, sys.version_info[:3]))
    queries, judgments, lacking = questions({document.doc_id for document in documents}, version)
    return RawCollection(
        documents=documents,
        queries=queries,
        judgments=judgments,
        source=f"standard library of Python {version}",
        licence="PSF-2.0 (documents), Apache-2.0 (queries and judgments)",
        description=f"The documentation in the standard library of Python {version}, with questions in the words of "
        "people who do not know the name of what they need. A language model wrote the questions and the judgments.",
        url="https://docs.python.org/3/library/",
        notes={"standard library modules that could not be imported": failed} | lacking,
    )


def questions(doc_ids: Set[str], version: str) -> tuple[list[Query], list[Judgment], dict[str, int]]:
    """Returns the questions that ``doc_ids`` answer, their judgments, and counts of what was dropped, by reason."""
    all_queries = [Query(row["query_id"], row["text"], row["split"]) for row in _rows("queries.tsv")]
    all_judgments = [Judgment(row["query_id"], row["doc_id"], int(row["relevance"])) for row in _rows("qrels.tsv")]
    known = [judgment for judgment in all_judgments if judgment.doc_id in doc_ids]
    answered = {judgment.query_id for judgment in known if judgment.relevance > 0}
    queries = [query for query in all_queries if query.query_id in answered]
    judgments = [judgment for judgment in known if judgment.query_id in answered]
    lacking = {
        f"judgments of documents that Python {version} lacks": len(all_judgments) - len(known),
        f"queries with no relevant document in Python {version}": len(all_queries) - len(queries),
    }
    return queries, judgments, lacking


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (DATA_FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
