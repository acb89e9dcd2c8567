"""Filters that decide which synthetic queries may be used."""

from collections.abc import Sequence

from zero2ir.collections.judgments import normalised

MOST_WORDS = 40


def rejections(queries: Sequence[str], round_trip_ranks: Sequence[int], known: Sequence[str]) -> list[str]:
    """Why each query is dropped; an empty string where it stays.

    Args:
        queries: the texts.
        round_trip_ranks: the rank at which each finds its own document, 0 where it does not.
        known: queries that must not come again: the judgments' own, which a small LM likes to copy.

    Returns:
        One reason a query: "empty", "too long", "copied from the prompt", "duplicate", "round trip" or "".
    """
    copied = {normalised(query) for query in known}
    seen: set[str] = set()
    reasons = []
    for query, rank in zip(queries, round_trip_ranks, strict=True):
        text = normalised(query)
        reasons.append(_reason(text, rank, copied, seen))
        seen.add(text)
    return reasons


def _reason(text: str, rank: int, copied: set[str], seen: set[str]) -> str:
    if not text:
        return "empty"
    if len(text.split()) > MOST_WORDS:
        return "too long"
    if text in copied:
        return "copied from the prompt"
    if text in seen:
        return "duplicate"
    return "" if rank else "round trip"
