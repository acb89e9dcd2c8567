"""Collections: read, checked, stored; and the few judgments that training may see."""

from zero2ir.collections.checks import check, require_judged_queries
from zero2ir.collections.judgments import draw, read_judgments, test_queries, write_judgments
from zero2ir.collections.records import (
    Collection,
    DataQuality,
    Document,
    Finding,
    JudgedDocument,
    Judgment,
    Query,
    RawCollection,
)
from zero2ir.collections.settings import DatasetSettings, JudgmentBudget
from zero2ir.collections.store import is_ordered, read_collection, read_documents, write_collection

__all__ = [
    "Collection",
    "DataQuality",
    "DatasetSettings",
    "Document",
    "Finding",
    "JudgedDocument",
    "Judgment",
    "JudgmentBudget",
    "Query",
    "RawCollection",
    "check",
    "draw",
    "is_ordered",
    "load",
    "read_collection",
    "read_documents",
    "read_judgments",
    "require_judged_queries",
    "test_queries",
    "write_collection",
    "write_judgments",
]


def load(settings: DatasetSettings) -> RawCollection:
    """Reads the collection that the settings name; ``check`` it before use.

    Raises:
        InputError: it cannot be read, or its source files cannot be had.
    """
    if settings.source == "local" and settings.path is not None:
        from zero2ir.collections import local

        return local.read(settings.path, settings.document_language, settings.query_language, settings.parallel)
    if settings.source == "ir_datasets" and settings.test is not None:
        from zero2ir.collections import irds

        return irds.read(settings.train, settings.test)
    from zero2ir.collections import pydocs

    return pydocs.read()
