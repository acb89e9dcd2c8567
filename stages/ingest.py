"""Reads a collection, checks it, stores it, and draws the judgments of every seed."""

from dataclasses import replace

from zero2ir import collections, paths
from zero2ir.collections.judgments import write_judgments
from zero2ir.config import IngestConfig, stage
from zero2ir.files import finished_folder
from zero2ir.languages import identify


def main(config: IngestConfig) -> None:
    collection, quality = collections.check(collections.load(config.dataset))
    collections.require_judged_queries(collection)
    draws = {seed: collections.draw(collection, config.budget, seed) for seed in config.seeds}
    facts = {**collection.facts, "name": config.dataset.name, "ordered": config.dataset.ordered}
    if config.dataset.parallel:
        facts["languages"] = {
            "documents": identify([document.content for document in collection.documents]),
            "queries": identify([query.text for query in collection.queries]),
        }
    collections.write_collection(replace(collection, facts=facts), quality, paths.COLLECTION)
    with finished_folder(paths.JUDGMENTS) as folder:
        for seed, judgments in draws.items():
            write_judgments(judgments, folder / paths.judgments(seed).name)


if __name__ == "__main__":
    stage(main, "ingest")
