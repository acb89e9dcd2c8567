"""Reads, checks and stores a collection, draws the judgments of every seed, and copies those of other collections."""

from dataclasses import replace

from zero2ir.config import IngestConfig, check_experiment, stage
from zero2ir.data.auxiliary import read_ingested, write_others
from zero2ir.data.checks import check, require_judged_queries
from zero2ir.data.judgments import draw, draw_asked, write_asked, write_candidates, write_judgments
from zero2ir.data.languages import identify
from zero2ir.data.loading import load
from zero2ir.data.passages import in_passages
from zero2ir.data.store import write_collection
from zero2ir.io import paths
from zero2ir.io.files import finished_folder
from zero2ir.synthetic.answer_pairs import prepare


def main(config: IngestConfig) -> None:
    check_experiment()
    collection, quality = check(load(config.dataset))
    if config.dataset.passages is not None:
        collection = in_passages(collection, config.dataset.passages)
    if config.task.pairs is not None:
        prepared = prepare(collection, config.budget, config.task.pairs, config.seeds)
        collection, draws, quality = prepared.collection, prepared.draws, {**quality, **prepared.quality}
    else:
        require_judged_queries(collection)
        draws = {seed: draw(collection, config.budget, seed) for seed in config.seeds}
    others = [read_ingested(folder, collection) for folder in config.other_collections]
    facts = {**collection.facts, "name": config.dataset.name, "ordered": config.dataset.ordered}
    if config.dataset.candidates:
        facts["candidates"] = config.dataset.candidates
    if config.dataset.parallel:
        facts["languages"] = {
            "documents": identify([document.content for document in collection.documents]),
            "queries": identify([query.text for query in collection.queries]),
        }
    write_collection(replace(collection, facts=facts), quality, paths.COLLECTION)
    with finished_folder(paths.JUDGMENTS) as folder:
        for seed, judgments in draws.items():
            write_judgments(judgments, folder / paths.judgments(seed).name)
            candidates = folder / paths.candidates(seed).name
            write_candidates(collection, judgments, candidates, shuffled=config.budget.shuffled)
            write_asked(draw_asked(collection, judgments, config.budget, seed), folder / paths.asked(seed).name)
    write_others(others, paths.OTHERS)


if __name__ == "__main__":
    stage(main, "ingest")
