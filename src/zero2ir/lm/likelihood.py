"""The log-likelihood of an answer under the language model that wrote it."""

import math
from typing import Any


def log_likelihood(answer: Any) -> float:
    """Returns the mean log-probability of an answer's tokens, rounded to 4 digits; NaN if the LM gave none."""
    tokens = (getattr(answer, "logprobs", None) or {}).get("content") or []
    return round(sum(token["logprob"] for token in tokens) / len(tokens), 4) if tokens else math.nan
