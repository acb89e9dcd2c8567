"""Filters for written queries; every filter checks every query, so that each filter can be measured."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.data.words import WORD_WITH_MARKS, separate_characters
from zero2ir.writing.settings import FilterName, FilterSettings

MIN_COPIED_WORDS = 4  # shorter runs of common words are not counted as copied from the prompt
MIN_SCRIPT_AGREEMENT = 0.5
SAME_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK"}  # scripts that are mixed in one text
SIMILARITY_CHUNK = 512


@dataclass(frozen=True)
class FilterInputs:
    """Written queries with the data that the filters need; one row per query.

    ``known_queries`` are those of the prompts and judgments, which must not be repeated; small LMs tend to copy them.
    """

    queries: Sequence[str]
    passages: Sequence[str]  # shown to the LM
    contents: Sequence[str]  # the whole documents
    styles: Sequence[str]
    round_trip_ranks: np.ndarray  # (n,) rank of each query's own document, 0 if it is not retrieved
    log_likelihoods: np.ndarray  # (n,) mean log-probability of the query's tokens, NaN if unknown
    grades: np.ndarray  # (n,) the LM's grade of the document for the query, 0 to 1, NaN if unknown
    known_queries: Sequence[str] = ()
    prompt_texts: Sequence[str] = ()  # documents of the demonstrations


def objections(written: FilterInputs, settings: FilterSettings) -> list[list[str]]:
    """Returns the names of the filters that reject each query, in the order of the settings."""
    tables = {name: FILTERS[name](written, settings) for name in settings.filters}
    return [[name for name, table in tables.items() if table[row]] for row in range(len(written.queries))]


def empty(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects unusable answers of the LM."""
    return np.array([not normalised(query) for query in written.queries], dtype=bool)


def too_short(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries with fewer words than the minimum."""
    return np.array([_length(query) < settings.words[0] for query in written.queries], dtype=bool)


def too_long(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries with more words than the maximum."""
    return np.array([_length(query) > settings.words[1] for query in written.queries], dtype=bool)


def copied(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects copies of a query of the prompts or judgments, also inside a longer query, and of demonstration texts."""
    known = list(dict.fromkeys(words_of(query) for query in written.known_queries))
    prompt_texts = [words_of(text) for text in written.prompt_texts]
    return np.array([_is_copied(words_of(query), known, prompt_texts) for query in written.queries], dtype=bool) | (
        _nearest(written.queries, known) >= settings.near_duplicate
    )


def duplicate(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects repetitions of an earlier query, ignoring case, white space and punctuation at its ends."""
    earlier: set[str] = {""}  # empty queries are not duplicates of each other
    result = []
    for text in map(normalised, written.queries):
        result.append(bool(text) and text in earlier)
        earlier.add(text)
    return np.array(result, dtype=bool)


def near_duplicate(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects near-duplicates of an earlier query that is not rejected itself."""
    dropped = np.zeros(len(written.queries), dtype=bool)
    grams = trigrams(written.queries or [""])
    for start in range(0, len(dropped), SIMILARITY_CHUNK):
        similar = jaccard(grams[start : start + SIMILARITY_CHUNK], grams[: start + SIMILARITY_CHUNK])
        for place, row in enumerate(similar, start=start):
            dropped[place] = bool((row[:place][~dropped[:place]] >= settings.near_duplicate).any())
    return dropped


def substring(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries that are copied word by word from the document."""
    pairs = zip(written.queries, written.contents, strict=True)
    return np.array([_within(words_of(query), words_of(content)) for query, content in pairs], dtype=bool)


def language(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries in another script than the passage, or with a much smaller share of letters."""
    pairs = zip(written.queries, written.passages, strict=True)
    return np.array([bool(query) and not _agrees(query, passage) for query, passage in pairs], dtype=bool)


def round_trip(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries for which BM25 does not retrieve the document; Promptagator, arXiv 2209.11755, section 3.1."""
    ranks = np.asarray(written.round_trip_ranks)
    return (ranks == 0) | (ranks > settings.round_trip)


def likelihood(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects all but the most likely queries of each style; InPars, arXiv 2202.05144, section 3."""
    kept = np.zeros(len(written.queries), dtype=bool)
    styles = np.array(written.styles, dtype=object)
    for style in dict.fromkeys(written.styles):
        rows = np.flatnonzero((styles == style) & ~np.isnan(written.log_likelihoods))
        best = rows[np.argsort(-written.log_likelihoods[rows], kind="stable")]
        kept[best[: round(settings.likelihood * int((styles == style).sum()))]] = True
    return ~kept


def grade(written: FilterInputs, settings: FilterSettings) -> np.ndarray:
    """Rejects queries that the document does not answer according to the LM."""
    return ~(written.grades >= settings.grade)  # rejects NaN, too


FILTERS: Mapping[FilterName, Callable[[FilterInputs, FilterSettings], np.ndarray]] = {
    "empty": empty,
    "too_short": too_short,
    "too_long": too_long,
    "copied": copied,
    "duplicate": duplicate,
    "near_duplicate": near_duplicate,
    "substring": substring,
    "language": language,
    "round_trip": round_trip,
    "likelihood": likelihood,
    "grade": grade,
}


def words_of(text: str) -> str:
    """Returns the text's words in lower case (NFKC), separated by single spaces, without punctuation."""
    folded = separate_characters(unicodedata.normalize("NFKC", text).casefold())
    return " ".join(WORD_WITH_MARKS.findall(folded))


def trigrams(texts: Sequence[str]) -> Any:
    """Returns (n_texts, n_features) sparse binary character trigrams within the texts' words."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), binary=True, norm=None, alternate_sign=False, dtype=np.float32
    )
    return hashed.transform([words_of(text) for text in texts])


def jaccard(one: Any, other: Any) -> np.ndarray:
    """Returns (n, m) Jaccard similarities of the rows of ``one`` and ``other``, (n, n_features) of 0 and 1."""
    common = np.asarray((one @ other.T).todense())
    sizes = [np.asarray(rows.sum(axis=1)).ravel() for rows in (one, other)]
    union = sizes[0][:, None] + sizes[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _nearest(queries: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Returns (n_queries,) the trigram similarity of each query to the most similar known one."""
    if not queries or not known:
        return np.zeros(len(queries))
    return jaccard(trigrams(queries), trigrams(known)).max(axis=1)


def _length(text: str) -> int:
    return len(words_of(text).split())


def _is_copied(query: str, known: Sequence[str], prompt_texts: Sequence[str]) -> bool:
    if any(query == one or (_length(one) >= MIN_COPIED_WORDS and _within(one, query)) for one in known):
        return bool(query)
    return _length(query) >= MIN_COPIED_WORDS and any(_within(query, text) for text in prompt_texts)


def _within(part: str, whole: str) -> bool:
    return bool(part) and f" {part} " in f" {whole} "


def _agrees(query: str, document: str) -> bool:
    """Returns whether the query uses the document's scripts and has no much smaller share of letters."""
    (share, scripts), (usual, expected) = _profile(query), _profile(document)
    if not expected:
        return True
    common = sum(min(part, expected.get(script, 0.0)) for script, part in scripts.items())
    return common >= MIN_SCRIPT_AGREEMENT and share >= MIN_SCRIPT_AGREEMENT * usual


def _profile(text: str) -> tuple[float, dict[str, float]]:
    """Returns the share of letters among all characters except white space, and each script's share of the letters."""
    signs = [sign for sign in text if not sign.isspace()]
    scripts = Counter(_script(sign) for sign in signs if sign.isalpha())
    return scripts.total() / max(1, len(signs)), {name: n / scripts.total() for name, n in scripts.items()}


@cache
def _script(letter: str) -> str:
    """Returns the first word of a letter's Unicode name, "LATIN", "CYRILLIC", ..."""
    name = unicodedata.name(letter, "UNKNOWN").replace("-", " ").split()[0]
    return SAME_SCRIPT.get(name, name)
