"""Reads a collection from the source that its settings name."""

import re
from dataclasses import replace

from zero2ir.data import irds, local, pydocs
from zero2ir.data.records import CandidateDocument, Query, RawCollection
from zero2ir.data.settings import DatasetSettings
from zero2ir.errors import InputError


def load_collection(settings: DatasetSettings) -> RawCollection:
    """Reads the raw collection that the settings name; pass it to ``check_collection`` before use.

    Raises:
        InputError: the collection cannot be read, its source files are missing and cannot be downloaded, or a query's
            id does not show the topic.
    """
    raw = _read(settings)
    if settings.topic is not None:
        raw = replace(raw, queries=[query._replace(topic=_topic(query, settings.topic)) for query in raw.queries])
    if settings.licence is not None:
        raw = replace(raw, licence=settings.licence)
    if settings.candidates == "qrels":
        places = {("candidate", key): place for (kind, key), place in raw.places.items() if kind == "judgment"}
        candidates = [CandidateDocument(*judgment[:2]) for judgment in raw.judgments]
        return replace(raw, candidates=candidates, places={**raw.places, **places})
    return raw


def _topic(query: Query, pattern: str) -> str:
    found = re.search(pattern, query.query_id)
    if not (found and found[1]):
        raise InputError(f"dataset.topic: {pattern!r} finds no topic in the query id {query.query_id!r}; correct it")
    return found[1]


def _read(settings: DatasetSettings) -> RawCollection:
    if settings.source == "local" and settings.path is not None:
        return local.read_splits(settings, settings.path)
    if settings.source == "ir_datasets" and settings.test is not None:
        return irds.read(settings.train, settings.test, settings.candidates)
    return pydocs.read()
