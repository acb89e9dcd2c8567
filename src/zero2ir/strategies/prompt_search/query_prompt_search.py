"""The search for a query-writing prompt: its score is what a cheap model is worth that learned from its queries."""

from collections.abc import Sequence
from dataclasses import replace

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


class QueryPromptSearch:
    """Successive halving over prompts and documents.

    On each rung every candidate that is left writes queries for the same documents, a cheap model learns from those
    that the filters accept, and it is measured on the judged queries that the candidate was not shown, and on a
    development set: the fixed prompt's accepted queries for documents of no rung. The better candidates go on with more
    documents; what they wrote before comes from the cache of the LM's answers. The fixed prompt is never dropped.

    The development set is written by the fixed prompt, which favours candidates that write like it.

    Args:
        inner: the cheap model, indexed; it learns in seconds.
        inputs: all that training may see; their synthetic queries are the fixed prompt's.
        writer: writes with any candidate.
        documents: those that get queries, in the order in which they were drawn.
        rungs: at least one, with rising numbers of documents and falling numbers of candidates.
        prior: what is believed of gains before they are measured.

    Source: the objective is that of PATH, Xian et al. 2024, arXiv 2406.11706, section 3.
    """

    def __init__(
        self,
        inner: Retriever,
        inputs: TrainingInputs,
        writer: SyntheticWriter,
        documents: Sequence[Document],
        rungs: Sequence[Rung],
        prior: GainPrior,
    ) -> None:
        self.inner = inner
        self.inputs = inputs
        self.writer = writer
        self.documents = documents
        self.rungs = rungs
        self.prior = prior
        written_for = {document.doc_id for document in documents[: rungs[-1].size]}
        self.development = [row for row in inputs.synthetic if not row.rejected and row.doc_id not in written_for]

    def search(self, candidates: Sequence[PromptCandidate]) -> HalvingResult:
        """Measures the candidates, the fixed prompt first, and chooses one."""
        usage = self.writer.language_model.usage
        return successive_halving(candidates, self.rungs, self.measure, self.prior, usage, self.inputs.seed)

    def measure(self, candidate: PromptCandidate, documents: int) -> CandidateScores:
        """Writes with a candidate for the first documents, learns from it, and measures what was learned."""
        rows = self.write(candidate, documents)
        examples = replace(self.inputs, synthetic=rows).synthetic_examples()
        learned = learn(self.inner, examples, self.inputs.seed) if examples else None
        judged, synthetic = measured_values(
            learned or self.inner, self.inputs, list(self.inputs.queries), self.development
        )
        shown = [query_id in candidate.shown for query_id in self.inputs.queries]
        figures = {
            "documents": documents,
            "written": len(rows),
            "accepted": sum(not row.rejected for row in rows),
        }
        return CandidateScores(np.where(shown, np.nan, judged), synthetic, figures)

    def write(self, candidate: PromptCandidate, documents: int) -> list[SyntheticQuery]:
        """A candidate's queries for the first documents."""
        settings = candidate.settings(self.writer.settings)
        return self.writer.write(self.documents[:documents], {candidate.style: candidate.prompt}, settings)
