"""The search for the prompts of a model's parts, such as its reranker and rewriter."""

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
    """Settings of the search for the prompts of a model's parts.

    Each rung adds new queries: the defaults take 6 x 10 + 2 x 10 = 80 queries. A query is one LM call for a rewriter,
    and one per candidate document (pointwise) or window (listwise) for a reranker.

    Attributes:
        candidates: number of candidates per rung, with the fixed prompt.
        queries: total number of queries per rung; judged ones first, then synthetic development queries.
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
        """The rungs of the search."""
        return [Rung(queries, number) for queries, number in zip(self.queries, self.candidates, strict=True)]


@dataclass(frozen=True)
class PartSearchResult:
    """The result of the search for the prompt of one part.

    Attributes:
        records: every candidate with its scores, its cost and whether it was chosen; JSON.
        proposals: the number of each proposer's candidates, or why there are none.
    """

    candidate: PartCandidate
    choice: PromptChoice
    records: list[dict[str, Any]]
    proposals: dict[str, str | int]


@dataclass
class PartSearch:
    """Successive halving over the prompts of one part, with queries as the budget.

    A prompt's score is the measure of the whole model on judged queries and on synthetic development queries. A judged
    query's own demonstration is left out of its prompt. The LM's cache answers repeated queries on later rungs.

    Attributes:
        model: indexed.
        name: of the part, among ``prompted_parts(model)``.
        prior: of the gains.
    """

    model: Retriever
    name: str
    inputs: TrainingInputs
    settings: PartSettings
    prior: GainPrior

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.inputs.seed, 2])
        ids, accepted = self.inputs.measured_queries, [row for row in self.inputs.synthetic if not row.rejected]
        self.asked = [ids[place] for place in rng.permutation(len(ids))]
        self.development = [accepted[place] for place in rng.permutation(len(accepted))]

    def search(self, proposers: Sequence[Proposer]) -> PartSearchResult:
        """Collects proposals, measures the candidates and chooses one."""
        part, number = prompted_parts(self.model)[self.name], self.settings.candidates[0]
        style = style_of(part.task, part.prompt.instruction)
        fixed = PartCandidate(self.name, style, part.prompt)
        examples = self.inputs.judged_examples(list(self.inputs.queries))
        language_model = self.inputs.corpus.require_language_model()

        def value(prompt: PartPrompt, query_id: str) -> float:
            changed = with_prompts(self.model, {self.name: prompt})
            return float(measured_values(changed, self.inputs, [query_id], [])[0][0])

        def propose(proposer: Proposer, left: int) -> list[PartCandidate]:
            task = PartTask(part, fixed, examples, left, self.inputs.seed, self.asked, value, language_model)
            return proposer.propose_for_part(task)

        usage = language_model.usage
        candidates, proposals = propose_candidates(fixed, proposers, number, propose, usage)
        result = successive_halving(candidates, self.settings.rungs, self.measure, self.prior, usage, self.inputs.seed)
        return PartSearchResult(candidates[result.choice.index], result.choice, result.records, proposals)

    def measure(self, candidate: PartCandidate, queries: int) -> CandidateScores:
        """Measures a candidate on the first queries."""
        asked, written = self.asked[:queries], self.development[: max(0, queries - len(self.asked))]
        changed = with_prompts(self.model, {self.name: candidate.prompt})
        values, synthetic = measured_values(changed, self.inputs, asked, written)
        value_of = dict(zip(asked, values.tolist(), strict=True))
        judged = np.array([value_of.get(query_id, np.nan) for query_id in self.inputs.measured_queries])
        unasked = max(0, self.settings.queries[-1] - len(self.asked)) - len(written)
        figures = {"queries": len(asked) + len(written)}
        return CandidateScores(judged, np.append(synthetic, np.full(unasked, np.nan)), figures)
