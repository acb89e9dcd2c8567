"""Synthetic queries: an LM writes, for a document, queries that it answers."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.lm.likelihood import log_likelihood
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.llm_reranker import parse_relevance, relevance_judge
from zero2ir.models.sparse import Sparse
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.filters import FilterInputs, objections
from zero2ir.synthetic.negatives import mined_negatives
from zero2ir.synthetic.passages import drawn_passages
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import StyleName, SyntheticSettings
from zero2ir.synthetic.styles import Prompt, make_prompt, query_writer

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

HYBRID_WEIGHTS = (0.3, 0.7)  # as in conf/model/hybrid.yaml
REPEAT_TEMPERATURE = 0.7  # greedy decoding would write the same query for a passage again


class QueryDraft(NamedTuple):
    """A query before anyone looked at it.

    Attributes:
        style: its name.
        document: the one that it is written for.
        passage: what of it the LM sees.
        repeat: how many queries of this style the passage got before.
        query: what the LM wrote; empty where its answer is of no use.
        log_likelihood: mean log-probability of the tokens, NaN where the LM does not tell.
    """

    style: StyleName
    document: Document
    passage: str
    repeat: int
    query: str = ""
    log_likelihood: float = math.nan


class SyntheticWriter:
    """Has queries written for documents, asks the filters about them, and finds their negatives.

    Args:
        corpus: the documents; with the encoder "pretrained" where the settings want it to find the negatives.
        judgments: the few that training may see.
        language_model: who writes.
        settings: as which the queries of any prompt are written unless ``write`` says otherwise.
        seed: of passages and negatives.

    Raises:
        InputError: the negatives need something that is not there.
    """

    def __init__(
        self,
        corpus: Corpus,
        judgments: Sequence[JudgedDocument],
        language_model: "LanguageModel",
        settings: SyntheticSettings,
        seed: int,
    ) -> None:
        self.corpus = corpus
        self.judgments = judgments
        self.language_model = language_model
        self.settings = settings
        self.seed = seed
        teacher = _teacher(corpus, settings)
        self.sparse = Sparse().index(corpus)
        self.teacher: Retriever = teacher or self.sparse

    def write(
        self, sample: Sequence[Document], prompts: Mapping[StyleName, Prompt], settings: SyntheticSettings | None = None
    ) -> list[SyntheticQuery]:
        """Every query of every prompt, the rejected ones, too.

        Args:
            sample: the documents to write for.
            prompts: by style; as many queries a document as the settings want of it.
            settings: instead of the writer's own, which they agree with on the negatives.

        Raises:
            InputError: there is no language model, or a filter needs something that is not there.
        """
        settings = settings or self.settings
        drafts = [
            draft
            for style, prompt in prompts.items()
            for draft in write_drafts(empty_drafts(sample, style, settings, self.seed), prompt, self.language_model)
        ]
        if "likelihood" in settings.filters:
            _require_likelihoods(drafts, self.language_model.settings.name)
        queries, documents = [draft.query for draft in drafts], [draft.document for draft in drafts]
        ranks = round_trip_ranks(self.sparse, self.corpus, queries, documents, settings.round_trip)
        grades = _grades(drafts, prompts, self.language_model, settings)
        reasons = objections(
            FilterInputs(
                queries,
                [draft.passage for draft in drafts],
                [document.content for document in documents],
                [draft.style for draft in drafts],
                np.array(ranks, dtype=np.int64),
                np.array([draft.log_likelihood for draft in drafts]),
                np.array(grades),
                [row.query for row in self.judgments]
                + [query for one in prompts.values() for _, query in one.demonstrations],
                [document for one in prompts.values() for document, _ in one.demonstrations],
            ),
            settings,
        )
        negatives = mined_negatives(
            self.teacher,
            queries,
            [self.corpus.number_of[document.doc_id] for document in documents],
            self.corpus.contents,
            number=settings.negatives,
            ranks=settings.negatives_from,
            most=settings.negative_margin,
            rng=np.random.default_rng(self.seed),
        )
        return [
            SyntheticQuery(
                query_id=f"synthetic-{self.seed}-{number}",
                query=draft.query,
                doc_id=draft.document.doc_id,
                negatives=[self.corpus.documents[n].doc_id for n in mined.numbers],
                rejected=reason[0] if reason else "",
                style=draft.style,
                passage=draft.passage,
                margins=[round(margin, 4) for margin in mined.margins],
                objections=reason,
                round_trip_rank=rank,
                log_likelihood=draft.log_likelihood,
                grade=grade,
                lm=self.language_model.settings.name,
                prompt=prompts[draft.style].digest,
                seed=self.seed,
            )
            for number, (draft, mined, rank, grade, reason) in enumerate(
                zip(drafts, negatives, ranks, grades, reasons, strict=True)
            )
        ]


def write_queries(
    corpus: Corpus,
    judgments: Sequence[JudgedDocument],
    language_model: "LanguageModel",
    settings: SyntheticSettings,
    seed: int,
) -> tuple[list[SyntheticQuery], dict[str, Any]]:
    """Writes queries of several styles for some documents, few-shot, and filters them.

    Args:
        corpus: the documents; with the encoder "pretrained" where the settings want it to find the negatives.
        judgments: the few that training may see.
        language_model: who writes.
        settings: for which documents, how many of which style, how filtered.
        seed: of the documents' choice, of passages and demonstrations, and of the negatives.

    Returns:
        Every query, the rejected ones, too; and the settings, the prompts and the counts, for whoever wants to check
        them or to write more.

    Raises:
        InputError: there is no language model; or a filter or the negatives need something that is not there.

    Source: few-shot generation with a round-trip filter as in Promptagator, arXiv 2209.11755, sections 3.1 and 3.3.
    """
    writer = SyntheticWriter(corpus, judgments, language_model, settings, seed)
    sample = choose_documents(corpus.documents, {row.doc_id for row in judgments}, settings, seed)
    styles = [style for style, number in settings.styles.items() if number]
    prompts = {style: make_prompt(style, corpus, judgments, settings, seed) for style in styles}
    rows = writer.write(sample, prompts)
    provenance = {
        "settings": settings.model_dump(mode="json"),
        "prompts": {style: prompt.as_dict() for style, prompt in prompts.items()},
        "lm": language_model.settings.name,
        "counts": counts(rows),
    }
    return rows, provenance


def empty_drafts(
    sample: Sequence[Document], style: StyleName, settings: SyntheticSettings, seed: int
) -> list[QueryDraft]:
    """The queries of one style that are to be written: the first of every document, then the second of every one."""
    number = settings.styles[style]
    shown = []
    for document in sample:
        own = hashlib.sha256(f"{seed} {style} {document.doc_id}".encode("utf-8", "surrogatepass")).digest()
        rng = np.random.default_rng(int.from_bytes(own[:8], "big"))  # so that other documents change nothing
        shown.append(drawn_passages(document, settings.document_words, number, rng))
    return [
        QueryDraft(style, document, texts[turn], texts[:turn].count(texts[turn]))
        for turn in range(number)
        for document, texts in zip(sample, shown, strict=True)
    ]


def write_drafts(drafts: Sequence[QueryDraft], prompt: Prompt, language_model: "LanguageModel") -> list[QueryDraft]:
    """The drafts of one style with their queries.

    All requests begin with the same prompt, which the server reads once; another query for a passage that had one is
    sampled.
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


def _require_likelihoods(drafts: Sequence[QueryDraft], lm: str) -> None:
    known = [draft.log_likelihood for draft in drafts if draft.query]
    if known and all(map(math.isnan, known)):
        raise InputError(
            f"lm={lm} gives no log-probabilities, which the filter likelihood needs; "
            "take it out of pretraining.synthetic.filters, or choose another LM"
        )


def _grades(
    drafts: Sequence[QueryDraft],
    prompts: Mapping[StyleName, Prompt],
    language_model: "LanguageModel",
    settings: SyntheticSettings,
) -> list[float]:
    """How well each passage answers its query by the LM, 0 to 1; NaN where no filter asks, and without an answer.

    The judge is the reranker's. It is shown the demonstrations of the query's style, in turn with their own query, and
    with that of the next one.
    """
    grades = [math.nan] * len(drafts)
    if "grade" not in settings.filters:
        return grades
    has_logprobs = "logprobs" in language_model.lm.supported_params
    for style, prompt in prompts.items():
        pairs = list(prompt.demonstrations)
        shown = [
            {"document": document, "query": query, "relevant": own}
            for (document, right), (_, wrong) in zip(pairs, pairs[1:] + pairs[:1], strict=True)
            for query, own in ((right, True), (wrong, False))
        ]
        places = [place for place, draft in enumerate(drafts) if draft.style == style and draft.query]
        inputs = [{"query": drafts[place].query, "document": drafts[place].passage} for place in places]
        answers = language_model.map(relevance_judge(shown, has_logprobs), inputs, f"grading queries ({style})")
        for place, answer in zip(places, answers, strict=True):
            grades[place] = round(parse_relevance(answer), 4)
    return grades


def _teacher(corpus: Corpus, settings: SyntheticSettings) -> Retriever | None:
    """Who finds the negatives where it is not BM25 alone."""
    if settings.negatives_by == "sparse":
        return None
    if "pretrained" not in corpus.encoders:
        raise InputError(
            "pretraining.synthetic.negatives_by=hybrid needs the encoder 'pretrained', and there is none; "
            "choose negatives_by=sparse, or a model that uses this encoder, e.g. model=hybrid"
        )
    return Hybrid([Sparse(), Dense("pretrained")], weights=HYBRID_WEIGHTS).index(corpus)


def round_trip_ranks(
    sparse: Sparse, corpus: Corpus, queries: Sequence[str], documents: Sequence[Document], depth: int
) -> list[int]:
    """The rank at which each query finds its own document, counted from 1; 0 beyond ``depth``."""
    numbers = sparse.search(queries, depth).numbers
    own = np.array([corpus.number_of[document.doc_id] for document in documents], dtype=np.int64)
    found = numbers == own[:, None] if len(own) else np.zeros((0, depth), dtype=bool)
    return [int(row.argmax()) + 1 if row.any() else 0 for row in found]


def counts(rows: Sequence[SyntheticQuery]) -> dict[str, int]:
    """How many queries were written, accepted, and rejected by each filter first."""
    result = {"written": len(rows), "accepted": sum(not row.rejected for row in rows)}
    for row in rows:
        if row.rejected:
            result[f"rejected: {row.rejected}"] = result.get(f"rejected: {row.rejected}", 0) + 1
    return result
