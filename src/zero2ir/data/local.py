"""Reads a collection from a local folder: documents, and optionally queries, qrels and candidates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from zero2ir.data import layout
from zero2ir.data.checks import check_collection, require_usable, warn_of
from zero2ir.data.inputs import Judgments, QuestionAnswerPairs
from zero2ir.data.judgments import normalised
from zero2ir.data.layout import chosen_splits, find_tables, is_about_the_folder, refuse_near_names, unknown_tables
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
from zero2ir.data.tables import CANDIDATES, DOCUMENTS, JUDGMENTS, QUERIES, read_table
from zero2ir.errors import InputError
from zero2ir.io.lines import grade_of, read_raw_lines, text_of, texts_of

TEXT_SUFFIXES = (".txt", ".md", ".rst")  # each such file is a document if there is no table of documents


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
    raw = read(folder, training=True)
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
    candidates: list[CandidateDocument] = []
    for part in parts:
        before = {"judgment": len(judgments), "candidate": len(candidates)}
        for (kind, key), place in part.places.items():
            moved = (kind, key + before[kind] if isinstance(key, int) else key)
            places[moved] = f"{places[moved]} and {place}" if moved in places else place
        judgments += part.judgments
        candidates += part.candidates or ()
    return RawCollection(
        documents=[document for part in parts for document in part.documents],
        queries=[query for part in parts for query in part.queries],
        judgments=judgments,
        source=source,
        places=places,
        candidates=None if parts[0].candidates is None else candidates,
    )


def read(
    folder: Path,
    document_language: str | None = None,
    query_language: str | None = None,
    parallel: bool = False,
    *,
    run: bool = False,
    training: bool = False,
) -> RawCollection:
    """Reads a folder of UTF-8 tables; ``docs/guides/own-documents.md`` lists their names, columns and forms.

    If the judgments are split into files, the queries are, too. With train and test, dev is left out; with two splits,
    the first in the order train, dev, test is "train" and the other one "test"; a single one is not split.

    Args:
        folder: the folder of the files.
        document_language: reads ``docs.<language>`` instead of ``docs``.
        query_language: reads ``queries.<language>`` instead of ``queries``.
        parallel: whether ``queries.<document_language>`` holds the queries' translations under the same ids.
        run: also reads the candidates.
        training: reads only the first split of judgments, in the order train, dev, test.

    Raises:
        InputError: there are no documents, ``run`` is set without a candidates file, two files are for one purpose, a
            file has nearly the name of a table, or a line is invalid; names file and line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: folder not found; set dataset.path=<your folder>")
    notes: Counter[str] = Counter()
    places: dict[tuple[str, str | int], str] = {}
    documents = list(_noted(_documents(folder, document_language, notes), "document", places))
    located, judged = _queries_and_judgments(folder, query_language, training, notes)
    queries = list(_noted(located, "query", places))
    if parallel:
        rows = [row for path in _query_files(folder, document_language).values() for row in _queries(folder, path)]
        translation = {query.query_id: query.text for _, query in rows}
        queries = [query._replace(translation=translation.get(query.query_id, "")) for query in queries]
    places |= {("judgment", index): place for index, (place, _) in enumerate(judged)}
    ranked = list(_candidates(folder)) if run else []
    places |= {("candidate", index): place for index, (place, _) in enumerate(ranked)}
    return RawCollection(
        documents,
        queries,
        [judgment for _, judgment in judged],
        source=f"folder {folder.resolve().name}",
        notes=notes,
        places=places,
        candidates=[candidate for _, candidate in ranked] if run else None,
    )


def _noted(rows: Iterable[tuple[str, Record]], kind: str, places: dict[tuple[str, str | int], str]) -> Iterator[Record]:
    """Yields the records and notes the places of each id; a repeated id has several."""
    for place, record in rows:
        key = (kind, record[0])
        places[key] = f"{places[key]} and {place}" if key in places else place
        yield record


def document_files(folder: Path) -> list[Path]:
    """Returns the files of a folder's documents: a table, or text files.

    Raises:
        InputError: see ``read``.
    """
    table, texts = _sources(folder, None, Counter())
    return texts if table is None else [table]


def stream_documents(folder: Path) -> Iterator[tuple[str, Document]]:
    """Yields the documents of a folder one after another, each with its place; notes of the reader are left out.

    Raises:
        InputError: see ``read``.
    """
    yield from _documents(folder, None, Counter())


def _documents(folder: Path, language: str | None, notes: Counter[str]) -> Iterator[tuple[str, Document]]:
    table, texts = _sources(folder, language, notes)
    if table is None:
        yield from (_text_document(folder, path) for path in texts)
        return
    for place, row in read_table(table, DOCUMENTS):
        title = text_of(row, "title", place) if "title" in row else ""
        yield place, Document(text_of(row, "doc_id", place), title, text_of(row, "text", place))


def _sources(folder: Path, language: str | None, notes: Counter[str]) -> tuple[Path | None, list[Path]]:
    """Returns the table of documents, or else text files."""
    if tables := find_tables(folder, layout.DOCUMENTS, language):
        return tables[""], []
    if language is not None:
        raise InputError(f"{folder}: no docs.{language}.jsonl or .tsv; add one, or correct dataset.document_language")
    files, unknown = _files_below(folder, notes), unknown_tables(folder)
    texts = [path for path in files if path.suffix in TEXT_SUFFIXES]
    others = [path for role in (layout.QUERIES, layout.QRELS) for path in find_tables(folder, role).values()]
    if all(map(is_about_the_folder, texts)):
        unknown += [path.relative_to(folder).as_posix() for path in files if path not in (*texts, *others)]
    if unknown:
        raise InputError(
            f"{folder}: no {layout.DOCUMENTS.names}; found {', '.join(unknown[:3])}: name the table of documents "
            "docs, or give its folder; text files are documents only where no table is"
        )
    if others:
        texts = [path for path in texts if not is_about_the_folder(path)]
    for role in (layout.QUERIES, layout.QRELS):  # such as qrels.txt beside qrels.tsv, which is no document
        refuse_near_names(folder, role, [path.name for path in texts if path.parent == folder])
    if not texts:
        raise InputError(f"{folder}: no {layout.DOCUMENTS.names}; add one, or text files ({', '.join(TEXT_SUFFIXES)})")
    return None, texts


def _files_below(folder: Path, notes: Counter[str]) -> list[Path]:
    """Returns the files below a folder, without hidden ones and without links out of the folder."""
    root, found = folder.resolve(), []
    for path in folder.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            notes["symbolic links out of the folder, which are not followed"] += 1
        elif path.is_file() or not path.exists():  # or a broken link
            found.append(path)
    return sorted(found)


def _text_document(folder: Path, path: Path) -> tuple[str, Document]:
    """Reads a text file as a document; its id is the path with spaces as %20, because ids have no white space."""
    place = path.relative_to(folder).as_posix()
    try:
        place.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{folder}: the file name {place!r} is not UTF-8; rename the file") from None
    text = "".join(line for _, line in read_raw_lines(path, place))
    doc_id = "".join(quote(letter) if letter.isspace() else letter for letter in place)
    return place, Document(doc_id, "", text)


def _query_files(folder: Path, language: str | None) -> dict[str, Path]:
    files = find_tables(folder, layout.QUERIES, language)
    if not files and language is not None:
        raise InputError(
            f"{folder}: no queries.{language}.jsonl or .tsv; correct dataset.query_language, "
            "or set dataset.parallel=false if there are no translations"
        )
    return files


def _queries_and_judgments(
    folder: Path, language: str | None, training: bool, notes: Counter[str]
) -> tuple[list[tuple[str, Query]], list[tuple[str, Judgment]]]:
    """Returns the queries and judgments of the chosen splits; notes how many rows of other splits are left out."""
    query_files, qrels_files = _query_files(folder, language), find_tables(folder, layout.QRELS)
    queries = {split: list(_queries(folder, path)) for split, path in query_files.items()}
    judgments = {split: list(_judgments(folder, path)) for split, path in qrels_files.items()}
    split_files = {split: path for files in (query_files, qrels_files) for split, path in files.items() if split}
    chosen = chosen_splits(qrels_files.keys() - {""} or split_files, training)
    ids = {
        split: {row[1].query_id for rows in (queries, judgments) for row in rows.get(split, ())}
        for split in split_files
    }
    left_out = set[str]().union(*(ids[split] for split in ids if split not in chosen))
    left_out -= set[str]().union(*(ids[split] for split in chosen))
    for noun, files, rows in (("queries", query_files, queries), ("judgments", qrels_files, judgments)):
        names = {split: path.relative_to(folder).as_posix() for split, path in files.items()}
        kept = " and ".join(names[split] for split in chosen if split in names)
        reason = f"in favour of {kept}" if kept else "because judgments of other splits are read"
        for split in sorted(names.keys() - chosen - {""}):
            notes[f"{noun} of {names[split]}, left out {reason}"] = len(rows[split])
    split_of = {query_id: target for split, target in chosen.items() if target for query_id in ids[split]}
    return (
        [
            (place, query._replace(split=split_of.get(query.query_id, query.split)))
            for split in ("", *chosen)
            for place, query in queries.get(split, ())
            if query.query_id not in left_out
        ],
        [row for split in ("", *chosen) for row in judgments.get(split, ()) if row[1].query_id not in left_out],
    )


def _queries(folder: Path, path: Path) -> Iterator[tuple[str, Query]]:
    for place, row in read_table(path, QUERIES, path.relative_to(folder).as_posix()):
        split = row.get("split", "test")
        if split not in ("train", "test"):
            raise InputError(f"{place}: unknown split {split!r}; write train or test")
        answers = texts_of(row, "answers", place)
        yield place, Query(text_of(row, "query_id", place), text_of(row, "text", place), split, answers=answers)


def _judgments(folder: Path, path: Path) -> Iterator[tuple[str, Judgment]]:
    for place, row in read_table(path, JUDGMENTS, path.relative_to(folder).as_posix()):
        grade = grade_of(row["relevance"], place)
        yield place, Judgment(text_of(row, "query_id", place), text_of(row, "doc_id", place), grade)


def _candidates(folder: Path) -> Iterator[tuple[str, CandidateDocument]]:
    path = folder / layout.CANDIDATES
    if not path.is_file():
        raise InputError(f"{path}: file not found; add this TREC run, or set dataset.candidates to qrels or null")
    rows = read_table(path, CANDIDATES)
    return ((place, CandidateDocument(row["query_id"], row["doc_id"])) for place, row in rows)
