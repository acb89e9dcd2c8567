"""Reads a collection from the source that its settings name."""

from dataclasses import replace

from zero2ir.data import irds, local, pydocs
from zero2ir.data.records import CandidateDocument, RawCollection
from zero2ir.data.settings import DatasetSettings


def load_collection(settings: DatasetSettings) -> RawCollection:
    """Reads the raw collection that the settings name; pass it to ``check_collection`` before use.

    Raises:
        InputError: the collection cannot be read, or its source files are missing and cannot be downloaded.
    """
    raw = _read(settings)
    if settings.candidates == "qrels":
        places = {("candidate", key): place for (kind, key), place in raw.places.items() if kind == "judgment"}
        candidates = [CandidateDocument(*judgment[:2]) for judgment in raw.judgments]
        return replace(raw, candidates=candidates, places={**raw.places, **places})
    return raw


def _read(settings: DatasetSettings) -> RawCollection:
    if settings.source == "local" and settings.path is not None:
        return local.read_splits(settings, settings.path)
    if settings.source == "ir_datasets" and settings.test is not None:
        return irds.read(settings.train, settings.test, settings.candidates)
    return pydocs.read()
