"""A program in service: it answers, takes documents in and out, and keeps what people tell it."""

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
from zero2ir.program.program import Program

LOG = logging.getLogger("zero2ir.online.serving")

FEEDBACK_FILE, DOCUMENTS_FILE = "feedback.sqlite", "documents.sqlite"


class SearchService:
    """A program, and the folder that keeps what happened to it since it was trained.

    The program itself is never written to: what is added, removed and told stands in files beside it, and is there
    again when the service is opened again, even after a kill.

    Args:
        program: as it was trained.
        folder: of the files; made where it is missing.
        settings: limits, and what is kept.

    Attributes:
        program: with the documents as they are now; another object after each change, so that a search sees one state.
        feedback: what people told.

    Raises:
        InputError: a file cannot be opened, or none of the documents is left.
    """

    def __init__(self, program: Program, folder: Path, settings: ServingSettings) -> None:
        self.settings = settings
        self.feedback = FeedbackStore(folder / FEEDBACK_FILE)
        self.journal = DocumentJournal(folder / DOCUMENTS_FILE)
        self.program = self._now(program)
        self._changing = Lock()

    def _now(self, program: Program) -> Program:
        """A program with the documents as they are now."""
        added, removed = self.journal.changes()
        return program.with_documents(added, removed) if added or removed else program

    def warm_up(self) -> dict[str, str]:
        """Searches once with each link of the program, so that no request waits for a network or a server to open.

        Returns:
            The kind of the error of each link that failed, by its name: it is tried again when it is asked.
        """
        return warm_up_links(self.program)

    def replace(self, program: Program) -> None:
        """Puts a newly trained program in service, with the documents as they are now; searches never wait for it.

        Raises:
            InputError: none of its documents is left.
        """
        with self._changing:
            ready = self._now(program)
            warm_up_links(ready)
            self.program = ready

    def search(
        self, query: str, k: int, candidates: Sequence[str] | None = None, deadline: float | None = None, user: str = ""
    ) -> tuple[dspy.Prediction, list[Document]]:
        """The program's answer, and the documents in it.

        Raises:
            InputError: a candidate is no document.
            NoAnswerError: see ``Program.forward``.
        """
        program = self.program
        if candidates is not None:
            program.numbers_of(candidates)
        answer = program(query=query, k=k, candidates=candidates, deadline=deadline)
        if self.settings.impressions:
            self._shown(query, answer.docids, user)
        return answer, [program.document(doc_id) for doc_id in answer.docids]

    def _shown(self, query: str, doc_ids: Sequence[str], user: str) -> None:
        """Keeps what was shown; where the file cannot be written, the answer goes out all the same."""
        shown, now = uuid4().hex, time.time()
        events = [
            FeedbackEvent(f"{shown}/{place}", "impression", query, doc_id, place, None, now, user)
            for place, doc_id in enumerate(doc_ids, 1)
        ]
        try:
            self.feedback.record_all(events or [FeedbackEvent(shown, "nothing", query, "", None, None, now, user)])
        except StorageError as error:
            LOG.error("an impression is lost: %s", error)

    def record_feedback(self, event: FeedbackEvent) -> bool:
        """Keeps what somebody told; False where it is known already.

        Raises:
            InputError: it is no such event, or of a document that is not there.
        """
        self.program.document(event.doc_id)
        return self.feedback.record(event)

    def add(self, documents: Sequence[Document]) -> None:
        """Adds documents, of which one takes the place of another with its id; they are kept before this returns."""
        self._change(documents, ())

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Removes documents; that is kept before this returns.

        Raises:
            InputError: there is no document with one of these ids, or none would be left.
        """
        self._change((), doc_ids)

    def _change(self, added: Sequence[Document], removed: Sequence[str]) -> None:
        with self._changing:
            self.program.numbers_of(removed)
            changed = self.program.with_documents(added, removed)
            self.journal.record(added, removed)
            self.program = changed

    def close(self) -> None:
        """Gives the files back."""
        self.feedback.close()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def warm_up_links(program: Program) -> dict[str, str]:
    """The kind of the error of each of a program's links that failed at a first search, by its name."""
    failed = {}
    for link in program.all_links:
        try:
            link.search(["warm up"], 1)
        except Exception as error:
            failed[link.name] = type(error).__name__
    return failed


def open_program(place: str) -> Program:
    """Opens a saved program, or one that MLflow logged.

    Args:
        place: a folder, or an MLflow URI such as "models:/<model id>". MLflow's format is a pickle: give only such as
            come from a store that you trust.

    Raises:
        InputError: there is no program.
    """
    from zero2ir.program.program import load_program

    if ":/" not in place:
        return load_program(place)
    import mlflow

    try:
        program = mlflow.dspy.load_model(place)
    except Exception as error:  # MLflow raises many types; each means that there is no program to be had
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{place}: MLflow cannot open it ({reason}); check the URI and MLFLOW_TRACKING_URI") from error
    if not isinstance(program, Program):
        raise InputError(f"{place}: a {type(program).__name__}, and no searcher of zero2ir")
    return program
