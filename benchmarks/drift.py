"""Measures how often alerts about a stream of queries are false, and how soon they come after the stream changes.

    python benchmarks/drift.py beir/scifact beir/nfcorpus

A hybrid program of the first collection searches with that collection's train and test queries. One half of them is the
reference.

- False alerts: windows of 100 queries are drawn without replacement from the other half, so that nothing changed.
  Printed are the share of 400 single checks with any alert, and of 40 series of ten checks that share the level. Each
  has halves of its own; otherwise a chance difference between the halves would recur in every window.
- Delay: queries of the other half, then, from a known position on, queries of the second collection. Printed is how
  many of these it takes until an alert of the window's checks (the last 100 queries, every 25 queries; all checks that
  the stream allows share the level) and of ADWIN, search by search. There are 40 streams with 300 queries before the
  change; alerts before the change count as false.

Each signal is measured once per query. Prints Markdown and writes drift.json.
"""

import argparse
from typing import Any

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder
from zero2ir.io import paths
from zero2ir.io.files import write_json
from zero2ir.models.base import encoder_roles
from zero2ir.online.monitoring.monitor import Monitor, MonitorSettings
from zero2ir.online.monitoring.searches import SearchEvent, SearchSignals
from zero2ir.program.program import Program

WINDOW, STEP, BEFORE, AFTER, LOOKS = 100, 25, 300, 150, 10
CACHE = paths.CACHE_FOLDER / "benchmark" / "drift"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", nargs="?", default="beir/scifact")
    parser.add_argument("second", nargs="?", default="beir/nfcorpus")
    parser.add_argument("--model", default="hybrid", help="a file of conf/model")
    parser.add_argument("--singles", type=int, default=400)
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--streams", type=int, default=40)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    program = saved_program(given.first, given.model)
    own, foreign = queries(given.first, rng), queries(given.second, rng)
    half = len(own) // 2
    monitor = Monitor(program, [SearchEvent(query) for query in own[:half]])
    everything = monitor.meter.measure([SearchEvent(query) for query in own])
    same = everything.select(np.arange(half, len(own)))
    other = monitor.meter.measure([SearchEvent(query) for query in foreign[:2000]])
    found = {
        "reference": half,
        "single looks": false_alerts(monitor, everything, given.singles, 1, rng),
        "series of 10 looks": false_alerts(monitor, everything, given.series, LOOKS, rng),
        **switched(monitor, same, other, given.streams, rng),
    }
    show(given, found)
    write_json(CACHE / "drift.json", {**vars(given), **found})


def saved_program(dataset: str, model: str) -> Program:
    config = compose("library", LibraryConfig, [f"model={model}"])
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    chosen = build(config.model, "model")
    for role in encoder_roles(chosen):
        corpus.encoders[role] = make_encoder(role, corpus, config.encoder, config.pretraining, 0)
    return Program(chosen.index(corpus), collection.documents)


def queries(dataset: str, rng: np.random.Generator) -> list[str]:
    """Returns all queries of a collection, shuffled."""
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))
    texts = sorted({query.text for query in collection.queries})
    return [texts[place] for place in rng.permutation(len(texts))]


def looking(monitor: Monitor, looks: int, seed: int) -> Monitor:
    """Returns the same monitor with other settings; nothing is measured again."""
    changed = object.__new__(Monitor)
    changed.settings = MonitorSettings(planned_checks=looks, examples=0, seed=seed)
    changed.meter, changed.reference = monitor.meter, monitor.reference
    return changed


def false_alerts(
    monitor: Monitor, everything: SearchSignals, times: int, looks: int, rng: np.random.Generator
) -> dict[str, float]:
    """Returns the share of series of checks with any alert, with its 95 % interval."""
    from scipy.stats import binomtest

    alerts = 0
    for number in range(times):
        reference, others = np.array_split(rng.permutation(len(everything.queries)), 2)
        watched, same = looking(monitor, looks, number), everything.select(others)
        watched.reference = everything.select(reference)
        windows = [rng.permutation(len(same.queries))[:WINDOW] for _ in range(looks)]
        alerts += any(signal.drifted for window in windows for signal in watched.compared(same.select(window)))
    interval = binomtest(alerts, times).proportion_ci()
    return {"share": alerts / times, "ci_low": round(interval.low, 4), "ci_high": round(interval.high, 4), "n": times}


def switched(
    monitor: Monitor, same: SearchSignals, other: SearchSignals, streams: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Returns how many queries of the other collection it takes until an alert, and the alerts before them."""
    looks = (BEFORE + AFTER - WINDOW) // STEP + 1
    delays: dict[str, list[float]] = {"windows": [], "ADWIN": []}
    early = dict.fromkeys(delays, 0)
    for number in range(streams):
        before, after = rng.permutation(len(same.queries))[:BEFORE], rng.permutation(len(other.queries))[:AFTER]
        stream = joined(same.select(before), other.select(after))
        watched = looking(monitor, looks, number)
        ends = range(WINDOW, BEFORE + AFTER + 1, STEP)
        at = first(
            end for end in ends if any(one.drifted for one in watched.compared(stream.select(range(end - WINDOW, end))))
        )
        watch = watched.change_detector()
        seen = first(place + 1 for place in range(BEFORE + AFTER) if watch.update_all(stream.select([place])))
        for name, place in (("windows", at), ("ADWIN", seen)):
            early[name] += place <= BEFORE
            delays[name] += [place - BEFORE] if place > BEFORE else []
    return {
        f"switch, {name}": {
            "median": float(np.median(found)),
            "most": float(np.max(found)),
            "within_100": float(np.mean(np.array(found) <= 100)),
            "early": early[name] / streams,
        }
        for name, found in delays.items()
    }


def joined(one: SearchSignals, two: SearchSignals) -> SearchSignals:
    signals = {name: np.concatenate([one.signals[name], two.signals[name]]) for name in one.signals}
    return SearchSignals(one.queries + two.queries, signals, np.concatenate([one.vectors, two.vectors]))


def first(places: Any) -> float:
    return next(iter(places), np.inf)


def show(given: argparse.Namespace, found: dict[str, Any]) -> None:
    print(f"\n**{given.first}**, {given.model}, reference of {found['reference']} queries\n")
    print("| | false alerts |\n|---|---|")
    for name in ("single looks", "series of 10 looks"):
        one = found[name]
        print(f"| {one['n']:,} {name} | {one['share']:.1%} [{one['ci_low']:.1%}, {one['ci_high']:.1%}] |")
    print(
        f"\n| switch to {given.second} | median | most | within 100 queries | alerts before it |\n|---|---|---|---|---|"
    )
    for name in ("windows", "ADWIN"):
        one = found[f"switch, {name}"]
        cells = [f"{one['median']:.0f}", f"{one['most']:.0f}", f"{one['within_100']:.0%}", f"{one['early']:.0%}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
