"""The steps that the pipeline's stages and the library share: pretrain on documents, train a program, rank queries."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run, ranked_lists
from zero2ir.models.base import NO_DOCUMENT, Ranking, Retriever, concatenate_rankings
from zero2ir.models.prompted import search_without_leakage
from zero2ir.program.confidence import CONFIDENCE_DEPTH, Confidence, QueryJudgments
from zero2ir.program.fallback import FallbackSettings
from zero2ir.strategies.base import FitResult, Learner, Strategy, TrainingInputs

if TYPE_CHECKING:
    from zero2ir.data.records import Document, Query
    from zero2ir.lm.factory import LanguageModel
    from zero2ir.program.program import Program


RECORDED_PACKAGES = (  # that decide about figures; the lock names all others
    *("bm25s", "PyStemmer", "numpy", "scipy", "torch", "sentence-transformers", "transformers", "dspy", "xllamacpp"),
    *("ir-measures", "pytrec_eval-terrier", "scikit-learn"),
)


class OutOfFoldRanking(NamedTuple):
    """What is found for the judged queries by what did not learn from them.

    Attributes:
        ranking: of n queries.
        judged: (n,) what the judgments say of each.
    """

    ranking: Ranking
    judged: Sequence[QueryJudgments]


@dataclass(frozen=True)
class TrainingResult:
    """A program, and what its training took and decided.

    Attributes:
        program: ready to search.
        fitted: what the strategy chose.
        out_of_fold: what the program's confidence is fitted on.
        cost: ``index_seconds``, ``train_seconds``, ``peak_memory_mb``, ``labels`` (judged documents that decided about
            the ranking), and what the language model took where one was asked, ``lm_calls`` and so on.
    """

    program: "Program"
    fitted: FitResult
    out_of_fold: OutOfFoldRanking
    cost: Mapping[str, float]


def train_program(
    model: Retriever, strategy: Strategy, inputs: TrainingInputs, about: Mapping[str, Any], answers: bool = False
) -> TrainingResult:
    """Trains a model by a strategy and calibrates its confidence on the judged queries.

    Args:
        model: not yet indexed.
        strategy: how to train.
        inputs: all that training may see.
        about: what the program shall say of itself; ``chosen`` and ``reason`` are added.
        answers: whether the program shall point to answers, too.

    Raises:
        InputError: something that the strategy needs is missing.
    """
    from zero2ir.program.program import Program, reader_of

    indexed, index_seconds = timed(lambda: model.index(inputs.corpus))
    start = time.perf_counter()
    fitted = strategy.fit(indexed, inputs)
    known = rank_out_of_fold(fitted.retriever, inputs, fitted.learner)
    program = Program(
        fitted.retriever,
        inputs.corpus.documents,
        calibrate(fitted.retriever, inputs, known),
        {**about, "chosen": fitted.chosen, "reason": fitted.reason, "labels": fitted.labels},
        inputs.corpus.language_model,
        reader_of(fitted.retriever, inputs.corpus) if answers else None,
    )
    seconds = time.perf_counter() - start
    cost = {
        "index_seconds": index_seconds,
        "train_seconds": round(seconds, 2),
        "peak_memory_mb": peak_memory_mb(),
        "labels": fitted.labels,
    }
    return TrainingResult(program, fitted, known, cost | lm_cost(inputs.corpus.language_model))


def lm_cost(language_model: "LanguageModel | None", prefix: str = "lm_") -> dict[str, Any]:
    """What a language model took so far, as costs; nothing where there is none. An unknown price is left out."""
    if language_model is None or not language_model.available:
        return {}
    figures = language_model.usage.as_dict()
    return {f"{prefix}{name}": value for name, value in figures.items() if value is not None}


def rank_out_of_fold(retriever: Retriever, inputs: TrainingInputs, learner: Learner | None = None) -> OutOfFoldRanking:
    """Ranks the judged queries, none of which the prompts show.

    Args:
        retriever: whose answers are to be trusted, or not.
        inputs: the judgments.
        learner: makes the retriever from the judgments of some queries, where it learned from them: it ranks what it
            learned from better than anything else, and so each judged query is ranked without its own judgments.
    """
    number_of = inputs.corpus.number_of
    relevant: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    other: dict[str, set[int]] = {query_id: set() for query_id in inputs.queries}
    for row in inputs.judgments:
        (relevant if row.relevance > 0 else other)[row.query_id].add(number_of[row.doc_id])
    judged = [QueryJudgments(frozenset(relevant[query_id]), frozenset(other[query_id])) for query_id in inputs.queries]
    every = list(inputs.queries)
    parts = (inputs.folds() if learner else []) or [(every, every)]
    rankings = []
    for asked, rest in parts:
        unlearned = (learner(rest) if learner else None) or retriever
        texts = [inputs.queries[query_id] for query_id in asked]
        rankings.append(search_without_leakage(unlearned, texts, CONFIDENCE_DEPTH, inputs.candidates_of(asked)))
    place = {query_id: number for number, query_id in enumerate(one for asked, _ in parts for one in asked)}
    return OutOfFoldRanking(
        concatenate_rankings(rankings).select_queries(np.array([place[query_id] for query_id in every], int)), judged
    )


def calibrate(retriever: Retriever, inputs: TrainingInputs, known: OutOfFoldRanking) -> Confidence | None:
    """Fits the confidence on the judged queries; None where there are too few.

    Further queries that were asked say how scores spread, unless each query ranks candidates of its own.

    Args:
        retriever: whose answers are to be trusted, or not.
        inputs: what it was trained on.
        out_of_fold: as ``rank_out_of_fold`` gives it.
    """
    if not known.judged:
        return None
    asked = (
        None
        if inputs.candidates is not None or not inputs.unlabelled_queries
        else retriever.search(inputs.unlabelled_queries, CONFIDENCE_DEPTH)
    )
    return Confidence.fit(*known, asked)


def fit_policy(program: "Program", known: OutOfFoldRanking, risk: float | None, max_risk: float | None) -> "Program":
    """The program with a policy that is chosen on the judged queries; as it is where no risk is stated.

    Each first document counts as relevant by the mean of what the judgments say, where one that nobody judged is not,
    and of its stated probability. Of ten queries drawn 60 times from 400 train queries of beir/scifact, for BM25 and
    stated risks of 0.1 to 0.3, the risk on the other queries was above the stated one in 12 to 23 % of the draws, and
    in 42 to 50 % where the judgments alone counted.

    Args:
        program: trained.
        out_of_fold: what its confidence is fitted on.
        risk: see ``Policy.choose``.
        max_risk: see ``Policy.choose``.

    Raises:
        InputError: a risk is stated, and there are too few judged queries to know how sure an answer is.
    """
    from zero2ir.program.policy import Policy

    if risk is None:
        return program
    if program.confidence is None:
        raise InputError(
            f"risk={risk}: {len(known.judged)} judged queries cannot tell how sure an answer is; judge some more, or "
            "state no risk"
        )
    ranking, judged = known
    confidences = program.confidence.probabilities(ranking)[:, 0]
    right = [first in one.relevant for first, one in zip(ranking.numbers[:, 0].tolist(), judged, strict=True)]
    program.policy = Policy.choose(confidences, (np.array(right) + confidences) / 2, risk, max_risk)
    return program


def add_fallback(program: "Program", simpler: "Program", settings: FallbackSettings) -> "Program":
    """A program behind whose last link stands a simpler one over the same documents."""
    from zero2ir.program.program import FallbackLink, Program

    return Program(
        program.retriever,
        program.documents,
        program.confidence,
        program.about,
        program.language_model or simpler.language_model,
        program.reader,
        program.policy,
        [*program.links, FallbackLink(simpler.name, simpler.retriever, simpler.confidence)],
        settings,
    )


def rank_queries(
    program: "Program",
    queries: Sequence["Query"],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Run, dict[str, float]]:
    """Ranks many queries: the run, and each query's confidence (empty where the program states none).

    Args:
        program: who ranks.
        queries: any number.
        depth: of the rankings.
        candidates: the ids of the documents that each query ranks, by query id; the whole collection where None.
    """
    ids = [query.query_id for query in queries]
    ranked = None if candidates is None else [program.numbers_of(candidates[query_id]) for query_id in ids]
    ranking, probabilities = program.search([query.text for query in queries], depth, ranked)
    confidences = {} if probabilities is None else dict(zip(ids, map(float, probabilities[:, 0]), strict=True))
    return as_run(ranking, ids, program.documents), confidences


def answer_queries(program: "Program", queries: Sequence["Query"], run: Run) -> dict[str, str]:
    """Query id → the answer that the program reads in its first document; "" where it found none."""
    first = {ranking.query_id: ranking.doc_ids[0] for ranking in ranked_lists(run, depth=1) if ranking.doc_ids}
    content = {document.doc_id: document.content for document in program.documents}
    passages = [content.get(first.get(query.query_id, ""), "") for query in queries]
    texts = program.answers([query.text for query in queries], passages)
    return dict(zip((query.query_id for query in queries), texts, strict=True))


def translated_query_run(
    documents: Sequence["Document"],
    queries: Sequence["Query"],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
) -> Run:
    """What BM25 finds with the queries' translations, which is as if they had been asked in the documents' language.

    Args:
        documents: the collection.
        queries: with translations.
        depth: of the rankings.
        candidates: the ids of the documents that each query ranks, by query id; the whole collection where None.

    Raises:
        InputError: a query has no translation.
    """
    from zero2ir.data.languages import AUTO_LANGUAGE
    from zero2ir.encoders.corpus import Corpus
    from zero2ir.models.sparse import Sparse

    if missing := [query.query_id for query in queries if not query.translation]:
        raise InputError(
            f"the task states shares of what is found with translated queries, and {len(missing)} have no translation, "
            f"e.g. {missing[0]}; set dataset.parallel=true where there are some, or task=ranking"
        )
    corpus, ids = Corpus(documents), [query.query_id for query in queries]
    ranked = None if candidates is None else [corpus.numbers_of(candidates[query_id]) for query_id in ids]
    ranking = (
        Sparse(language=AUTO_LANGUAGE).index(corpus).search([query.translation for query in queries], depth, ranked)
    )
    return as_run(ranking, ids, documents)


def as_run(ranking: Ranking, query_ids: Sequence[str], documents: Sequence["Document"]) -> Run:
    """A ranking with document ids in place of numbers."""
    ids = np.array([document.doc_id for document in documents] + [""], dtype=object)  # -1 takes the last one
    scores = np.where(ranking.numbers == NO_DOCUMENT, 0.0, ranking.scores)
    return Run(query_ids, ids[ranking.numbers], scores)


def describe_runtime() -> dict[str, str]:
    """What a figure was measured with: machine, interpreter, and the packages that decide about figures, by version."""
    machine = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    return machine | {name: version for name in RECORDED_PACKAGES if (version := _version(name))}


def _processor() -> str:
    """The processor's name; Python itself knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - start, 2)


def code_revision(folder: Path = Path()) -> str:
    """The git commit of the code, with "+changes" where files differ from it; "unknown" outside of git."""
    import subprocess

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "src", "conf") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
