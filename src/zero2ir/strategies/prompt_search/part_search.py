"""The search for the prompts in a model: how its reranker and its rewriter ask the language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from zero2ir.io.settings import Settings
from zero2ir.models.base import Retriever
from zero2ir.models.prompted import PartPrompt, prompted_parts, with_prompts
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.prompt_search.candidates import PartCandidate
from zero2ir.strategies.prompt_search.halving import CandidateScores, Rung, measured_values, successive_halving
from zero2ir.strategies.prompt_search.part_pool import style_of
from zero2ir.strategies.prompt_search.proposals import PartTask, Proposer, propose_candidates
from zero2ir.strategies.prompt_search.selection import GainPrior, PromptChoice


class PartSettings(Settings):
    """How the prompts in a model are searched for.

    A search asks the candidates of each rung queries that they were not asked yet: with the defaults 6 x 10 + 2 x 10 =
    80 queries, each of which is one call to a rewriter and as many to a reranker as it has candidate documents
    (pointwise) or windows (listwise).

    Attributes:
        candidates: how many take part in each rung, the fixed prompt among them.
        queries: how many each rung asks in all; judged ones first, then synthetic development queries.
    """

    candidates: tuple[Annotated[int, Field(ge=2)], ...] = (6, 2)
    queries: tuple[Annotated[int, Field(ge=2)], ...] = (10, 20)

    @model_validator(mode="after")
    def _halves(self) -> "PartSettings":
        falling = list(self.candidates) == sorted(self.candidates, reverse=True)
        rising = list(self.queries) == sorted(set(self.queries))
        if not (falling and rising and len(self.candidates) == len(self.queries) > 0):
            raise ValueError(
                f"candidates={list(self.candidates)}, queries={list(self.queries)}; "
                "give as many falling numbers of candidates as rising numbers of queries, at least one"
            )
        return self

    @property
    def rungs(self) -> list[Rung]:
        """The steps of the search."""
        return [Rung(queries, number) for queries, number in zip(self.queries, self.candidates, strict=True)]


@dataclass(frozen=True)
class PartSearchResult:
    """What came of the search for the prompt of one part.

    Attributes:
        candidate: the chosen one.
        choice: how sure.
        records: every candidate with its scores, its cost and whether it was chosen; JSON.
        proposals: what each proposer came up with, or why nothing.
    """

    candidate: PartCandidate
    choice: PromptChoice
    records: list[dict[str, Any]]
    proposals: dict[str, str | int]


class PartSearch:
    """Successive halving over the prompts of one part and queries.

    A prompt is worth what the whole model, with its settings as they are, ranks like on judged queries and on synthetic
    development queries. A judged query is never asked with its own judgments as a demonstration: the prompt is then
    shown without them. What was asked on one rung comes from the cache of the LM's answers on the next.

    Args:
        model: indexed.
        name: of the part, among ``prompted_parts(model)``.
        inputs: all that training may see.
        settings: how far.
        prior: what is believed of gains before they are measured.
    """

    def __init__(
        self, model: Retriever, name: str, inputs: TrainingInputs, settings: PartSettings, prior: GainPrior
    ) -> None:
        self.model = model
        self.name = name
        self.inputs = inputs
        self.settings = settings
        self.prior = prior
        rng = np.random.default_rng([inputs.seed, 2])
        ids, accepted = list(inputs.queries), [row for row in inputs.synthetic if not row.rejected]
        self.asked = [ids[place] for place in rng.permutation(len(ids))]
        self.development = [accepted[place] for place in rng.permutation(len(accepted))]

    def search(self, proposers: Sequence[Proposer]) -> PartSearchResult:
        """Has candidates proposed, measures them and chooses one."""
        part, number = prompted_parts(self.model)[self.name], self.settings.candidates[0]
        style = style_of(part.task, part.prompt.instruction)
        fixed = PartCandidate(self.name, style, part.prompt)
        examples = self.inputs.judged_examples(list(self.inputs.queries))

        language_model = self.inputs.corpus.require_language_model()

        def value(prompt: PartPrompt, query_id: str) -> float:
            return float(measured_values(self._asking(prompt), self.inputs, [query_id], [])[0][0])

        def propose(proposer: Proposer, left: int) -> list[PartCandidate]:
            task = PartTask(part, fixed, examples, left, self.inputs.seed, self.asked, value, language_model)
            return proposer.propose_for_part(task)

        usage = language_model.usage
        candidates, proposals = propose_candidates(fixed, proposers, number, propose, usage)
        result = successive_halving(candidates, self.settings.rungs, self.measure, self.prior, usage, self.inputs.seed)
        return PartSearchResult(candidates[result.choice.index], result.choice, result.records, proposals)

    def _asking(self, prompt: PartPrompt) -> Retriever:
        return with_prompts(self.model, {self.name: prompt})

    def measure(self, candidate: PartCandidate, queries: int) -> CandidateScores:
        """Asks a candidate the first queries."""
        asked, written = self.asked[:queries], self.development[: max(0, queries - len(self.asked))]
        values, synthetic = measured_values(self._asking(candidate.prompt), self.inputs, asked, written)
        value_of = dict(zip(asked, values.tolist(), strict=True))
        judged = np.array([value_of.get(query_id, np.nan) for query_id in self.inputs.queries])
        unasked = max(0, self.settings.queries[-1] - len(self.asked)) - len(written)
        return CandidateScores(
            judged, np.append(synthetic, np.full(unasked, np.nan)), {"queries": len(asked) + len(written)}
        )
