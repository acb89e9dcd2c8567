"""The DSPy program that training returns: a fitted retriever with a calibrated confidence."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import dspy
import numpy as np
from pydantic import ValidationError

from zero2ir.data.inputs import Documents, as_documents, as_ids, as_rows, as_texts
from zero2ir.data.known_ids import KnownIds
from zero2ir.data.languages import ENGLISH
from zero2ir.data.own_documents import is_own_document
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import StoredDocuments, check_documents, write_documents
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.io.files import check_output, files_below, finished_file, finished_folder, read_json, sha256, write_json
from zero2ir.io.parquet import read_records, write_records
from zero2ir.io.settings import Settings, first_mistake
from zero2ir.io.values import MAX_EXACT_FLOAT, id_value, number_value, shown, text_value, whole_number
from zero2ir.models.base import Reader, Retriever, load_retriever
from zero2ir.models.capabilities import find_reader, search_without, task_functions, with_corpus
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking
from zero2ir.program.card import CARD_FILE, Card
from zero2ir.program.confidence import Confidence, ConfidenceState
from zero2ir.program.fallback import FallbackChain, FallbackResult, FallbackSettings
from zero2ir.program.policy import CAUTION, Policy
from zero2ir.program.signature import check_signature, signature, signing_key

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

FORMAT_VERSION = 7
STORED_FORMAT_VERSION = 8  # with documents and indexes that are mapped into memory
PROGRAM_FILE = "program.json"
DOCUMENTS_FILE = "documents.parquet"
STORED_DOCUMENTS_FILE = "documents.arrow"  # instead
RANK_TASK = "rank"  # supported by every program
FALLBACK_FOLDER = "fallback"


class LinkState(Settings):
    name: str
    confidence: ConfidenceState | None


class ChainState(Settings):
    settings: FallbackSettings
    links: list[LinkState]


class LMState(Settings):
    settings: dict[str, Any]
    seed: int


class FileState(Settings):
    bytes: int
    sha256: str


class ProgramState(Settings):
    """The schema of ``program.json``.

    Attributes:
        files: all other files by their paths in the folder.
        digest: of everything but the signature.
        signature: see ``zero2ir.program.signature``; None if the program is not signed.
    """

    format: int
    about: dict[str, Any]
    confidence: ConfidenceState | None
    policy: Policy | None
    fallback: ChainState
    lm: LMState | None
    reads: bool
    files: dict[str, FileState]
    digest: str
    signature: str | None = None


class FallbackLink(NamedTuple):
    """A simpler retriever over the same documents, to fall back to.

    Attributes:
        name: model type.
        retriever: fitted and indexed.
        confidence: predicts the probability of relevance; None if unknown.
    """

    name: str
    retriever: Retriever
    confidence: Confidence | None = None

    def search(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None, own: np.ndarray | None = None
    ) -> tuple[Ranking, np.ndarray | None]:
        """See ``Program.search``; ``own`` is each query's own document, (n_queries,), -1 for none."""
        deep = max(k, 2)  # the margin needs the second document
        if own is None:
            own = np.full(len(queries), NO_DOCUMENT)
        ranking = search_without(self.retriever, queries, deep, candidates, own)
        probabilities = None if self.confidence is None else self.confidence.probabilities(ranking)[:, :k]
        check_finite(self.name, ranking.scores[ranking.numbers != NO_DOCUMENT], probabilities)
        return ranking.cut(k), probabilities


def _depth(k: Any) -> int:
    """Returns a number of documents, a whole number of any numeric type."""
    if (number := whole_number(k, MAX_EXACT_FLOAT)) is None or number < 1:
        raise InputError(f"k={shown(k)}: ask for at least one document")
    return number


def _stated(confidence: Confidence | None, probabilities: np.ndarray | None, shown: np.ndarray) -> dict[str, Any]:
    """Returns the fields on confidence of one query's prediction, (1, k) probabilities, of which some are shown."""
    if confidence is None or probabilities is None:
        return dict.fromkeys(("probabilities", "intervals", "confidence", "confidence_interval"))
    intervals = confidence.intervals(probabilities[0])
    return {
        "probabilities": probabilities[0][shown].tolist(),
        "intervals": [interval for interval, is_shown in zip(intervals, shown, strict=True) if is_shown],
        "confidence": float(probabilities[0, 0]),
        "confidence_interval": intervals[0],
    }


def check_finite(name: str, *values: np.ndarray | None) -> None:
    """Raises an InputError if a score or probability of a program is infinite or not a number."""
    if any(one is not None and not np.isfinite(one).all() for one in values):
        raise InputError(f"{name}: a score is infinite or not a number; the program is damaged, get it again")


class Program(dspy.Module):
    """A trained retrieval system.

    ``program(query=...)`` searches the collection; ``program(query=..., candidates=[...])`` ranks documents of the
    collection by id; ``program(query=..., documents=[...])`` ranks texts. A retriever with heads for further tasks
    supports ``program(query=..., task="classify_query")``.

    Attributes:
        retriever: fitted and indexed.
        documents: the collection, in the order of the retriever's document numbers.
        confidence: predicts the probability of relevance; None if unknown.
        about: model, strategy, the chosen hyperparameters and the reason; JSON.
        language_model: the retriever's language model; None if it uses none.
        reader: extracts answers from documents; None if only documents are returned.
        policy: decides by the lower end of the confidence whether to answer; None to answer every query.
        links: simpler retrievers to fall back to on errors, time-outs or low confidence, the simplest last.
        fallback: when to fall back.
    """

    def __init__(
        self,
        retriever: Retriever,
        documents: Sequence[Document],
        confidence: Confidence | None = None,
        about: Mapping[str, Any] | None = None,
        language_model: "LanguageModel | None" = None,
        reader: Reader | None = None,
        policy: Policy | None = None,
        links: Sequence[FallbackLink] = (),
        fallback: FallbackSettings | None = None,
    ) -> None:
        super().__init__()
        self.retriever = retriever
        self.documents = documents
        self.confidence = confidence
        self.about = dict(about or {})
        asks = any("lm" in link.retriever.needs() for link in (FallbackLink("", retriever), *links))
        self.language_model = language_model if asks else None
        self.reader = reader
        self.policy = policy
        self.links = tuple(links)
        self.fallback = fallback or FallbackSettings()
        names = [self.name, *(link.name for link in self.links)]
        if len(set(names)) < len(names):
            raise InputError(f"fallback: {', '.join(names)}; program names must be unique")
        self.chain = FallbackChain(names, self.fallback) if self.links else None
        self._number_of: Mapping[str, int] = Corpus(documents).number_of

    @property
    def name(self) -> str:
        """The model type."""
        return str(self.about.get("model", "program"))

    @property
    def language(self) -> str:
        """ISO 639-1 code of the documents' language."""
        return str(self.about.get("language", ENGLISH))

    @property
    def all_links(self) -> tuple[FallbackLink, ...]:
        """The program's own retriever and its fallbacks, in order."""
        return FallbackLink(self.name, self.retriever, self.confidence), *self.links

    def forward(
        self,
        query: str,
        documents: Iterable[str] | None = None,
        k: int = 10,
        candidates: Iterable[str] | None = None,
        task: str = RANK_TASK,
        deadline: float | None = None,
        query_id: str | None = None,
    ) -> dspy.Prediction:
        """Ranks the collection, candidates or texts for one query, or performs another task.

        Args:
            query: any text.
            documents: texts to rank instead of the collection; their ids are "0", "1", ...
            k: maximum number of documents to return, at least 1.
            candidates: ids of documents to rank instead of the whole collection; duplicates count once.
            task: "rank", or a task the retriever has a head for: "passages", "answer", "classify_query",
                "classify_document" (``query`` is the document's text).
            deadline: seconds, for programs with a fallback; None for its settings' deadline.
            query_id: the query's id, if the query may be a document of the collection: the document with this id is
                left out if it has the query's text.

        Returns:
            ``docids`` (list of str, best first), ``scores`` (list of float), ``probabilities`` (list of float, of
            relevance), ``intervals`` (list of [low, high], of the probabilities, 95 %), ``confidence`` (float, the
            first document's probability; 0 without a document) and ``confidence_interval``. The last four are None if
            unknown, e.g. for texts.
            With a reader: ``answers`` (list of str, one per document, "" for none), ``spans`` (list of (start, end),
            character offsets in the passage) and ``passages`` (list of str, title and text).
            task="passages": ``passages``, their ``docids`` and ``spans``, ``scores``. task="answer": ``answer`` and
            ``span`` of the first document, and the lists for all. Classification: ``label`` and ``probability``, and
            ``classes`` and ``probabilities`` of the k most probable classes.
            With a policy: ``decision``: "answer", "warn", or "abstain" (then no documents are returned).
            With a fallback: ``served_by`` (name of the program) and ``steps`` (list of {"program", "reason",
            "detail"}, the skipped programs).

        Raises:
            InputError: a value is not of its type, k is less than 1, a candidate is not in the collection, both texts
                and candidates are given, or the retriever does not support the task.
            NoAnswerError: the program has a fallback, and no program answered within the deadline.
        """
        query, k = text_value(query, "query"), _depth(k)
        deadline = None if deadline is None else number_value(deadline, "deadline")
        texts = None if documents is None else as_texts(documents, "documents")
        if not isinstance(task, str) or task != RANK_TASK:
            return self._other_task(task, query, texts, k, candidates)
        if texts is not None and candidates is not None:
            raise InputError("documents and candidates are both given; rank either texts or documents by their ids")
        if texts is not None:
            return self._rank(query, texts, k)
        candidate_numbers = None if candidates is None else [self.numbers_of(candidates)]
        own = self.own_of([query], [query_id])
        if self.chain is None:
            first = self.all_links[0]
            return self._predicted(query, first.confidence, *first.search([query], k, candidate_numbers, own))
        served: FallbackResult[tuple[Ranking, np.ndarray | None]] = self.chain.serve(
            [partial(link.search, [query], k, candidate_numbers, own) for link in self.all_links],
            lambda result: None if result[1] is None else float(result[1][0, 0]),
            deadline,
        )
        steps = [step._asdict() for step in served.steps]
        (confidence,) = (link.confidence for link in self.all_links if link.name == served.served_by)
        return self._predicted(query, confidence, *served.result, served_by=served.served_by, steps=steps)

    def _predicted(
        self,
        query: str,
        confidence: Confidence | None,
        ranking: Ranking,
        probabilities: np.ndarray | None,
        **extra_fields: Any,
    ) -> dspy.Prediction:
        """Converts one query's ranking to a prediction, without documents if the policy abstains."""
        lowest = None
        if confidence is not None and probabilities is not None:
            lowest = float(confidence.bound(probabilities[0, 0], -CAUTION))
        decision = {} if self.policy is None else {"decision": self.policy.decide(lowest)}
        is_ranked = (ranking.numbers[0] != NO_DOCUMENT) & (decision.get("decision") != "abstain")
        best = [self.documents[number] for number in ranking.numbers[0][is_ranked]]
        return dspy.Prediction(
            docids=[document.doc_id for document in best],
            scores=[float(score) for score in ranking.scores[0][is_ranked]],
            **_stated(confidence, probabilities, is_ranked),
            **decision,
            **extra_fields,
            **self._read(query, [document.content for document in best]),
        )

    def _other_task(
        self, task: str, query: str, documents: Sequence[str] | None, k: int, candidates: Iterable[str] | None
    ) -> dspy.Prediction:
        functions = task_functions(self.retriever)
        if not isinstance(task, str) or task not in functions:
            raise InputError(
                f"task={shown(task)}: unknown task; this program supports {', '.join([RANK_TASK, *functions])}"
            )
        if candidates is not None:
            raise InputError(f"task={task!r}: candidates require task={RANK_TASK!r}; leave them out")
        return dspy.Prediction(**functions[task](query, documents, k))

    def _read(self, query: str, passages: list[str]) -> dict[str, Any]:
        if self.reader is None:
            return {}
        (spans,) = self.reader.read([query], [passages])
        return {
            "answers": [span.text for span in spans],
            "spans": [(span.start, span.end) for span in spans],
            "passages": passages,
        }

    def answers(self, queries: Sequence[str], passages: Sequence[str]) -> list[str]:
        """Extracts the answer to each query from its passage; "" without an answer or a reader."""
        if self.reader is None:
            return [""] * len(queries)
        return [span.text for (span,) in self.reader.read(queries, [[passage] for passage in passages])]

    def _rank(self, query: str, documents: Sequence[str], k: int) -> dspy.Prediction:
        scores = self.retriever.score([query], [documents])[0]
        check_finite(self.name, scores)
        order = np.argsort(-scores, kind="stable")[:k]
        return dspy.Prediction(
            docids=[str(number) for number in order],
            scores=[float(scores[number]) for number in order],
            **_stated(None, None, order),
            **self._read(query, [documents[number] for number in order]),
        )

    def search(
        self,
        queries: Iterable[str],
        k: int,
        candidates: Candidates | None = None,
        query_ids: Iterable[str | None] | None = None,
    ) -> tuple[Ranking, np.ndarray | None]:
        """Searches many queries at once.

        Args:
            queries: any number of texts.
            k: number of documents per query.
            candidates: the document numbers that each query ranks; None for the whole collection.
            query_ids: the queries' ids; a document with a query's id and text is left out of its ranking.

        Returns:
            The ranking, and each document's probability of relevance, (n_queries, k), or None.

        Raises:
            InputError: a query is not a text, k is less than 1, or the ids are not as many as the queries.
        """
        texts = as_texts(queries, "queries")
        own = None if query_ids is None else self.own_of(texts, query_ids)
        return self.all_links[0].search(texts, _depth(k), candidates, own)

    def own_of(self, queries: Sequence[str], query_ids: Iterable[str | None]) -> np.ndarray:
        """Returns (n_queries,), the numbers of the documents that are the queries themselves; -1 for none."""
        ids = [one for _, one in as_rows(query_ids, "query_ids")]
        if len(ids) != len(queries):
            raise InputError(f"query_ids: {len(ids)} ids of {len(queries)} queries; give one for each, or None")
        own = np.full(len(queries), NO_DOCUMENT)
        for place, (query, query_id) in enumerate(zip(queries, ids, strict=True)):
            if query_id is None:
                continue
            number = self._number_of.get(id_value(query_id, f"query_ids[{place}]"), NO_DOCUMENT)
            if number != NO_DOCUMENT and is_own_document(query, self.documents[number]):
                own[place] = number
        return own

    def numbers_of(self, doc_ids: Iterable[str], name: str = "candidates") -> np.ndarray:
        """Returns the numbers of documents by id, (n,) int64, without duplicates; ``name`` names them in messages.

        Raises:
            InputError: ``doc_ids`` is a string, or an id is unknown.
        """
        # The reason compares all ids with an unknown one, which stored documents are too many for.
        compared = () if isinstance(self.documents, StoredDocuments) else self._number_of
        ids, known = as_ids(doc_ids, name), KnownIds("document", compared)
        for place, doc_id in enumerate(ids):
            if doc_id not in self._number_of:
                raise InputError(f"{name}[{place}]: {known.why_unknown(doc_id)}; leave it out or correct it")
        return np.array([self._number_of[doc_id] for doc_id in dict.fromkeys(ids)], dtype=np.int64)

    def has_document(self, doc_id: str) -> bool:
        """Returns whether a document has the id."""
        return doc_id in self._number_of

    def document(self, doc_id: str) -> Document:
        """Returns a document by id; an unknown id raises ``InputError``."""
        if doc_id not in self._number_of:
            raise InputError(f"no document has the id {doc_id!r}")
        return self.documents[self._number_of[doc_id]]

    def add(self, documents: Documents) -> None:
        """Adds documents to the collection without training, or replaces those with the same ids.

        Args:
            documents: as for ``zero2ir.train``, but all with ids.

        Raises:
            InputError: a document is invalid, or an id occurs twice.
        """
        self.__dict__.update(vars(self.with_documents(as_documents(documents, ids=True), ())))

    def remove(self, doc_ids: Iterable[str]) -> None:
        """Removes documents without training; an unknown id or an empty rest raises ``InputError``."""
        numbers = self.numbers_of(doc_ids, "doc_ids")
        self.__dict__.update(vars(self.with_documents((), [self.documents[number].doc_id for number in numbers])))

    def with_documents(self, added: Sequence[Document], removed: Iterable[str]) -> "Program":
        """Returns a copy of the program over changed documents.

        Args:
            added: documents to append; they replace those with the same ids.
            removed: ids to remove; unknown ids are ignored.

        Raises:
            InputError: no document would be left, or the documents are stored in shards.
        """
        if isinstance(self.documents, StoredDocuments):
            raise InputError(
                "documents: those of a program of zero2ir index cannot change; index all documents again, which "
                "replaces the program at once"
            )
        gone = {*removed, *(document.doc_id for document in added)}
        kept = [number for number, document in enumerate(self.documents) if document.doc_id not in gone]
        documents = [*(self.documents[number] for number in kept), *added]
        if not documents:
            raise InputError("documents: no document would be left; keep at least one")
        corpus = Corpus(documents, language_model=self.language_model, language=self.language)
        numbers = np.array(kept, dtype=np.int64)
        retriever = with_corpus(self.retriever, corpus, numbers)
        changed = Program(
            retriever,
            documents,
            self.confidence,
            self.about,
            self.language_model,
            None if self.reader is None else reader_of(retriever, corpus),
            self.policy,
            [link._replace(retriever=with_corpus(link.retriever, corpus, numbers)) for link in self.links],
            self.fallback,
        )
        changed.chain = self.chain  # keeps the state of its circuit breakers
        return changed

    def save(
        self,
        path: str | Path,
        save_program: bool = False,
        modules_to_serialize: Any = None,
        *,
        sign: str | None = None,
    ) -> None:
        """Writes the program as a folder of JSON, safetensors, npy, Parquet and Arrow files, without pickle.

        An existing folder is replaced only if it is a program without other files.

        Args:
            path: the folder.
            save_program: writes DSPy's pickled form of the same bytes instead, which ``mlflow.dspy`` requires.
            modules_to_serialize: of the pickled form.
            sign: the key of a signature; None for that in ``ZERO2IR_SIGNING_KEY``, if it is set.

        Raises:
            InputError: the folder has other files, or the key is too short.
        """
        key = signing_key(sign)
        if save_program:
            super().save(str(path), save_program=True, modules_to_serialize=modules_to_serialize)
            return
        with finished_folder(Path(path), written_files) as folder:
            self._write(folder, key)

    def card(self) -> str:
        """Returns the model card, in Markdown."""
        settings = None if self.language_model is None else self.language_model.settings
        return Card(
            self.about,
            [self.about.get("model_choice", {}).get("model", self.name), *(link.name for link in self.links)],
            self.language,
            len(self.documents),
            "" if settings is None else settings.name,
            self.policy,
            self.confidence is not None,
        ).markdown()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the archive of the program's folder, so that unpickling checks every file."""
        with TemporaryDirectory() as folder:
            self._write(Path(folder), signing_key())
            return _unpack, (_pack(Path(folder)),)

    def _write(self, folder: Path, key: str | None) -> None:
        self.retriever.save(folder / "retriever")
        for number, link in enumerate(self.links):
            link.retriever.save(folder / FALLBACK_FOLDER / str(number))
        is_stored = isinstance(self.documents, StoredDocuments)
        if is_stored:
            write_documents(self.documents, folder / STORED_DOCUMENTS_FILE)
        else:
            write_records(self.documents, Document, folder / DOCUMENTS_FILE)
        with finished_file(folder / CARD_FILE) as file:
            file.write(self.card())
        state: dict[str, Any] = {
            "format": STORED_FORMAT_VERSION if is_stored else FORMAT_VERSION,
            "about": self.about,
            "confidence": None if self.confidence is None else self.confidence.as_dict(),
            "policy": None if self.policy is None else self.policy.as_dict(),
            "fallback": {
                "settings": self.fallback.model_dump(),
                "links": [
                    {"name": link.name, "confidence": None if link.confidence is None else link.confidence.as_dict()}
                    for link in self.links
                ],
            },
            "lm": _lm_state(self.language_model),
            "reads": self.reader is not None,
            "files": {
                path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for path in files_below(folder)
            },
        }
        state["digest"] = digest = _digest(state)
        write_json(folder / PROGRAM_FILE, state if key is None else state | {"signature": signature(digest, key)})


def load_program(folder: str | Path, allow_endpoints: Sequence[str] | None = (), key: str | None = None) -> Program:
    """Loads a saved program after checking all its files.

    Its language model, if any, is loaded at the first request, with the settings of the training; its responses are
    cached below the current folder.

    Args:
        folder: the saved program.
        allow_endpoints: see ``zero2ir.lm.consent.require_consent``; None to allow all, for the user's own programs.
        key: with which the program must be signed; None for that in ``ZERO2IR_SIGNING_KEY``, if it is set.

    Raises:
        InputError: the folder is not a program or of another version, or a file is missing, altered or unexpected; or
            there is a key, and the program is not signed with it; or the language model is at an endpoint that is not
            allowed.
    """
    folder, key = Path(folder), signing_key(key)
    state = _checked_state(folder)
    check_signature(str(folder / PROGRAM_FILE), state.digest, state.signature, key)
    documents = _read_documents(folder, state.format)
    language_model = _restored_lm(None if state.lm is None else state.lm.model_dump(), allow_endpoints)
    corpus = Corpus(documents, language_model=language_model, language=str(state.about.get("language", ENGLISH)))
    retriever = load_retriever(folder / "retriever", corpus)
    return Program(
        retriever,
        documents,
        _confidence(state.confidence),
        state.about,
        language_model,
        reader_of(retriever, corpus) if state.reads else None,
        state.policy,
        [
            FallbackLink(
                row.name,
                load_retriever(folder / FALLBACK_FOLDER / str(number), corpus),
                _confidence(row.confidence),
            )
            for number, row in enumerate(state.fallback.links)
        ],
        state.fallback.settings,
    )


def _read_documents(folder: Path, version: int) -> Sequence[Document]:
    if version == STORED_FORMAT_VERSION:
        return check_documents(folder / STORED_DOCUMENTS_FILE)
    path = folder / DOCUMENTS_FILE
    documents = read_records(path, Document)
    if any(not isinstance(text, str) for document in documents for text in document):
        raise InputError(f"{path}: an id, title or text is missing or no text; get it again")
    if not documents or len({document.doc_id for document in documents}) < len(documents):
        raise InputError(f"{path}: no document, or two of the same id; create or get it again")
    return documents


def _confidence(state: ConfidenceState | None) -> Confidence | None:
    return None if state is None else Confidence(**dict(state))


def reader_of(retriever: Retriever, corpus: Corpus) -> Reader:
    """Returns the retriever's reader, or else a lexical one, which needs no training."""
    return find_reader(retriever) or LexicalReader().index(corpus)


def _lm_state(language_model: "LanguageModel | None") -> dict[str, Any] | None:
    """Returns a language model's settings and seed; the settings name the variable of the API key, not the key."""
    if language_model is None:
        return None
    return {"settings": language_model.settings.model_dump(), "seed": language_model.seed}


def _restored_lm(state: Mapping[str, Any] | None, allow_endpoints: Sequence[str] | None) -> "LanguageModel | None":
    if state is None:
        return None
    from zero2ir.lm.consent import require_consent
    from zero2ir.lm.factory import lazy_lm
    from zero2ir.lm.settings import LMSettings

    try:
        settings = LMSettings(**state["settings"])
    except ValidationError as error:
        raise InputError(f"{PROGRAM_FILE}: lm.{first_mistake(error, LMSettings)}") from None
    if allow_endpoints is not None:
        require_consent(settings, allow_endpoints)
    return lazy_lm(settings, paths.CACHE_FOLDER / "lm", state["seed"])


def check_program_output(path: Path) -> None:
    """Checks that a program can be saved in a folder: raises InputError as ``Program.save``, but before any work."""
    check_output(path, written_files)


def written_files(folder: Path) -> set[str]:
    """Returns the names of the files that belong to a saved program; none if the folder is not a program."""
    try:
        state = read_json(folder / PROGRAM_FILE)
        return {PROGRAM_FILE, *state["files"]} if "digest" in state and isinstance(state["files"], dict) else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def program_digest(folder: Path) -> str:
    """Returns the hexadecimal digest of a saved program; equal digests mean equal predictions."""
    return _state(folder).digest


def index_bytes(folder: Path) -> int:
    """Returns the size of a saved program's indexes, without document texts and network weights."""
    found = files_below(folder / "retriever")
    return sum(path.stat().st_size for path in found if "weights" not in path.relative_to(folder).parts[:-1])


def _state(folder: Path) -> ProgramState:
    path = folder / PROGRAM_FILE
    if not path.is_file():
        raise InputError(f"{folder}: not a saved program (it has no {PROGRAM_FILE}); give the folder that save() wrote")
    try:
        state = read_json(path)
        version = int(state["format"])
        digest = _digest({name: value for name, value in state.items() if name not in ("digest", "signature")})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InputError(f"{path}: truncated or altered; save the program again") from None
    known = FORMAT_VERSION, STORED_FORMAT_VERSION
    if version not in known:
        age, than, remedy = (
            ("newer", max(known), "upgrade zero2ir")
            if version > max(known)
            else ("older", FORMAT_VERSION, "train it again")
        )
        raise InputError(f"{path}: format {version} is {age} than {than}, which this zero2ir reads; {remedy}")
    if state.get("digest") != digest:
        raise InputError(f"{path}: truncated or altered; save the program again")
    try:
        return ProgramState.model_validate(state)
    except ValidationError as error:
        raise InputError(f"{path}: {first_mistake(error, ProgramState)}; create or get it again") from None


def _checked_state(folder: Path) -> ProgramState:
    state = _state(folder)
    for name, expected in state.files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(
                f"{folder / PROGRAM_FILE}: files: {shown(name)} is outside the program; create or get it again"
            )
        if not path.is_file():
            raise InputError(f"{path}: missing; save the program again")
        if (size := path.stat().st_size) != expected.bytes:
            raise InputError(f"{path}: {size} bytes instead of {expected.bytes}; save the program again")
        if sha256(path) != expected.sha256:
            raise InputError(f"{path}: altered since it was saved (its sha256 differs); save the program again")
    for path in files_below(folder):  # e.g. an added adapter would change predictions
        name = path.relative_to(folder).as_posix()
        if name not in state.files and name != PROGRAM_FILE and not path.name.startswith("."):
            raise InputError(f"{path}: does not belong to the program; remove it")
    return state


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in files_below(folder):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    return buffer.getvalue()


def _unpack(archive: bytes) -> Program:
    with TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)
        return load_program(folder, allow_endpoints=None)  # whoever unpickles trusts the source
