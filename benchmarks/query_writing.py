"""Measures accepted synthetic queries a minute, compared with the plain way to write them with DSPy.

    python benchmarks/query_writing.py 60

All ways write for the same passages of the embedded collection, with the same judgments as demonstrations, the same
embedded SmolLM2, greedy decoding, the same filters, and no cached answers. The plain way is one ``dspy.Predict`` with
DSPy's ChatAdapter, call after call, with the packaged weights; a second row has the weights in the quantization of the
pipeline. It has the limit of 48 tokens an answer of conf/lm/smollm2.yaml: without a limit the model does not stop, and
20 queries take more than five minutes. It waits for every answer, so that it has one server with half of the cores;
zero2ir has the servers of conf/lm/smollm2.yaml. Rates are by the wall clock, so only their ratio is meaningful on a
machine with other work; the ways take turns, so that such work affects all of them. Processor seconds tell what such
work does not.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import dspy
import numpy as np
from dspy.utils.exceptions import AdapterParseError

from zero2ir.config import LibraryConfig, compose
from zero2ir.data import pydocs
from zero2ir.data.judgments import draw_judgments
from zero2ir.data.records import Collection, JudgedDocument
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.corpus import Corpus
from zero2ir.lm.factory import LanguageModel, open_lm
from zero2ir.models.sparse import Sparse
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.prompts import make_prompt
from zero2ir.synthetic.queries import empty_drafts, round_trip_ranks
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.drafts import QueryDraft, write_drafts
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.styles import Prompt

STYLE = "judgments"
TURN = 10  # queries until the other way has its turn
SEED = 0


def ours(drafts: Sequence[QueryDraft], prompt: Prompt, language_model: LanguageModel) -> list[str]:
    """The pipeline's own way."""
    return [draft.query for draft in write_drafts(drafts, prompt, language_model)]


def plain(drafts: Sequence[QueryDraft], prompt: Prompt, language_model: LanguageModel) -> list[str]:
    """A first script: an answer that cannot be parsed is no query."""
    writer = dspy.Predict(dspy.Signature("document -> query", prompt.instruction))
    writer.demos = [dspy.Example(document=document, query=query) for document, query in prompt.demonstrations]
    queries = []
    for draft in drafts:
        try:
            with dspy.context(lm=language_model.lm, adapter=dspy.ChatAdapter()):
                queries.append(" ".join(str(writer(document=draft.passage).query).split()))
        except AdapterParseError:
            queries.append("")
    return queries


class Variant(NamedTuple):
    """How queries are written, and what differs in the settings of the model."""

    write: Callable[[Sequence[QueryDraft], Prompt, LanguageModel], list[str]]
    changes: Mapping[str, Any]


WAYS = {
    "plain": Variant(plain, {"slots": 1, "quantization": None}),
    "plain, Q8_0": Variant(plain, {"slots": 1}),
    "zero2ir": Variant(ours, {}),
}


@contextmanager
def servers() -> Iterator[dict[str, LanguageModel]]:
    """Starts the servers of each way, with their own prompt caches and without earlier answers."""
    settings = compose("library", LibraryConfig, ["lm=smollm2"]).lm
    with TemporaryDirectory() as folder, ExitStack() as stack:
        yield {
            name: stack.enter_context(open_lm(settings.model_copy(update=way.changes), Path(folder, name), SEED))
            for name, way in WAYS.items()
        }


def accepted(
    corpus: Corpus,
    judgments: Sequence[JudgedDocument],
    drafts: Sequence[QueryDraft],
    queries: Sequence[str],
    prompt: Prompt,
    settings: SyntheticSettings,
) -> int:
    """Returns how many of the queries pass the filters."""
    documents = [draft.document for draft in drafts]
    ranks = round_trip_ranks(Sparse().index(corpus), corpus, queries, documents, settings.round_trip)
    unknown = np.full(len(drafts), np.nan)
    written = FilterInputs(
        queries=queries,
        passages=[draft.passage for draft in drafts],
        contents=[document.content for document in documents],
        styles=[draft.style for draft in drafts],
        round_trip_ranks=np.array(ranks),
        log_likelihoods=unknown,
        grades=unknown,
        known_queries=[row.query for row in judgments],
        prompt_texts=[document for document, _ in prompt.demonstrations],
    )
    return sum(not one for one in objections(written, settings))


def main(number: int) -> None:
    raw = pydocs.read()
    collection = Collection(raw.documents, raw.queries, raw.judgments)
    corpus, judgments = (
        Corpus(collection.documents),
        draw_judgments(collection, JudgmentBudget(judging="relevant"), SEED),
    )
    settings = SyntheticSettings(documents=number, styles={STYLE: 1})
    sample = choose_documents(corpus.documents, {row.doc_id for row in judgments}, settings, SEED)
    prompt, drafts = make_prompt(STYLE, corpus, judgments, settings, SEED), empty_drafts(sample, STYLE, settings, SEED)
    seconds, processor = dict.fromkeys(WAYS, 0.0), dict.fromkeys(WAYS, 0.0)
    queries: dict[str, list[str]] = {name: [] for name in WAYS}
    with servers() as models:
        for start in range(0, len(drafts), TURN):
            for name, way in WAYS.items():
                begun, computed = time.perf_counter(), time.process_time()  # servers are threads of this process
                queries[name] += way.write(drafts[start : start + TURN], prompt, models[name])
                seconds[name] += time.perf_counter() - begun
                processor[name] += time.process_time() - computed
        usage = {name: model.usage for name, model in models.items()}
    print(
        f"{'':12} {'written':>8} {'accepted':>9} {'seconds':>8} {'processor s':>12} {'calls':>6} {'tokens out':>11} "
        f"{'accepted / min':>15}"
    )
    rates = {}
    for name in WAYS:
        good = accepted(corpus, judgments, drafts, queries[name], prompt, settings)
        rates[name] = 60 * good / seconds[name]
        times = f"{seconds[name]:8.1f} {processor[name]:12.1f}"
        figures = f"{sum(map(bool, queries[name])):8} {good:9} {times} {usage[name].calls:6}"
        print(f"{name:12} {figures} {usage[name].completion_tokens:11} {rates[name]:15.1f}")
    for name in ("plain", "plain, Q8_0"):
        ratio = f"{rates['zero2ir'] / rates[name]:.2f}" if rates[name] else "it got none accepted"
        print(f"zero2ir / {name}: {ratio}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
