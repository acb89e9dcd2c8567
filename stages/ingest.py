"""Reads, checks and stores a collection, draws the judgments of every seed, and copies those of other collections."""

from dataclasses import replace

from zero2ir import data as collections
from zero2ir.config import IngestConfig, stage
from zero2ir.data.judgments import draw_asked, write_asked, write_candidates, write_judgments
from zero2ir.data.languages import identify
from zero2ir.io import paths
from zero2ir.io.files import finished_folder
from zero2ir.synthetic.answer_pairs import prepare


def main(config: IngestConfig) -> None:
    collection, quality = collections.check(collections.load(config.dataset))
    if config.dataset.passages is not None:
        collection = collections.in_passages(collection, config.dataset.passages)
    if config.task.pairs is not None:
        prepared = prepare(collection, config.budget, config.task.pairs, config.seeds)
        collection, draws, quality = prepared.collection, prepared.draws, {**quality, **prepared.quality}
    else:
        collections.require_judged_queries(collection)
        draws = {seed: collections.draw(collection, config.budget, seed) for seed in config.seeds}
    others = [collections.read_ingested(folder, collection) for folder in config.other_collections]
    facts = {**collection.facts, "name": config.dataset.name, "ordered": config.dataset.ordered}
    if config.dataset.candidates:
        facts["candidates"] = config.dataset.candidates
    if config.dataset.parallel:
        facts["languages"] = {
            "documents": identify([document.content for document in collection.documents]),
            "queries": identify([query.text for query in collection.queries]),
        }
    collections.write_collection(replace(collection, facts=facts), quality, paths.COLLECTION)
    with finished_folder(paths.JUDGMENTS) as folder:
        for seed, judgments in draws.items():
            write_judgments(judgments, folder / paths.judgments(seed).name)
            candidates = folder / paths.candidates(seed).name
            write_candidates(collection, judgments, candidates, shuffled=config.budget.shuffled)
            write_asked(draw_asked(collection, judgments, config.budget, seed), folder / paths.asked(seed).name)
    collections.write_others(others, paths.OTHERS)


if __name__ == "__main__":
    stage(main, "ingest")
