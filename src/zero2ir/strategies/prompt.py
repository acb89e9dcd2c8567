"""prompt: the query-writing prompt is a hyperparameter, chosen by what a model learns from its queries."""

from collections.abc import Sequence
from dataclasses import replace

from zero2ir.models import Dense, Retriever
from zero2ir.prompts.candidates import PromptCandidate, demonstrated, fixed_candidate
from zero2ir.prompts.pool import Pool
from zero2ir.prompts.proposals import NothingProposed, Proposer, WritingTask, distinct
from zero2ir.prompts.selection import Trust
from zero2ir.strategies.base import Fitted, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune, require_judgments
from zero2ir.strategies.fixed_prompt import (
    LEARNS_NOTHING,
    SYNTHETIC,
    learned_unless_objected,
    require_synthetic,
)
from zero2ir.strategies.path_search import PathSearch, Rung
from zero2ir.synthetic.coverage import choose_documents
from zero2ir.synthetic.queries import SyntheticWriter

FOUND = "learned from synthetic queries of a prompt that was found"


class PromptSearch:
    """Searches for the prompt whose queries teach a cheap model most, and learns from its queries in full.

    The cheap model is the first dense retriever among the model's parts, with its adapter or the static encoder; where
    there is none, the model itself. What comes out is compared with what fine_tune makes of the model, as fixed_prompt
    does it.

    With the defaults the search and the winner's queries in full together take the LM as many answers as two full sets
    of the fixed prompt's.

    Args:
        proposers: who proposes candidates, the more important ones first; the pool where None.
        candidates: how many take part in each rung of the search, the fixed prompt among them.
        shares: of the documents that get queries in full, how many each rung writes for, 0 to 1, rising.
        synthetic_deviation: how far a gain on synthetic queries typically is from that on real ones, in units of the
            measure: the larger, the less the synthetic development queries weigh.

    Source: PATH, Xian et al. 2024, arXiv 2406.11706.
    """

    needs_synthetic = True
    uses_synthetic = True
    needs_lm = True

    def __init__(
        self,
        proposers: Sequence[Proposer] | None = None,
        candidates: Sequence[int] = (16, 4),
        shares: Sequence[float] = (0.05, 0.2),
        synthetic_deviation: float = 0.02,
    ) -> None:
        rising = all(0 < one <= 1 for one in shares) and list(shares) == sorted(set(shares))
        falling = min(candidates, default=0) >= 2 and list(candidates) == sorted(candidates, reverse=True)
        if not (rising and falling and len(shares) == len(candidates)) or synthetic_deviation < 0:
            raise ValueError(
                f"candidates={list(candidates)}, shares={list(shares)}, synthetic_deviation={synthetic_deviation}; "
                "give as many numbers of candidates, falling to 2 at least, as shares of documents, rising to 1 at "
                "most, and a deviation of at least 0"
            )
        self.proposers = list(proposers) if proposers is not None else [Pool()]
        self.candidates = candidates
        self.shares = shares
        self.synthetic_deviation = synthetic_deviation

    def fit(self, model: Retriever, inputs: TrainingInputs) -> Fitted:
        language_model = inputs.corpus.require_language_model("strategy=prompt")
        require_judgments(inputs, "prompt")
        require_synthetic(inputs, "prompt")
        simple = FineTune().fit(model, inputs)
        inner = inner_model(model, inputs)
        if inner.learn(inputs.synthetic_examples()[:1], inputs.seed) is None:
            return simple.renamed(f"{LEARNS_NOTHING}; {simple.because}")

        writer = SyntheticWriter(inputs.corpus, inputs.judgments, language_model, inputs.writing, inputs.seed)
        calls = language_model.usage.calls
        candidates, proposals = self._proposed(writer)
        proposals["lm_calls"] = language_model.usage.calls - calls
        judged = {row.doc_id for row in inputs.judgments}
        documents = choose_documents(inputs.corpus.documents, judged, inputs.writing, inputs.seed)
        trust = Trust(inputs.selection.prior_deviation, self.synthetic_deviation)
        search = PathSearch(inner, inputs, writer, documents, self._rungs(len(documents)), trust)
        result = search.search(candidates)
        report = {"prompts": result.records, "prompt_choice": result.choice.as_dict(), "proposals": proposals}

        found = result.candidate
        told = (
            f"the fixed prompt stays among {len(candidates)}"
            if found is candidates[0]
            else f"prompt {found.digest} ({found.origin}, {found.style}) was chosen among {len(candidates)}"
        )
        if found is not candidates[0]:
            inputs = replace(inputs, synthetic=search.write(found, len(documents)))
        fitted = learned_unless_objected(model, inputs, simple)
        chosen = FOUND if fitted.chosen == SYNTHETIC and found is not candidates[0] else fitted.chosen
        return replace(fitted, chosen=chosen, because=f"{told}; {fitted.because}", report={**fitted.report, **report})

    def _proposed(self, writer: SyntheticWriter) -> tuple[list[PromptCandidate], dict[str, str | int]]:
        """The fixed prompt and what is proposed beside it; and what each proposer came up with, for the record."""
        corpus, judgments, settings, seed = writer.corpus, writer.judgments, writer.settings, writer.seed
        fixed = fixed_candidate(corpus, judgments, settings, seed)
        candidates, notes = [fixed], dict[str, str | int]()
        for proposer in self.proposers:
            left = self.candidates[0] - len(candidates)
            if not left:
                break
            pairs = demonstrated(corpus, judgments, settings.document_words)
            try:
                proposed = proposer.propose(WritingTask(writer, fixed, pairs, left, seed))
            except NothingProposed as reason:
                notes[proposer.origin] = str(reason)
                continue
            notes[proposer.origin] = len(proposed)
            candidates = distinct([*candidates, *proposed], self.candidates[0])
        return candidates, notes

    def _rungs(self, documents: int) -> list[Rung]:
        return [
            Rung(max(1, round(share * documents)), number)
            for share, number in zip(self.shares, self.candidates, strict=True)
        ]


def inner_model(model: Retriever, inputs: TrainingInputs) -> Retriever:
    """The cheap model that stands for a model in the search, indexed."""
    dense = first_dense(model)
    if dense is None:
        return model
    if dense.learning == "adapter" or dense.encoder == "static":
        return dense
    return Dense(dense.encoder, "adapter", dense.adapter, dense.fit, dense.vectors, dense.exact_limit).index(
        inputs.corpus
    )


def first_dense(model: Retriever) -> Dense | None:
    """The first dense retriever of a model and its parts, from the outside in."""
    if isinstance(model, Dense):
        return model
    return next((found for part in model.parts() if (found := first_dense(part)) is not None), None)
