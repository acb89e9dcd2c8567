"""Compares one encoder for five tasks with five encoders for one task each, of the same size and budget.

    python benchmarks/multitask.py squadshifts-newwiki [--every 3] [pretraining.multitask.steps=100 ...]

Reads a folder with documents, questions with answers and qrels, draws ten question-answer pairs (seed 0), and trains on
the documents and these pairs: one encoder on all five tasks, another one with losses weighted by uncertainty, and one
on each task alone, all with the same number of steps. Every task is then measured on data that none of them saw: test
questions for ranking, finding passages, answering and classifying queries, and a fifth of the documents for classifying
documents. The classes are the documents' titles where many share one, otherwise clusters. Differences are paired, with
95 % bootstrap intervals; p-values are of randomisation tests and Holm-corrected. Finished parts are kept in
.cache/benchmark/multitask; delete it after a change of the code. No setting was chosen by these figures.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zero2ir.config import LibraryConfig, compose
from zero2ir.data.answers import answer_spans, token_f1
from zero2ir.data.checks import check_collection
from zero2ir.data.judgments import test_queries
from zero2ir.data.local import read
from zero2ir.data.records import Query, RawCollection
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import CLASSIFYING, TASKS, MultitaskEncoder, TaskName, pieces
from zero2ir.encoders.multitask_training.labels import Labels, label_documents
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.multitask_training.training import train_multitask
from zero2ir.encoders.pretext.training import split_documents
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.evaluation.significance import Comparison, compare_scores, holm
from zero2ir.io.files import write_json
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.ranking import top_k
from zero2ir.strategies.base import TrainingInputs
from zero2ir.synthetic.answer_pairs import PairSettings, prepare_answer_pairs

KEPT = Path(__file__).resolve().parent.parent / ".cache" / "benchmark" / "multitask"
SEED = 0
DEPTH = 10
HELD_OUT = 0.2
STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}
MEASURES: dict[TaskName, str] = {
    "rank": "nDCG@10",
    "passages": "nDCG@10",
    "answer": "F1",
    "classify_query": "accuracy",
    "classify_document": "accuracy",
}
Values = dict[str, dict[str, float]]  # by task and query or document


class Trial(NamedTuple):
    """The data of training and of measurement.

    Attributes:
        corpus: all documents.
        judged: the ten pairs.
        tested: questions.
        relevant: query id → numbers of its relevant documents.
        labels: of all documents; equal to those of the training.
    """

    corpus: Corpus
    judged: Sequence[Example]
    tested: Sequence[Query]
    relevant: dict[str, set[int]]
    labels: Labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("changes", nargs="*", help="Hydra overrides")
    parser.add_argument("--every", type=int, default=1, help="n: every n-th document alone, for speed")
    parser.add_argument("--questions", type=int, default=1000, help="test questions at most, every n-th by id")
    given = parser.parse_intermixed_args()
    folder: Path = given.folder
    config = compose("library", LibraryConfig, given.changes)
    settings = config.pretraining.multitask.model_copy(update={"held_out": HELD_OUT})
    trial = read_trial(given, settings)
    key = f"{given.every} {given.questions} {settings.model_dump_json()}"
    kept = KEPT / f"{folder.name}-{sha256(key.encode()).hexdigest()[:8]}"
    conditions = {"all five": settings}
    conditions |= {task: settings.model_copy(update={"tasks": (task,)}) for task in TASKS}
    found = {
        name: once(kept / f"{name}.json", lambda one=one: trained(trial, one, config))
        for name, one in conditions.items()
    }
    before = once(kept / "before.json", lambda: untrained(trial, settings, config))
    single = {task: found[task][task] for task in TASKS}
    classes = f"{len(trial.labels.names)} classes, from {trial.labels.source}"
    print(f"\n{folder.name}: {len(trial.corpus.documents)} documents, {len(trial.tested)} test questions; {classes}")
    show(single, {"all five": found["all five"]}, before)
    weighed = settings.model_copy(update={"weights": "uncertainty"})
    uncertain = once(kept / "uncertainty.json", lambda: trained(trial, weighed, config))
    show(single, {"all five": found["all five"], "all five, by uncertainty": uncertain}, before)


def read_trial(given: argparse.Namespace, settings: MultitaskSettings) -> Trial:
    collection, _ = check_collection(every_nth(read(given.folder), given.every))
    prepared = prepare_answer_pairs(collection, JudgmentBudget(), PairSettings(), [SEED])
    corpus = Corpus(collection.documents)
    inputs = TrainingInputs(corpus, prepared.draws[SEED], seed=SEED)
    queries, qrels = test_queries(prepared.collection, prepared.draws[SEED])
    relevant: dict[str, set[int]] = {}
    for row in qrels:
        if row.relevance > 0:
            relevant.setdefault(row.query_id, set()).add(corpus.number_of[row.doc_id])
    usable = [query for query in queries if query.query_id in relevant and query.answers]
    some = sorted(usable, key=lambda query: query.query_id)
    labels = label_documents(collection.documents, settings.clusters, SEED)
    judged = inputs.judged_examples(list(inputs.queries))
    return Trial(corpus, judged, some[:: -(-len(some) // given.questions)], relevant, labels)


def every_nth(whole: RawCollection, n: int) -> RawCollection:
    """Returns every n-th document, and the queries with a relevant document among them."""
    documents = whole.documents[::n]
    kept = {document.doc_id for document in documents}
    judgments = [row for row in whole.judgments if row.doc_id in kept]
    asked = {row.query_id for row in judgments}
    queries = [query for query in whole.queries if query.query_id in asked]
    return replace(whole, documents=documents, queries=queries, judgments=judgments)


def once(path: Path, work: Callable[[], Values]) -> Values:
    """Returns the stored result, or computes and stores it."""
    if not path.is_file():
        start = time.perf_counter()
        write_json(path, work())
        print(f"{time.perf_counter() - start:6.0f} s  {path.stem}", file=sys.stderr, flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def trained(trial: Trial, settings: MultitaskSettings, config: LibraryConfig) -> Values:
    documents, pairs = trial.corpus.documents, config.pretraining.pairs
    start = time.perf_counter()
    encoder = train_multitask(documents, DenseEncoder(config.encoder), settings, SEED, pairs, judged=trial.judged)
    print(f"{time.perf_counter() - start:6.0f} s of training {', '.join(settings.tasks)}", file=sys.stderr, flush=True)
    return {task: dict(measured(task, encoder, trial, settings)) for task in settings.tasks}


def measured(
    task: TaskName, encoder: MultitaskEncoder, trial: Trial, settings: MultitaskSettings
) -> Iterator[tuple[str, float]]:
    if task in ("rank", "passages"):
        return ranked(task, encoder, trial, settings)
    if task == "answer":
        return answered(encoder.find_answers, trial)
    return classified(task, encoder, trial)


def ranked(
    task: TaskName, encoder: DenseEncoder, trial: Trial, settings: MultitaskSettings
) -> Iterator[tuple[str, float]]:
    """Ranks whole documents, or all passages; a passage counts if it answers and its document is relevant."""
    contents = trial.corpus.contents
    places = [(number, 0, len(text)) for number, text in enumerate(contents)]
    if task == "passages":
        places = [(n, *place) for n, text in enumerate(contents) for place in pieces(text, settings.passage_words)]
    rows = encoder.encode([contents[number][start:end] for number, start, end in places])
    queries = encoder.encode_queries([query.text for query in trial.tested])
    found = top_k(queries @ rows.T, DEPTH).numbers
    for query, numbers in zip(trial.tested, found, strict=True):
        own = {place for place, one in enumerate(places) if one[0] in trial.relevant[query.query_id]}
        if task == "passages":
            own = {place for place in own if holds(contents[places[place][0]], places[place][1:], query.answers)}
        if own:
            yield query.query_id, ndcg([number in own for number in numbers], len(own))


def holds(text: str, piece: Sequence[int], answers: Sequence[str]) -> bool:
    return any(piece[0] <= start and end <= piece[1] for start, end in answer_spans(text, answers))


def ndcg(hits: Sequence[bool], relevant: int) -> float:
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    return float((discounts[: len(hits)] * np.array(hits)).sum() / discounts[: min(relevant, DEPTH)].sum())


def answered(read: Callable[..., Any], trial: Trial) -> Iterator[tuple[str, float]]:
    """Answers from the relevant passage."""
    texts = [trial.corpus.documents[min(trial.relevant[query.query_id])].text for query in trial.tested]
    spans = read([query.text for query in trial.tested], [[text] for text in texts])
    for query, (span,) in zip(trial.tested, spans, strict=True):
        yield query.query_id, token_f1(span.text, query.answers)


def to_classify(task: TaskName, trial: Trial) -> list[tuple[str, str, int]]:
    """Returns (id, text, class) of test questions, by their document, or of the documents that no training saw."""
    documents, of = trial.corpus.documents, trial.labels.class_ids
    if task == "classify_query":
        return [(query.query_id, query.text, int(of[min(trial.relevant[query.query_id])])) for query in trial.tested]
    _, held_out = split_documents(documents, HELD_OUT, SEED)
    return [(one.doc_id, one.body, int(of[trial.corpus.number_of[one.doc_id]])) for one in held_out]


def classified(task: TaskName, encoder: MultitaskEncoder, trial: Trial) -> Iterator[tuple[str, float]]:
    rows = to_classify(task, trial)
    given = encoder.classify(task, [text for _, text, _ in rows]).argmax(axis=1)
    yield from ((key, float(number == label)) for (key, _, label), number in zip(rows, given, strict=True))


def untrained(trial: Trial, settings: MultitaskSettings, config: LibraryConfig) -> Values:
    """Measures what needs no training: the encoder as it is, the lexical reader, and the most frequent class."""
    encoder = DenseEncoder(config.encoder)
    if settings.layers is not None:
        network = deepcopy(encoder.model)
        network[0].auto_model.encoder.layer = network[0].auto_model.encoder.layer[: settings.layers]
        encoder = DenseEncoder(config.encoder, network)
    values = {task: dict(ranked(task, encoder, trial, settings)) for task in ("rank", "passages")}
    values["answer"] = dict(answered(LexicalReader().index(trial.corpus).read, trial))
    usual = int(np.bincount(trial.labels.class_ids[trial.labels.class_ids >= 0]).argmax())
    for task in CLASSIFYING:
        values[task] = {key: float(label == usual) for key, _, label in to_classify(task, trial)}
    return values


def show(single: Values, multi: dict[str, Values], before: Values) -> None:
    """Prints one row per task."""
    compared = {
        (name, task): compare_scores({0: values[task]}, {0: single[task]}, **STATISTICS)
        for name, values in multi.items()
        for task in TASKS
    }
    corrected = dict(zip(compared, holm([one.p_value for one in compared.values()]), strict=True))
    heads = ["task", "measure", "n", "untrained", "single", *(h for name in multi for h in (name, "− single", "p"))]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for task in TASKS:
        cells = [task, MEASURES[task], str(len(single[task])), f"{mean(before[task]):.3f}", interval(single[task])]
        for name, values in multi.items():
            cells += [f"{mean(values[task]):.3f}", difference(compared[name, task]), f"{corrected[name, task]:.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def interval(values: dict[str, float]) -> str:
    found = bootstrap_interval(list(values.values()), **STATISTICS)
    return f"{found.mean:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}]"


def difference(comparison: Comparison) -> str:
    found = comparison.difference
    return f"{found.mean:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"


if __name__ == "__main__":
    main()
