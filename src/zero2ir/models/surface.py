"""Surface matching across languages: numbers, names and cognates by their characters."""

import re
import unicodedata
from collections.abc import Sequence

from zero2ir.errors import InputError
from zero2ir.models.sparse import Sparse

LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i"}
FOLDED = str.maketrans(LETTERS)  # letters that Unicode does not take apart
NGRAM_WORD = re.compile(r"\w+")
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
FOREIGN = re.compile(r"[^\x00-\x7f]+")
SOUNDS = re.compile(rf"[^\x00-\x7f{HAN}]+")  # letters that say how a word sounds, beyond ASCII


class CharacterNgrams(Sparse):
    """BM25 over the characters of words, so that "revolución" finds "revolution", and "1521" finds "1521".

    Letters are compared without accents and case, those of other scripts as they are written in Latin ones, so that
    "Москва" finds "Moskva". Chinese characters stay what they are unless that is asked for: "卡罗来纳" sounds like
    "kaluolaina", which shares little with "Carolina", every other word becomes noise, and a Japanese text is not read
    so. A number counts as a whole.

    Args:
        k1: saturation of frequency, at least 0.
        b: normalisation by document length, 0 to 1.
        alternatives: other (k1, b) worth trying when judgments are there.
        feedback_terms: how many n-grams of the documents join a query that is moved toward them.
        lengths: of the shortest and of the longest n-gram.
        pinyin: whether Chinese characters are written in Latin letters, too.

    Source: McNamee and Mayfield 2004, "Character N-Gram Tokenization for European Language Text Retrieval",
    doi:10.1023/B:INRT.0000009441.78971.be.
    """

    kind = "surface"
    order = 15

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        alternatives: Sequence[Sequence[float]] = (),
        feedback_terms: int = 60,
        lengths: Sequence[int] = (3, 5),
        pinyin: bool = False,
    ) -> None:
        if len(lengths) != 2 or not 1 <= lengths[0] <= lengths[1]:
            raise ValueError(f"lengths={list(lengths)}; give the shortest, at least 1, and the longest")
        super().__init__(k1, b, alternatives, feedback_terms)
        self.lengths = list(lengths)
        self.pinyin = pinyin

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        return [grams(folded(text, self.pinyin), self.lengths) for text in texts]


def grams(text: str, lengths: Sequence[int]) -> list[str]:
    """The n-grams of each word of a folded text, "_" being where it begins and ends; a number is one token."""
    found = []
    for word in NGRAM_WORD.findall(text):
        if word.isnumeric():
            found.append(word)
            continue
        marked = f"_{word}_"
        for length in range(lengths[0], lengths[1] + 1):
            found += [marked[start : start + length] for start in range(len(marked) - length + 1)]
    return found


def folded(text: str, pinyin: bool = False) -> str:
    """Compatible forms as one, in Latin letters without accents and case.

    Args:
        text: any.
        pinyin: whether Chinese characters are written in Latin letters, too.

    Raises:
        InputError: there are letters of another script, and what writes them in Latin ones is not installed.
    """
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    whole = unicodedata.normalize("NFC", apart)  # an accent tells apart letters of other scripts
    return (FOREIGN if pinyin else SOUNDS).sub(lambda found: _in_latin(found.group()), whole)


def _in_latin(letters: str) -> str:
    """Some letters beyond ASCII in its own; signs stay what they are."""
    plain = _plain(letters)
    return plain if plain.isascii() or not any(map(str.isalnum, plain)) else _transliterated(letters)


def _plain(text: str) -> str:
    """Without accents."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(FOLDED)


def _transliterated(letters: str) -> str:
    try:
        from anyascii import anyascii
    except ImportError:
        raise InputError(
            f"model=surface: writing {letters[:20]!r} in Latin letters needs anyascii; pip install 'zero2ir[languages]'"
        ) from None
    return anyascii(letters.encode("utf-8", "replace").decode()).casefold()
