"""Reads public benchmarks with ir_datasets."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zero2ir.data.records import CandidateDocument, Document, Judgment, Query, RawCollection
from zero2ir.errors import InputError


def read(train: str | None, test: str, candidates: str | None = None) -> RawCollection:
    """Reads the documents, and the queries and qrels of both ids.

    Cranfield's codes become grades, 4 is best; the notes count the dropped judgments.

    Args:
        train: ir_datasets id of the train queries, over the same documents; None for no train queries.
        test: ir_datasets id of the test queries.
        candidates: "run" also reads the scoreddocs of both ids.

    Raises:
        InputError: an id is unknown or lacks documents, queries, qrels or the requested scoreddocs; the two ids have
            different documents; or the source files are neither on this machine nor downloadable.
    """
    import ir_datasets

    parts = ("docs", "queries", "qrels", *(["scoreddocs"] if candidates == "run" else []))
    splits = {split: _dataset(key, parts) for split, key in (("train", train), ("test", test)) if key is not None}
    if train is not None and ir_datasets.docs_parent_id(train) != ir_datasets.docs_parent_id(test):
        raise InputError(f"dataset.train={train} and dataset.test={test} have different documents; choose a pair")
    ids = ", ".join(dataset.dataset_id() for dataset in splits.values())
    with _sources_of(ids):
        documents = [_document(record) for record in splits["test"].docs_iter()]
        queries = [
            Query(query.query_id, query.default_text(), split, answers=tuple(getattr(query, "answers", ())))
            for split, dataset in splits.items()
            for query in dataset.queries_iter()
        ]
        sets = splits.values()
        judgments = [Judgment(row.query_id, row.doc_id, row.relevance) for one in sets for row in one.qrels_iter()]
        scored = [row for one in sets for row in one.scoreddocs_iter()] if candidates == "run" else None
    rows = None if scored is None else [CandidateDocument(row.query_id, row.doc_id) for row in scored]
    notes = {}
    if test == "cranfield":
        graded = _cranfield_grades(judgments)
        notes = {"Cranfield judgments of code -1, left out": len(judgments) - len(graded)}
        judgments = graded
    source = f"ir_datasets {ir_datasets.__version__}: {ids}"
    return RawCollection(
        documents,
        queries,
        judgments,
        source,
        _licence(splits["test"]),
        notes,
        candidates=rows,
        description=_description(test),
        url=f"https://ir-datasets.com/{test.split('/')[0]}.html#{test}",
        citation=_citation(splits["test"]),
    )


def stream_documents(key: str) -> Iterator[tuple[str, Document]]:
    """Yields the documents of an id one after another, each with a name of its place.

    Raises:
        InputError: the id is unknown or has no documents, or the source files are not available.
    """
    dataset = _dataset(key, ("docs",))
    with _sources_of(key):
        for record in dataset.docs_iter():
            document = _document(record)
            yield f"ir_datasets {key}, document {document.doc_id!r}", document


@contextmanager
def _sources_of(ids: str) -> Iterator[None]:
    """Turns a failed download of the source files into an InputError that says what to do."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # requests raises OSErrors; ir_datasets a RuntimeError if all URLs fail
        raise InputError(
            f"ir_datasets {ids}: the source files are missing and cannot be downloaded ({type(error).__name__}); "
            "connect to the network, or run make data MIRROR=<folder with a mirror of the source files>"
        ) from error


def _dataset(key: str, parts: Sequence[str]) -> Any:
    import ir_datasets

    try:
        dataset = ir_datasets.load(key)
    except KeyError as error:
        raise InputError(f"ir_datasets has no dataset {key!r}; choose an id from https://ir-datasets.com") from error
    for part in parts:
        if not getattr(dataset, f"has_{part}")():
            raise InputError(f"ir_datasets {key!r} has no {part}; choose an id that has them")
    return dataset


def _document(record: Any) -> Document:
    """Returns title and text if the record type has both, else ir_datasets' default text."""
    if "title" in record._fields and "text" in record._fields:
        return Document(record.doc_id, record.title or "", record.text or "")
    return Document(record.doc_id, "", record.default_text())


def _cranfield_grades(judgments: list[Judgment]) -> list[Judgment]:
    """Converts Cleverdon's codes to grades, 4 is best; drops judgments with code -1.

    The codes run from 1, "a complete answer", to 4, "of minimum interest" (cranqrel.readme in the source file).
    ir_datasets passes them on unchanged, which rewards the least relevant documents most. The meaning of -1 is not
    documented. Each of the 225 questions has it once, for a paper on the question's subject (median BM25 rank 2),
    most likely the paper that prompted the question. Dropped, these papers count like grade 0 in the measures, but
    grade 0 would teach a model to avoid them.
    """
    return [judgment._replace(relevance=5 - judgment.relevance) for judgment in judgments if judgment.relevance > 0]


def _licence(dataset: Any) -> str:
    """Returns the sentence on the licence in the dataset's documentation, or "unknown"."""
    sentences = re.split(r"(?<=[.!?])\s", _plain(dataset.documentation().get("desc", "")))
    return next((sentence for sentence in sentences if re.search(r"\blicen[sc]ed?\b", sentence, re.I)), "unknown")


def _description(key: str) -> str:
    """Returns the first paragraph on the documents of an id in ir_datasets' documentation; "" if there is none."""
    import ir_datasets

    text = ir_datasets.load(ir_datasets.docs_parent_id(key)).documentation().get("desc", "")
    return _plain(text.partition("</p>")[0])


def _citation(dataset: Any) -> str:
    """Returns the BibTeX entries of a dataset, of which ir_datasets stores one file; "" if it names none."""
    import ir_datasets

    path = Path(ir_datasets.__file__).parent / "docs" / "bibliography.bib"
    entries = re.split(r"\n(?=@)", path.read_text(encoding="utf-8"))
    named = {entry.partition("{")[2].partition(",")[0].strip(): entry.strip() for entry in entries}
    return "\n\n".join(named[key] for key in dataset.documentation().get("bibtex_ids", ()) if key in named)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())
