"""How likely a language model finds what it wrote."""

import math
from typing import Any


def log_likelihood(answer: Any) -> float:
    """The mean log-probability of an answer's tokens, rounded to 4 digits; NaN where the LM did not tell."""
    tokens = (getattr(answer, "logprobs", None) or {}).get("content") or []
    return round(sum(token["logprob"] for token in tokens) / len(tokens), 4) if tokens else math.nan
