"""What is done with an answer, by how sure the program is of it: given, given with a warning, or kept back."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.calibration import risk_coverage

Decision = Literal["answer", "warn", "abstain"]
DEFAULT_RISK_RATIO = (
    2.0  # of the stated risk, that all answers with and without a warning may have where nothing else is stated
)


@dataclass(frozen=True)
class Policy:
    """Thresholds of the confidence; ``choose`` finds them for a stated risk.

    Attributes:
        risk: the stated one: the share of wrong first documents among the plain answers.
        max_risk: the same among all answers, those with a warning among them.
        answer: the least confidence of a plain answer; None where no answer is sure enough for the stated risk.
        warn: the least confidence of an answer with a warning; None where there is none. Below, nothing is answered.
        coverage: the share of the judged queries that got a plain answer.
        queries: how many judged queries the thresholds were chosen on: a few tell little.
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
        """The lowest thresholds at which the risk on judged queries is still the stated one.

        Args:
            confidence: (n_queries,) stated probability that each query's first document is relevant.
            correct: (n_queries,) 1 where it is and 0 where it is not, or how likely it is.
            risk: of plain answers, 0 to 1.
            max_risk: of all answers; ``DEFAULT_RISK_RATIO`` times ``risk`` where None.

        Raises:
            InputError: there is no query, a risk is no share, or ``max_risk`` is less than ``risk``.

        Source: selective classification, Geifman and El-Yaniv 2017, arXiv 1705.08500, without its bound, which no
        threshold meets on ten queries.
        """
        highest = min(1.0, DEFAULT_RISK_RATIO * risk) if max_risk is None else max_risk
        if not 0 <= risk <= highest <= 1:
            raise InputError(f"risk={risk}, max_risk={max_risk}: give shares of 0 to 1, max_risk the larger one")
        coverage, risks = risk_coverage(confidence, correct)
        falling = -np.sort(-np.asarray(confidence, dtype=float))

        def threshold(allowed: float) -> tuple[float | None, float]:
            # Equal confidences are answered together or not at all: only their last place is a threshold.
            last = np.append(falling[1:] < falling[:-1], True)
            within = np.flatnonzero((risks <= allowed + 1e-12) & last)
            return (float(falling[within[-1]]), float(coverage[within[-1]])) if len(within) else (None, 0.0)

        answer, covered = threshold(risk)
        warn, _ = threshold(highest)
        return cls(risk, highest, answer, warn, covered, len(falling))

    def decide(self, confidence: float | None) -> Decision:
        """What is done with an answer of this confidence; there is a warning where nobody knows it."""
        if confidence is None:
            return "warn"
        if self.answer is not None and confidence >= self.answer:
            return "answer"
        return "warn" if self.warn is not None and confidence >= self.warn else "abstain"

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)
