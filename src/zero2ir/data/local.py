"""Reads a collection from a local folder: documents, and optionally queries, qrels and candidates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from zero2ir.data.checks import check_collection, require_usable, warn_of
from zero2ir.data.inputs import Judgments, QuestionAnswerPairs
from zero2ir.data.judgments import normalised
from zero2ir.data.records import (
    CandidateDocument,
    Collection,
    DataQuality,
    Document,
    Judgment,
    LocatedJudgment,
    Query,
    RawCollection,
    Record,
)
from zero2ir.data.settings import DatasetSettings
from zero2ir.errors import InputError
from zero2ir.io.lines import grade_of, read_json_lines, read_lines, text_of, texts_of

LocatedRow = tuple[str, dict[str, Any]]  # place and fields
RECORD_SUFFIXES = (".jsonl", ".tsv")
TEXT_SUFFIXES = (".txt", ".md", ".rst")  # each such file is a document if there is no docs file


class TrainingData(NamedTuple):
    """The inputs of ``zero2ir.train``.

    Attributes:
        documents: the documents.
        judgments: the judgments with their places; (question, answers) rows for the task "qa".
        unlabelled_queries: texts of the queries without judgments or answers.
        quality: what was left out or repaired.
        given: the judgments as they stand in the files.
        query_ids: the ids of the queries, by text.
    """

    documents: Sequence[Document]
    judgments: Judgments | QuestionAnswerPairs
    unlabelled_queries: list[str]
    quality: DataQuality
    given: Sequence[Judgment]
    query_ids: dict[str, str]


def read_for_training(folder: Path, task: str) -> TrainingData:
    """Reads a folder's documents and judgments; for the task "qa", answers instead of judgments.

    Raises:
        InputError: see ``read_checked``.
    """
    collection, quality, raw = read_checked(folder)
    documents, distinct = collection.documents, {normalised(one.text): one for one in reversed(collection.queries)}
    given = raw.judgments, {query.text: query.query_id for query in distinct.values()}
    if task == "qa":
        pairs = [(query.text, query.answers) for query in collection.queries if query.answers]
        unlabelled = [query.text for query in collection.queries if not query.answers]
        return TrainingData(documents, pairs, unlabelled, quality, *given)
    text = {query.query_id: query.text for query in collection.queries}
    judged = {row.query_id for row in collection.judgments}
    place_of = {row[:2]: raw.places["judgment", index] for index, row in reversed(list(enumerate(raw.judgments)))}
    rows = [LocatedJudgment(text[row.query_id], *row[1:], place_of[row[:2]]) for row in collection.judgments]
    unlabelled = [text[query_id] for query_id in text if query_id not in judged]
    return TrainingData(documents, rows, unlabelled, quality, *given)


class CheckedFolder(NamedTuple):
    """A folder's checked collection, what was left out or repaired, and the collection as read."""

    collection: Collection
    quality: DataQuality
    raw: RawCollection


def read_checked(folder: Path, queries: Path | None = None) -> CheckedFolder:
    """Reads a folder and checks it as the pipeline does; warns of what is left out or repaired.

    Args:
        folder: the folder of the documents.
        queries: a file of queries; it must not be one of the documents.

    Raises:
        InputError: see ``read``, ``check_collection`` and ``require_usable``; or the folder does not exist, or the file
            of queries is a document.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; pass the folder of your documents")
    raw = read(folder)
    collection, quality = check_collection(raw)
    require_usable(quality, len(raw.judgments))
    warn_of(quality)
    if queries is not None and queries.resolve() in {folder.resolve() / row.doc_id for row in collection.documents}:
        raise InputError(f"{queries}: the file of queries would count as a document; move it out of {folder}")
    return CheckedFolder(collection, quality, raw)


def read_splits(settings: DatasetSettings, path: Path) -> RawCollection:
    """Reads the folder, or merges its subfolders ``settings.train`` and ``settings.test`` into one collection.

    Raises:
        InputError: see ``read``.
    """
    run = settings.candidates == "run"
    names = {split: name for split, name in (("train", settings.train), ("test", settings.test)) if name is not None}
    options = settings.document_language, settings.query_language, settings.parallel
    if not names:
        return read(path, *options, run=run)
    parts = [_of_split(read(path / name, *options, run=run), split, name) for split, name in names.items()]
    return _joined(parts, f"folder {path.resolve().name}: {', '.join(names.values())}")


def _of_split(raw: RawCollection, split: str, folder: str) -> RawCollection:
    """Returns a copy with all queries in one split and the folder's name in front of each place."""
    queries = [query._replace(split=split) for query in raw.queries]
    return replace(raw, queries=queries, places={key: f"{folder}/{place}" for key, place in raw.places.items()})


def _joined(parts: Sequence[RawCollection], source: str) -> RawCollection:
    places: dict[tuple[str, str | int], str] = {}
    judgments: list[Judgment] = []
    for part in parts:
        for (kind, key), place in part.places.items():
            moved = (kind, key + len(judgments) if isinstance(key, int) else key)
            places[moved] = f"{places[moved]} and {place}" if moved in places else place
        judgments += part.judgments
    return RawCollection(
        documents=[document for part in parts for document in part.documents],
        queries=[query for part in parts for query in part.queries],
        judgments=judgments,
        source=source,
        places=places,
        candidates=None if parts[0].candidates is None else [row for part in parts for row in part.candidates or ()],
    )


def read(
    folder: Path,
    document_language: str | None = None,
    query_language: str | None = None,
    parallel: bool = False,
    *,
    run: bool = False,
) -> RawCollection:
    """Reads a folder of UTF-8 files, each as .jsonl or as .tsv.

    - ``docs``: doc_id, title (optional), text; without a docs file, each text file below the folder is a document
    - ``queries`` (optional): query_id, text, split ("train" or "test", the default), answers (optional, a list of
      strings)
    - ``qrels.trec`` (optional): query, 0, document, grade; or ``qrels.tsv``: query_id, doc_id, grade
    - ``candidates.trec``, with ``run``: query, Q0, document, rank, score, tag

    A .tsv file whose first field is "doc_id" or "query_id" starts with a header and has its columns in any order.
    Without a header, the columns are in the order above; documents with two columns have no title. There is no
    quoting. Other keys and columns are ignored.

    Args:
        folder: the folder of the files.
        document_language: reads ``docs.<language>`` instead of ``docs``.
        query_language: reads ``queries.<language>`` instead of ``queries``.
        parallel: whether ``queries.<document_language>`` holds the queries' translations under the same ids.
        run: also reads the candidates.

    Raises:
        InputError: there is no docs file, ``run`` is set without a candidates file, two files of one kind exist, or a
            line is invalid; names file and line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: folder not found; set dataset.path=<your folder>")
    places: dict[tuple[str, str | int], str] = {}
    documents = list(_noted(_documents(folder, document_language), "document", places))
    queries = list(_noted(_queries(folder, query_language), "query", places))
    if parallel:
        translation = {query.query_id: query.text for _, query in _queries(folder, document_language)}
        queries = [query._replace(translation=translation.get(query.query_id, "")) for query in queries]
    judgments = []
    for index, (place, judgment) in enumerate(_judgments(folder)):
        places["judgment", index] = place
        judgments.append(judgment)
    return RawCollection(
        documents,
        queries,
        judgments,
        source=f"folder {folder.resolve().name}",
        places=places,
        candidates=list(_candidates(folder)) if run else None,
    )


def _noted(rows: Iterable[tuple[str, Record]], kind: str, places: dict[tuple[str, str | int], str]) -> Iterator[Record]:
    """Yields the records and notes the places of each id; a repeated id has several."""
    for place, record in rows:
        key = (kind, record[0])
        places[key] = f"{places[key]} and {place}" if key in places else place
        yield record


def _documents(folder: Path, language: str | None) -> Iterator[tuple[str, Document]]:
    path = _the_file(folder, _stem("docs", language), RECORD_SUFFIXES)
    if path is None:
        others = sorted(path.name for path in folder.glob("docs.*") if path.suffix in RECORD_SUFFIXES)
        if language is None and not others and (texts := _text_files(folder)):
            yield from (_text_document(folder, text) for text in texts)
            return
        hint = f"found {', '.join(others)}: choose one with dataset.document_language" if others else "add one"
        texts_hint = "" if language or others else f", or text files ({', '.join(TEXT_SUFFIXES)})"
        raise InputError(f"{folder}: no {_stem('docs', language)}.jsonl or .tsv; {hint}{texts_hint}")
    for place, row in _rows(path, "doc_id", _document_columns):
        title = text_of(row, "title", place) if row.get("title") is not None else ""
        yield place, Document(text_of(row, "doc_id", place), title, text_of(row, "text", place))


def _text_files(folder: Path) -> list[Path]:
    """Returns the text files below a folder, without hidden ones."""
    files = (path for suffix in TEXT_SUFFIXES for path in folder.rglob(f"*{suffix}") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _text_document(folder: Path, path: Path) -> tuple[str, Document]:
    """Reads a text file as a document; its id is the path with spaces as %20, because ids have no white space."""
    place = path.relative_to(folder).as_posix()
    try:
        place.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{folder}: the file name {place!r} is not UTF-8; rename the file") from None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from error
    doc_id = "".join(quote(letter) if letter.isspace() else letter for letter in place)
    return place, Document(doc_id, "", text)


def _queries(folder: Path, language: str | None) -> Iterator[tuple[str, Query]]:
    path = _the_file(folder, _stem("queries", language), RECORD_SUFFIXES)
    if path is None and language is not None:
        raise InputError(
            f"{folder}: no queries.{language}.jsonl or .tsv; correct dataset.query_language, "
            "or set dataset.parallel=false if there are no translations"
        )
    for place, row in _rows(path, "query_id", _query_columns) if path else ():
        split = row.get("split", "test")
        if split not in ("train", "test"):
            raise InputError(f"{place}: unknown split {split!r}; write train or test")
        answers = texts_of(row, "answers", place)
        yield place, Query(text_of(row, "query_id", place), text_of(row, "text", place), split, answers=answers)


def _judgments(folder: Path) -> Iterator[tuple[str, Judgment]]:
    path = _the_file(folder, "qrels", (".trec", ".tsv"))
    if path is None:
        return
    rows = _trec_rows(path) if path.suffix == ".trec" else _rows(path, "query_id", _judgment_columns)
    for place, row in rows:
        grade = grade_of(row.get("grade"), place)
        yield place, Judgment(text_of(row, "query_id", place), text_of(row, "doc_id", place), grade)


def _candidates(folder: Path) -> Iterator[CandidateDocument]:
    path = folder / "candidates.trec"
    if not path.is_file():
        raise InputError(f"{path}: file not found; add this TREC run, or set dataset.candidates to qrels or null")
    for place, line in read_lines(path):
        fields = line.split()
        if len(fields) != 6:
            raise InputError(f"{place}: {len(fields)} fields instead of 6; write: query Q0 document rank score tag")
        yield CandidateDocument(fields[0], fields[2])


def _stem(name: str, language: str | None) -> str:
    return name if language is None else f"{name}.{language}"


def _the_file(folder: Path, stem: str, suffixes: tuple[str, str]) -> Path | None:
    """Returns the file with that stem, or None."""
    files = [path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()]
    if len(files) > 1:
        raise InputError(f"{folder}: both {files[0].name} and {files[1].name} exist; keep one")
    return files[0] if files else None


def _rows(path: Path, id_key: str, columns_of: Callable[[int], tuple[str, ...] | None]) -> Iterator[LocatedRow]:
    return read_json_lines(path) if path.suffix == ".jsonl" else _tab_rows(path, id_key, columns_of)


def _tab_rows(path: Path, id_key: str, columns_of: Callable[[int], tuple[str, ...] | None]) -> Iterator[LocatedRow]:
    """Yields rows of tab-separated fields by column name, from the header or from the number of fields."""
    columns: tuple[str, ...] | None = None
    for place, line in read_lines(path):
        fields = line.split("\t")
        if columns is None:
            header = fields[0] == id_key
            columns = tuple(fields) if header else columns_of(len(fields))
            if columns is None:
                raise InputError(f"{place}: {len(fields)} tab-separated fields; name them in a header, {id_key} first")
            if header:
                continue
        if len(fields) != len(columns):
            raise InputError(f"{place}: {len(fields)} tab-separated fields instead of {len(columns)}; correct the line")
        yield place, dict(zip(columns, fields, strict=True))


def _document_columns(n: int) -> tuple[str, ...] | None:
    return {2: ("doc_id", "text"), 3: ("doc_id", "title", "text")}.get(n)


def _query_columns(n: int) -> tuple[str, ...] | None:
    return {2: ("query_id", "text"), 3: ("query_id", "text", "split")}.get(n)


def _judgment_columns(n: int) -> tuple[str, ...] | None:
    return {3: ("query_id", "doc_id", "grade")}.get(n)


def _trec_rows(path: Path) -> Iterator[LocatedRow]:
    for place, line in read_lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise InputError(f"{place}: {len(fields)} fields instead of 4; write: query 0 document grade")
        yield place, {"query_id": fields[0], "doc_id": fields[2], "grade": fields[3]}
