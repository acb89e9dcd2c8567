"""Who proposes candidates for the query-writing prompt, and for what."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from zero2ir.prompts.candidates import Demonstration, Origin, PromptCandidate
from zero2ir.synthetic.queries import SyntheticWriter


@dataclass(frozen=True)
class WritingTask:
    """What a prompt is wanted for.

    Attributes:
        writer: who writes with it: documents, judgments, language model, settings.
        fixed: the prompt that the settings stand for.
        pairs: the judged queries as demonstrations, cut like those of the fixed prompt.
        number: how many candidates are wanted, at most.
        seed: of everything that draws.
    """

    writer: SyntheticWriter
    fixed: PromptCandidate
    pairs: Sequence[Demonstration]
    number: int
    seed: int


class NothingProposed(Exception):
    """A proposer found nothing, and says why: the search goes on without it, and the record tells."""


class Proposer(ABC):
    """A way to come by candidates."""

    origin: ClassVar[Origin]

    @abstractmethod
    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        """Candidates, the best first where it knows, none of them twice; maybe fewer than are wanted.

        Raises:
            NothingProposed: there are none.
        """


def distinct(candidates: Sequence[PromptCandidate], number: int) -> list[PromptCandidate]:
    """The first ``number`` that differ in more than their origin."""
    first: dict[str, PromptCandidate] = {}
    for one in candidates:
        first.setdefault(one.digest, one)
    return list(first.values())[:number]
