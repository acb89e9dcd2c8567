"""Selective answering: answers, warns or abstains by confidence."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.calibration import risk_coverage

Decision = Literal["answer", "warn", "abstain"]
DEFAULT_RISK_RATIO = 2.0  # default of max_risk / risk


@dataclass(frozen=True)
class Policy:
    """Confidence thresholds for a maximum risk.

    Attributes:
        risk: maximum share of wrong first documents among plain answers.
        max_risk: the same among all answers, including those with a warning.
        answer: minimum confidence of a plain answer; None if no threshold meets ``risk``.
        warn: minimum confidence of an answer with a warning; None if no threshold meets ``max_risk``. Below it, the
            program abstains.
        coverage: share of judged queries with a plain answer.
        queries: number of judged queries the thresholds were chosen on.
    """

    risk: float
    max_risk: float
    answer: float | None
    warn: float | None
    coverage: float
    queries: int

    @classmethod
    def choose(
        cls, confidence: npt.ArrayLike, correct: npt.ArrayLike, risk: float, max_risk: float | None = None
    ) -> Self:
        """Chooses the lowest thresholds that meet the risks on judged queries.

        Args:
            confidence: (n_queries,) predicted probability that each query's first document is relevant.
            correct: (n_queries,) 1 if it is relevant, 0 if not, or the probability that it is.
            risk: maximum risk of plain answers, 0 to 1.
            max_risk: maximum risk of all answers; None for ``DEFAULT_RISK_RATIO`` times ``risk``.

        Raises:
            InputError: there is no query, a risk is not in [0, 1], or ``max_risk`` is less than ``risk``.

        Source: selective classification, Geifman and El-Yaniv 2017, arXiv 1705.08500, without its bound, which no
        threshold can meet on ten queries.
        """
        highest = min(1.0, DEFAULT_RISK_RATIO * risk) if max_risk is None else max_risk
        if not 0 <= risk <= highest <= 1:
            raise InputError(f"risk={risk}, max_risk={max_risk}: give shares with 0 <= risk <= max_risk <= 1")
        coverage, risks = risk_coverage(confidence, correct)
        falling = -np.sort(-np.asarray(confidence, dtype=float))

        def threshold(allowed: float) -> tuple[float | None, float]:
            # Queries of equal confidence share a decision, so only the last of them gives a threshold.
            last = np.append(falling[1:] < falling[:-1], True)
            within = np.flatnonzero((risks <= allowed + 1e-12) & last)
            return (float(falling[within[-1]]), float(coverage[within[-1]])) if len(within) else (None, 0.0)

        answer, covered = threshold(risk)
        warn, _ = threshold(highest)
        return cls(risk, highest, answer, warn, covered, len(falling))

    def decide(self, confidence: float | None) -> Decision:
        """Returns the decision for a confidence; "warn" if it is unknown."""
        if confidence is None:
            return "warn"
        if self.answer is not None and confidence >= self.answer:
            return "answer"
        return "warn" if self.warn is not None and confidence >= self.warn else "abstain"

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return asdict(self)
