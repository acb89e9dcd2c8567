"""What a candidate is, for the query-writing prompt and for that of a part of a model that asks a language model."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from zero2ir.data.records import JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.prompted import PartPrompt
from zero2ir.synthetic.settings import StyleName, SyntheticSettings
from zero2ir.synthetic.styles import Prompt, judged_pairs, make_prompt

Origin = Literal["fixed", "pool", "bootstrap", "mipro", "copro", "gepa"]
HAND_WRITTEN_ORIGINS = ("fixed", "pool", "bootstrap")  # by people: their instructions come from no LM
QUERY_WRITER = "query writer"  # whose prompt it is, in the record


class Demonstration(NamedTuple):
    """What a prompt shows.

    Attributes:
        document: a passage.
        query: what it answers.
        query_id: the judged query that it gives away; empty where it gives none away.
    """

    document: str
    query: str
    query_id: str = ""


@dataclass(frozen=True)
class PromptCandidate:
    """One way to ask for queries.

    Attributes:
        style: what kind of query.
        instruction: what the LM is told.
        demonstrations: what it is shown, in this order.
        document_words: the most words of a document that it sees.
        temperature: of its answers; None for the LM's own.
        origin: who proposed it.
        quoted: judged queries, by their ids, that it gives away beside those that it demonstrates.
    """

    style: StyleName
    instruction: str
    demonstrations: tuple[Demonstration, ...]
    document_words: int
    temperature: float | None = None
    origin: Origin = "fixed"
    quoted: frozenset[str] = frozenset()

    @property
    def prompt(self) -> Prompt:
        """What the LM is shown before each document."""
        pairs = [(one.document, one.query) for one in self.demonstrations]
        return Prompt(self.style, self.instruction, pairs, self.temperature)

    @cached_property
    def digest(self) -> str:
        """Identifies what the LM is shown, and how it answers; hexadecimal, 12 characters."""
        content = f"{self.style} {self.document_words} {self.prompt.digest}"
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def shown(self) -> frozenset[str]:
        """The judged queries that it gives away, by their ids; it can earn nothing from them."""
        return self.quoted | {one.query_id for one in self.demonstrations if one.query_id}

    @property
    def complexity(self) -> tuple[int, int, int]:
        """The simpler of two candidates has the smaller one: the fixed prompt, then one with fewer demonstrations, then
        one whose instruction a person wrote."""
        return _complexity(self.origin, len(self.demonstrations))

    def settings(self, given: SyntheticSettings) -> SyntheticSettings:
        """As which its queries are written: as many a document as the given settings ask for in all styles."""
        number = sum(given.styles.values())
        return given.model_copy(update={"styles": {self.style: number}, "document_words": self.document_words})

    def as_dict(self) -> dict[str, Any]:
        """What it is, with all that the LM is shown; JSON."""
        return {
            "digest": self.digest,
            "part": QUERY_WRITER,
            "origin": self.origin,
            "style": self.style,
            "instruction": self.instruction,
            "demonstrations": [{"document": one.document, "query": one.query} for one in self.demonstrations],
            "document_words": self.document_words,
            "temperature": self.temperature,
        }


@dataclass(frozen=True)
class PartCandidate:
    """One way to ask in a part of a model, such as its reranker.

    Attributes:
        part: its name in the model.
        style: what kind of answer is asked for.
        prompt: what the LM is told and shown.
        origin: who proposed it.
    """

    part: str
    style: str
    prompt: PartPrompt
    origin: Origin = "fixed"

    @cached_property
    def digest(self) -> str:
        """Identifies what the LM is told and shown; hexadecimal, 12 characters."""
        content = json.dumps([self.part, self.prompt.instruction, self.prompt.demos], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def complexity(self) -> tuple[int, int, int]:
        """As of a ``PromptCandidate``."""
        return _complexity(self.origin, len(self.prompt.demos))

    def as_dict(self) -> dict[str, Any]:
        """What it is, with all that the LM is shown; JSON."""
        return {
            "digest": self.digest,
            "part": self.part,
            "origin": self.origin,
            "style": self.style,
            "instruction": self.prompt.instruction,
            "demonstrations": [dict(row) for row in self.prompt.demos],
        }


def _complexity(origin: Origin, demonstrations: int) -> tuple[int, int, int]:
    return int(origin != "fixed"), demonstrations, int(origin not in HAND_WRITTEN_ORIGINS)


def fixed_candidate(
    corpus: Corpus, judgments: Sequence[JudgedDocument], settings: SyntheticSettings, seed: int
) -> PromptCandidate:
    """The prompt that the settings themselves stand for; of several styles, the one with most queries, the first one
    of equals."""
    style = max(settings.styles, key=lambda name: settings.styles[name])
    prompt = make_prompt(style, corpus, judgments, settings, seed)
    known = query_ids(judgments)
    shown = tuple(Demonstration(document, query, known.get(query, "")) for document, query in prompt.demonstrations)
    return PromptCandidate(style, prompt.instruction, shown, settings.document_words)


def judged_demonstrations(corpus: Corpus, judgments: Sequence[JudgedDocument], words: int) -> list[Demonstration]:
    """Every judged query that has a relevant document, as a demonstration."""
    pairs = judged_pairs(corpus, judgments, words)
    return [Demonstration(document, query, query_id) for query_id, (document, query) in pairs.items()]


def query_ids(judgments: Sequence[JudgedDocument]) -> Mapping[str, str]:
    """The judged queries' ids by their texts."""
    return {row.query: row.query_id for row in judgments}
