"""Candidate prompts for writing queries and for the parts of a model."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from zero2ir.data.records import JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.prompted import PartPrompt
from zero2ir.synthetic.prompts import judged_pairs, make_prompt
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.settings import StyleName
from zero2ir.writing.styles import Prompt

Origin = Literal["fixed", "pool", "bootstrap", "mipro", "copro", "gepa"]
HAND_WRITTEN_ORIGINS = ("fixed", "pool", "bootstrap")  # no LM wrote their instructions
QUERY_WRITER = "query writer"  # the part's name in the report


class Demonstration(NamedTuple):
    """A demonstration of the query writer.

    Attributes:
        document: a passage.
        query: a query that it answers.
        query_id: of a judged query; else empty.
    """

    document: str
    query: str
    query_id: str = ""


@dataclass(frozen=True)
class PromptCandidate:
    """A candidate prompt for writing queries.

    Attributes:
        demonstrations: in the order of the prompt.
        document_words: maximum words of a document in the prompt.
        temperature: of the answers; None for the LM's default.
        origin: its proposer.
        quoted: ids of the judged queries that it reveals beside those of its demonstrations.
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
        """The prompt before each document."""
        pairs = [(one.document, one.query) for one in self.demonstrations]
        return Prompt(self.style, self.instruction, pairs, self.temperature)

    @cached_property
    def digest(self) -> str:
        """Identifies the prompt and the temperature; hexadecimal, 12 characters."""
        content = f"{self.style} {self.document_words} {self.prompt.digest}"
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def shown(self) -> frozenset[str]:
        """The ids of the judged queries in the prompt, on which the candidate is not measured."""
        return self.quoted | {one.query_id for one in self.demonstrations if one.query_id}

    @property
    def complexity(self) -> tuple[int, int, int]:
        """Sorts candidates by simplicity: the fixed prompt, fewer demonstrations, hand-written instructions first."""
        return _complexity(self.origin, len(self.demonstrations))

    def settings(self, base: SyntheticSettings) -> SyntheticSettings:
        """Returns the settings for its queries, as many per document as ``base`` has in all styles."""
        number = sum(base.styles.values())
        return base.model_copy(update={"styles": {self.style: number}, "document_words": self.document_words})

    def as_dict(self) -> dict[str, Any]:
        """Returns the candidate with its whole prompt; JSON."""
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
    """A candidate prompt for a part of a model, such as its reranker.

    Attributes:
        part: its name in the model.
        style: of the answers.
        origin: its proposer.
    """

    part: str
    style: str
    prompt: PartPrompt
    origin: Origin = "fixed"

    @cached_property
    def digest(self) -> str:
        """Identifies the prompt; hexadecimal, 12 characters."""
        content = json.dumps([self.part, self.prompt.instruction, self.prompt.demos], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def complexity(self) -> tuple[int, int, int]:
        return _complexity(self.origin, len(self.prompt.demos))

    def as_dict(self) -> dict[str, Any]:
        """Returns the candidate with its whole prompt; JSON."""
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
    """Returns the prompt of the settings, for the first style with the most queries."""
    style = max(settings.styles, key=lambda name: settings.styles[name])
    prompt = make_prompt(style, corpus, judgments, settings, seed)
    id_of = {row.query: row.query_id for row in judgments}
    demonstrations = tuple(Demonstration(*pair, id_of.get(pair[1], "")) for pair in prompt.demonstrations)
    return PromptCandidate(style, prompt.instruction, demonstrations, settings.document_words)


def judged_demonstrations(corpus: Corpus, judgments: Sequence[JudgedDocument], words: int) -> list[Demonstration]:
    """Returns a demonstration of every judged query with a relevant document."""
    pairs = judged_pairs(corpus, judgments, words)
    return [Demonstration(document, query, query_id) for query_id, (document, query) in pairs.items()]
