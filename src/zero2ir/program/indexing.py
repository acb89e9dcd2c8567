"""Indexes documents that need not fit into memory: stores them, and indexes shards of them in several processes.

What is finished is kept in a working folder beside the output, so that a command that was killed goes on:

- ``plan.json``: all that decides on the index; another plan is refused.
- ``documents.arrow`` and ``documents.json``: the checked documents or passages, and what was left out.
- ``encoders/``: trained on a sample of the documents.
- ``shards/``: a folder for each range of the documents, written atomically.
"""

import fcntl
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.data.checks import about_quality, warn_of
from zero2ir.data.document_stream import FLAWS, DocumentStream, reservoir, store_documents
from zero2ir.data.records import DataIssue, DataQuality
from zero2ir.data.settings import PassageSettings
from zero2ir.data.stored_documents import StoredDocuments
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.errors import DataWarning, InputError
from zero2ir.io.files import finished_folder, read_json, write_json
from zero2ir.io.ray_cluster import require_ray
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.capabilities import of_shards, require_shardable, write_shard
from zero2ir.models.sharded_postings import shard_name
from zero2ir.program.preparation import PreparationSettings, prepare_corpus
from zero2ir.program.program import check_program_output
from zero2ir.program.side_by_side import Executor, LocalExecutor, RayExecutor, usable_cores
from zero2ir.program.training import fit_program
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.zero_shot import ZeroShot

EXECUTORS = ("local", "ray")
JOB_BYTES = 3 << 29  # of a process: libraries, an encoder and a shard
SAMPLE = 100_000  # documents on which encoders are trained
SHARD_DOCUMENTS = 100_000  # of a shard, at most, if the number of shards is not given
WORK_SUFFIX = ".work"  # of the working folder
PLAN, LOCK, DOCUMENTS, STORED, ENCODERS, SHARDS, JOINED = (
    *("plan.json", "lock", "documents.arrow", "documents.json", "encoders", "shards", "joined"),
)
LANGUAGE = "language.json"  # beside the encoders


@dataclass(frozen=True)
class IndexSettings:
    """What decides on an index, beside the documents.

    Attributes:
        model: unfitted, not indexed.
        preparation: the encoders.
        seed: of the sample of documents and of the encoders' training.
        shards: their number; None for one in ``SHARD_DOCUMENTS`` documents.
        passages: how long documents are cut; None keeps them whole.
        plan: all of these as JSON, and the name of the model.
    """

    model: Retriever
    preparation: PreparationSettings
    seed: int
    shards: int | None
    passages: PassageSettings | None
    plan: Mapping[str, Any]


class IndexReport(NamedTuple):
    """What was indexed.

    Attributes:
        documents: number of documents, or of passages.
        shards: number of shards.
        continued: number of the shards that a former run had finished.
    """

    documents: int
    shards: int
    continued: int


def executor_of(name: str, jobs: int | None, model: Retriever) -> Executor:
    """Returns the executor of a name; without a number of jobs, as many as cores and free memory allow."""
    import psutil

    if name not in EXECUTORS:
        raise InputError(f"executor={name}: unknown; choose {' or '.join(EXECUTORS)}")
    fitting = min(usable_cores(), psutil.virtual_memory().available // JOB_BYTES)
    number = max(1, int(fitting)) if jobs is None else jobs
    if name == "local":
        return LocalExecutor(number)
    require_ray()
    return RayExecutor(number, gpus=float(bool({*encoder_roles(model)} - {"static"})))


class ShardTask(NamedTuple):
    """A range of stored documents to index."""

    work: Path
    model: Retriever
    place: int
    first: int
    end: int
    n_documents: int


def index_documents(
    stream: DocumentStream,
    output: Path,
    settings: IndexSettings,
    executor: Executor,
    tell: Callable[[str], None] = lambda line: None,
) -> IndexReport:
    """Writes a program over the documents of a stream; it answers as if it had been indexed at once.

    Args:
        stream: the source.
        output: folder of the program.
        settings: of the index.
        executor: trains the encoders and indexes the shards in other processes.
        tell: gets a line about each finished step.

    Raises:
        InputError: a document is invalid, the model cannot be indexed in shards, the folder cannot be written, or the
            working folder belongs to another plan or is in use.
    """
    require_shardable(settings.model)
    check_program_output(output)
    work = output.resolve().with_name(output.resolve().name + WORK_SUFFIX)
    with _held(work):
        _keep_plan(work, {**settings.plan, "source": stream.name, "digest": stream.digest()})
        documents, quality = _stored(work, stream, settings.passages)
        warn_of(quality)
        tell(f"{len(documents):,} {'documents' if settings.passages is None else 'passages'} stored")
        if not (work / ENCODERS).is_dir():
            for messages in executor.run(partial(_prepare, work, settings), [len(documents)]):
                for message in messages:
                    warnings.warn(message, DataWarning, stacklevel=2)
        tell(f"encoders: {', '.join(encoder_roles(settings.model)) or 'none'}")
        tasks = _tasks(work, settings, len(documents))
        missing = [task for task in tasks if not _shard(task).is_dir()]
        for number, place in enumerate(executor.run(_make_shard, missing), len(tasks) - len(missing) + 1):
            tell(f"shard {place + 1} finished, {number} of {len(tasks)}")
        _join(work, documents, quality, settings, tasks).save(output)
    _remove(work)
    return IndexReport(len(documents), len(tasks), len(tasks) - len(missing))


@contextmanager
def _held(work: Path) -> Iterator[None]:
    """Keeps other processes out of a working folder."""
    if work.is_dir() and not (work / PLAN).is_file() and {path.name for path in work.iterdir()} - {LOCK}:
        raise InputError(f"{work}: not written by zero2ir index; move it away, or give another output")
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"{work}: another zero2ir index writes this output; wait for its end") from None
    finally:
        os.close(descriptor)


def _keep_plan(work: Path, plan: Mapping[str, Any]) -> None:
    path = work / PLAN
    if not path.is_file():
        write_json(path, plan)
    kept = read_json(path)
    if changed := sorted(key for key in {*kept, *plan} if kept.get(key) != plan.get(key)):
        raise InputError(
            f"{work}: an unfinished index of other documents or settings ({', '.join(changed)}); repeat its command, "
            "or remove the folder"
        )


def _stored(
    work: Path, stream: DocumentStream, passages: PassageSettings | None
) -> tuple[StoredDocuments, DataQuality]:
    if not (work / STORED).is_file():
        _, quality = store_documents(stream, work / DOCUMENTS, passages)
        write_json(work / STORED, {flaw: asdict(issue) for flaw, issue in quality.items()})
    issues = read_json(work / STORED)
    kept = {flaw: DataIssue(issues[flaw]["count"], tuple(issues[flaw]["examples"])) for flaw in FLAWS}
    return StoredDocuments(work / DOCUMENTS), kept


def _prepare(work: Path, settings: IndexSettings, n_documents: int) -> list[str]:
    """Trains the encoders on a sample, in a process of its own; returns what it warns of."""
    documents = StoredDocuments(work / DOCUMENTS)
    sample = [documents[number] for number in sorted(reservoir(range(n_documents), SAMPLE, settings.seed))]
    roles = encoder_roles(settings.model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        corpus = prepare_corpus(sample, settings.preparation, settings.model.needs(), settings.seed)
    with finished_folder(work / ENCODERS) as folder:
        for role in roles:
            corpus.encoder(role).save(folder / role)
        write_json(folder / LANGUAGE, corpus.language)
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def _tasks(work: Path, settings: IndexSettings, n_documents: int) -> list[ShardTask]:
    """Divides the documents evenly, in their order."""
    number = min(settings.shards or ceil(n_documents / SHARD_DOCUMENTS), n_documents)
    bounds = [n_documents * place // number for place in range(number + 1)]
    return [
        ShardTask(work, settings.model, place, first, end, n_documents)
        for place, (first, end) in enumerate(pairwise(bounds))
    ]


def _shard(task: ShardTask) -> Path:
    return task.work / SHARDS / shard_name(task.place)


def _make_shard(task: ShardTask) -> int:
    """Indexes a shard, in a process of its own; returns its place."""
    documents = StoredDocuments(task.work / DOCUMENTS).part(task.first, task.end)
    with finished_folder(_shard(task)) as folder:
        write_shard(task.model, _corpus(task.work, documents, task.model), folder, task.n_documents)
    return task.place


def _corpus(work: Path, documents: StoredDocuments, model: Retriever) -> Corpus:
    encoders = {role: _encoder(work / ENCODERS / role) for role in encoder_roles(model)}
    return Corpus(documents, encoders, language=read_json(work / ENCODERS / LANGUAGE))


@cache
def _encoder(folder: Path) -> TextEncoder:
    """Loads an encoder once for all shards of a process."""
    return load_encoder(folder)


def _join(
    work: Path, documents: StoredDocuments, quality: DataQuality, settings: IndexSettings, tasks: Sequence[ShardTask]
) -> Any:
    """Returns the program over all shards."""
    shutil.rmtree(work / JOINED, ignore_errors=True)
    corpus = _corpus(work, documents, settings.model)
    retriever = of_shards(settings.model, corpus, [_shard(task) for task in tasks], work / JOINED)
    about = {"model": settings.plan["model"], "strategy": "zero_shot", "seed": settings.seed, "shards": len(tasks)}
    about |= {} if settings.passages is None else {"passages": settings.passages.model_dump()}
    inputs = TrainingInputs(corpus, [], tuning=settings.preparation.tuning, seed=settings.seed)
    return fit_program(retriever, ZeroShot(), inputs, about | about_quality(quality)).program


def _remove(work: Path) -> None:
    """Removes what this module wrote; a file of somebody else stays, and with it the folder.

    The next call takes shards, encoders and documents that are there for whole. So what a kill leaves half removed must
    be in the folder that each call clears first.
    """
    joined = work / JOINED
    shutil.rmtree(joined, ignore_errors=True)
    joined.mkdir(exist_ok=True)
    for name in (SHARDS, ENCODERS):
        (work / name).rename(joined / name)
    shutil.rmtree(joined, ignore_errors=True)
    for name in (STORED, DOCUMENTS, PLAN, LOCK):
        (work / name).unlink(missing_ok=True)
    with suppress(OSError):
        work.rmdir()
