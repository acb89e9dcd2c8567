"""Reads, checks and stores a collection, samples judgments for every seed, and copies auxiliary collections."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zero2ir.config import IngestConfig, build, check_choices, read_panel, stage
from zero2ir.data.auxiliary import read_ingested, write_auxiliary_collections
from zero2ir.data.checks import check_collection, require_judged_queries, require_usable, warn_of
from zero2ir.data.judgments import (
    draw_judgments,
    draw_unlabelled_queries,
    judgment_counts,
    queries_passed_over,
    write_candidates,
    write_judgments,
    write_unlabelled_queries,
)
from zero2ir.data.languages import AUTO_LANGUAGE, identify_language, likely_language
from zero2ir.data.loading import load_collection
from zero2ir.data.own_documents import own_documents, warn_of_own_documents
from zero2ir.data.passages import split_into_passages
from zero2ir.data.records import Collection, JudgedDocument
from zero2ir.data.store import write_collection
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.settings import check_available
from zero2ir.io import paths
from zero2ir.io.files import finished_folder, write_json
from zero2ir.labelling.pooling import JudgmentPool, committee_members
from zero2ir.models.base import Retriever
from zero2ir.program.pretraining import CHECKPOINTS
from zero2ir.synthetic.answer_pairs import prepare_answer_pairs


def main(config: IngestConfig) -> None:
    check_choices(read_panel())
    raw = load_collection(config.dataset)
    collection, quality = check_collection(raw)
    require_usable(quality, len(raw.judgments))
    warn_of(quality)
    contents = [document.content for document in collection.documents]
    language = likely_language(contents) if config.language == AUTO_LANGUAGE else config.language
    facts = {"language": language, "deep_judgments": config.dataset.deep_judgments}
    collection = replace(collection, metadata={**collection.metadata, **facts})
    if config.dataset.passages is not None:
        collection = split_into_passages(collection, config.dataset.passages)
    draws: dict[int, list[JudgedDocument]] = {}
    if config.task.pairs is not None:
        prepared = prepare_answer_pairs(collection, config.budget, config.task.pairs, config.seeds)
        collection, draws, quality = prepared.collection, prepared.draws, {**quality, **prepared.quality}
    auxiliary = [read_ingested(folder, collection) for folder in config.auxiliary_collections]
    metadata = {**collection.metadata, "name": config.dataset.name, "ordered": config.dataset.ordered}
    if config.dataset.candidates:
        metadata["candidates"] = config.dataset.candidates
    if config.dataset.parallel:
        metadata["languages"] = {
            "documents": language,
            "queries": identify_language([query.text for query in collection.queries]),
        }
    leaves_out = config.task.leave_out_own_documents
    queries = {query.query_id: query.text for query in collection.queries}
    own = own_documents(queries, collection.documents, collection.judgments) if leaves_out else {}
    if own:
        metadata["own_documents"] = len(own)
        warn_of_own_documents(len(own))
    with finished_folder(paths.COMMITTEE_FOLDER) as folder:
        if config.task.pairs is None:
            draws = drawn_judgments(config, collection, own, folder)
    write_collection(replace(collection, metadata=metadata), quality, paths.COLLECTION_FOLDER)
    with finished_folder(paths.JUDGMENTS_FOLDER) as folder:
        for seed, judgments in draws.items():
            write_judgments(judgments, folder / paths.judgments(seed).name)
            candidates = folder / paths.candidates(seed).name
            write_candidates(collection, judgments, candidates, shuffled=config.budget.shuffled)
            unlabelled = draw_unlabelled_queries(collection, judgments, config.budget, seed)
            write_unlabelled_queries(unlabelled, folder / paths.unlabelled_queries(seed).name)
            id_of = {query.text: query.query_id for query in collection.queries}
            known = {row.query_id: row.query for row in judgments} | {text: text for text in unlabelled}
            ids = {row.query_id: row.query_id for row in judgments} | {text: id_of[text] for text in unlabelled}
            own = own_documents(known, collection.documents, judgments, ids) if leaves_out else {}
            write_json(folder / paths.own_documents(seed).name, own)
        write_json(folder / paths.judgment_counts().name, counted(config, collection, draws))
    write_auxiliary_collections(auxiliary, paths.AUXILIARY_FOLDER)


def drawn_judgments(
    config: IngestConfig, collection: Collection, own: Mapping[str, str], folder: Path
) -> dict[int, list[JudgedDocument]]:
    """Draws the judgments of every seed; stores the encoders of the committee whose first documents are judged."""
    require_judged_queries(collection)
    models = {name: build(choice, f"committee.{name}") for name, choice in config.committee.items()}

    def members() -> Mapping[str, Retriever]:
        check_available(config.encoder)
        paths.open_cache(CHECKPOINTS)
        corpus = Corpus(collection.documents, language=collection.metadata["language"])
        tasks = config.pretraining.pairs.without_queries(config.dataset.ordered)
        settings = config.pretraining.model_copy(update={"pairs": tasks})
        return committee_members(models, corpus, config.encoder, settings, folder)

    pool = JudgmentPool(collection, own, members)
    return {seed: draw_judgments(collection, config.budget, seed, pool) for seed in config.seeds}


def counted(
    config: IngestConfig, collection: Collection, draws: Mapping[int, Sequence[JudgedDocument]]
) -> dict[int, dict[str, int]]:
    """Returns the numbers of judgments of every seed."""
    passed_over = {
        seed: queries_passed_over(collection, rows, seed) if config.task.pairs is None else 0
        for seed, rows in draws.items()
    }
    return {seed: {**judgment_counts(rows), "queries_passed_over": passed_over[seed]} for seed, rows in draws.items()}


if __name__ == "__main__":
    stage(main, "ingest")
