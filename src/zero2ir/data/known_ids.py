"""Says what is wrong with an id that a judgment names and the collection lacks."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import cached_property
from urllib.parse import unquote

_EXTENSION = re.compile(  # and the decimals of a table: "995.0"
    r"(?<=.)\.(0|txt|text|md|rst|html?|xml|json|pdf|docx?|odt|rtf|tex|csv|tsv)$", re.IGNORECASE
)
_FORMS = {
    "percent-encoding": unquote,
    "Unicode form (NFC or NFD)": lambda text: unicodedata.normalize("NFKC", text),
    "letter case": str.casefold,
    "white space": lambda text: "".join(text.split()),
    "file extension": lambda text: _EXTENSION.sub("", text),
    "leading zeros": lambda text: re.sub(r"(?<!\d)0+(?=\d)", "", text),
}


class KnownIds:
    """The ids of a collection's documents or queries.

    Args:
        kind: "document" or "query".
        ids: the ids.
        empty: ids that were given, but left out because they have no text.
    """

    def __init__(self, kind: str, ids: Collection[str], empty: Collection[str] = ()) -> None:
        self.kind, self.ids, self.empty = kind, ids, empty

    @cached_property
    def _similar(self) -> Mapping[str, list[str]]:
        similar: defaultdict[str, list[str]] = defaultdict(list)
        for known in self.ids:
            similar[_plain(known)].append(known)
        return similar

    def why_unknown(self, doc_or_query_id: str) -> str:
        """Says that no document (or query) has the id; names the one that has it in another spelling, if any."""
        if doc_or_query_id in self.empty:
            return f"the {self.kind} {doc_or_query_id!r} is empty"
        near = [(_differences(doc_or_query_id, one), one) for one in self._similar.get(_plain(doc_or_query_id), ())]
        hint = ""
        if near:
            forms, closest = min(near, key=lambda pair: len(pair[0]))
            hint = f" (the {self.kind} {closest!r} differs only in {' and '.join(forms) or 'spelling'})"
        return f"no {self.kind} has the id {doc_or_query_id!r}{hint}"


def _plain(text: str, kept: str = "") -> str:
    """Returns the text in one spelling; ``kept`` is the form that stays as it is."""
    for name, simplify in _FORMS.items():
        text = text if name == kept else simplify(text)
    return text


def _differences(text: str, other: str) -> list[str]:
    return [form for form in _FORMS if _plain(text, form) != _plain(other, form)]
