"""Languages: their properties, and the identification of a collection's language."""

import re
import unicodedata
from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any, NamedTuple

from zero2ir.errors import InputError

ENGLISH = "en"
AUTO_LANGUAGE = "auto"  # instead of a code: identified from the documents
IDENTIFICATION_CHARACTERS = 20_000  # length of the sample that identifies a collection's language
EVIDENCE_PER_CHARACTER = 0.4  # log-likelihood ratio to the usual language; two sentences of another have 0.6 or more
SUFFICIENT_EVIDENCE = 200.0  # log-likelihood ratio that suffices for any length
# Labels of the identifier for varieties of a written language, and for texts that are none.
VARIETIES = {"arz": "ar", "ary": "ar", "wuu": "zh", "yue": "zh", "nn": "no", "hbo": "he", "grc": "el", "ext": "es"} | {
    "pcm": "en",
    "zxx": "en",
}


ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw
ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""


class Language(NamedTuple):
    """Properties of a language.

    Attributes:
        name: in English; in lower case it is also the name of Snowball's stemmer, if there is one.
        stop_words: whether bm25s has a stop-word list.
        spaced: whether spaces separate the words; if not, their characters are matched.
    """

    name: str
    stop_words: bool = False
    spaced: bool = True


LANGUAGES = {  # by ISO 639-1; default for others: words between spaces, no stemmer, no stop words, the code as name
    "ar": Language("Arabic"),
    "az": Language("Azerbaijani"),
    "bg": Language("Bulgarian"),
    "bn": Language("Bengali"),
    "ca": Language("Catalan"),
    "cs": Language("Czech"),
    "da": Language("Danish", stop_words=True),
    "de": Language("German", stop_words=True),
    "el": Language("Greek"),
    "en": Language("English", stop_words=True),
    "eo": Language("Esperanto"),
    "es": Language("Spanish", stop_words=True),
    "et": Language("Estonian"),
    "eu": Language("Basque"),
    "fa": Language("Persian"),
    "fi": Language("Finnish"),
    "fr": Language("French", stop_words=True),
    "ga": Language("Irish"),
    "he": Language("Hebrew"),
    "hi": Language("Hindi"),
    "hr": Language("Croatian"),
    "hu": Language("Hungarian"),
    "hy": Language("Armenian"),
    "id": Language("Indonesian"),
    "it": Language("Italian", stop_words=True),
    "ja": Language("Japanese", spaced=False),
    "km": Language("Khmer", spaced=False),
    "ko": Language("Korean", stop_words=True, spaced=False),  # particles follow their word without a space
    "lo": Language("Lao", spaced=False),
    "lt": Language("Lithuanian"),
    "lv": Language("Latvian"),
    "mr": Language("Marathi"),
    "my": Language("Burmese", spaced=False),
    "ne": Language("Nepali"),
    "nl": Language("Dutch", stop_words=True),
    "no": Language("Norwegian", stop_words=True),
    "pl": Language("Polish"),
    "pt": Language("Portuguese", stop_words=True),
    "ro": Language("Romanian"),
    "ru": Language("Russian", stop_words=True),
    "sk": Language("Slovak"),
    "sl": Language("Slovenian"),
    "sr": Language("Serbian"),
    "sv": Language("Swedish", stop_words=True),
    "ta": Language("Tamil"),
    "te": Language("Telugu"),
    "th": Language("Thai", spaced=False),
    "tr": Language("Turkish", stop_words=True),
    "uk": Language("Ukrainian"),
    "ur": Language("Urdu"),
    "vi": Language("Vietnamese"),
    "yi": Language("Yiddish"),
    "zh": Language("Chinese", stop_words=True, spaced=False),
}


def language_of(code: str) -> Language:
    """Returns the properties of a language by its ISO 639-1 code."""
    return LANGUAGES.get(code, Language(code))


def checked_code(code: str) -> str:
    """Returns an ISO 639 code or "auto"; raises ``InputError`` for other texts."""
    if code == AUTO_LANGUAGE or code in ISO_639_1.split() or re.fullmatch("[a-z]{3}", code):
        return code
    named = [one for one, known in LANGUAGES.items() if known.name.casefold() == code.casefold()]
    hint = named[0] if named else "a code of ISO 639-1 such as de"
    raise InputError(f"{code!r} is no code of a language; use {hint}, or auto")


def identify_language(texts: Sequence[str], among: Sequence[str] = ()) -> str:
    """Returns the ISO 639-1 code of the language of the texts taken together; "" if they contain no letter.

    Args:
        texts: more text gives a more reliable answer; a few tens of words suffice.
        among: the possible languages; empty for all that the model knows.

    Source: Lui and Baldwin, ACL 2012, "langid.py: An Off-the-shelf Language Identification Tool".
    """
    sample = _sample(texts)
    return str(_identifier(tuple(sorted(set(among)))).classify(sample)[0]) if sample else ""


def likely_language(texts: Sequence[str], usual: str = ENGLISH) -> str:
    """Returns the language of the texts by its ISO 639-1 code; ``usual`` unless there is strong evidence for another.

    So lists of names and numbers, code, and a few words are in the usual language.
    """
    sample = _sample(texts)
    if not sample:
        return usual
    ranked = _identifier(()).rank(sample)
    scores = dict(ranked)
    best, score = ranked[0]
    evidence = score - scores.get(usual, scores[ENGLISH])
    if evidence < min(EVIDENCE_PER_CHARACTER * len(sample), SUFFICIENT_EVIDENCE):
        return usual
    return VARIETIES.get(best, best)


def _sample(texts: Sequence[str]) -> str:
    """Returns a sample of the texts, without lone surrogates; "" if it contains no letter."""
    step = max(1, sum(map(len, texts)) // IDENTIFICATION_CHARACTERS)
    sample = "\n".join(texts[::step])[:IDENTIFICATION_CHARACTERS]
    return sample.encode("utf-8", "replace").decode() if any(map(str.isalpha, sample)) else ""


@cache
def _identifier(among: tuple[str, ...]) -> Any:
    """Returns the model, restricted to the languages in ``among`` that it knows; unrestricted if it knows none."""
    if not among:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier = copy(_identifier(()))
    if known := [code for code in among if code in identifier.labels]:
        identifier.set_languages(known)
    return identifier


def normalise_nfc(text: str) -> str:
    """Returns the text in Unicode's composed form (NFC), in which letter and accent are one character."""
    return unicodedata.normalize("NFC", text)
