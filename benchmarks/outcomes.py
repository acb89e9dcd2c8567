"""What a trial of a promise gave, as ``benchmarks/promises.py`` records it."""

from zero2ir.io.settings import NonNegativeInt, Settings


class Outcome(Settings):
    """The trials of one promise.

    Attributes:
        promise: what users may rely on, in one sentence.
        trial: how it was tried, in one sentence.
        tried: how often.
        kept: how often the promise held.
        notes: figures and findings of the trials.
    """

    promise: str
    trial: str
    tried: NonNegativeInt
    kept: NonNegativeInt
    notes: str = ""

    def line(self) -> str:
        """For the terminal."""
        return f"{self.kept} of {self.tried}  {self.promise}" + (f"  ({self.notes})" if self.notes else "")
