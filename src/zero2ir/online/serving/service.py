"""A program in service: searches, adds and removes documents, stores feedback."""

import fcntl
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Self
from uuid import uuid4

import dspy

from zero2ir.data.records import Document
from zero2ir.errors import InputError, StorageError
from zero2ir.io.database import check_shared
from zero2ir.io.memory import release_memory
from zero2ir.io.paths import is_url
from zero2ir.io.threads import repeated
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.feedback.writer import FeedbackWriter
from zero2ir.online.serving.journal import Changes, DocumentJournal
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.program import Program, load_program
from zero2ir.tracking.runs import check_server

LOG = logging.getLogger("zero2ir.online.serving")

FEEDBACK_FILE, DOCUMENTS_FILE, LOCK_FILE = "feedback.sqlite", "documents.sqlite", "lock"
BUSY_SECONDS = 0.1  # how long to wait for another process's lock on a file ...
SHARED_BUSY_SECONDS = 1.0  # ... and on a table of a database, which other services write all the time


class SearchService:
    """A program with a place for its document changes and its feedback.

    The saved program never changes: changes of documents and feedback are stored beside it, and are restored when the
    service is opened again, even after a crash. Several services may share a PostgreSQL database: each one applies the
    document changes of the others, in the order in which they were stored.

    Args:
        program: the trained program.
        state: folder of the files, created if missing; or the URL of a PostgreSQL database.
        settings: limits and what is recorded.

    Attributes:
        program: the program with the current documents; replaced as a whole, so that a search sees one state.
        version: number of the last document change that the program has.

    Raises:
        InputError: another service uses the folder, the files or the database cannot be used, or no document is left.
    """

    def __init__(self, program: Program, state: Path | str, settings: ServingSettings) -> None:
        self.settings = settings
        self._changing = Lock()
        self._is_behind = False
        with ExitStack() as stack:
            self.feedback, self.journal = _open_state(state, settings, stack)
            self.program, self.version = self._with_changes(program)
            self.writer = FeedbackWriter(self.feedback, settings.max_waiting_events)
            stack.callback(self.writer.close)
            if self.journal.database.is_shared:
                stack.enter_context(repeated(self._refresh_or_log, settings.refresh_seconds))
            self._files = stack.pop_all()

    def _with_changes(self, program: Program) -> tuple[Program, int]:
        """Returns a saved program with all changes, and the number of the last one."""
        changes = self.journal.changes()
        return _changed(program, changes), changes.number

    def refresh(self) -> None:
        """Applies what other services changed since the last refresh.

        Raises:
            StorageError: the database cannot be used.
        """
        with self._changing:
            self._catch_up()

    def _catch_up(self) -> None:
        if self.journal.database.is_shared:
            changes = self.journal.changes(self.version)
            self.program, self.version = _changed(self.program, changes), changes.number

    def _refresh_or_log(self) -> None:
        """Refreshes; logs the first of several errors, because the next attempt may succeed, and searches go on."""
        try:
            self.refresh()
        except Exception as error:
            if not self._is_behind:
                reason = error if isinstance(error, InputError) else type(error).__name__
                LOG.error("document changes of other services are not applied: %s", reason)
            self._is_behind = True
        else:
            self._is_behind = False

    def replace(self, program: Program) -> None:
        """Replaces the program by a newly trained one with the current documents; searches do not wait for it."""
        with self._changing:
            ready, version = self._with_changes(program)
            warm_up(ready)
            self.program, self.version = ready, version
        release_memory()  # of the old program: encoders are in reference cycles, which Python may keep for many reloads

    def search(
        self,
        query: str,
        k: int,
        candidates: Sequence[str] | None = None,
        deadline: float | None = None,
        user: str = "",
        waited: float = 0.0,
        query_id: str | None = None,
    ) -> tuple[dspy.Prediction, list[Document]]:
        """Returns the program's answer and its documents; for the arguments see ``Program.forward``.

        The seconds that a request has ``waited`` count towards its deadline; ``user`` is stored with the impressions.

        Raises:
            InputError: a candidate is not a document.
            NoAnswerError: see ``Program.forward``.
        """
        if candidates is not None:
            self.find(candidates).numbers_of(candidates)
        program = self.program
        left = min(deadline or program.fallback.deadline, program.fallback.deadline) - waited
        most = min(k, len(program.documents))
        answer = program(query=query, k=most, candidates=candidates, deadline=left, query_id=query_id)
        if self.settings.impressions:
            self._record_impressions(query, answer.docids, user)
        return answer, [program.document(doc_id) for doc_id in answer.docids]

    def _record_impressions(self, query: str, doc_ids: Sequence[str], user: str) -> None:
        search_id, now = uuid4().hex, time.time()
        events = [
            FeedbackEvent(f"{search_id}/{place}", "impression", query, doc_id, place, None, now, user)
            for place, doc_id in enumerate(doc_ids, 1)
        ]
        nothing = FeedbackEvent(search_id, "nothing", query, "", None, None, now, user)
        self.writer.write_impressions(events or [nothing])

    def record_feedback(self, event: FeedbackEvent) -> "Future[bool]":
        """Stores a feedback event; the result is False if it was stored before.

        Raises:
            InputError: the event is invalid, its document does not exist, or too many events wait.
        """
        self.program.document(event.doc_id)
        return self.writer.write(event)

    def find(self, doc_ids: Sequence[str]) -> Program:
        """Returns the current program, after a refresh if one of the documents is unknown."""
        if self.journal.database.is_shared and not all(map(self.program.has_document, doc_ids)):
            self.refresh()
        return self.program

    def add(self, documents: Sequence[Document]) -> None:
        """Adds documents, replacing those with the same ids; returns after they are stored."""
        self._change(documents, ())

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Removes documents; returns after the removal is stored.

        Raises:
            InputError: an id is unknown, or no document would be left.
        """
        self._change((), doc_ids)

    def _change(self, added: Sequence[Document], removed: Sequence[str]) -> None:
        with self._changing:
            self._catch_up()
            program = self.program
            program.numbers_of(removed)
            changed = program.with_documents(added, removed)

            def check(others: Changes) -> None:
                _check_left(program, [others, Changes(list(added), list(removed), 0)])

            others = self.journal.record(added, removed, self.version, check)
            if others.added or others.removed:
                changed = _changed(program, others).with_documents(added, removed)
            self.program, self.version = changed, others.number

    def close(self) -> None:
        """Writes the events that wait, and closes the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _open_state(
    state: Path | str, settings: ServingSettings, stack: ExitStack
) -> tuple[FeedbackStore, DocumentJournal]:
    """Opens a folder's files, under an exclusive lock, or a database, until the stack closes."""
    max_bytes = settings.max_file_megabytes * 1_000_000
    feedback: Path | str = state
    documents: Path | str = state
    busy_seconds = SHARED_BUSY_SECONDS
    if is_url(state):
        check_shared(str(state))
    else:
        folder, busy_seconds = Path(state), BUSY_SECONDS
        stack.enter_context(_exclusive(folder))
        feedback, documents = folder / FEEDBACK_FILE, folder / DOCUMENTS_FILE
    return (
        stack.enter_context(FeedbackStore(feedback, busy_seconds, max_bytes)),
        stack.enter_context(DocumentJournal(documents, busy_seconds, max_bytes)),
    )


def check_database(url: str, settings: ServingSettings) -> None:
    """Checks that a database can keep the state of services; creates its tables if there are none.

    Raises:
        InputError: it cannot be used, or is no PostgreSQL database.
    """
    with ExitStack() as stack:
        _open_state(url, settings, stack)


def _changed(program: Program, changes: Changes) -> Program:
    return program.with_documents(changes.added, changes.removed) if changes.added or changes.removed else program


def _check_left(program: Program, changes: Sequence[Changes]) -> None:
    """Raises InputError if the changes, in order, leave no document of a program; no index is built."""
    there: dict[str, bool] = {}
    for one in changes:
        there |= dict.fromkeys(one.removed, False) | {document.doc_id: True for document in one.added}
    more = sum(is_there - program.has_document(doc_id) for doc_id, is_there in there.items())
    if len(program.documents) + more < 1:
        raise InputError("documents: no document would be left; keep at least one")


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder against other services; the lock ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("w")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be used ({error.strerror}); check the folder and the disk") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another server uses this folder; give another one with --state") from None
        yield


def warm_up(program: Program) -> dict[str, str]:
    """Searches once with each link of a program, to load models and open connections before requests come.

    Returns:
        Type of the error of each failed link, by its name; a failed link is tried again at the next request.
    """
    failed = {}
    for link in program.all_links:
        try:
            link.search(["warm up"], 1)
        except Exception as error:
            failed[link.name] = type(error).__name__
    return failed


def open_program(place: str, allow_endpoints: Sequence[str] = ()) -> Program:
    """Opens a saved program from a folder, or one logged to MLflow from a URI such as "models:/<model id>".

    MLflow's format is a pickle: only open programs from a store that you trust. Raises InputError if there is none.
    """
    if ":/" not in place:
        return load_program(place, allow_endpoints)
    import mlflow

    check_server(mlflow.get_tracking_uri())
    try:
        program = mlflow.dspy.load_model(place)
    except Exception as error:  # MLflow raises many types; each means that the program cannot be loaded
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{place}: MLflow cannot open it ({reason}); check the URI and MLFLOW_TRACKING_URI") from error
    if not isinstance(program, Program):
        raise InputError(f"{place}: contains a {type(program).__name__}, not a zero2ir program")
    return program
