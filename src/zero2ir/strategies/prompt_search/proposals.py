"""Who proposes candidates, and for what."""

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


@dataclass(frozen=True)
class PartTask:
    """What a prompt is wanted for in a model.

    Attributes:
        part: asks the language model.
        fixed: what it is told as it is.
        examples: what the judgments teach; demonstrations are drawn from them.
        number: how many candidates are wanted, at most.
        seed: of everything that draws.
        queries: the judged queries' ids.
        value: the measure, 0 to 1, of the whole model with another prompt on one of them.
        language_model: open.
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
    """A proposer found nothing, and says why: the search goes on without it, and the record tells."""


class Proposer(ABC):
    """A way to come by candidates, for writing queries and maybe for the parts of a model, too."""

    origin: ClassVar[Origin]

    @abstractmethod
    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        """Candidates, the best first where it knows, none of them twice; maybe fewer than are wanted.

        Raises:
            NothingProposed: there are none.
        """

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        """As ``propose``, for a part of a model.

        Raises:
            NothingProposed: there are none.
        """
        raise NothingProposed(f"{self.origin} proposes prompts for writing queries alone, none for a {task.part.kind}")


def first_distinct(candidates: Sequence[AnyPrompt], number: int) -> list[AnyPrompt]:
    """The first ``number`` that differ in more than their origin."""
    first: dict[str, AnyPrompt] = {}
    for one in candidates:
        first.setdefault(one.digest, one)
    return list(first.values())[:number]


def propose_candidates(
    fixed: AnyPrompt,
    proposers: Sequence[Proposer],
    number: int,
    propose: Callable[[Proposer, int], list[AnyPrompt]],
    usage: Usage,
) -> tuple[list[AnyPrompt], dict[str, str | int]]:
    """The fixed prompt and what is proposed beside it, and a note of what each proposer came up with.

    Args:
        fixed: comes first.
        proposers: the more important ones first.
        number: of candidates, at most.
        propose: has a proposer propose at most so many.
        usage: of the language model, to note what the proposals cost.
    """
    candidates: list[AnyPrompt] = [fixed]
    notes: dict[str, str | int] = {}
    calls = usage.calls
    for proposer in proposers:
        left = number - len(candidates)
        if not left:
            break
        try:
            found: list[AnyPrompt] = propose(proposer, left)
        except NothingProposed as reason:
            notes[proposer.origin] = str(reason)
            continue
        notes[proposer.origin] = len(found)
        candidates = first_distinct(candidates + found, number)
    notes["lm_calls"] = usage.calls - calls
    return candidates, notes
