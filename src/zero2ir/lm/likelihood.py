"""The log-likelihood of an answer under the language model that wrote it."""

import math
from typing import Any


def log_probability(token: Any) -> float:
    """Returns the log-probability of a token; 0 for a positive one, which an endpoint states by mistake; NaN stays."""
    return min(token["logprob"], 0.0)


def log_likelihood(answer: Any) -> float:
    """Returns the mean log-probability of an answer's tokens, rounded to 4 digits; NaN if the LM gave none."""
    tokens = (getattr(answer, "logprobs", None) or {}).get("content") or []
    return round(sum(map(log_probability, tokens)) / len(tokens), 4) if tokens else math.nan
