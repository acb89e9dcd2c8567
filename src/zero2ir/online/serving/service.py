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
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.feedback.writer import FeedbackWriter
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.program import Program, load_program
from zero2ir.tracking.runs import check_server

LOG = logging.getLogger("zero2ir.online.serving")

FEEDBACK_FILE, DOCUMENTS_FILE, LOCK_FILE = "feedback.sqlite", "documents.sqlite", "lock"
BUSY_SECONDS = 0.1  # how long to wait for another process's lock on a file


class SearchService:
    """A program with a folder for its document changes and its feedback.

    The saved program never changes: changes of documents and feedback are stored in files beside it, and are restored
    when the service is opened again, even after a crash.

    Args:
        program: the trained program.
        folder: folder of the files; created if missing.
        settings: limits and what is recorded.

    Attributes:
        program: the program with the current documents; replaced as a whole, so that a search sees one state.

    Raises:
        InputError: another service uses the folder, a file cannot be opened, or no document is left.
    """

    def __init__(self, program: Program, folder: Path, settings: ServingSettings) -> None:
        self.settings = settings
        self._changing = Lock()
        max_bytes = settings.max_file_megabytes * 1_000_000
        with ExitStack() as stack:
            stack.enter_context(_exclusive(folder))
            self.feedback = stack.enter_context(FeedbackStore(folder / FEEDBACK_FILE, BUSY_SECONDS, max_bytes))
            self.journal = stack.enter_context(DocumentJournal(folder / DOCUMENTS_FILE, BUSY_SECONDS, max_bytes))
            self.program = self._with_changes(program)
            self.writer = FeedbackWriter(self.feedback, settings.max_waiting_events)
            stack.callback(self.writer.close)
            self._files = stack.pop_all()

    def _with_changes(self, program: Program) -> Program:
        added, removed = self.journal.changes()
        return program.with_documents(added, removed) if added or removed else program

    def replace(self, program: Program) -> None:
        """Replaces the program by a newly trained one with the current documents; searches do not wait for it."""
        with self._changing:
            ready = self._with_changes(program)
            warm_up(ready)
            self.program = ready

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
        program = self.program
        if candidates is not None:
            program.numbers_of(candidates)
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
            self.program.numbers_of(removed)
            changed = self.program.with_documents(added, removed)
            self.journal.record(added, removed)
            self.program = changed

    def close(self) -> None:
        """Writes the events that wait, and closes the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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
