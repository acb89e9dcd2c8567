"""Selective answering: answers, warns or abstains by confidence."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from zero2ir.errors import InputError

Decision = Literal["answer", "warn", "abstain"]
DEFAULT_RISK_RATIO = 2.0  # default of max_risk / risk
CAUTION = 1.2816  # standard deviations of the level below which it lies in a tenth of the cases


@dataclass(frozen=True)
class Policy:
    """Answers as long as the risk is small enough, even if the level of the confidence is lower than expected.

    The risk of an answer is the probability that its first document is wrong. Judged queries leave the level open, so
    the upper end of the risk counts, which it exceeds in a tenth of the cases. If every answer keeps it, so do all
    together.

    Attributes:
        risk: maximum risk of a plain answer.
        max_risk: the same of an answer with a warning. Above it, the program abstains.
    """

    risk: float
    max_risk: float

    @classmethod
    def of(cls, risk: float, max_risk: float | None = None) -> Self:
        """Returns the policy; ``max_risk`` None is ``DEFAULT_RISK_RATIO`` times ``risk``.

        Raises:
            InputError: a risk is not in [0, 1], or ``max_risk`` is less than ``risk``.
        """
        highest = min(1.0, DEFAULT_RISK_RATIO * risk) if max_risk is None else max_risk
        if not 0 <= risk <= highest <= 1:
            raise InputError(f"risk={risk}, max_risk={max_risk}: give shares with 0 <= risk <= max_risk <= 1")
        return cls(risk, highest)

    def decide(self, lowest: float | None) -> Decision:
        """Returns the decision for a confidence at the lower end; "warn" if it is unknown."""
        if lowest is None:
            return "warn"
        if 1 - lowest <= self.risk:
            return "answer"
        return "warn" if 1 - lowest <= self.max_risk else "abstain"

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return asdict(self)
