"""A program in service: searches, adds and removes documents, stores feedback."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Self
from uuid import uuid4

import dspy

from zero2ir.data.records import Document
from zero2ir.errors import InputError, StorageError
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.program import Program, load_program

LOG = logging.getLogger("zero2ir.online.serving")

FEEDBACK_FILE, DOCUMENTS_FILE = "feedback.sqlite", "documents.sqlite"


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
        InputError: a file cannot be opened, or no document is left.
    """

    def __init__(self, program: Program, folder: Path, settings: ServingSettings) -> None:
        self.settings = settings
        self.feedback = FeedbackStore(folder / FEEDBACK_FILE)
        self.journal = DocumentJournal(folder / DOCUMENTS_FILE)
        self.program = self._with_changes(program)
        self._changing = Lock()

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
        self, query: str, k: int, candidates: Sequence[str] | None = None, deadline: float | None = None, user: str = ""
    ) -> tuple[dspy.Prediction, list[Document]]:
        """Returns the program's answer and its documents.

        Raises:
            InputError: a candidate is not a document.
            NoAnswerError: see ``Program.forward``.
        """
        program = self.program
        if candidates is not None:
            program.numbers_of(candidates)
        answer = program(query=query, k=k, candidates=candidates, deadline=deadline)
        if self.settings.impressions:
            self._record_impressions(query, answer.docids, user)
        return answer, [program.document(doc_id) for doc_id in answer.docids]

    def _record_impressions(self, query: str, doc_ids: Sequence[str], user: str) -> None:
        search_id, now = uuid4().hex, time.time()
        events = [
            FeedbackEvent(f"{search_id}/{place}", "impression", query, doc_id, place, None, now, user)
            for place, doc_id in enumerate(doc_ids, 1)
        ]
        try:
            self.feedback.record_all(events or [FeedbackEvent(search_id, "nothing", query, "", None, None, now, user)])
        except StorageError as error:
            LOG.error("impressions not recorded: %s", error)

    def record_feedback(self, event: FeedbackEvent) -> bool:
        """Stores a feedback event; returns False if it is already stored.

        Raises:
            InputError: the event is invalid, or its document does not exist.
        """
        self.program.document(event.doc_id)
        return self.feedback.record(event)

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
        """Closes the files."""
        self.feedback.close()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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


def open_program(place: str) -> Program:
    """Opens a saved program from a folder, or one logged to MLflow from a URI such as "models:/<model id>".

    MLflow's format is a pickle: only open programs from a store that you trust. Raises InputError if there is none.
    """
    if ":/" not in place:
        return load_program(place)
    import mlflow

    try:
        program = mlflow.dspy.load_model(place)
    except Exception as error:  # MLflow raises many types; each means that the program cannot be loaded
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{place}: MLflow cannot open it ({reason}); check the URI and MLFLOW_TRACKING_URI") from error
    if not isinstance(program, Program):
        raise InputError(f"{place}: contains a {type(program).__name__}, not a zero2ir program")
    return program
