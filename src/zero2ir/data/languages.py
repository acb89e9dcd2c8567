"""Identifies the language of texts and tokenizes them."""

import unicodedata
from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any, NamedTuple

from zero2ir.errors import InputError

ENGLISH = "en"
AUTO_LANGUAGE = "auto"  # instead of a code: identified from the documents
WORD_PATTERN = r"(?u)\b\w\w+\b"  # two characters or more
SEGMENT_PATTERN = r"(?u)\b\w+\b"  # for segmented texts, whose words may have one character
IDENTIFICATION_CHARACTERS = 20_000  # length of the sample that identifies a collection's language


class Language(NamedTuple):
    """Properties of a language.

    Attributes:
        name: in English; in lower case it is also the name of Snowball's stemmer, if there is one.
        stop_words: whether bm25s has a stop-word list.
        spaced: whether spaces separate the words.
    """

    name: str
    stop_words: bool = False
    spaced: bool = True


LANGUAGES = {  # by ISO 639-1; default for others: words between spaces, no stemmer, no stop words, the code as name
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
    """Returns the properties of a language by its ISO 639-1 code."""
    return LANGUAGES.get(code, Language(code))


def identify_language(texts: Sequence[str], among: Sequence[str] = ()) -> str:
    """Returns the ISO 639-1 code of the language of the texts taken together; "" if they contain no letter.

    Args:
        texts: more text gives a more reliable answer; a few tens of words suffice.
        among: the possible languages; empty for all that the model knows.

    Raises:
        InputError: py3langid is not installed.

    Source: Lui and Baldwin, ACL 2012, "langid.py: An Off-the-shelf Language Identification Tool".
    """
    sample = "\n".join(texts[:: max(1, sum(map(len, texts)) // IDENTIFICATION_CHARACTERS)])[:IDENTIFICATION_CHARACTERS]
    if not any(letter.isalpha() for letter in sample):
        return ""
    language, _ = _identifier(tuple(sorted(set(among)))).classify(sample.encode("utf-8", "replace").decode())
    return str(language)


@cache
def _identifier(among: tuple[str, ...]) -> Any:
    """Returns the model, restricted to the languages in ``among`` that it knows; unrestricted if it knows none."""
    if not among:
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            raise InputError("language identification needs py3langid: pip install 'zero2ir[languages]'") from None
        return LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier = copy(_identifier(()))
    if known := [code for code in among if code in identifier.labels]:
        identifier.set_languages(known)
    return identifier


def normalise_nfc(text: str) -> str:
    """Returns the text in Unicode's composed form (NFC), in which letter and accent are one character."""
    return unicodedata.normalize("NFC", text)


def tokenize(texts: Sequence[str], language: str = ENGLISH) -> list[list[str]]:
    """Splits texts into lower-cased words without stop words, stemmed if Snowball supports the language.

    Args:
        texts: n texts.
        language: an ISO 639-1 code.

    Returns:
        n lists of words.

    Raises:
        InputError: there is no word segmentation for this language.
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
    """Returns the texts with spaces between the words."""
    if language != "zh":
        raise InputError(
            f"documents in {language_of(language).name}: zero2ir cannot segment words of this language; use "
            "model=surface, or model=dense with encoder=hub and a multilingual encoder.model"
        )
    try:
        import rjieba
    except ImportError:
        hint = "documents in Chinese: word segmentation needs rjieba: pip install 'zero2ir[languages]'"
        raise InputError(hint) from None
    return [" ".join(rjieba.cut(normalise_nfc(text).encode("utf-8", "replace").decode())) for text in texts]


@cache
def _stemmer(name: str) -> Any:
    """Returns Snowball's stemmer of a language; None if there is none."""
    import Stemmer

    return Stemmer.Stemmer(name) if name in Stemmer.algorithms() else None
