"""Prompts with judged queries as demonstrations, or with those of a style."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.records import JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.passages import answering_passage
from zero2ir.writing.settings import StyleName
from zero2ir.writing.styles import EXCERPTS, STYLES, Prompt


def make_prompt(
    style: StyleName, corpus: Corpus, judgments: Sequence[JudgedDocument], settings: SyntheticSettings, seed: int
) -> Prompt:
    """Builds the prompt of a style; the seed draws and orders its demonstrations.

    The style "judgments" uses the judged queries, each with the passage of its most relevant document that contains
    most of its terms, so that new queries resemble the collection's.
    """
    if style == "judgments":
        pairs = list(judged_pairs(corpus, judgments, settings.document_words).values())
    else:
        pairs = list(zip(EXCERPTS, STYLES[style].queries, strict=True))
    order = np.random.default_rng(seed).permutation(len(pairs))[: settings.demonstrations]
    return Prompt(style, STYLES[style].instruction, [pairs[number] for number in order])


def judged_pairs(corpus: Corpus, judgments: Sequence[JudgedDocument], words: int) -> dict[str, tuple[str, str]]:
    """Returns the judged queries as (passage, query) pairs by query id, sorted, if they have a relevant document.

    The passage is from the most relevant document and has at most ``words`` words.
    """
    pairs = {}
    for query_id, row in sorted(most_relevant(judgments).items()):
        document = corpus.documents[corpus.number_of[row.doc_id]]
        pairs[query_id] = (answering_passage(document, words, row.query, corpus.language), row.query)
    return pairs


def most_relevant(judgments: Sequence[JudgedDocument]) -> dict[str, JudgedDocument]:
    """Returns the most relevant document of each judged query that has one, the first of equal ones."""
    best: dict[str, JudgedDocument] = {}
    for row in judgments:
        if row.relevance > 0 and (row.query_id not in best or row.relevance > best[row.query_id].relevance):
            best[row.query_id] = row
    return best
