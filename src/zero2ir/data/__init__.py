"""Collections: read, checked, stored; and the few judgments that training may see."""

from dataclasses import replace

from zero2ir.data.auxiliary import OtherCollection, read_ingested, read_others, write_others
from zero2ir.data.checks import check, require_judged_queries
from zero2ir.data.judgments import (
    draw,
    draw_asked,
    read_asked,
    read_candidates,
    read_judgments,
    test_queries,
    write_asked,
    write_candidates,
    write_judgments,
)
from zero2ir.data.passages import in_passages
from zero2ir.data.records import (
    CandidateDocument,
    Collection,
    DataQuality,
    Document,
    Finding,
    JudgedDocument,
    Judgment,
    Query,
    RawCollection,
)
from zero2ir.data.settings import DatasetSettings, JudgmentBudget
from zero2ir.data.store import is_ordered, read_collection, read_documents, write_collection

__all__ = [
    "CandidateDocument",
    "Collection",
    "DataQuality",
    "DatasetSettings",
    "Document",
    "Finding",
    "JudgedDocument",
    "Judgment",
    "JudgmentBudget",
    "OtherCollection",
    "Query",
    "RawCollection",
    "check",
    "draw",
    "draw_asked",
    "in_passages",
    "is_ordered",
    "load",
    "read_asked",
    "read_candidates",
    "read_collection",
    "read_documents",
    "read_ingested",
    "read_judgments",
    "read_others",
    "require_judged_queries",
    "test_queries",
    "write_asked",
    "write_candidates",
    "write_collection",
    "write_judgments",
    "write_others",
]


def load(settings: DatasetSettings) -> RawCollection:
    """Reads the collection that the settings name; ``check`` it before use.

    Raises:
        InputError: it cannot be read, or its source files cannot be had.
    """
    raw = _read(settings)
    if settings.candidates == "qrels":
        return replace(raw, candidates=[CandidateDocument(*judgment[:2]) for judgment in raw.judgments])
    return raw


def _read(settings: DatasetSettings) -> RawCollection:
    if settings.source == "local" and settings.path is not None:
        from zero2ir.data import local

        return local.read_splits(settings, settings.path)
    if settings.source == "ir_datasets" and settings.test is not None:
        from zero2ir.data import irds

        return irds.read(settings.train, settings.test, settings.candidates)
    from zero2ir.data import pydocs

    return pydocs.read()
