"""The search for a query-writing prompt: its score is what a cheap model is worth that learned from its queries."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from zero2ir.collections import Document, Judgment
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.models import Retriever
from zero2ir.progress import progress
from zero2ir.prompts.candidates import PromptCandidate
from zero2ir.prompts.selection import Evidence, PromptChoice, Trust, choose_prompt, gains, survivors
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.selection import judged_values
from zero2ir.synthetic.queries import SyntheticWriter
from zero2ir.synthetic.records import SyntheticQuery

LEVEL = 0.95  # of the intervals
RESAMPLES = 2000


class Rung(NamedTuple):
    """A step of the search.

    Attributes:
        documents: that every candidate writes queries for, the first of those that are to be written for.
        candidates: that take part, the fixed prompt among them.
    """

    documents: int
    candidates: int


class Measured(NamedTuple):
    """What a candidate is worth on one rung.

    Attributes:
        rows: its queries, the rejected ones, too.
        judged: (n_queries,) the measure on the judged queries, NaN on those that it was shown.
        synthetic: (n_development,) the measure on the synthetic development queries.
        calls: requests that the LM answered for it on this rung.
        seconds: that writing, learning and measuring took.
    """

    rows: list[SyntheticQuery]
    judged: np.ndarray
    synthetic: np.ndarray
    calls: int
    seconds: float


@dataclass(frozen=True)
class SearchResult:
    """What came of the search.

    Attributes:
        candidate: the chosen one.
        choice: how sure.
        records: every candidate with its scores, its cost and whether it was chosen; JSON.
    """

    candidate: PromptCandidate
    choice: PromptChoice
    records: list[dict[str, Any]]


class PathSearch:
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
        trust: what is believed of gains before they are measured.

    Source: the objective is that of PATH, Xian et al. 2024, arXiv 2406.11706, section 3; successive halving: Jamieson
    and Talwalkar 2016, arXiv 1502.07943.
    """

    def __init__(
        self,
        inner: Retriever,
        inputs: TrainingInputs,
        writer: SyntheticWriter,
        documents: Sequence[Document],
        rungs: Sequence[Rung],
        trust: Trust,
    ) -> None:
        self.inner = inner
        self.inputs = inputs
        self.writer = writer
        self.documents = documents
        self.rungs = rungs
        self.trust = trust
        written_for = {document.doc_id for document in documents[: rungs[-1].documents]}
        self.development = [row for row in inputs.synthetic if not row.rejected and row.doc_id not in written_for]

    def search(self, candidates: Sequence[PromptCandidate]) -> SearchResult:
        """Measures the candidates, the fixed prompt first, and chooses one."""
        complexity = [one.complexity for one in candidates]
        alive = np.arange(len(candidates))
        reached: dict[int, tuple[int, list[Measured]]] = {}
        evidence: list[Evidence] = []
        for number, rung in enumerate(self.rungs):
            if evidence:
                alive = survivors(evidence[-1], self.trust, complexity, rung.candidates)
            found: dict[int, Measured] = {}
            for one in progress(alive.tolist(), f"prompts, {rung.documents} documents each"):
                found[one] = self.measure(candidates[one], rung.documents)
                reached[one] = number, [*reached.get(one, (0, []))[1], found[one]]
            evidence.append(self._evidence(found, len(candidates)))
        choice = choose_prompt(evidence, self.trust, complexity, [rung.candidates for rung in self.rungs[1:]])
        records = [
            self._record(candidate, one, *reached[one], evidence, chosen=one == choice.index)
            for one, candidate in enumerate(candidates)
        ]
        return SearchResult(candidates[choice.index], choice, records)

    def measure(self, candidate: PromptCandidate, documents: int) -> Measured:
        """Writes with a candidate for the first documents, learns from it, and measures what was learned."""
        calls, start = self.writer.language_model.usage.calls, time.perf_counter()
        rows = self.write(candidate, documents)
        examples = replace(self.inputs, synthetic=rows).synthetic_examples()
        learned = self.inner.learn(examples, self.inputs.seed) if examples else None
        judged, synthetic = self._values(learned or self.inner)
        shown = [query_id in candidate.shown for query_id in self.inputs.queries]
        return Measured(
            rows,
            np.where(shown, np.nan, judged),
            synthetic,
            self.writer.language_model.usage.calls - calls,
            time.perf_counter() - start,
        )

    def write(self, candidate: PromptCandidate, documents: int) -> list[SyntheticQuery]:
        """A candidate's queries for the first documents."""
        settings = candidate.settings(self.writer.settings)
        return self.writer.write(self.documents[:documents], {candidate.style: candidate.prompt}, settings)

    def _values(self, model: Retriever) -> tuple[np.ndarray, np.ndarray]:
        """The measure on the judged queries, (n_queries,), and on the development ones, (n_development,)."""
        selection, corpus = self.inputs.selection, self.inputs.corpus
        ids = [row.query_id for row in self.development]
        judged = list(self.inputs.queries)
        texts = list(self.inputs.queries.values())
        ranking = model.search(texts, selection.depth, self.inputs.candidates_of(judged))
        values = judged_values(ranking, corpus, judged, self.inputs.qrels, selection.measure)
        if not ids:
            return values, np.zeros(0)
        written = model.search([row.query for row in self.development], selection.depth)
        own = [Judgment(row.query_id, row.doc_id, 1) for row in self.development]
        return values, judged_values(written, corpus, ids, own, selection.measure)

    def _evidence(self, found: dict[int, Measured], candidates: int) -> Evidence:
        judged = np.full((candidates, len(self.inputs.queries)), np.nan)
        synthetic = np.full((candidates, len(self.development)), np.nan)
        for one, measured in found.items():
            judged[one], synthetic[one] = measured.judged, measured.synthetic
        return Evidence(judged, synthetic)

    def _record(
        self,
        candidate: PromptCandidate,
        place: int,
        rung: int,
        history: Sequence[Measured],
        evidence: Sequence[Evidence],
        *,
        chosen: bool,
    ) -> dict[str, Any]:
        """A candidate with what was found of it on the last rung that it reached."""
        last = history[-1]
        expected = gains(evidence[rung], self.trust)
        judged = last.judged[~np.isnan(last.judged)]
        interval = (
            bootstrap_interval(judged, resamples=RESAMPLES, level=LEVEL, seed=self.inputs.seed).rounded()
            if len(judged)
            else None
        )
        return candidate.as_dict() | {
            "chosen": chosen,
            "rung": rung + 1,
            "documents": self.rungs[rung].documents,
            "written": len(last.rows),
            "accepted": sum(not row.rejected for row in last.rows),
            "judged": interval,
            "synthetic": _rounded(float(last.synthetic.mean())) if len(last.synthetic) else None,
            "expected_gain": _rounded(float(expected.mean[place])),
            "standard_error": _rounded(float(expected.error[place])),
            "lm_calls": sum(one.calls for one in history),
            "seconds": round(sum(one.seconds for one in history), 2),
        }


def _rounded(value: float) -> float | None:
    """Six digits; None for what JSON cannot say."""
    return round(value, 6) if math.isfinite(value) else None
