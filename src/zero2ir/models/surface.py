"""Surface matching across languages: numbers, names and cognates by their characters."""

import re
import unicodedata
from collections.abc import Sequence

from zero2ir.models.sparse import Sparse

LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i"}
FOLDED = str.maketrans(LETTERS)  # letters that Unicode does not take apart
WORD = re.compile(r"\w+")


class Surface(Sparse):
    """BM25 over the characters of words, so that "revolución" finds "revolution", and "1521" finds "1521".

    Latin letters are compared without accents and case. Letters of other scripts stay what they are: no library here
    writes them in Latin ones, so that of a Chinese query numbers and names in Latin letters are all that an English
    document can share. A number counts as a whole.

    Args:
        k1: saturation of frequency, at least 0.
        b: normalisation by document length, 0 to 1.
        alternatives: other (k1, b) worth trying when judgments are there.
        feedback_terms: how many n-grams of the documents join a query that is moved toward them.
        lengths: of the shortest and of the longest n-gram.

    Source: McNamee and Mayfield 2004, "Character N-Gram Tokenization for European Language Text Retrieval",
    doi:10.1023/B:INRT.0000009441.78971.be.
    """

    kind = "surface"
    kept = ("feedback_terms", "lengths")

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        alternatives: Sequence[Sequence[float]] = (),
        feedback_terms: int = 60,
        lengths: Sequence[int] = (3, 5),
    ) -> None:
        if len(lengths) != 2 or not 1 <= lengths[0] <= lengths[1]:
            raise ValueError(f"lengths={list(lengths)}; give the shortest, at least 1, and the longest")
        super().__init__(k1, b, alternatives, feedback_terms)
        self.lengths = list(lengths)

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        return [grams(text, self.lengths) for text in texts]


def grams(text: str, lengths: Sequence[int]) -> list[str]:
    """The n-grams of each word, "_" being where it begins and ends; a number is one token."""
    found = []
    for word in WORD.findall(folded(text)):
        if word.isnumeric():
            found.append(word)
            continue
        marked = f"_{word}_"
        for length in range(lengths[0], lengths[1] + 1):
            found += [marked[start : start + length] for start in range(len(marked) - length + 1)]
    return found


def folded(text: str) -> str:
    """Compatible forms as one, letters without accents and case."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(FOLDED)
