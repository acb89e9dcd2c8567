"""Filters that decide which synthetic queries may be used; each is asked about every query, so each can be measured."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.synthetic.settings import FilterName, SyntheticSettings

MIN_COPIED_WORDS = 4  # words; fewer in a row are no sign of copying from the prompt
MIN_SCRIPT_AGREEMENT = 0.5
FILTER_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")  # no space parts the first
SAME_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK"}  # those that are written side by side
SIMILARITY_CHUNK = 512


@dataclass(frozen=True)
class FilterInputs:
    """Queries, and what is known about each; one row a query.

    Attributes:
        queries: n texts.
        passages: n texts, what the LM saw of their documents.
        contents: n texts, their whole documents.
        styles: n names.
        round_trip_ranks: (n,) the rank at which each finds its own document, 0 where it does not.
        log_likelihoods: (n,) mean log-probability of its tokens, NaN where unknown.
        grades: (n,) how well its document answers it, 0 to 1, NaN where unknown.
        known_queries: queries that must not come again: the prompts' and the judgments', which a small LM likes to
            copy.
        prompt_texts: the demonstrations' documents.
    """

    queries: Sequence[str]
    passages: Sequence[str]
    contents: Sequence[str]
    styles: Sequence[str]
    round_trip_ranks: np.ndarray
    log_likelihoods: np.ndarray
    grades: np.ndarray
    known_queries: Sequence[str] = ()
    prompt_texts: Sequence[str] = ()


def objections(written: FilterInputs, settings: SyntheticSettings) -> list[list[str]]:
    """The filters that object to each query, in the order of the settings; none where it may be used."""
    tables = {name: FILTERS[name](written, settings) for name in settings.filters}
    return [[name for name, table in tables.items() if table[row]] for row in range(len(written.queries))]


def empty(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """The LM gave no usable answer."""
    return np.array([not normalised(query) for query in written.queries], dtype=bool)


def too_short(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """Fewer words than asked for."""
    return np.array([_length(query) < settings.words[0] for query in written.queries], dtype=bool)


def too_long(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """More words than allowed."""
    return np.array([_length(query) > settings.words[1] for query in written.queries], dtype=bool)


def copied(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """As good as a query of the prompts or the judgments, one with more around it, or words of a demonstration."""
    known = list(dict.fromkeys(words_of(query) for query in written.known_queries))
    shown = [words_of(text) for text in written.prompt_texts]
    return np.array([_is_copied(words_of(query), known, shown) for query in written.queries], dtype=bool) | (
        _nearest(written.queries, known) >= settings.near_duplicate
    )


def duplicate(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """The same as an earlier query but for case, white space and punctuation at its ends."""
    seen: set[str] = {""}  # an empty one is not the fault of the others
    result = []
    for text in map(normalised, written.queries):
        result.append(bool(text) and text in seen)
        seen.add(text)
    return np.array(result, dtype=bool)


def near_duplicate(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """Almost the same as an earlier query that is no near duplicate itself."""
    dropped = np.zeros(len(written.queries), dtype=bool)
    grams = trigrams(written.queries or [""])
    for start in range(0, len(dropped), SIMILARITY_CHUNK):
        similar = jaccard(grams[start : start + SIMILARITY_CHUNK], grams[: start + SIMILARITY_CHUNK])
        for place, row in enumerate(similar, start=start):
            dropped[place] = bool((row[:place][~dropped[:place]] >= settings.near_duplicate).any())
    return dropped


def substring(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """Copied out of the document, word by word."""
    pairs = zip(written.queries, written.contents, strict=True)
    return np.array([_within(words_of(query), words_of(content)) for query, content in pairs], dtype=bool)


def language(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """In another script than what the LM saw, or mostly signs where that is mostly letters."""
    pairs = zip(written.queries, written.passages, strict=True)
    return np.array([bool(query) and not _agrees(query, passage) for query, passage in pairs], dtype=bool)


def round_trip(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """BM25 does not find the document by the query; Promptagator, arXiv 2209.11755, section 3.1."""
    ranks = np.asarray(written.round_trip_ranks)
    return (ranks == 0) | (ranks > settings.round_trip)


def likelihood(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """Not among the likeliest of its style; InPars, arXiv 2202.05144, section 3."""
    kept = np.zeros(len(written.queries), dtype=bool)
    styles = np.array(written.styles, dtype=object)
    for style in dict.fromkeys(written.styles):
        rows = np.flatnonzero((styles == style) & ~np.isnan(written.log_likelihoods))
        best = rows[np.argsort(-written.log_likelihoods[rows], kind="stable")]
        kept[best[: round(settings.likelihood * int((styles == style).sum()))]] = True
    return ~kept


def grade(written: FilterInputs, settings: SyntheticSettings) -> np.ndarray:
    """The LM does not think that the document answers the query."""
    return ~(written.grades >= settings.grade)  # NaN is no grade


FILTERS: Mapping[FilterName, Callable[[FilterInputs, SyntheticSettings], np.ndarray]] = {
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
    """The text's words in lower case, with one space between them: no signs, no compatibility forms."""
    return " ".join(FILTER_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def trigrams(texts: Sequence[str]) -> Any:
    """(n_texts, n_features) sparse, 1 for each run of three characters within the texts' words."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), binary=True, norm=None, alternate_sign=False, dtype=np.float32
    )
    return hashed.transform([words_of(text) for text in texts])


def jaccard(one: Any, other: Any) -> np.ndarray:
    """(n, m) Jaccard similarity of each row of ``one``, (n, n_features) of 0 and 1, and each of ``other``."""
    common = np.asarray((one @ other.T).todense())
    sizes = [np.asarray(rows.sum(axis=1)).ravel() for rows in (one, other)]
    union = sizes[0][:, None] + sizes[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _nearest(queries: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """(n_queries,) the similarity of each query's trigrams to those of the most similar known one."""
    if not queries or not known:
        return np.zeros(len(queries))
    return jaccard(trigrams(queries), trigrams(known)).max(axis=1)


def _length(text: str) -> int:
    """In words."""
    return len(words_of(text).split())


def _is_copied(query: str, known: Sequence[str], shown: Sequence[str]) -> bool:
    if any(query == one or (_length(one) >= MIN_COPIED_WORDS and _within(one, query)) for one in known):
        return bool(query)
    return _length(query) >= MIN_COPIED_WORDS and any(_within(query, text) for text in shown)


def _within(part: str, whole: str) -> bool:
    """Whether the words of one text stand in the other, side by side."""
    return bool(part) and f" {part} " in f" {whole} "


def _agrees(query: str, document: str) -> bool:
    """Whether a query's letters are of the document's scripts, and its share of letters not much lower."""
    (share, scripts), (usual, expected) = _profile(query), _profile(document)
    if not expected:
        return True
    common = sum(min(part, expected.get(script, 0.0)) for script, part in scripts.items())
    return common >= MIN_SCRIPT_AGREEMENT and share >= MIN_SCRIPT_AGREEMENT * usual


def _profile(text: str) -> tuple[float, dict[str, float]]:
    """The share of letters among all signs but white space, and each script's share of the letters."""
    signs = [sign for sign in text if not sign.isspace()]
    scripts = Counter(_script(sign) for sign in signs if sign.isalpha())
    return scripts.total() / max(1, len(signs)), {name: n / scripts.total() for name, n in scripts.items()}


@cache
def _script(letter: str) -> str:
    """The first word of a letter's Unicode name, "LATIN", "CYRILLIC", ..."""
    name = unicodedata.name(letter, "UNKNOWN").replace("-", " ").split()[0]
    return SAME_SCRIPT.get(name, name)
