"""Hostile answers of language models: what an endpoint may send, through every parser of answers."""

import json
import math
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import httpx
import numpy as np
from hypothesis import strategies as st

from benchmarks.hostile.changes import ODD_TEXTS, altered, changed, odd_json
from benchmarks.hostile.contract import Check, Kind, reply, require
from benchmarks.hostile.readers import DOCUMENTS
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.labelling.annotators import LMAnnotator
from zero2ir.labelling.loop import AnnotationItem
from zero2ir.lm.endpoint import EndpointEngine, Transport
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.models.listwise import Listwise
from zero2ir.models.pointwise import Pointwise, parse_relevance, relevance_judge
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.models.translated import Translated
from zero2ir.writing.drafts import drafts_of, write_drafts
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.settings import FilterSettings
from zero2ir.writing.styles import style_prompt

URL = "http://127.0.0.1:9/v1"  # nobody listens there, and nobody is asked
TEXTS = [document["text"] for document in DOCUMENTS[:3]]
QUERY = "what is about chains"
FOREIGN = "Was steht in den Dokumenten über Ketten und über Reifen?"
FORMS = [
    *("yes", "No.", '{"grade": 2}', '{"grade": 7}', '{"grade": "2"}', '{"grade": 1e400}', "[2] > [1] > [3]"),
    *("[99999999999] > [0]", "2", "how do chains work?", "Query: chains", "a passage on chains", "<think>hm"),
    *("<think>hm</think>yes", "I'm sorry, but I can't help with that.", "[{]}", '{"grade": {"grade": 1}}', "²", "٣"),
    *("<|im_end|><|im_start|>system", "</s>[INST] obey", "x " * 5000, "[1]" * 5000, "\n\n\nyes", "\u2028yes"),
]
TOKENS = [{"token": "yes", "logprob": -0.1, "bytes": None}, {"token": "no", "logprob": -2.4, "bytes": None}]


class Answer(NamedTuple):
    """What an endpoint sends, whatever it is asked."""

    task: str
    status: int
    body: bytes


def completion(text: Any) -> dict[str, Any]:
    """A chat completion in OpenAI's form, with log-probabilities."""
    token = {**TOKENS[0], "top_logprobs": TOKENS}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "any",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
                "logprobs": {"content": [token]},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Draws a task, and an answer: a hostile text, a completion with an odd part, or other bytes."""
    task, status = draw(st.sampled_from(sorted(TASKS))), 200
    text = draw(st.one_of(st.sampled_from(FORMS), st.sampled_from(ODD_TEXTS), st.text(max_size=30)))
    whole = completion(text)
    match draw(st.integers(0, 9)):
        case 0:
            status = draw(st.sampled_from([201, 204, 302, 400, 401, 404, 429, 500, 503]))
            body = draw(altered(json.dumps(whole).encode()))
        case 1:
            body = draw(altered(json.dumps(whole).encode()))
        case 2 | 3 | 4:
            body = json.dumps(draw(changed(whole, odd_json()))).encode()
        case 5 | 6:
            place = whole["choices"][0]
            place["logprobs"] = draw(changed(place["logprobs"], odd_json()))
            body = json.dumps(whole).encode()
        case _:
            body = json.dumps(whole).encode()
    return Answer(task, status, body)


def language_model(answer: Answer) -> LanguageModel:
    """A language model whose endpoint gives one answer to every request: no network, but all that is behind it."""
    headers = {"content-type": "application/json", "location": "http://127.0.0.1:9/elsewhere"}
    client = httpx.Client(
        transport=httpx.MockTransport(
            lambda request: httpx.Response(answer.status, content=answer.body, headers=headers)
        )
    )
    transport = Transport("a-secret-key", 10.0)
    transport.__dict__["_direct"] = client  # in the place of the connection
    engine, usage = EndpointEngine("openai/any", URL, transport), Usage()
    settings = LMSettings(name="hostile", provider="litellm", model="openai/any", api_base=URL, retries=0)
    lm = MeteredLM("openai/any", usage, 0, engine=engine, cache=False, temperature=0.0, max_tokens=48, num_retries=0)
    return LanguageModel(settings, usage=usage, connect=lambda: lm)


def corpus_of(language_model: LanguageModel) -> Corpus:
    documents = [Document(row["doc_id"], row["title"], row["text"]) for row in DOCUMENTS]
    return Corpus(documents, language_model=language_model, language="en")


def _judged(language_model: LanguageModel) -> None:
    (scores,) = Pointwise().index(corpus_of(language_model)).score([QUERY], [TEXTS])
    usable = scores[~np.isnan(scores)]
    require(((usable >= 0) & (usable <= 1)).all(), f"relevance {usable}")
    require(language_model.usage.failures >= np.isnan(scores).sum(), "an unusable judgment is not counted")


def _graded(language_model: LanguageModel) -> None:
    (answer,) = language_model.map(relevance_judge([], False), [{"query": QUERY, "document": TEXTS[0]}], "grading")
    value = parse_relevance(answer)
    require(math.isnan(value) or 0 <= value <= 1, f"grade {value}")


def _annotated(language_model: LanguageModel) -> None:
    items = [AnnotationItem("q0", QUERY, row["doc_id"]) for row in DOCUMENTS[:2]]
    for grade in LMAnnotator(corpus_of(language_model), language_model).grades(items):
        require(grade in (None, 0, 1, 2) and not isinstance(grade, bool), f"grade {grade!r}")


def _ordered(language_model: LanguageModel) -> None:
    (scores,) = Listwise(window=3, step=2).index(corpus_of(language_model)).score([QUERY], [TEXTS])
    require(np.isnan(scores).all() or sorted(scores) == [1, 2, 3], f"order {scores}")


def _rewritten(language_model: LanguageModel) -> None:
    model = Rewritten(Sparse(), "query2doc").index(corpus_of(language_model))
    (text,) = model.rewrite([QUERY])
    require(text.startswith(QUERY), f"the query is lost: {text[:100]!r}")
    require(np.isfinite(model.search([QUERY], 3).scores[0, 0]), "no finite score")


def _translated(language_model: LanguageModel) -> None:
    model = Translated(Sparse(), translations=2).index(corpus_of(language_model))
    (row,) = model.translate([FOREIGN])
    require(row and all(text.strip() for text, _ in row), f"an empty translation: {row}")
    require(math.isclose(sum(weight for _, weight in row), 1.0, rel_tol=1e-6), f"weights {row}")


def _written(language_model: LanguageModel) -> None:
    document = corpus_of(language_model).documents[0]
    prompt = style_prompt("question", "en")
    (draft,) = write_drafts(drafts_of(document, [document.content], "question"), prompt, language_model)
    is_line = draft.query == " ".join(draft.query.split()) and not any(map(_is_control, draft.query))
    require(is_line, f"no plain line: {draft.query[:100]!r}")
    require(not math.isinf(draft.log_likelihood), f"log-likelihood {draft.log_likelihood}")
    known = FilterInputs(
        *([draft.query], [draft.passage], [document.content], [draft.style]),
        *(np.array([1]), np.array([draft.log_likelihood]), np.array([math.nan])),
    )
    names = objections(known, FilterSettings(filters=("empty", "too_long", "copied", "language", "likelihood")))[0]
    require(draft.query or "empty" in names, "an empty query passes")


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc"


TASKS: dict[str, Callable[[LanguageModel], None]] = {
    "judging by words": _judged,
    "judging by grades": _graded,
    "annotating": _annotated,
    "ordering": _ordered,
    "rewriting": _rewritten,
    "translating": _translated,
    "writing queries": _written,
}


def _check(answer: Answer) -> None:
    lm = language_model(answer)
    refusal = reply(partial(TASKS[answer.task], lm)).refusal
    require("a-secret-key" not in refusal, "the key is in a message")
    usage = lm.usage
    require(min(usage.calls, usage.prompt_tokens, usage.completion_tokens) >= 0, f"usage {usage}")


@contextmanager
def _checking() -> Iterator[Check]:
    yield _check


ANSWERS = Kind(
    "answers of language models",
    "A malformed answer of a language model is a counted failure, a whole result, or a refusal in one line",
    answers(),
    _checking,
    1500,
)
