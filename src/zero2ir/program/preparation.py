"""Prepares training inputs from documents and judgments: encoders, answer passages, synthetic queries.

In the pipeline, the stages ingest and pretrain-synthetic prepare the same, and the stage train reads it. Both continue
in ``zero2ir.program.training``.
"""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from zero2ir.data.auxiliary import AuxiliaryCollection
from zero2ir.data.inputs import (
    Documents,
    Judgments,
    QuestionAnswerPairs,
    as_documents,
    as_judgments,
    as_pairs,
    as_query_ids,
    as_rows,
    as_tuple,
)
from zero2ir.data.judgments import normalised
from zero2ir.data.languages import AUTO_LANGUAGE, ENGLISH, language_of, likely_language
from zero2ir.data.own_documents import own_documents, warn_of_own_documents
from zero2ir.data.records import DataQuality, Document, JudgedDocument
from zero2ir.data.settings import JudgmentBudget, LanguageCode
from zero2ir.data.words import has_stemmer
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import MakingSettings, make_encoder, source_role
from zero2ir.encoders.settings import FROM_SCRATCH, EncoderSettings, check_available
from zero2ir.errors import DataWarning, InputError
from zero2ir.io import paths
from zero2ir.io.settings import Settings
from zero2ir.lm.factory import lazy_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.auto import Auto
from zero2ir.models.base import Model, nested_models
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.answer_pairs import AnswerPassageFinder, PairSettings
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings

ENGLISH_LM = "smollm2"
LEARNED_HERE = {*FROM_SCRATCH, "lm"}  # needs that no pretrained encoder serves
MIN_QUERY_CHARACTERS = 60  # less text does not tell the language of queries
CROSS_LINGUAL = ("aligned", "surface", "translated")  # kinds of models


class PretrainingSettings(MakingSettings):
    """The schema of ``conf/pretraining/*.yaml``: training from the documents alone.

    Attributes:
        synthetic: synthetic queries by a language model.
    """

    synthetic: SyntheticSettings = SyntheticSettings()


class TaskSettings(Settings):
    """Judgments and measures of a task.

    Attributes:
        name: name in reports.
        measures: ir-measures names, AnswerRecall@k, EM, F1; the first is the report's main measure.
        ceiling: whether to report results relative to BM25 with the queries' human translations, too.
        pairs: how to find the passages of question-answer pairs; None if documents are judged.
        leave_out_own_documents: whether a document with the id and the text of a query is left out of the query's
            ranking.
    """

    name: str
    measures: tuple[str, ...]
    ceiling: bool = False
    pairs: PairSettings | None = None
    leave_out_own_documents: bool = True

    @property
    def answers(self) -> bool:
        """Whether programs return answers in addition to documents."""
        return self.pairs is not None


class PreparationSettings(Settings):
    """Settings of the preparation.

    Attributes:
        lm: the language model, if any.
        encoder: the general-purpose encoder.
        pretraining: training from the documents alone.
        tuning: how to select hyperparameters on few judgments.
        task: judgments and measures.
        language: ISO 639-1 code of the documents' language; "auto" identifies it.
    """

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    tuning: TuningSettings = TuningSettings()
    task: TaskSettings
    language: LanguageCode = AUTO_LANGUAGE


class Judged(NamedTuple):
    """Judgments for training, the reason by question for pairs without a passage, and what was left out."""

    rows: Sequence[JudgedDocument]
    skipped: Mapping[str, str] = MappingProxyType({})
    quality: DataQuality = MappingProxyType({})


def prepare_corpus(
    documents: Sequence[Document],
    settings: PreparationSettings,
    needs: Collection[str],
    seed: int,
    cache: Path | None = None,
) -> Corpus:
    """Returns the documents with the required encoders, trained if necessary.

    Args:
        documents: the collection.
        settings: encoder, language model and encoder training.
        needs: roles of encoders, and "lm".
        seed: random seed.
        cache: folder that caches embeddings.

    Raises:
        InputError: an encoder or the language model is not available; raised before any computation.
    """
    check_available(settings.encoder)
    language_model = lazy_lm(settings.lm, paths.CACHE_FOLDER / "lm", seed)
    corpus = Corpus(documents, cache=cache, language_model=language_model, language=settings.language)
    warn_of_language(corpus.language, needs, settings.encoder, settings.lm)
    if "lm" in needs:
        _ = corpus.require_language_model("this choice").lm  # raises early
    encoders: dict[str, TextEncoder] = {}
    for role in sorted(set(needs) - {"lm"}):
        source = source_role(role, settings.encoder, corpus.language)
        if source not in encoders:
            encoders[source] = make_encoder(source, corpus, settings.encoder, settings.pretraining, seed)
        corpus.encoders[role] = encoders[source]
    return corpus


def warn_of_language(language: str, needs: Collection[str], encoder: EncoderSettings, lm: LMSettings) -> None:
    """Warns once of what is lost in a language without full support, and says what would help."""
    losses = []
    if not has_stemmer(language):
        losses.append("without a stemmer, words match in the same form only")
    if not encoder.knows(language) and not LEARNED_HERE.issuperset(needs):
        known = " and ".join(language_of(code).name for code in encoder.languages)
        taken = "the encoder from scratch takes its place; " if "pretrained" in needs else ""
        losses.append(
            f"the encoder {encoder.name} knows {known}; {taken}use encoder=hub with a multilingual encoder.model, or "
            f"keep {encoder.name} by encoder.languages=[]"
        )
    if language != ENGLISH and "lm" in needs and lm.name == ENGLISH_LM:
        losses.append(f"lm={ENGLISH_LM} is English; use another one, e.g. gemma3")
    if losses:
        name = language_of(language).name
        warnings.warn(f"documents in {name}: {'; '.join(losses)}", DataWarning, stacklevel=2)


def warn_of_query_language(
    queries: Sequence[str], language: str, model: Model | Auto, encoder: EncoderSettings
) -> None:
    """Warns if queries are in another language than the documents, and neither model nor encoder is made for that."""
    if sum(map(len, queries)) < MIN_QUERY_CHARACTERS:
        return
    found = likely_language(queries, language)
    if found == language or not encoder.languages or _crosses_languages(model):
        return
    warnings.warn(
        f"queries in {language_of(found).name}, documents in {language_of(language).name}: few words match; use "
        "model=crosslingual with a multilingual lm, or encoder=hub with a multilingual encoder.model",
        DataWarning,
        stacklevel=2,
    )


def _crosses_languages(model: Model | Auto) -> bool:
    if isinstance(model, Auto):
        return any(map(_crosses_languages, model.candidates.values()))
    return model.kind in CROSS_LINGUAL or any(map(_crosses_languages, nested_models(model)))


def prepare_judgments(
    judgments: Judgments | QuestionAnswerPairs,
    documents: Sequence[Document],
    task: TaskSettings,
    translations: Mapping[str, str] | None = None,
    language: str = AUTO_LANGUAGE,
) -> Judged:
    """Validates judgments; question-answer pairs become judgments of the passages that contain the answers.

    Raises:
        InputError: a row is invalid, or the task does not use translations.
    """
    if task.pairs is None:
        rows, quality = as_judgments(judgments, {document.doc_id for document in documents}, translations)
        return Judged(rows, quality=quality)
    if translations:
        raise InputError(f"translations: task={task.name} does not use them; leave them out")
    pairs = as_pairs(judgments)
    if not pairs:
        return Judged([])
    finder = AnswerPassageFinder(documents, task.pairs, language)
    passages = finder.find(pairs, JudgmentBudget().documents_per_query)
    text = {pair.query_id: pair.text for pair in pairs}
    skipped = {text[query_id]: reason for query_id, reason in passages.skipped_questions.items()}
    return Judged([row for rows in passages.rows for row in rows], skipped)


def prepare_own_documents(
    documents: Sequence[Document],
    rows: Sequence[JudgedDocument],
    unlabelled: Sequence[tuple[str, str]],
    task: TaskSettings,
    query_ids: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns ``TrainingInputs.own_documents``, and warns of them.

    Args:
        documents: the collection.
        rows: the judgments.
        unlabelled: ids ("" for none) and texts of the queries without judgments.
        task: says whether own documents are left out.
        query_ids: further ids of queries, by text.

    Raises:
        InputError: ``query_ids`` is no mapping of texts to ids.
    """
    id_of = {normalised(text): query_id for query_id, text in unlabelled} | as_query_ids(query_ids)
    queries = {row.query_id: row.query for row in rows} | {text: text for _, text in unlabelled}
    ids = {key: id_of.get(normalised(text), "") for key, text in queries.items()}
    own = own_documents(queries, documents, rows, ids) if task.leave_out_own_documents else {}
    warn_of_own_documents(len(own))
    return own


def prepare_inputs(
    corpus: Corpus,
    rows: Sequence[JudgedDocument],
    settings: PreparationSettings,
    seed: int,
    *,
    synthetic: bool,
    candidates: Mapping[str, Sequence[str]] | None = None,
    unlabelled_queries: Sequence[str] = (),
) -> TrainingInputs:
    """Returns the training inputs; their corpus knows the texts of all queries.

    Args:
        corpus: the documents with their encoders.
        rows: the judgments.
        settings: synthetic queries and tuning.
        seed: random seed.
        synthetic: whether the language model writes synthetic queries.
        candidates: document ids to rank, by id of the judged query; None for the whole collection.
        unlabelled_queries: texts of queries without judgments.
    """
    writing = settings.pretraining.synthetic
    queries: Sequence[SyntheticQuery] = ()
    if synthetic:
        assert corpus.language_model is not None
        queries, _ = write_queries(corpus, rows, corpus.language_model, writing, seed)
    return TrainingInputs(
        corpus.with_queries([*(row.query for row in rows), *unlabelled_queries]),
        rows,
        queries,
        settings.tuning,
        seed,
        writing,
        candidates=candidates,
        unlabelled_queries=unlabelled_queries,
    )


def prepare_auxiliary(collections: Iterable[tuple[Documents, Judgments]]) -> list[AuxiliaryCollection]:
    """Validates other collections with judgments, for strategy meta.

    Raises:
        InputError: a document or judgment is invalid; names the collection.
    """
    prepared = []
    for name, pair in as_rows(collections, "auxiliary_collections"):
        documents, judgments = as_tuple(pair, 2, name, "(documents, judgments)")
        corpus = Corpus(as_documents(documents, f"{name}: documents"))
        rows, _ = as_judgments(judgments, corpus.number_of, name=f"{name}: judgments")
        prepared.append(AuxiliaryCollection(name, corpus.documents, rows))
    return prepared
