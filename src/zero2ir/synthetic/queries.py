"""Writes synthetic queries: an LM writes queries that a document answers."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.pointwise import parse_relevance, relevance_judge
from zero2ir.models.sparse import Sparse
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.negatives import mined_negatives
from zero2ir.synthetic.prompts import make_prompt
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.drafts import QueryDraft, drafts_of, write_drafts
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.passages import drawn_passages
from zero2ir.writing.settings import StyleName
from zero2ir.writing.styles import Prompt

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

HYBRID_WEIGHTS = (0.3, 0.7)  # as in conf/model/hybrid.yaml


class SyntheticWriter:
    """Writes queries for documents, applies the filters, and mines negatives.

    ``seed`` draws passages and negatives.

    Raises:
        InputError: the negatives need the encoder "pretrained", which the corpus lacks.
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
        teacher = _teacher(corpus, settings)  # raises before any work
        self.sparse = Sparse().index(corpus)
        self.teacher: Retriever = teacher or self.sparse

    def write(
        self, sample: Sequence[Document], prompts: Mapping[StyleName, Prompt], settings: SyntheticSettings | None = None
    ) -> list[SyntheticQuery]:
        """Writes the queries of every prompt for the documents and returns them, including rejected ones.

        ``settings`` replaces the writer's settings; the settings of the negatives must be equal.

        Raises:
            InputError: there is no language model, or a filter needs data that is missing.
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
    """Writes few-shot queries of several styles for some documents, and filters them.

    ``seed`` draws documents, passages, demonstrations and negatives.

    Returns:
        All queries, including rejected ones; and their provenance: settings, prompts and counts.

    Raises:
        InputError: there is no language model; most of its answers are unusable; or a filter or the negatives need
            something that is missing.

    Source: few-shot generation with a round-trip filter as in Promptagator, arXiv 2209.11755, sections 3.1 and 3.3.
    """
    writer = SyntheticWriter(corpus, judgments, language_model, settings, seed)
    sample = choose_documents(corpus.documents, {row.doc_id for row in judgments}, settings, seed, corpus.language)
    styles = [style for style, number in settings.styles.items() if number]
    prompts = {style: make_prompt(style, corpus, judgments, settings, seed) for style in styles}
    rows = writer.write(sample, prompts)
    language_model.require_usable_answers()
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
    """Returns drafts of one style without queries: the first draft of every document, then the second of each, ..."""
    number = settings.styles[style]
    rows = []
    for document in sample:
        own = hashlib.sha256(f"{seed} {style} {document.doc_id}".encode("utf-8", "surrogatepass")).digest()
        rng = np.random.default_rng(int.from_bytes(own[:8], "big"))  # independent of the other documents
        rows.append(drafts_of(document, drawn_passages(document, settings.document_words, number, rng), style))
    return [draft for turn in zip(*rows, strict=True) for draft in turn]


def _require_likelihoods(drafts: Sequence[QueryDraft], lm: str) -> None:
    likelihoods = [draft.log_likelihood for draft in drafts if draft.query]
    if likelihoods and all(map(math.isnan, likelihoods)):
        raise InputError(
            f"lm={lm} returns no log-probabilities, but the filter likelihood needs them; "
            "remove it from pretraining.synthetic.filters, or choose another LM"
        )


def _grades(
    drafts: Sequence[QueryDraft],
    prompts: Mapping[StyleName, Prompt],
    language_model: "LanguageModel",
    settings: SyntheticSettings,
) -> list[float]:
    """Returns the LM's grade of each passage for its query, 0 to 1; NaN without an answer or the filter "grade".

    Uses the LM reranker's judge. Its demonstrations are those of the query's style, each document once with its own
    query and once with the next one's.
    """
    grades = [math.nan] * len(drafts)
    if "grade" not in settings.filters:
        return grades
    has_logprobs = "logprobs" in language_model.lm.supported_params
    for style, prompt in prompts.items():
        pairs = list(prompt.demonstrations)
        demonstrations = [
            {"document": document, "query": query, "relevant": own}
            for (document, right), (_, wrong) in zip(pairs, pairs[1:] + pairs[:1], strict=True)
            for query, own in ((right, True), (wrong, False))
        ]
        places = [place for place, draft in enumerate(drafts) if draft.style == style and draft.query]
        inputs = [{"query": drafts[place].query, "document": drafts[place].passage} for place in places]
        judge = relevance_judge(demonstrations, has_logprobs)
        answers = language_model.map(judge, inputs, f"grading queries ({style})")
        for place, answer in zip(places, answers, strict=True):
            grades[place] = round(parse_relevance(answer), 4)
    return grades


def _teacher(corpus: Corpus, settings: SyntheticSettings) -> Retriever | None:
    """Returns the hybrid retriever that mines the negatives; None for BM25 alone."""
    if settings.negatives_by == "sparse":
        return None
    if "pretrained" not in corpus.encoders:
        raise InputError(
            "pretraining.synthetic.negatives_by=hybrid needs the encoder 'pretrained', which is missing; "
            "use negatives_by=sparse, or a model with this encoder, e.g. model=hybrid"
        )
    return Hybrid([Sparse(), Dense("pretrained")], weights=HYBRID_WEIGHTS).index(corpus)


def round_trip_ranks(
    sparse: Sparse, corpus: Corpus, queries: Sequence[str], documents: Sequence[Document], depth: int
) -> list[int]:
    """Returns the rank of each query's own document, from 1; 0 beyond ``depth``."""
    numbers = sparse.search(queries, depth).numbers
    own = np.array([corpus.number_of[document.doc_id] for document in documents], dtype=np.int64)
    matches = numbers == own[:, None] if len(own) else np.zeros((0, depth), dtype=bool)
    return [int(row.argmax()) + 1 if row.any() else 0 for row in matches]


def counts(rows: Sequence[SyntheticQuery]) -> dict[str, int]:
    """Counts the written and accepted queries, and those that each filter rejects first."""
    rejected = Counter(f"rejected: {row.rejected}" for row in rows if row.rejected)
    return {"written": len(rows), "accepted": len(rows) - rejected.total(), **rejected}
