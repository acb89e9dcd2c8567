"""Character n-gram matching of numbers, names and cognates across languages."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, NonNegativeFloat

from zero2ir.errors import InputError
from zero2ir.io.settings import Fraction, NonNegativeInt
from zero2ir.models.sparse import Sparse

LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i"}
FOLDED = str.maketrans(LETTERS)  # letters that Unicode does not decompose
NGRAM_WORD = re.compile(r"\w+")
NgramLength = Annotated[int, Field(ge=1, le=100)]
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
FOREIGN = re.compile(r"[^\x00-\x7f]+")
SOUNDS = re.compile(rf"[^\x00-\x7f{HAN}]+")  # phonetic letters beyond ASCII


class CharacterNgrams(Sparse):
    """BM25 over character n-grams of words, so that "revolución" matches "revolution".

    Accents and case are removed and other scripts transliterated, so that "Москва" matches "Moskva". Chinese characters
    are not transliterated by default: "卡罗来纳" becomes "kaluolaina", which shares little with "Carolina", most words
    become noise, and the reading is wrong for Japanese. A number is one token.

    Args:
        k1: saturation of frequency, at least 0.
        b: normalisation by document length, 0 to 1.
        alternatives: other (k1, b) to try on judgments.
        feedback_terms: number of document n-grams that feedback adds to a query.
        lengths: of the shortest and of the longest n-gram.
        pinyin: whether to transliterate Chinese characters, too.

    Source: McNamee and Mayfield 2004, "Character N-Gram Tokenization for European Language Text Retrieval",
    doi:10.1023/B:INRT.0000009441.78971.be.
    """

    kind = "surface"
    order = 15

    def __init__(
        self,
        k1: NonNegativeFloat = 0.9,
        b: Fraction = 0.4,
        alternatives: Sequence[tuple[NonNegativeFloat, Fraction]] = (),
        feedback_terms: NonNegativeInt = 60,
        lengths: tuple[NgramLength, NgramLength] = (3, 5),
        pinyin: bool = False,
    ) -> None:
        if lengths[0] > lengths[1]:
            raise InputError(f"lengths={list(lengths)}: the shortest is longer than the longest; swap them")
        super().__init__(k1, b, alternatives, feedback_terms)
        self.lengths = list(lengths)
        self.pinyin = pinyin

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        return [grams(folded(text, self.pinyin), self.lengths) for text in texts]


def grams(text: str, lengths: Sequence[int]) -> list[str]:
    """Returns the n-grams of each word of a folded text, with "_" at its ends; a number is one token."""
    tokens = []
    for word in NGRAM_WORD.findall(text):
        if word.isnumeric():
            tokens.append(word)
            continue
        marked = f"_{word}_"
        for length in range(lengths[0], lengths[1] + 1):
            tokens += [marked[start : start + length] for start in range(len(marked) - length + 1)]
    return tokens


def folded(text: str, pinyin: bool = False) -> str:
    """Normalises a text to Latin letters without accents and case, with ``pinyin`` Chinese characters, too.

    Raises:
        InputError: the text needs transliteration, and anyascii is not installed.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    composed = unicodedata.normalize("NFC", decomposed)  # accents distinguish letters of other scripts
    return (FOREIGN if pinyin else SOUNDS).sub(lambda match: _in_latin(match.group()), composed)


def _in_latin(letters: str) -> str:
    """Removes accents from letters beyond ASCII, or transliterates them; symbols stay."""
    decomposed = unicodedata.normalize("NFKD", letters)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(FOLDED)
    return plain if plain.isascii() or not any(map(str.isalnum, plain)) else _transliterated(letters)


def _transliterated(letters: str) -> str:
    try:
        from anyascii import anyascii
    except ImportError:
        raise InputError(
            f"model=surface: transliterating {letters[:20]!r} needs anyascii; pip install 'zero2ir[languages]'"
        ) from None
    return anyascii(letters.encode("utf-8", "replace").decode()).casefold()
