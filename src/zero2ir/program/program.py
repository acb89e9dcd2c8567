"""The DSPy program that a training run ends in: a fitted retriever that says how sure it is."""

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

from zero2ir.data.inputs import as_documents
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.io.files import files_below, finished_folder, sha256, write_json
from zero2ir.io.parquet import read_records, write_records
from zero2ir.models.base import Reader, Retriever, load_retriever
from zero2ir.models.capabilities import find_reader, task_functions, with_corpus
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking
from zero2ir.program.confidence import Confidence
from zero2ir.program.fallback import FallbackChain, FallbackResult, FallbackSettings
from zero2ir.program.policy import Decision, Policy

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

FORMAT_VERSION = 5
PROGRAM_FILE = "program.json"
RANK_TASK = "rank"  # the task of every program
FALLBACK_FOLDER = "fallback"


class FallbackLink(NamedTuple):
    """A simpler retriever over the same documents, which stands behind a program.

    Attributes:
        name: its model type.
        retriever: fitted and indexed.
        confidence: says how sure an answer of it is; None where nothing can tell.
    """

    name: str
    retriever: Retriever
    confidence: Confidence | None = None

    def search(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> tuple[Ranking, np.ndarray | None]:
        """See ``Program.search``."""
        deep = max(k, 2)  # the second document tells how far the first one leads
        ranking = self.retriever.search(queries, deep, candidates)
        probabilities = None if self.confidence is None else self.confidence.probabilities(ranking)[:, :k]
        return ranking.cut(k), probabilities


class Program(dspy.Module):
    """A trained retrieval system.

    ``program(query=...)`` searches the collection; ``program(query=..., candidates=[...])`` ranks some of its documents
    alone, by their ids; ``program(query=..., documents=[...])`` ranks given texts. One whose retriever has heads for
    more tasks does these by name: ``program(query=..., task="classify_query")``.

    Attributes:
        retriever: fitted and indexed.
        documents: the collection, in the order of the retriever's document numbers.
        confidence: says how sure an answer is; None where there were too few judgments to tell.
        about: model, strategy, what was chosen and because of what; JSON.
        language_model: the one that the retriever asks; None where it asks none.
        reader: points to the answers in the documents; None where only documents are wanted.
        policy: what is done with an answer, by its confidence; None where every answer is given.
        links: simpler retrievers that answer where this one fails, is late or is less sure; the simplest last.
        fallback: when they do.
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
            raise InputError(f"fallback: {', '.join(names)}; name each program once")
        self.chain = FallbackChain(names, self.fallback) if self.links else None
        self._number_of = {document.doc_id: number for number, document in enumerate(documents)}

    @property
    def name(self) -> str:
        """Its model type."""
        return str(self.about.get("model", "program"))

    @property
    def all_links(self) -> tuple[FallbackLink, ...]:
        """Its own retriever, and those that stand behind it, in the order in which they are asked."""
        return FallbackLink(self.name, self.retriever, self.confidence), *self.links

    def forward(
        self,
        query: str,
        documents: Sequence[str] | None = None,
        k: int = 10,
        candidates: Sequence[str] | None = None,
        task: str = RANK_TASK,
        deadline: float | None = None,
    ) -> dspy.Prediction:
        """Ranks the collection, some of its documents, or the given texts, for one query; or does another task.

        Args:
            query: any text.
            documents: texts to rank instead of the collection; their ids are their places, "0", "1", ...
            k: how many to return, at least 1.
            candidates: ids of the documents to rank instead of the whole collection, e.g. what another system found;
                one that stands twice counts once.
            task: "rank", or what the retriever has a head for: "passages", "answer", "classify_query",
                "classify_document" (of the text that ``query`` is).
            deadline: seconds until an answer is wanted, where there is a fallback; its settings' where None.

        Returns:
            ``docids`` (list of str, best first), ``scores`` (list of float), ``probabilities`` (list of float, that
            each of them is relevant) and ``confidence`` (that the first one is; 0 where nothing was found).
            The last two are None where they are unknown, as for given texts.
            With a reader also ``answers`` (list of str, one a document, "" for none), ``spans`` (list of (start, end),
            where the answer stands in its passage, in characters) and ``passages`` (list of str, title and text).
            Of task="passages": ``passages``, the ``docids`` and ``spans`` that they are from, ``scores``. Of
            task="answer": ``answer`` and ``span`` of the first document, and the lists of all of them. Of a class:
            ``label`` and ``probability``, and ``classes`` and ``probabilities`` of the k likeliest.
            With a policy also ``decision``: "answer", "warn", or "abstain", and then there is no document.
            With a fallback also ``served_by`` (who answered), and ``steps`` (list of {"program", "reason", "detail"},
            why those before did not).

        Raises:
            InputError: k is less than 1, a candidate is no document of the collection, both texts and candidates
                are given, or there is no such task here.
            NoAnswerError: there is a fallback, and even its last program did not answer within the deadline.
        """
        if k < 1:
            raise InputError(f"k={k}: ask for at least one document")
        if task != RANK_TASK:
            return self._other_task(task, query, documents, k, candidates)
        if documents is not None and candidates is not None:
            raise InputError("documents and candidates are both given; rank either texts or documents by their ids")
        if documents is not None:
            return self._rank(query, documents, k)
        candidate_numbers = None if candidates is None else [self.numbers_of(candidates)]
        if self.chain is None:
            return self._predicted(query, *self.search([query], k, candidate_numbers))
        served = self._served(self.chain, query, k, candidate_numbers, deadline)
        steps = [step._asdict() for step in served.steps]
        return self._predicted(query, *served.result, served_by=served.served_by, steps=steps)

    def _served(
        self, chain: FallbackChain, query: str, k: int, candidates: Candidates | None, deadline: float | None
    ) -> FallbackResult[tuple[Ranking, np.ndarray | None]]:
        """The answer of the first link that has one in time, and is sure enough."""
        return chain.serve(
            [partial(link.search, [query], k, candidates) for link in self.all_links],
            lambda is_ranked: None if is_ranked[1] is None else float(is_ranked[1][0, 0]),
            deadline,
        )

    def _predicted(
        self, query: str, ranking: Ranking, probabilities: np.ndarray | None, **extra_fields: Any
    ) -> dspy.Prediction:
        """One query's ranking as an answer, or without a document where the policy abstains."""
        confidence = None if probabilities is None else float(probabilities[0, 0])
        decision = self._decision(confidence)
        is_ranked = (ranking.numbers[0] != NO_DOCUMENT) & (decision.get("decision") != "abstain")
        best = [self.documents[number] for number in ranking.numbers[0][is_ranked]]
        return dspy.Prediction(
            docids=[document.doc_id for document in best],
            scores=[float(score) for score in ranking.scores[0][is_ranked]],
            probabilities=None if probabilities is None else [float(one) for one in probabilities[0][is_ranked]],
            confidence=confidence,
            **decision,
            **extra_fields,
            **self._read(query, [document.content for document in best]),
        )

    def _other_task(
        self, task: str, query: str, documents: Sequence[str] | None, k: int, candidates: Sequence[str] | None
    ) -> dspy.Prediction:
        known = task_functions(self.retriever)
        if task not in known:
            raise InputError(f"task={task!r}: this program knows {', '.join([RANK_TASK, *known])}; choose one of these")
        if candidates is not None:
            raise InputError(f"task={task!r}: candidates are ranked alone, by task={RANK_TASK!r}; leave them out")
        return dspy.Prediction(**known[task](query, documents, k))

    def _decision(self, confidence: float | None) -> dict[str, Decision]:
        return {} if self.policy is None else {"decision": self.policy.decide(confidence)}

    def _read(self, query: str, passages: list[str]) -> dict[str, Any]:
        """What the reader adds to a prediction."""
        if self.reader is None:
            return {}
        (spans,) = self.reader.read([query], [passages])
        return {
            "answers": [span.text for span in spans],
            "spans": [(span.start, span.end) for span in spans],
            "passages": passages,
        }

    def answers(self, queries: Sequence[str], passages: Sequence[str]) -> list[str]:
        """The answer to each query in the one passage given for it; "" where there is none, or no reader."""
        if self.reader is None:
            return [""] * len(queries)
        return [span.text for (span,) in self.reader.read(queries, [[passage] for passage in passages])]

    def _rank(self, query: str, documents: Sequence[str], k: int) -> dspy.Prediction:
        scores = self.retriever.score([query], [documents])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        return dspy.Prediction(
            docids=[str(number) for number in order],
            scores=[float(scores[number]) for number in order],
            probabilities=None,
            confidence=None,
            **self._read(query, [documents[number] for number in order]),
        )

    def search(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> tuple[Ranking, np.ndarray | None]:
        """Many queries at once.

        Args:
            queries: any number of texts.
            k: how many documents each is answered with.
            candidates: the numbers of the documents that each query ranks; the whole collection where None.

        Returns:
            Their rankings, and the probability that each document is relevant, (n_queries, k), where it is known.
        """
        return self.all_links[0].search(queries, k, candidates)

    def numbers_of(self, doc_ids: Sequence[str]) -> np.ndarray:
        """(n,) int64 the numbers of the documents with these ids, each once.

        Raises:
            InputError: the ids are one string, or there is no document with one of them.
        """
        if isinstance(doc_ids, str):
            raise InputError("candidates: one string is no sequence of document ids; give a list")
        for place, doc_id in enumerate(doc_ids):
            if doc_id not in self._number_of:
                raise InputError(f"candidates[{place}]: no document has the id {doc_id!r}; leave it out or correct it")
        return np.array([self._number_of[doc_id] for doc_id in dict.fromkeys(doc_ids)], dtype=np.int64)

    def document(self, doc_id: str) -> Document:
        """One document of the collection.

        Raises:
            InputError: there is none with this id.
        """
        if doc_id not in self._number_of:
            raise InputError(f"no document has the id {doc_id!r}")
        return self.documents[self._number_of[doc_id]]

    def add(self, documents: Sequence[str | Mapping[str, Any]]) -> None:
        """Adds documents to the collection, without any training; one whose id is there already takes its place.

        Args:
            documents: as for ``zero2ir.train``, but each with an id.

        Raises:
            InputError: a document is none, or an id stands twice.
        """
        if any(isinstance(document, str) for document in documents):
            raise InputError("documents: a string has no id; give mappings with doc_id, text, maybe title")
        self._replace_state(self.with_documents(as_documents(documents), ()))

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Removes documents from the collection, without any training.

        Raises:
            InputError: there is no document with one of these ids, or none would be left.
        """
        self.numbers_of(doc_ids)
        self._replace_state(self.with_documents((), doc_ids))

    def with_documents(self, added: Sequence[Document], removed: Iterable[str]) -> "Program":
        """The same program over other documents; this one stays as it is.

        Args:
            added: these stand at the end; one whose id is there already takes its place.
            removed: ids of documents, of which some may not be there.

        Raises:
            InputError: none would be left.
        """
        gone = {*removed, *(document.doc_id for document in added)}
        kept = [number for number, document in enumerate(self.documents) if document.doc_id not in gone]
        documents = [*(self.documents[number] for number in kept), *added]
        if not documents:
            raise InputError("documents: none would be left; keep at least one")
        corpus = Corpus(documents, language_model=self.language_model)
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
        changed.chain = self.chain  # and what it knows of how each of them does
        return changed

    def _replace_state(self, other: "Program") -> None:
        self.__dict__.update(vars(other))

    def save(self, path: str | Path, save_program: bool = False, modules_to_serialize: Any = None) -> None:
        """Writes the program as a folder of JSON, safetensors, npy and Parquet, without pickle; ``load`` opens it.

        ``save_program=True`` is DSPy's own, pickled form of the same bytes, which ``mlflow.dspy`` asks for.
        """
        if save_program:
            super().save(str(path), save_program=True, modules_to_serialize=modules_to_serialize)
            return
        with finished_folder(Path(path)) as folder:
            self._write(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as the archive of its folder, so that even then every file is checked when it is opened."""
        with TemporaryDirectory() as folder:
            self._write(Path(folder))
            return _unpack, (_pack(Path(folder)),)

    def _write(self, folder: Path) -> None:
        self.retriever.save(folder / "retriever")
        for number, link in enumerate(self.links):
            link.retriever.save(folder / FALLBACK_FOLDER / str(number))
        write_records(self.documents, Document, folder / "documents.parquet")
        state: dict[str, Any] = {
            "format": FORMAT_VERSION,
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
            "lm": _described(self.language_model),
            "reads": self.reader is not None,
            "files": {
                path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for path in files_below(folder)
            },
        }
        write_json(folder / PROGRAM_FILE, state | {"digest": _digest(state)})


def load_program(folder: str | Path) -> Program:
    """Opens a saved program, after checking every file of it.

    A language model that it asks is opened at the first question to it, by the settings that it was trained with; its
    answers are kept below the current folder.

    Raises:
        InputError: it is no program, is of a newer version, or a file is missing, truncated, altered or foreign.
    """
    folder = Path(folder)
    state = _checked_state(folder)
    documents = read_records(folder / "documents.parquet", Document)
    language_model = _lasting(state["lm"])
    corpus = Corpus(documents, language_model=language_model)
    retriever = load_retriever(folder / "retriever", corpus)
    policy, fallback = state["policy"], state["fallback"]
    return Program(
        retriever,
        documents,
        _confidence(state["confidence"]),
        state["about"],
        language_model,
        reader_of(retriever, corpus) if state["reads"] else None,
        None if policy is None else Policy(**policy),
        [
            FallbackLink(
                row["name"],
                load_retriever(folder / FALLBACK_FOLDER / str(number), corpus),
                _confidence(row["confidence"]),
            )
            for number, row in enumerate(fallback["links"])
        ],
        FallbackSettings(**fallback["settings"]),
    )


def _confidence(described: dict[str, Any] | None) -> Confidence | None:
    return None if described is None else Confidence.from_dict(described)


def reader_of(retriever: Retriever, corpus: Corpus) -> Reader:
    """The reader that a retriever ranks by; the one that learns nothing where it has none."""
    return find_reader(retriever) or LexicalReader().index(corpus)


def _described(language_model: "LanguageModel | None") -> dict[str, Any] | None:
    """What opens the same language model again: its settings, which name the variable of a key and never hold one."""
    if language_model is None:
        return None
    return {"settings": language_model.settings.model_dump(), "seed": language_model.seed}


def _lasting(described: Mapping[str, Any] | None) -> "LanguageModel | None":
    if described is None:
        return None
    from zero2ir.lm.factory import lazy_lm
    from zero2ir.lm.settings import LMSettings

    return lazy_lm(LMSettings(**described["settings"]), paths.CACHE_FOLDER / "lm", described["seed"])


def program_digest(folder: Path) -> str:
    """Identifies a saved program: equal digests give equal answers. Hexadecimal."""
    return _state(folder)["digest"]


def index_bytes(folder: Path) -> int:
    """The size of a saved program's indexes: its files without the documents' texts and the networks."""
    return sum(
        path.stat().st_size
        for path in files_below(folder / "retriever")
        if "weights" not in path.relative_to(folder).parts[:-1]
    )


def _state(folder: Path) -> dict[str, Any]:
    path = folder / PROGRAM_FILE
    if not path.is_file():
        raise InputError(f"{folder}: not a saved program (it has no {PROGRAM_FILE}); give the folder that save() wrote")
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        version = int(state["format"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: truncated or altered; save the program again") from None
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path}: format {version} is newer than {FORMAT_VERSION}, which this zero2ir reads; upgrade zero2ir"
        )
    if version < FORMAT_VERSION:
        raise InputError(
            f"{path}: format {version} is older than {FORMAT_VERSION}, which this zero2ir reads; train it again"
        )
    if state.pop("digest", None) != (digest := _digest(state)):
        raise InputError(f"{path}: truncated or altered; save the program again")
    return state | {"digest": digest}


def _checked_state(folder: Path) -> dict[str, Any]:
    state = _state(folder)
    for name, known in state["files"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing; the program is not whole, save it again")
        if path.stat().st_size != known["bytes"]:
            raise InputError(
                f"{path}: {path.stat().st_size} bytes instead of {known['bytes']}; truncated, save the program again"
            )
        if sha256(path) != known["sha256"]:
            raise InputError(f"{path}: altered since it was saved (its sha256 differs); save the program again")
    for path in files_below(folder):  # an adapter laid beside a program would change its answers
        name = path.relative_to(folder).as_posix()
        if name not in state["files"] and name != PROGRAM_FILE and not path.name.startswith("."):
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
        return load_program(folder)
