"""Finds the tables of a folder by their names: those of zero2ir, BEIR, MS MARCO and TREC."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from zero2ir.data.tables import TABLE_SUFFIXES
from zero2ir.errors import InputError
from zero2ir.io.tables import table_suffix

SPLITS = {  # the split that a part of a file's name means
    "train": "train",
    "training": "train",
    "dev": "dev",
    "dev.small": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "eval": "eval",
}
_SURE_SUFFIXES = ("jsonl", "ndjson", "csv", "tsv", "tab", "trec", "parquet", "xlsx")  # of tables
_NEAR_SUFFIXES = (*_SURE_SUFFIXES, "json", "xml")
_ABOUT = ("README", "LICENSE", "LICENCE", "COPYING", "NOTICE", "CHANGELOG", "CITATION", "CONTRIBUTING")
LIKELIHOOD = 0.75  # of difflib: "querys" and "queries", but not "notes" and "docs"


class Role(NamedTuple):
    """What a table of a folder is for.

    Attributes:
        noun: its name in messages.
        names: the names that users are told.
        stems: the known names, without suffix.
        suffixes: the known suffixes, each also with .gz.
        near: further names that people give it, which are refused.
    """

    noun: str
    names: str
    stems: tuple[str, ...]
    suffixes: tuple[str, ...]
    near: tuple[str, ...]

    def middle(self, name: str) -> str | None:
        """Returns what a file's name has between stem and suffix, e.g. "", "es" or "dev.small"; None if unknown."""
        whole = name.removesuffix(".gz")
        suffix = next((suffix for suffix in self.suffixes if whole.endswith(suffix)), None)
        stem, _, middle = whole.removesuffix(suffix or "").partition(".")
        return middle if suffix and stem in self.stems else None


DOCUMENTS = Role(
    "documents",
    "docs.jsonl or .tsv",
    ("docs", "documents", "corpus", "collection"),
    TABLE_SUFFIXES,
    ("doc", "document", "passages"),
)
QUERIES = Role("queries", "queries.jsonl or .tsv", ("queries", "topics"), TABLE_SUFFIXES, ("query", "querys", "topic"))
QRELS = Role(
    "judgments", "qrels.trec or .tsv", ("qrels",), (".trec", *TABLE_SUFFIXES), ("qrel", "judgments", "judgements")
)
CANDIDATES = "candidates.trec"


def find_tables(folder: Path, role: Role, language: str | None = None) -> dict[str, Path]:
    """Returns the file of a role under the key "", or its files by split: ``queries.train.tsv``, ``qrels/test.tsv``.

    Args:
        folder: the folder.
        role: what the tables are for.
        language: looks for ``<stem>.<language>`` instead.

    Raises:
        InputError: two files have one purpose, the file of a language has to be chosen, or no file has the role and
            another one has nearly the right name.
    """
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() or not path.exists()]  # or a broken link
    middles = {name: middle for name in names if (middle := role.middle(name)) is not None}
    found: dict[str, list[Path]] = {}
    for name, middle in middles.items():
        if middle == (language or ""):
            found.setdefault("", []).append(folder / name)
        elif language is None and role is not DOCUMENTS and middle in SPLITS:
            found.setdefault(SPLITS[middle], []).append(folder / name)
    for path in _split_files(folder / "qrels") if role is QRELS else ():
        found.setdefault(SPLITS[_stem(path)], []).append(path)
    for paths in (*found.values(), [split[0] for split in found.values()] if "" in found else []):
        if len(paths) > 1:
            both = " and ".join(path.relative_to(folder).as_posix() for path in paths[:2])
            raise InputError(f"{folder}: both {both} exist; keep one")
    if not found:
        _refuse_others(folder, role, language, [name for name, middle in middles.items() if middle], names)
    return {split: paths[0] for split, paths in found.items()}


def chosen_splits(splits: Iterable[str], training: bool) -> dict[str, str]:
    """Returns which splits are read, in order, and which split of the collection each becomes; "" for unsplit.

    Training reads the first one of train, dev and test. Otherwise the first one is for drawing judgments ("train"), and
    test, or the second one if there is no test, is "test".
    """
    present = [split for split in ("train", "dev", "test", "eval") if split in splits]
    if training or len(present) < 2:
        return dict.fromkeys(present[:1], "")
    return {present[0]: "train", "test" if "test" in present else present[1]: "test"}


def unknown_tables(folder: Path) -> list[str]:
    """Returns the names of tables that have no role, without answers of ``zero2ir label``, and of documents below."""
    tables = [path for path in sorted(folder.iterdir()) if path.is_file() and _suffix(path.name) in _SURE_SUFFIXES]
    others = (QUERIES, QRELS)  # a nearly right name of these is refused in its place
    unknown = [
        path.name
        for path in tables
        if all(role.middle(path.name) is None and not _is_nearly(path.name, role) for role in others)
        and path.name != CANDIDATES
        and not _holds_answers(path)
    ]
    below = [
        path.relative_to(folder) for path in sorted(folder.glob("*/**/*")) if DOCUMENTS.middle(path.name) is not None
    ]
    return unknown + [path.as_posix() for path in below if not any(part.startswith(".") for part in path.parts)]


def _holds_answers(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"annotator"' in file.readline(2**20)


def is_about_the_folder(path: Path) -> bool:
    """Returns whether a text file, by its name, is about its folder, such as README.md."""
    return path.name.partition(".")[0].upper() in _ABOUT


def _split_files(folder: Path) -> list[Path]:
    """Returns BEIR's files of judgments, one per split."""
    if not folder.is_dir():
        return []
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    paths = [path for path in files if not is_about_the_folder(path)]
    for path in paths:
        if table_suffix(path) not in QRELS.suffixes or _stem(path) not in SPLITS:
            raise InputError(f"{path}: no split of judgments; name it train.tsv, dev.tsv or test.tsv, or move it away")
    if not paths:
        raise InputError(f"{folder}: the folder of judgments is empty; add test.tsv, or remove the folder")
    return paths


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]


def _refuse_others(folder: Path, role: Role, language: str | None, others: list[str], names: Iterable[str]) -> None:
    """Raises an error if the table lies in the folder under another name."""
    if others and language is None:
        key = "dataset.query_language" if role is QUERIES else "dataset.document_language"
        hint = f"name it {role.names}" if role is QRELS else f"choose one with {key}"
        raise InputError(f"{folder}: no {role.names}; found {', '.join(others)}: {hint}")
    refuse_near_names(folder, role, names)


def refuse_near_names(folder: Path, role: Role, names: Iterable[str]) -> None:
    """Raises ``InputError`` if a file has nearly the name of the role's table."""
    for name in names:
        if role.middle(name) is None and _is_nearly(name, role):
            right = f"{role.stems[0]}.{_suffix(name)}"
            right = role.names if role.middle(right) is None else right + ".gz" * name.lower().endswith(".gz")
            raise InputError(f"{folder / name}: is not read as {role.noun}; rename it to {right}, or move it away")


def _is_nearly(name: str, role: Role) -> bool:
    """Returns whether a name is nearly that of the role's table; a text file must say so clearly."""
    stem, suffix = name.lower().partition(".")[0], _suffix(name)
    known = (*role.stems, *role.near)
    parts = re.split("[-_]", stem)
    if role is QRELS and (suffix in ("qrel", "qrels") or (suffix == "txt" and "qrels" in parts)):
        return True
    if suffix == "txt":
        return stem in (role.stems if role is DOCUMENTS else known)
    is_near = not {*parts}.isdisjoint(role.stems) or bool(difflib.get_close_matches(stem, known, 1, LIKELIHOOD))
    return suffix in _NEAR_SUFFIXES and is_near


def _suffix(name: str) -> str:
    return re.sub(r"\.(gz|zip|bz2|xz|zst)$", "", name.lower()).rpartition(".")[2]
