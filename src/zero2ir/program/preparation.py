"""What training needs, made from documents and judgments: encoders, passages of answers, synthetic queries.

The library prepares here; in the pipeline the stages ingest and pretrain-synthetic have done the same, and the stage
train reads it. What follows is one way for both: ``zero2ir.program.training``.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from zero2ir.data.auxiliary import AuxiliaryCollection
from zero2ir.data.inputs import (
    CandidatesByQuery,
    Documents,
    Judgments,
    QuestionAnswerPairs,
    as_documents,
    as_judgments,
    as_pairs,
)
from zero2ir.data.records import Document, JudgedDocument
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import MakingSettings, make_encoder, source_role
from zero2ir.encoders.settings import EncoderSettings, check_available
from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.io.settings import Settings
from zero2ir.lm.factory import lazy_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.answer_pairs import AnswerPassageFinder, PairSettings
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.settings import SyntheticSettings


class PretrainingSettings(MakingSettings):
    """The schema of ``conf/pretraining/*.yaml``: what is made from the documents alone.

    Attributes:
        synthetic: the queries that a language model writes.
    """

    synthetic: SyntheticSettings = SyntheticSettings()


class TaskSettings(Settings):
    """What a task's judgments are, and what it measures.

    Attributes:
        name: what reports call it.
        measures: ir-measures names, and AnswerRecall@k, EM, F1; the first is the report's main measure.
        ceiling: whether each result is also stated as a share of what BM25 reaches with the queries' translations.
        pairs: where judgments are question-answer pairs, how their passages are found; None where documents are judged.
    """

    name: str
    measures: tuple[str, ...]
    ceiling: bool = False
    pairs: PairSettings | None = None

    @property
    def answers(self) -> bool:
        """Whether a program gives an answer beside documents."""
        return self.pairs is not None


class PreparationSettings(Settings):
    """All that decides about the preparation.

    Attributes:
        lm: the language model, if any.
        encoder: the general-purpose encoder.
        pretraining: what is made from the documents alone.
        tuning: how to choose on few judgments.
        task: what the judgments are.
    """

    lm: LMSettings
    encoder: EncoderSettings
    pretraining: PretrainingSettings
    tuning: TuningSettings = TuningSettings()
    task: TaskSettings


class Judged(NamedTuple):
    """Judgments as training takes them.

    Attributes:
        rows: the judged documents.
        skipped: why a question-answer pair gives no judgment, by its question.
    """

    rows: Sequence[JudgedDocument]
    skipped: Mapping[str, str]


def prepare_corpus(
    documents: Sequence[Document],
    settings: PreparationSettings,
    needs: Collection[str],
    seed: int,
    cache: Path | None = None,
) -> Corpus:
    """The documents with the encoders that are needed, and no others: some are trained first.

    Args:
        documents: the collection.
        settings: which encoder and language model, and how encoders are trained.
        needs: roles of encoders, and "lm".
        seed: of everything that is drawn.
        cache: a folder that keeps encoded documents for the next time.

    Raises:
        InputError: an encoder or the language model cannot be had; nothing was computed yet.
    """
    check_available(settings.encoder)
    corpus = Corpus(documents, cache=cache, language_model=lazy_lm(settings.lm, paths.CACHE_FOLDER / "lm", seed))
    if "lm" in needs:
        _ = corpus.require_language_model("this choice").lm  # before any work is done
    encoders: dict[str, TextEncoder] = {}
    for role in sorted(set(needs) - {"lm"}):
        source = source_role(role, settings.encoder)
        if source not in encoders:
            encoders[source] = make_encoder(source, corpus, settings.encoder, settings.pretraining, seed)
        corpus.encoders[role] = encoders[source]
    return corpus


def prepare_judgments(
    judgments: Judgments | QuestionAnswerPairs,
    corpus: Corpus,
    task: TaskSettings,
    translations: Mapping[str, str] | None = None,
) -> Judged:
    """The judgments; where they are question-answer pairs, those of the passages that hold the answers.

    Raises:
        InputError: a row is wrong, or translations are given to a task that does not use them.
    """
    if task.pairs is None:
        return Judged(as_judgments(cast(Judgments, judgments), corpus.number_of, translations or {}), {})
    if translations:
        raise InputError(f"translations: task={task.name} does not use them; leave them out")
    pairs = as_pairs(cast(QuestionAnswerPairs, judgments))
    if not pairs:
        return Judged([], {})
    found = AnswerPassageFinder(corpus.documents, task.pairs).find(pairs, JudgmentBudget().documents_per_query)
    text = {pair.query_id: pair.text for pair in pairs}
    skipped = {text[query_id]: reason for query_id, reason in found.skipped_questions.items()}
    return Judged([row for rows in found.rows for row in rows], skipped)


def prepare_inputs(
    corpus: Corpus,
    rows: Sequence[JudgedDocument],
    settings: PreparationSettings,
    seed: int,
    *,
    synthetic: bool,
    candidates: CandidatesByQuery | None = None,
) -> TrainingInputs:
    """All that training may see.

    Args:
        corpus: the documents with their encoders.
        rows: the judgments.
        settings: how synthetic queries are written, and how to choose on few judgments.
        seed: of everything that is drawn.
        synthetic: whether the language model writes synthetic queries.
        candidates: the documents that each judged query ranks, ids by query id; None for the whole collection.
    """
    if not synthetic:
        return TrainingInputs(corpus, rows, (), settings.tuning, seed, candidates=candidates)
    assert corpus.language_model is not None
    writing = settings.pretraining.synthetic
    written, _ = write_queries(corpus, rows, corpus.language_model, writing, seed)
    return TrainingInputs(corpus, rows, written, settings.tuning, seed, writing, candidates=candidates)


def prepare_auxiliary(collections: Sequence[tuple[Documents, Judgments]]) -> list[AuxiliaryCollection]:
    """Other collections with judgments, for strategy meta.

    Raises:
        InputError: something is wrong with one; names its place.
    """
    made = []
    for number, (documents, judgments) in enumerate(collections):
        try:
            corpus = Corpus(as_documents(documents))
            rows = as_judgments(judgments, corpus.number_of)
        except InputError as error:
            raise InputError(f"auxiliary_collections[{number}]: {error}") from None
        made.append(AuxiliaryCollection(f"auxiliary_collections[{number}]", corpus.documents, rows))
    return made
