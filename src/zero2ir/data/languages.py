"""Languages: which one a text is in, and how its words are told apart."""

import unicodedata
from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any, NamedTuple

from zero2ir.errors import InputError

ENGLISH = "en"
AUTO_LANGUAGE = "auto"  # in place of a code: the documents tell
WORD_PATTERN = r"(?u)\b\w\w+\b"  # of two characters or more
SEGMENT_PATTERN = r"(?u)\b\w+\b"  # where a library parts the words, one of a single character is one
IDENTIFICATION_CHARACTERS = 20_000  # characters that tell a collection's language


class Language(NamedTuple):
    """What is known of a language.

    Attributes:
        name: in English; Snowball's stemmer has the same name, in lower case, where there is one.
        stop_words: whether bm25s has a list of them.
        spaced: whether spaces part the words.
    """

    name: str
    stop_words: bool = False
    spaced: bool = True


LANGUAGES = {  # by ISO 639-1; another one has words between spaces, no stemmer, no stop words, and its code as its name
    "ar": Language("Arabic"),
    "bn": Language("Bengali"),
    "ca": Language("Catalan"),
    "cs": Language("Czech"),
    "da": Language("Danish", stop_words=True),
    "de": Language("German", stop_words=True),
    "el": Language("Greek"),
    "en": Language("English", stop_words=True),
    "es": Language("Spanish", stop_words=True),
    "et": Language("Estonian"),
    "eu": Language("Basque"),
    "fa": Language("Persian"),
    "fi": Language("Finnish"),
    "fr": Language("French", stop_words=True),
    "ga": Language("Irish"),
    "he": Language("Hebrew"),
    "hi": Language("Hindi"),
    "hu": Language("Hungarian"),
    "hy": Language("Armenian"),
    "id": Language("Indonesian"),
    "it": Language("Italian", stop_words=True),
    "ja": Language("Japanese", spaced=False),
    "km": Language("Khmer", spaced=False),
    "ko": Language("Korean", stop_words=True),
    "lo": Language("Lao", spaced=False),
    "lt": Language("Lithuanian"),
    "my": Language("Burmese", spaced=False),
    "ne": Language("Nepali"),
    "nl": Language("Dutch", stop_words=True),
    "no": Language("Norwegian", stop_words=True),
    "pl": Language("Polish"),
    "pt": Language("Portuguese", stop_words=True),
    "ro": Language("Romanian"),
    "ru": Language("Russian", stop_words=True),
    "sr": Language("Serbian"),
    "sv": Language("Swedish", stop_words=True),
    "ta": Language("Tamil"),
    "th": Language("Thai", spaced=False),
    "tr": Language("Turkish", stop_words=True),
    "uk": Language("Ukrainian"),
    "ur": Language("Urdu"),
    "vi": Language("Vietnamese"),
    "zh": Language("Chinese", stop_words=True, spaced=False),
}


def language_of(code: str) -> Language:
    """What is known of a language by its ISO 639-1 code."""
    return LANGUAGES.get(code, Language(code))


def identify_language(texts: Sequence[str], among: Sequence[str] = ()) -> str:
    """The language that texts are in, as one: its ISO 639-1 code; empty where there is no letter.

    Args:
        texts: the more, the surer; a few tens of words suffice.
        among: the languages that come into question; all that the model knows where it is empty.

    Raises:
        InputError: the library is not installed.

    Source: Lui and Baldwin, ACL 2012, "langid.py: An Off-the-shelf Language Identification Tool".
    """
    sample = "\n".join(texts[:: max(1, sum(map(len, texts)) // IDENTIFICATION_CHARACTERS)])[:IDENTIFICATION_CHARACTERS]
    if not any(letter.isalpha() for letter in sample):
        return ""
    language, _ = _identifier(tuple(sorted(set(among)))).classify(sample.encode("utf-8", "replace").decode())
    return str(language)


@cache
def _identifier(among: tuple[str, ...]) -> Any:
    """The model, of some languages where it knows any of them."""
    if not among:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            raise InputError("finding out languages needs py3langid; pip install 'zero2ir[languages]'") from None
        return LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier = copy(_identifier(()))
    if known := [code for code in among if code in identifier.labels]:
        identifier.set_languages(known)
    return identifier


def normalise_nfc(text: str) -> str:
    """The text in Unicode's composed form (NFC): an accent is a part of its letter, however it was typed."""
    return unicodedata.normalize("NFC", text)


def tokenize(texts: Sequence[str], language: str = ENGLISH) -> list[list[str]]:
    """Lower-cased words without stop words, stemmed where Snowball knows the language.

    Args:
        texts: n texts.
        language: an ISO 639-1 code.

    Returns:
        n lists.

    Raises:
        InputError: nothing here parts the words of this language.
    """
    import bm25s

    if not texts:
        return []
    known = language_of(language)
    return bm25s.tokenize(
        [normalise_nfc(text) for text in texts] if known.spaced else _segmented(texts, language),
        token_pattern=WORD_PATTERN if known.spaced else SEGMENT_PATTERN,
        stopwords=language if known.stop_words else [],
        stemmer=_stemmer(known.name.lower()),
        return_ids=False,
        show_progress=False,
    )


def _segmented(texts: Sequence[str], language: str) -> list[str]:
    """Spaces between words that are written without."""
    if language != "zh":
        raise InputError(
            f"documents in {language_of(language).name}: nothing here parts the words of this language; use "
            "model=surface, or model=dense with encoder=hub and a multilingual encoder.model"
        )
    try:
        import rjieba
    except ImportError:
        raise InputError("documents in Chinese: parting words needs rjieba; pip install 'zero2ir[languages]'") from None
    return [" ".join(rjieba.cut(normalise_nfc(text).encode("utf-8", "replace").decode())) for text in texts]


@cache
def _stemmer(name: str) -> Any:
    """Snowball's stemmer of a language; None where it has none."""
    import Stemmer

    return Stemmer.Stemmer(name) if name in Stemmer.algorithms() else None
