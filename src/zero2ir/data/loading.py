"""Reads a collection from wherever its settings say that it is."""

from dataclasses import replace

from zero2ir.data import irds, local, pydocs
from zero2ir.data.records import CandidateDocument, RawCollection
from zero2ir.data.settings import DatasetSettings


def load_collection(settings: DatasetSettings) -> RawCollection:
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
        return local.read_splits(settings, settings.path)
    if settings.source == "ir_datasets" and settings.test is not None:
        return irds.read(settings.train, settings.test, settings.candidates)
    return pydocs.read()
