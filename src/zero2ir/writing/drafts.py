"""Drafts of queries: a language model writes queries that a passage of a document answers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from zero2ir.data.records import Document
from zero2ir.lm.likelihood import log_likelihood
from zero2ir.writing.settings import StyleName
from zero2ir.writing.styles import Prompt, query_writer

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

REPEAT_TEMPERATURE = 0.7  # with greedy decoding a repeated passage would get the same query


class QueryDraft(NamedTuple):
    """A query before filtering."""

    style: StyleName
    document: Document
    passage: str  # shown to the LM
    repeat: int  # number of earlier queries of this style for this passage
    query: str = ""  # empty if the LM's answer is unusable
    log_likelihood: float = math.nan  # mean over the query's tokens; NaN if the LM does not return it


def drafts_of(document: Document, passages: Sequence[str], style: StyleName) -> list[QueryDraft]:
    """Returns a document's drafts of one style without queries, one for each passage; passages may be equal."""
    return [
        QueryDraft(style, document, passage, passages[:turn].count(passage)) for turn, passage in enumerate(passages)
    ]


def write_drafts(drafts: Sequence[QueryDraft], prompt: Prompt, language_model: "LanguageModel") -> list[QueryDraft]:
    """Writes the queries of the drafts of one style.

    All requests share a prompt prefix, which the server caches; repeated queries for a passage are sampled.
    """
    from zero2ir.lm.adapter import escape_untrusted_text

    has_logprobs = "logprobs" in language_model.lm.supported_params
    sampled = max(REPEAT_TEMPERATURE, language_model.settings.temperature, prompt.temperature or 0.0)
    inputs = [
        {"document": draft.passage}
        | ({"config": {"rollout_id": draft.repeat, "temperature": sampled}} if draft.repeat else {})
        for draft in drafts
    ]
    answers = language_model.map(query_writer(prompt, has_logprobs), inputs, f"writing queries ({prompt.style})")
    return [
        draft._replace(
            query=escape_untrusted_text(str(getattr(answer, "query", ""))), log_likelihood=log_likelihood(answer)
        )
        for draft, answer in zip(drafts, answers, strict=True)
    ]
