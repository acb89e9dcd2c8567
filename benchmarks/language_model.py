"""Measures what a language model adds to retrieval: document expansion, query rewriting and synthetic queries.

    python benchmarks/language_model.py my-folder lm=gguf lm.weights=/models/any.gguf --queries 300

For each collection, a folder or a choice of conf/dataset, ten queries with their judgments train, and up to
``--queries`` other ones test. Differences are paired, with 95 % intervals and randomisation tests over the queries. The
hybrid is that of conf/model/hybrid.yaml; in "with expanded BM25" its part BM25 alone sees the written queries.

The answers of the language model are kept in .cache/lm, the costs of its requests in .cache/language_model: a run that
was stopped goes on where it was. Seconds, and tokens read and written, are means over all requests that were sent.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.judgments import draw_judgments, test_queries
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Judgment
from zero2ir.data.settings import JudgmentBudget
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.evaluation.significance import compare_scores
from zero2ir.io import paths
from zero2ir.io.files import read_json, write_json
from zero2ir.labelling.pooling import JudgmentPool
from zero2ir.lm.factory import LanguageModel
from zero2ir.models.base import ModelT, Retriever, with_nested
from zero2ir.models.expanded import Expanded
from zero2ir.models.sparse import Sparse
from zero2ir.program.preparation import prepare_corpus, prepare_inputs
from zero2ir.strategies.base import TrainingInputs, needs_synthetic_queries
from zero2ir.strategies.tuning import judged_values

SEED = 0
MEASURES = ("nDCG@10", "R@100")
DEPTH = 100
BOOTSTRAP: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": SEED}
COSTS = paths.CACHE_FOLDER / "language_model"
COUNTED = ("calls", "prompt_tokens", "completion_tokens", "seconds")


class System(NamedTuple):
    """A model of conf/model, a strategy, and the system that it is compared with."""

    model: str
    strategy: str = "zero_shot"
    against: str = ""
    expands: bool = False  # whether its part BM25 sees written queries


SYSTEMS = {
    "sparse": System("sparse"),
    "expanded sparse": System("sparse", against="sparse", expands=True),
    "hybrid": System("hybrid"),
    "hybrid with expanded BM25": System("hybrid", against="hybrid", expands=True),
    "rewritten": System("rewritten", against="hybrid"),
    "hybrid/fine_tune": System("hybrid", "fine_tune", against="hybrid"),
    "hybrid/fixed_prompt": System("hybrid", "fixed_prompt", against="hybrid/fine_tune"),
    "hybrid/prompt": System("hybrid", "prompt", against="hybrid/fine_tune"),
}


class Trial(NamedTuple):
    """What the systems of a collection share: inputs of the training, and test queries with what they rank."""

    inputs: TrainingInputs
    ids: Sequence[str]
    texts: Sequence[str]
    candidates: Sequence[np.ndarray] | None  # None for the whole collection
    qrels: Sequence[Judgment]


class Meter:
    """Adds up what the requests of each part of the work cost, over all runs."""

    def __init__(self, language_model: LanguageModel, path: Path) -> None:
        self.usage = language_model.usage
        self.path = path
        self.costs: dict[str, dict[str, float]] = read_json(path) if path.is_file() else {}
        self.requests: dict[str, int] = {}

    @contextmanager
    def counting(self, part: str) -> Iterator[None]:
        before = self.usage.as_dict()
        try:
            yield
        finally:
            after = self.usage.as_dict()
            cost = self.costs.setdefault(part, dict.fromkeys(COUNTED, 0.0))
            for name in COUNTED:
                cost[name] += after[name] - before[name]
            write_json(self.path, self.costs)
            self.requests[part] = sum(after[name] - before[name] for name in ("calls", "cached"))

    def cell(self, part: str, number: int) -> str:
        """Requests for each of ``number`` documents or queries, and what one costs; empty without requests."""
        cost, requests = self.costs[part], self.requests[part]
        if not requests or not cost["calls"]:
            return ""
        _, read, written, seconds = (cost[name] / cost["calls"] for name in COUNTED)
        return f"{requests / number:.2g} × ({seconds:.1f} s, {read:.0f} + {written:.0f} tokens)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a folder, or a choice of conf/dataset")
    parser.add_argument("changes", nargs="*", help="Hydra overrides, such as lm=gguf")
    parser.add_argument("--queries", type=int, default=300, help="test queries at most")
    parser.add_argument("--written", type=int, default=3, help="written queries per document")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    given = parser.parse_intermixed_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the costs so far are kept
    config = compose("library", LibraryConfig, ["lm=smollm2", *given.changes])
    trial, name = prepared(given, config)
    language_model = trial.inputs.corpus.language_model
    assert language_model is not None
    key = sha256(f"{name} {config.lm.model_dump_json()} {given.written}".encode()).hexdigest()[:12]
    meter = Meter(language_model, COSTS / f"{key}.json")
    found: dict[str, dict[str, np.ndarray]] = {}
    n_documents, n_queries = len(trial.inputs.corpus.documents), len(trial.ids)
    print(f"\n{name}: {n_documents:,} documents, {n_queries} test queries; lm={config.lm.name}\n")
    print("| system | nDCG@10 | R@100 | against | difference of nDCG@10 | p | LM a document | LM a query | remark |")
    print("|---" * 9 + "|", flush=True)
    for system in given.systems:
        found[system], remark = measured(system, trial, config, meter, given.written)
        documents, queries = parts(system)
        costs = meter.cell(documents, n_documents), meter.cell(queries, n_queries)
        print(f"| {' | '.join([system, *figures(system, found), *costs, remark])} |", flush=True)


def prepared(given: argparse.Namespace, config: LibraryConfig) -> tuple[Trial, str]:
    """Reads the collection, draws judgments and test queries, and opens encoders and language model."""
    folder = Path(given.dataset)
    choice = ["dataset=local", f"dataset.path={folder}"] if folder.is_dir() else [f"dataset={given.dataset}"]
    ingest = compose("ingest", IngestConfig, choice)
    collection, _ = check_collection(load_collection(ingest.dataset))
    collection = replace(collection, metadata={**collection.metadata, "deep_judgments": ingest.dataset.deep_judgments})
    members = {one: build(choice, f"committee.{one}") for one, choice in ingest.committee.items()}
    models = [build_model(one, given.written) for one in given.systems]
    needs = {need for model in (*models, *members.values()) for need in model.needs()} | {"lm"}
    corpus = prepare_corpus(collection.documents, config, needs, SEED, paths.CACHE_FOLDER / "embeddings")
    pool = JudgmentPool(collection, {}, lambda: {one: member.index(corpus) for one, member in members.items()})
    judged = draw_judgments(collection, JudgmentBudget(), SEED, pool)
    queries, qrels = test_queries(collection, judged)
    order = np.random.default_rng(SEED).permutation(len(queries))[: given.queries]
    tested = [queries[number] for number in sorted(order)]
    ids = [query.query_id for query in tested]
    candidates = collection.candidates_of([*ids, *(row.query_id for row in judged)])
    ranked = None if candidates is None else [corpus.numbers_of(candidates[query_id]) for query_id in ids]
    inputs = TrainingInputs(corpus, judged, (), config.tuning, SEED, candidates=candidates)
    return Trial(inputs, ids, [query.text for query in tested], ranked, qrels), folder.name


def build_model(name: str, written: int) -> Retriever:
    system = SYSTEMS[name]
    model = build(compose("library", LibraryConfig, [f"model={system.model}"]).model, "model")
    return with_expansion(model, written) if system.expands else model


def with_expansion(model: ModelT, written: int) -> Any:
    """Returns the model with each BM25 in it around written queries."""
    if isinstance(model, Sparse):
        return Expanded(model, queries=written)
    return with_nested(model, lambda nested: with_expansion(nested, written))


def parts(name: str) -> tuple[str, str]:
    """The names of a system's work on documents and on queries; expansions are written once for all systems."""
    return "expansion" if SYSTEMS[name].expands else f"{name}: documents", f"{name}: queries"


def measured(
    name: str, trial: Trial, config: LibraryConfig, meter: Meter, written: int
) -> tuple[dict[str, np.ndarray], str]:
    """Trains a system, searches, and returns (n_queries,) values by measure, and how it was trained."""
    inputs, corpus = trial.inputs, trial.inputs.corpus
    strategy = build(compose("library", LibraryConfig, [f"strategy={SYSTEMS[name].strategy}"]).strategy, "strategy")
    documents, queries = parts(name)
    with meter.counting(documents):
        if needs_synthetic_queries(strategy, True):
            fresh = prepare_inputs(corpus, inputs.judgments, config, SEED, synthetic=True)
            inputs = replace(fresh, candidates=inputs.candidates)
        fitted = strategy.fit(build_model(name, written).index(corpus), inputs)
    with meter.counting(queries):
        ranking = fitted.retriever.search(trial.texts, DEPTH, trial.candidates)
    values = {one: judged_values(ranking, corpus, trial.ids, trial.qrels, one) for one in MEASURES}
    return values, "" if SYSTEMS[name].strategy == "zero_shot" else fitted.chosen


def figures(name: str, found: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """The cells of a system's means, and of its difference to the system that it is compared with."""
    own, against = found[name], SYSTEMS[name].against
    quality = bootstrap_interval(own[MEASURES[0]], **BOOTSTRAP)
    means = [f"{quality.mean:.3f} [{quality.ci_low:.3f}, {quality.ci_high:.3f}]", f"{own[MEASURES[1]].mean():.3f}"]
    if against not in found:
        return [*means, "", "", ""]
    pairs = [{0: dict(enumerate(one[MEASURES[0]].tolist()))} for one in (own, found[against])]
    compared = compare_scores(*pairs, **BOOTSTRAP)
    mean, low, high, _ = compared.difference
    return [*means, against, f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]", f"{compared.p_value:.3f}"]


if __name__ == "__main__":
    main()
