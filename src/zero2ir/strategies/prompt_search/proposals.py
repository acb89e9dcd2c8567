"""Proposers of candidate prompts, and their tasks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from zero2ir.encoders.examples import Example
from zero2ir.lm.usage import Usage
from zero2ir.models.prompted import PartPrompt, Prompted
from zero2ir.strategies.prompt_search.candidates import Demonstration, Origin, PartCandidate, PromptCandidate
from zero2ir.synthetic.queries import SyntheticWriter

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel


@dataclass(frozen=True)
class WritingTask:
    """The search for a query-writing prompt.

    Attributes:
        writer: has documents, judgments, language model and settings.
        fixed: the prompt of the settings.
        pairs: the judged queries as demonstrations, cut like those of the fixed prompt.
        number: maximum number of candidates.
    """

    writer: SyntheticWriter
    fixed: PromptCandidate
    pairs: Sequence[Demonstration]
    number: int
    seed: int


@dataclass(frozen=True)
class PartTask:
    """The search for a prompt of a model's part.

    Attributes:
        part: uses the language model.
        fixed: its current prompt.
        examples: of the judgments, for demonstrations.
        number: maximum number of candidates.
        queries: the judged queries' ids.
        value: measures the whole model, 0 to 1, with another prompt on one of the queries.
    """

    part: Prompted
    fixed: PartCandidate
    examples: Sequence[Example]
    number: int
    seed: int
    queries: Sequence[str]
    value: Callable[[PartPrompt, str], float]
    language_model: "LanguageModel"


AnyPrompt = TypeVar("AnyPrompt", PromptCandidate, PartCandidate)


class NothingProposed(Exception):
    """Why a proposer has no candidates; the search continues without it and reports the reason."""


class Proposer(ABC):
    """Proposes prompts for writing queries, and optionally for the parts of a model."""

    origin: ClassVar[Origin]

    @abstractmethod
    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        """Returns distinct candidates, at most ``task.number``, the best first if known.

        Raises:
            NothingProposed: there are none.
        """

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        """Returns candidates for a part of a model.

        Raises:
            NothingProposed: there are none.
        """
        raise NothingProposed(f"{self.origin} proposes prompts for writing queries only, not for a {task.part.kind}")


def first_distinct(candidates: Sequence[AnyPrompt], number: int) -> list[AnyPrompt]:
    """Returns the first ``number`` candidates with distinct prompts."""
    first: dict[str, AnyPrompt] = {}
    for one in candidates:
        first.setdefault(one.digest, one)
    return list(first.values())[:number]


def without_fixed(fixed: AnyPrompt, candidates: Sequence[AnyPrompt], number: int) -> list[AnyPrompt]:
    """Returns the first ``number`` candidates with distinct prompts other than the fixed one."""
    return [one for one in first_distinct(candidates, number + 1) if one.digest != fixed.digest][:number]


def propose_candidates(
    fixed: AnyPrompt,
    proposers: Sequence[Proposer],
    number: int,
    propose: Callable[[Proposer, int], list[AnyPrompt]],
    usage: Usage,
) -> tuple[list[AnyPrompt], dict[str, str | int]]:
    """Returns the fixed prompt and the proposed candidates, and each proposer's number of candidates or reason.

    Args:
        fixed: the first candidate.
        proposers: by priority.
        number: maximum number of candidates.
        propose: calls a proposer for at most so many candidates.
        usage: of the language model, for the cost of the proposals.
    """
    candidates: list[AnyPrompt] = [fixed]
    notes: dict[str, str | int] = {}
    calls = usage.calls
    for proposer in proposers:
        if not (left := number - len(candidates)):
            break
        try:
            proposed: list[AnyPrompt] = propose(proposer, left)
        except NothingProposed as reason:
            notes[proposer.origin] = str(reason)
            continue
        notes[proposer.origin] = len(proposed)
        candidates = first_distinct(candidates + proposed, number)
    notes["lm_calls"] = usage.calls - calls
    return candidates, notes
