"""The search for a query-writing prompt, scored by a cheap model that is trained on its queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zero2ir.data.records import Document
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import learn
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.prompt_search.candidates import PromptCandidate
from zero2ir.strategies.prompt_search.halving import (
    CandidateScores,
    HalvingResult,
    Rung,
    measured_values,
    successive_halving,
)
from zero2ir.strategies.prompt_search.selection import GainPrior
from zero2ir.synthetic.queries import SyntheticWriter
from zero2ir.synthetic.records import SyntheticQuery


@dataclass
class QueryPromptSearch:
    """Successive halving over prompts, with documents as the budget.

    On each rung every remaining candidate writes queries for the same documents, and a cheap model learns from the
    accepted ones. It is measured on the judged queries that are not in the candidate's prompt, and on a development
    set: the fixed prompt's accepted queries for documents of no rung, which favours candidates that write like it. The
    better candidates continue with more documents; the LM's cache answers repeated calls. The fixed prompt stays.

    Attributes:
        inner: the cheap model, indexed; it learns in seconds.
        inputs: of the training; the synthetic queries are the fixed prompt's.
        writer: writes queries by a candidate's prompt.
        documents: to write queries for, in random order.
        rungs: at least one, with rising numbers of documents and falling numbers of candidates.
        prior: of the gains.

    Source: the objective is that of PATH, Xian et al. 2024, arXiv 2406.11706, section 3.
    """

    inner: Retriever
    inputs: TrainingInputs
    writer: SyntheticWriter
    documents: Sequence[Document]
    rungs: Sequence[Rung]
    prior: GainPrior

    @cached_property
    def development(self) -> list[SyntheticQuery]:
        """The fixed prompt's accepted queries for documents of no rung."""
        written_for = {document.doc_id for document in self.documents[: self.rungs[-1].size]}
        return [row for row in self.inputs.synthetic if not row.rejected and row.doc_id not in written_for]

    def search(self, candidates: Sequence[PromptCandidate]) -> HalvingResult:
        """Measures the candidates, the fixed prompt first, and chooses one."""
        usage = self.writer.language_model.usage
        return successive_halving(candidates, self.rungs, self.measure, self.prior, usage, self.inputs.seed)

    def measure(self, candidate: PromptCandidate, documents: int) -> CandidateScores:
        """Writes a candidate's queries for the first documents, trains the cheap model on them, and measures it."""
        rows = self.write(candidate, documents)
        examples = replace(self.inputs, synthetic=rows).synthetic_examples()
        learned = learn(self.inner, examples, self.inputs.seed) if examples else None
        query_ids = self.inputs.measured_queries
        judged, synthetic = measured_values(learned or self.inner, self.inputs, query_ids, self.development)
        shown = [query_id in candidate.shown for query_id in query_ids]
        figures = {"documents": documents, "written": len(rows), "accepted": sum(not row.rejected for row in rows)}
        return CandidateScores(np.where(shown, np.nan, judged), synthetic, figures)

    def write(self, candidate: PromptCandidate, documents: int) -> list[SyntheticQuery]:
        settings = candidate.settings(self.writer.settings)
        return self.writer.write(self.documents[:documents], {candidate.style: candidate.prompt}, settings)
