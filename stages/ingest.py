"""Reads, checks and stores a collection, samples judgments for every seed, and copies auxiliary collections."""

from dataclasses import replace

from zero2ir.config import IngestConfig, check_choices, read_panel, stage
from zero2ir.data.auxiliary import read_ingested, write_auxiliary_collections
from zero2ir.data.checks import check_collection, require_judged_queries, require_usable, warn_of
from zero2ir.data.judgments import (
    draw_judgments,
    draw_unlabelled_queries,
    write_candidates,
    write_judgments,
    write_unlabelled_queries,
)
from zero2ir.data.languages import AUTO_LANGUAGE, identify_language, likely_language
from zero2ir.data.loading import load_collection
from zero2ir.data.own_documents import own_documents, warn_of_own_documents
from zero2ir.data.passages import split_into_passages
from zero2ir.data.store import write_collection
from zero2ir.io import paths
from zero2ir.io.files import finished_folder, write_json
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
    if config.task.pairs is not None:
        prepared = prepare_answer_pairs(collection, config.budget, config.task.pairs, config.seeds)
        collection, draws, quality = prepared.collection, prepared.draws, {**quality, **prepared.quality}
    else:
        require_judged_queries(collection)
        draws = {seed: draw_judgments(collection, config.budget, seed) for seed in config.seeds}
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
    if leaves_out and (own := own_documents(queries, collection.documents, collection.judgments)):
        metadata["own_documents"] = len(own)
        warn_of_own_documents(len(own))
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
    write_auxiliary_collections(auxiliary, paths.AUXILIARY_FOLDER)


if __name__ == "__main__":
    stage(main, "ingest")
