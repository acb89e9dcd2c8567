"""The table of supported languages."""

from zero2ir.data.languages import LANGUAGES
from zero2ir.data.words import CHINESE, UNINFLECTED, has_stemmer


def languages_markdown() -> str:
    """One row per language: its code, how its words are found, and whether it has stems and stop words."""
    rows = ["| language | code | words | stems | stop words |", "|---|---|---|---|---|"]
    for code, known in sorted(LANGUAGES.items(), key=lambda item: item[1].name):
        words = "between spaces" if known.spaced else "characters, or rjieba" if code == CHINESE else "characters"
        needless = not known.spaced or code in UNINFLECTED
        stems = "not needed" if needless else "Snowball" if has_stemmer(code) else "no"
        rows.append(f"| {known.name} | `{code}` | {words} | {stems} | {'yes' if known.stop_words else 'no'} |")
    return "\n".join(rows)
