"""Public benchmarks through ir_datasets."""

import re
from collections.abc import Iterator
from typing import Any

from zero2ir.collections.records import Document, Judgment, Query, RawCollection
from zero2ir.errors import InputError

# Cranfield's qrels hold Cleverdon's codes, from 1, "a complete answer", to 4, "of minimum interest" (cranqrel.readme
# in the source file). ir_datasets hands the codes on as grades, which rewards the least relevant documents most.
_BEST_IS_ONE = {"cranfield": 4}  # id -> its worst positive code


def read(train: str | None, test: str) -> RawCollection:
    """Reads the documents once, and the queries and qrels of both ids.

    Cranfield's codes are turned into grades, 4 being best; its -1 stays for the checks to count and set to 0.

    Args:
        train: ir_datasets id of the train queries, over the same documents; None where there is none.
        test: ir_datasets id of the test queries.

    Raises:
        InputError: an id is unknown or lacks documents, queries or qrels; the two ids have different documents;
            or the source files are not here and cannot be fetched.
    """
    import ir_datasets

    splits = {name: _dataset(key) for name, key in (("train", train), ("test", test)) if key is not None}
    if train is not None and ir_datasets.docs_parent_id(train) != ir_datasets.docs_parent_id(test):
        raise InputError(f"dataset.train={train} and dataset.test={test} have different documents; choose a pair")
    ids = [key for key in (train, test) if key is not None]
    try:
        documents = [_document(record) for record in splits["test"].docs_iter()]
        queries = [query for name, dataset in splits.items() for query in _queries(dataset, name)]
        judgments = [judgment for dataset in splits.values() for judgment in _judgments(dataset)]
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, several failed addresses a RuntimeError
        raise InputError(
            f"ir_datasets {', '.join(ids)}: the source files are not here and cannot be fetched "
            f"({type(error).__name__}); connect to the network, "
            "or run make data MIRROR=<folder with a mirror of the source files>"
        ) from error
    return RawCollection(
        documents=documents,
        queries=queries,
        judgments=judgments,
        source=f"ir_datasets {ir_datasets.__version__}: {', '.join(ids)}",
        licence=_licence(splits["test"]),
    )


def _dataset(key: str) -> Any:
    import ir_datasets

    try:
        dataset = ir_datasets.load(key)
    except KeyError as error:
        raise InputError(f"ir_datasets has no {key!r}; its ids are listed at https://ir-datasets.com") from error
    for part in ("docs", "queries", "qrels"):
        if not getattr(dataset, f"has_{part}")():
            raise InputError(f"ir_datasets {key!r} has no {part}; choose an id that has, such as {key}/test")
    return dataset


def _document(record: Any) -> Document:
    """Title and text where the type has both; else ir_datasets' own choice of text."""
    if "title" in record._fields and "text" in record._fields:
        return Document(record.doc_id, record.title or "", record.text or "")
    return Document(record.doc_id, "", record.default_text())


def _queries(dataset: Any, split: str) -> Iterator[Query]:
    return (Query(query.query_id, query.default_text(), split) for query in dataset.queries_iter())


def _judgments(dataset: Any) -> Iterator[Judgment]:
    worst = _BEST_IS_ONE.get(dataset.dataset_id())
    for row in dataset.qrels_iter():
        grade = row.relevance if worst is None or row.relevance < 1 else worst + 1 - row.relevance
        yield Judgment(row.query_id, row.doc_id, grade)


def _licence(dataset: Any) -> str:
    """The sentence on the licence in the dataset's documentation, if there is one."""
    text = re.sub(r"<[^>]*>", " ", dataset.documentation().get("desc", ""))
    sentences = re.split(r"(?<=[.!?])\s", " ".join(text.split()))
    return next((sentence for sentence in sentences if re.search(r"\blicen[sc]ed?\b", sentence, re.I)), "unknown")
