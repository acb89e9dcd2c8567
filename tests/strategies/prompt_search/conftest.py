"""A small task for proposers: documents, judgments and a language model that follows a script."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.lm.factory import LanguageModel
from zero2ir.strategies.prompt_search.candidates import fixed_candidate, judged_demonstrations
from zero2ir.strategies.prompt_search.proposals import WritingTask
from zero2ir.synthetic.queries import SyntheticWriter
from zero2ir.synthetic.settings import SyntheticSettings

SETTINGS = SyntheticSettings(documents=20, demonstrations=2, document_words=40)


@pytest.fixture(scope="session")
def judgments(docstrings: list[Document]) -> list[JudgedDocument]:
    """Six judged queries in words of their documents, each with a document that is not relevant."""
    rows = []
    for place, document in enumerate(docstrings[:6]):
        query = " ".join(document.text.split()[2:9:2])
        rows.append(JudgedDocument(f"q{place}", query, docstrings[place + 20].doc_id, 0))
        rows.append(JudgedDocument(f"q{place}", query, document.doc_id, 1))
    return rows


@pytest.fixture(scope="session")
def make_task(docstrings: list[Document], judgments: list[JudgedDocument]) -> Callable[..., WritingTask]:
    """Makes a task for a language model."""

    def make(
        language_model: LanguageModel,
        number: int = 4,
        seed: int = 0,
        settings: SyntheticSettings = SETTINGS,
        rows: Sequence[JudgedDocument] = judgments,
    ) -> WritingTask:
        corpus = Corpus(docstrings)
        writer = SyntheticWriter(corpus, rows, language_model, settings, seed)
        pairs = judged_demonstrations(corpus, rows, settings.document_words)
        return WritingTask(writer, fixed_candidate(corpus, rows, settings, seed), pairs, number, seed)

    return make


@pytest.fixture
def task(make_task: Callable[..., WritingTask], script_lm: Callable[..., Any]) -> WritingTask:
    """One whose language model is never asked."""
    return make_task(script_lm(lambda messages: pytest.fail("the LM was asked"))[0])
