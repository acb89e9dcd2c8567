"""Runs all that asks a language model against an endpoint that fails, and counts what held; a part of promises.py.

    python -m benchmarks.promises language_models

Every user of a language model (strategies, model types, label suggestions, written queries) works on a small part of
the embedded collection with every fault of ``benchmarks/fake_endpoint.py`` at 1, 10, 30 and 100 %. Then the endpoint is
well, and the same call is repeated.
"""

import base64
import contextlib
import io
import itertools
import logging
import os
import random
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

from benchmarks.fake_endpoint import FAULTS, ODD, PROMPT_TOKENS, USELESS, FakeEndpoint, Faulty
from benchmarks.outcomes import Outcome, Tally
from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data import pydocs
from zero2ir.data.records import Document, JudgedDocument, RawCollection
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.encoders.training import FitSettings
from zero2ir.errors import InputError
from zero2ir.io.files import write_json
from zero2ir.labelling.annotators import LMAnnotator
from zero2ir.labelling.candidates import written_candidate_queries
from zero2ir.labelling.loop import AnnotationItem
from zero2ir.lm.factory import LanguageModel, lazy_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.auto import Auto
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.expanded import Expanded
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.listwise import Listwise
from zero2ir.models.pointwise import Pointwise
from zero2ir.models.reranked import Reranked
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.models.surface import CharacterNgrams
from zero2ir.models.translated import Translated
from zero2ir.program.cost import lm_cost
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.preparation import prepare_inputs
from zero2ir.program.program import FallbackLink, Program
from zero2ir.program.training import train_program
from zero2ir.strategies.base import needs_synthetic_queries

RATES = (0.01, 0.1, 0.3, 1.0)
KEY = "sk-canary/0b1f+7c9e2d48a6"  # its URL-encoded form is another one
KEY_VARIABLE = "ZERO2IR_CANARY_KEY"
TIMEOUT = 3.0  # seconds of a request
BACK_OFF = 1.0  # seconds before its only repetition
SLOWER = 4  # a run may take so many times what it takes alone with good answers,
SLACK = 5.0  # and so many seconds, beside what its faults cost
DOCUMENTS, QUERIES, FOLDS = 24, 6, 2
QUERY = "how do I cut a text into pieces"
FOREIGN = "wie kann ich einen langen Text in einzelne Wörter zerlegen und zählen"
SETTINGS = (
    f"tuning.folds={FOLDS}",
    "pretraining.synthetic.documents=8",
    "pretraining.synthetic.negatives=2",
    "pretraining.synthetic.filters=[empty,copied]",
)
FEW_PROMPTS = ("strategy.candidates=[3,2]", "strategy.shares=[0.5,1.0]")
ONE_ITERATION = ("+strategy.outer_loop={iterations: 1}", "+strategy.tasks={documents: 16}")
STACKED = (
    "strategy.strategies.prompt.candidates=[3,2]",
    "strategy.strategies.prompt.shares=[0.5,1.0]",
    "+strategy.strategies.meta.outer_loop={iterations: 1}",
    "+strategy.strategies.meta.tasks={documents: 16}",
)
DEADLINE = 1.0  # seconds of a search in service
SEARCHES = 8


@cache
def collection() -> tuple[list[Document], list[JudgedDocument]]:
    """Some documents of the embedded collection, and judgments of a few of them."""
    raw: RawCollection = pydocs.read()
    text = {query.query_id: query.text for query in raw.queries}
    relevant = {row.query_id: row.doc_id for row in raw.judgments if row.relevance > 0}
    judged = list(relevant)[:QUERIES]
    wanted = {relevant[one] for one in judged}
    others = [one for one in raw.documents if one.doc_id not in wanted and 20 <= len(one.text.split()) <= 100]
    documents = [one for one in raw.documents if one.doc_id in wanted] + others[: DOCUMENTS - len(wanted)]
    other = documents[-1].doc_id
    rows = [JudgedDocument(one, text[one], relevant[one], 1) for one in judged]
    return documents, rows + [row._replace(doc_id=other, relevance=0) for row in rows]


@cache
def encoder() -> TextEncoder:
    fit = FitSettings(epochs=1, batch_size=32, learning_rate=0.02)
    return train_static(collection()[0], StaticSettings(dimension=16, fit=fit), seed=0)


def corpus_with(language_model: LanguageModel) -> Corpus:
    roles = ("static", "pretrained")
    return Corpus(collection()[0], dict.fromkeys(roles, encoder()), language_model=language_model, language="en")


@cache
def configuration(strategy: str, changes: tuple[str, ...]) -> LibraryConfig:
    return compose("library", LibraryConfig, [f"strategy={strategy}", "lm=vllm", *SETTINGS, *changes])


Work = Callable[[LanguageModel, Path], Any]  # what a user does, which writes into a folder; equal results are equal


def trains(
    make: Callable[[], Retriever | Auto],
    strategy: str = "fine_tune",
    changes: tuple[str, ...] = (),
    query: str = QUERY,
) -> Work:
    """Trains a program, saves it and searches with it."""

    def work(language_model: LanguageModel, folder: Path) -> Any:
        config = configuration(strategy, changes)
        fit, corpus = build(config.strategy, "strategy"), corpus_with(language_model)
        synthetic = needs_synthetic_queries(fit, True)
        inputs = prepare_inputs(corpus, collection()[1], config, 0, synthetic=synthetic)
        program = train_program(make(), fit, inputs, {"model": "trained"}).program
        program.save(folder / "program")
        return program(query=query).docids

    return work


def suggests_labels(language_model: LanguageModel, folder: Path) -> Any:
    documents, _ = collection()
    items = [AnnotationItem("q0", QUERY, one.doc_id, 0) for one in documents]
    return LMAnnotator(corpus_with(language_model), language_model).grades(items)


def writes_queries(language_model: LanguageModel, folder: Path) -> Any:
    settings = configuration("zero_shot", ()).pretraining.synthetic
    return written_candidate_queries(corpus_with(language_model), settings, 0)


static = partial(Dense, "static")
USERS: dict[str, Work] = {
    "fixed_prompt": trains(static, "fixed_prompt"),
    "prompt": trains(static, "prompt", FEW_PROMPTS),
    "prompt of a part": trains(lambda: Rewritten(Sparse()), "prompt", FEW_PROMPTS),
    "prompt_bootstrap": trains(static, "prompt_bootstrap", FEW_PROMPTS),
    "prompt_copro": trains(static, "prompt_copro", FEW_PROMPTS),
    "prompt_mipro": trains(static, "prompt_mipro", FEW_PROMPTS),
    "prompt_gepa": trains(static, "prompt_gepa", FEW_PROMPTS),
    "meta": trains(static, "meta", ONE_ITERATION),
    "meta_anil": trains(static, "meta_anil", ONE_ITERATION),
    "meta_reweight": trains(static, "meta_reweight", ("strategy.tasks.documents=16",)),
    "prompt and meta": trains(static, "hybrid", STACKED),
    "distil": trains(static, "distil", ("model@strategy.teacher=sparse",)),
    "rewritten": trains(lambda: Rewritten(Sparse())),
    "expanded": trains(lambda: Expanded(Sparse(), queries=2)),
    "pointwise": trains(lambda: Reranked(Sparse(), Pointwise(), depth=4)),
    "listwise": trains(lambda: Reranked(Sparse(), Listwise(window=3, step=2), depth=4)),
    "translated": trains(lambda: Translated(static(), translations=2), query=FOREIGN),
    "crosslingual": trains(
        lambda: Hybrid([Translated(Sparse()), Translated(static()), CharacterNgrams()], [0.5, 0.3, 0.2]), query=FOREIGN
    ),
    "auto": trains(lambda: Auto({"sparse": Sparse(), "rewritten": Rewritten(Sparse())})),
    "label suggestions": suggests_labels,
    "written queries": writes_queries,
}
NUMBER = len(USERS) * len(FAULTS)  # every user with every fault


class Run(NamedTuple):
    """One call of a user."""

    result: Any  # None if it ended in an error
    error: str  # its only line, or a traceback
    seconds: float
    cost: Mapping[str, Any]  # of the language model, as runs record it
    output: str


def run_once(work: Work, url: str, folder: Path, retries: int) -> Run:
    """Does the work with a fresh connection; the answers that arrived before are in the folder."""
    settings = LMSettings(
        name="faulty",
        provider="litellm",
        model="openai/faulty",
        api_base=url,
        api_key_env=KEY_VARIABLE,
        concurrency=8,
        retries=retries,
        timeout=TIMEOUT,
    )
    output, result, error, begun = io.StringIO(), None, "", time.monotonic()
    language_model = lazy_lm(settings, folder / "lm", 0)
    with everything_said(output):
        try:
            result = work(language_model, folder)
        except InputError as one:
            error = str(one)
        except Exception:
            error = traceback.format_exc()
    cost = lm_cost(language_model)
    write_json(folder / "cost.json", cost)
    (folder / "output.txt").write_text(output.getvalue() + error, encoding="utf-8")
    return Run(result, error, time.monotonic() - begun, cost, output.getvalue())


@contextlib.contextmanager
def everything_said(output: io.StringIO) -> Iterator[None]:
    """Collects what is printed, logged at any level, and warned of."""
    handler, root = logging.StreamHandler(output), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
            warnings.simplefilter("always")
            yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)


def one_line(error: str) -> bool:
    """Whether an error is one line that says what is wrong, and after a semicolon what to do."""
    return error.isprintable() and 0 < len(error) < 1000 and "; " in error


@cache
def encoded(secret: str) -> set[bytes]:
    """A secret in the forms in which it could be written."""
    plain = secret.encode()
    shifted = [base64.b64encode(bytes(before) + plain)[2 + before : -4] for before in range(3)]
    return {plain, quote(secret, safe="").encode(), plain.hex().encode(), secret.replace("/", "\\/").encode(), *shifted}


def holds(secret: str, path: Path) -> bool:
    """Whether a file has a secret in any form."""
    data = path.read_bytes()
    return any(form in data for form in encoded(secret))


def files_with(secret: str, folder: Path) -> list[Path]:
    """The files below a folder that have a secret in any form."""
    return [path for path in folder.rglob("*") if path.is_file() and holds(secret, path)]


class Trial(NamedTuple):
    """A user with a fault at a rate."""

    user: str
    fault: str
    rate: float


IN_TIME = "a call ends within the time that its settings state"
CLEARLY = "it ends by a result, or in one line that says what to do"
PAID_ONCE = "an answer that arrived is not asked for again by the next call"
COUNTED = "the run counts the answers and those of no use"
SAME = "once the endpoint is well, the same call gives what it would have given"
SECRET = "the key is in no file, log, warning or error"
PROMISES = (IN_TIME, CLEARLY, PAID_ONCE, COUNTED, SAME, SECRET)
SERVED = "a program with a fallback answers every search in its time"


def run(number: int, seed: int) -> list[Outcome]:
    """Tries so many users, faults and rates."""
    trials = drawn_trials(seed)[:number]
    tally, finished, good = Tally(), defaultdict[tuple[str, float], list[bool]](list), dict[str, Run]()
    os.environ[KEY_VARIABLE] = KEY
    for trial in trials:
        if trial.user not in good:
            good[trial.user] = without_faults(USERS[trial.user])
        with TemporaryDirectory() as folder:
            broken = sum(map(len, tally.broken.values()))
            ended_well = tried(trial, good[trial.user], Path(folder), seed, tally)
            tally.add(trial.fault, sum(map(len, tally.broken.values())) == broken, trial)
        finished[trial.fault, trial.rate].append(ended_well)
    for fault, rate in dict.fromkeys((one.fault, one.rate) for one in trials):
        serves(fault, rate, seed, tally)
    return outcomes(tally, finished)


def drawn_trials(seed: int) -> list[Trial]:
    """First every user with every fault, each at one of the rates in turn; then the same at the next rates."""
    pairs = list(itertools.product(enumerate(USERS), enumerate(FAULTS)))
    random.Random(seed).shuffle(pairs)
    return [
        Trial(user, fault, RATES[(one + other + turn + seed) % len(RATES)])
        for turn in range(len(RATES))
        for (one, user), (other, fault) in pairs
    ]


def without_faults(work: Work) -> Run:
    """What the user does with good answers; the first time, imports take longer."""
    with TemporaryDirectory() as folder, FakeEndpoint() as endpoint:
        endpoint.answer = Faulty("null", 0.0, 0)
        done = run_once(work, endpoint.url, Path(folder), 1)
    if done.result is None:
        raise RuntimeError(f"without faults: {done.error}")
    return done


def tried(trial: Trial, good: Run, folder: Path, seed: int, tally: Tally) -> bool:
    """Runs a user with faults and then without, and checks all promises; whether the first run had a result."""
    work, retries = USERS[trial.user], 0 if trial.fault == "429, wait an hour" else 1
    with FakeEndpoint() as endpoint:
        endpoint.answer = faulty = Faulty(trial.fault, trial.rate, seed)
        first = run_once(work, endpoint.url, folder, retries)
        endpoint.answer = well = Faulty(trial.fault, 0.0, seed)
        second = run_once(work, endpoint.url, folder, retries)
    limit = SLOWER * good.seconds + SLACK + faulty.faults * (TIMEOUT + BACK_OFF)
    tally.add(IN_TIME, first.seconds < limit, f"{trial}: {first.seconds:.1f} s of {limit:.1f}")
    clear = first.result is not None or one_line(first.error)
    tally.add(CLEARLY, clear and "Traceback" not in first.output, f"{trial}: {first.error or first.output}"[-1500:])
    again = len(faulty.answered & set(well.asked))
    tally.add(PAID_ONCE, not again, f"{trial}: {again} of {len(faulty.answered)}")
    tally.add(COUNTED, counts(trial, first, faulty), f"{trial}: {first.cost}, {faulty.faults} faults")
    if trial.fault not in ODD:  # whose texts are of use, and so are kept
        tally.add(SAME, second.result == good.result, f"{trial}: {second.error or second.result}")
    tally.add(SECRET, not (found := files_with(KEY, folder)), f"{trial}: {[path.name for path in found]}")
    return first.result is not None


def counts(trial: Trial, run: Run, faulty: Faulty) -> bool:
    """Whether the usage has the tokens of each answer in the form of the protocol, and failures if all were useless."""
    no_json = {"HTML with 200", "cut JSON", "log-probabilities of NaN"}
    formless = {*no_json, "five megabytes", "log-probabilities of other types"}
    received = sum(faulty.asked.values()) - faulty.faults
    if trial.fault in {*USELESS, *ODD} - formless:
        received += faulty.faults
    useless = trial.fault in USELESS and not faulty.answered
    late = run.cost["lm_retries"] + faulty.again  # answers after the time-out, on a busy machine
    counted = received - late <= run.cost["lm_prompt_tokens"] / PROMPT_TOKENS <= received
    return counted and (not useless or run.cost["lm_failures"] > 0)


def serves(fault: str, rate: float, seed: int, tally: Tally) -> None:
    """Searches by a program that asks the language model, with BM25 behind it."""
    with TemporaryDirectory() as folder, FakeEndpoint() as endpoint:
        endpoint.answer = Faulty(fault, rate, seed)
        settings = LMSettings(name="faulty", provider="litellm", model="openai/faulty", api_base=endpoint.url)
        language_model = lazy_lm(settings, Path(folder), 0)
        _ = language_model.lm  # the first search opens it otherwise
        corpus = corpus_with(language_model)
        links = [FallbackLink("sparse", Sparse().index(corpus))]
        program = Program(
            Rewritten(Sparse()).index(corpus),
            corpus.documents,
            about={"model": "rewritten"},
            language_model=language_model,
            links=links,
            fallback=FallbackSettings(deadline=DEADLINE),
        )
        for number in range(SEARCHES):
            begun = time.monotonic()
            try:
                found = bool(program(query=f"{QUERY} of {number} letters").docids)
            except Exception as error:
                found = isinstance(error, ())
            seconds = time.monotonic() - begun
            tally.add(SERVED, found and seconds < DEADLINE + 0.5, f"{fault} at {rate:.0%}: {seconds:.2f} s")


def outcomes(tally: Tally, finished: Mapping[tuple[str, float], Sequence[bool]]) -> list[Outcome]:
    """The promises, and for each fault how many calls had a result."""
    where = (
        f"{len(USERS)} users of a language model, {len(FAULTS)} faults at {', '.join(f'{one:.0%}' for one in RATES)}"
    )
    rows = [tally.outcome(one, where) for one in PROMISES]
    rows.append(tally.outcome(SERVED, f"{SEARCHES} searches at each fault and rate, each within {DEADLINE:.0f} s"))
    for fault in FAULTS:
        at = {rate: ended for rate in RATES if (ended := finished.get((fault, rate)))}
        if at:
            cells = {f"results at {rate:.0%}": f"{sum(ended)} of {len(ended)}" for rate, ended in at.items()}
            rows.append(tally.outcome(fault, "fault, with all of these promises", cells=cells))
    return rows
