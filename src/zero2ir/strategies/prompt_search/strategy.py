"""prompt: prompts are hyperparameters, that for writing queries and those that a model itself asks with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zero2ir.models.base import Retriever, parts
from zero2ir.models.capabilities import learn
from zero2ir.models.dense import Dense
from zero2ir.models.prompted import prompted_parts, with_prompts
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune, GuardedStrategy, comparison_text, gain_over, require_judgments
from zero2ir.strategies.fixed_prompt import LEARNS_NOTHING, SYNTHETIC_CHOICE, learn_unless_worse, require_synthetic
from zero2ir.strategies.prompt_search.candidates import PromptCandidate, fixed_candidate, judged_demonstrations
from zero2ir.strategies.prompt_search.halving import Rung
from zero2ir.strategies.prompt_search.part_search import PartSearch, PartSettings
from zero2ir.strategies.prompt_search.pool import PromptPool
from zero2ir.strategies.prompt_search.proposals import Proposer, WritingTask, propose_candidates
from zero2ir.strategies.prompt_search.query_prompt_search import QueryPromptSearch
from zero2ir.strategies.prompt_search.selection import GainPrior
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.queries import SyntheticWriter

FOUND_PROMPT_CHOICE = "learned from synthetic queries of an optimized prompt"
NO_CHEAP_MODEL = "no part of this model learns from examples without asking the language model"


@dataclass(frozen=True)
class PromptedModel:
    """A model whose parts ask with the prompts that were found for them, and what is to be said of the search.

    Attributes:
        model: indexed.
        baseline_fit: what fine_tune makes of it.
        found: the names of the parts with another prompt than before.
        notes: why, a sentence a part.
        report: every candidate and the choices; JSON.
    """

    model: Retriever
    baseline_fit: FitResult
    improved_parts: Sequence[str]
    notes: Sequence[str]
    report: Mapping[str, Any]


class PromptSearch(GuardedStrategy):
    """Searches for the prompts of the model's own parts, then for the prompt whose queries teach a cheap model most.

    A part that asks a language model, a reranker or a rewriter, gets the prompt with which the whole model ranks best;
    it stays as it was where the judgments do not gain by that beside what fine_tune makes of the model.

    The cheap model is the first dense retriever among the model's parts, with its adapter or the static encoder; where
    there is none, the model itself. What comes out is compared with what fine_tune makes of the model, as fixed_prompt
    does it.

    With the defaults the search for a query-writing prompt and the winner's queries in full together take the LM as
    many answers as two full sets of the fixed prompt's; what the search for a part's prompt takes, ``PartSettings``
    tells.

    Args:
        proposers: who proposes candidates, the more important ones first; the pool where None.
        candidates: how many take part in each rung of the search, the fixed prompt among them.
        shares: of the documents that get queries in full, how many each rung writes for, 0 to 1, rising.
        synthetic_deviation: how far a gain on synthetic queries typically is from that on real ones, in units of the
            measure: the larger, the less the synthetic development queries weigh.
        parts: how the prompts of the model's parts are searched for.

    Source: PATH, Xian et al. 2024, arXiv 2406.11706.
    """

    needs = frozenset[Need]({"lm", "synthetic"})
    order = 30

    def __init__(
        self,
        proposers: Sequence[Proposer] | None = None,
        candidates: Sequence[int] = (16, 4),
        shares: Sequence[float] = (0.05, 0.2),
        synthetic_deviation: float = 0.02,
        parts: PartSettings | Mapping[str, Any] | None = None,
    ) -> None:
        rising = all(0 < one <= 1 for one in shares) and list(shares) == sorted(set(shares))
        falling = min(candidates, default=0) >= 2 and list(candidates) == sorted(candidates, reverse=True)
        if not (rising and falling and len(shares) == len(candidates)) or synthetic_deviation < 0:
            raise ValueError(
                f"candidates={list(candidates)}, shares={list(shares)}, synthetic_deviation={synthetic_deviation}; "
                "give as many numbers of candidates, falling to 2 at least, as shares of documents, rising to 1 at "
                "most, and a deviation of at least 0"
            )
        self.proposers = list(proposers) if proposers is not None else [PromptPool()]
        self.candidates = candidates
        self.shares = shares
        self.synthetic_deviation = synthetic_deviation
        self.parts = PartSettings.model_validate(parts or {})

    def require(self, inputs: TrainingInputs) -> None:
        _ = inputs.corpus.require_language_model("strategy=prompt")
        require_judgments(inputs, "prompt")
        require_synthetic(inputs, "prompt")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        prompts = self._prompted(model, inputs, baseline_fit)
        fitted = self._taught(prompts.model, inputs, prompts.baseline_fit)
        report = {**prompts.report, **fitted.report}
        for name in prompts.report.keys() & fitted.report.keys() & {"prompts"}:
            report[name] = [*prompts.report[name], *fitted.report[name]]
        for name in prompts.report.keys() & fitted.report.keys() & {"prompt_choice", "proposals"}:
            report[name] = {**prompts.report[name], **fitted.report[name]}
        asked = (
            f"asks by prompts that were found ({', '.join(prompts.improved_parts)})" if prompts.improved_parts else ""
        )
        chosen = "; ".join(one for one in (asked, fitted.chosen) if one)
        return replace(fitted, chosen=chosen, reason="; ".join([*prompts.notes, fitted.reason]), report=report)

    def _prompted(self, model: Retriever, inputs: TrainingInputs, simple: FitResult) -> PromptedModel:
        """The model with the prompts that were found for its parts, one part after the other."""
        prior = GainPrior(inputs.tuning.prior_deviation, self.synthetic_deviation)
        improved, said = list[str](), list[str]()
        records, choices, proposals = list[dict[str, Any]](), dict[str, float](), dict[str, Any]()
        for name in prompted_parts(model):
            result = PartSearch(model, name, inputs, self.parts, prior).search(self.proposers)
            records += result.records
            choices |= {f"{name}/{key}": value for key, value in result.choice.as_dict().items()}
            proposals[name] = result.proposals
            candidate = result.candidate
            if candidate.origin == "fixed":
                said.append(f"the {name}'s prompt stays among {len(result.records)}")
                continue
            changed = with_prompts(model, {name: candidate.prompt})
            tuned = FineTune().fit(changed, inputs)
            description = f"prompt {candidate.digest} ({candidate.origin}, {candidate.style}) for the {name}"
            pays = gain_over(simple, tuned.values, inputs) > 0
            verdict = "was chosen" if pays else "does not pay"
            said.append(f"{description} {verdict}: {comparison_text(simple, tuned.values, inputs)}")
            if pays:
                model, simple = changed, tuned
                improved.append(name)
            for record in result.records:
                record["chosen"] = record["digest"] == candidate.digest if pays else record["origin"] == "fixed"
        report = {"prompts": records, "prompt_choice": choices, "proposals": proposals} if records else {}
        return PromptedModel(model, simple, improved, said, report)

    def _taught(self, model: Retriever, inputs: TrainingInputs, simple: FitResult) -> FitResult:
        """The model after learning from the queries of the prompt that was found for writing them."""
        inner = proxy_model(model, inputs)
        if prompted_parts(inner):
            return simple.with_reason(f"{NO_CHEAP_MODEL}; {simple.reason}")
        if learn(inner, inputs.synthetic_examples()[:1], inputs.seed) is None:
            return simple.with_reason(f"{LEARNS_NOTHING}; {simple.reason}")

        language_model = inputs.corpus.require_language_model()
        writer = SyntheticWriter(
            inputs.corpus, inputs.judgments, language_model, inputs.synthetic_settings, inputs.seed
        )
        candidates, proposals = self._proposed(writer)
        judged = {row.doc_id for row in inputs.judgments}
        documents = choose_documents(inputs.corpus.documents, judged, inputs.synthetic_settings, inputs.seed)
        prior = GainPrior(inputs.tuning.prior_deviation, self.synthetic_deviation)
        search = QueryPromptSearch(inner, inputs, writer, documents, self._rungs(len(documents)), prior)
        result = search.search(candidates)
        report = {"prompts": result.records, "prompt_choice": result.choice.as_dict(), "proposals": proposals}

        best = candidates[result.choice.index]
        description = (
            f"the fixed prompt stays among {len(candidates)}"
            if best is candidates[0]
            else f"prompt {best.digest} ({best.origin}, {best.style}) was chosen among {len(candidates)}"
        )
        if best is not candidates[0]:
            inputs = replace(inputs, synthetic=search.write(best, len(documents)))
        fitted = learn_unless_worse(model, inputs, simple)
        chosen = (
            FOUND_PROMPT_CHOICE if fitted.chosen == SYNTHETIC_CHOICE and best is not candidates[0] else fitted.chosen
        )
        return replace(
            fitted, chosen=chosen, reason=f"{description}; {fitted.reason}", report={**fitted.report, **report}
        )

    def _proposed(self, writer: SyntheticWriter) -> tuple[list[PromptCandidate], dict[str, str | int]]:
        """The fixed prompt and what is proposed beside it; and what each proposer came up with, for the record."""
        corpus, judgments, settings, seed = writer.corpus, writer.judgments, writer.settings, writer.seed
        fixed = fixed_candidate(corpus, judgments, settings, seed)
        pairs = judged_demonstrations(corpus, judgments, settings.document_words)

        def propose(proposer: Proposer, left: int) -> list[PromptCandidate]:
            return proposer.propose(WritingTask(writer, fixed, pairs, left, seed))

        return propose_candidates(fixed, self.proposers, self.candidates[0], propose, writer.language_model.usage)

    def _rungs(self, documents: int) -> list[Rung]:
        return [
            Rung(max(1, round(share * documents)), number)
            for share, number in zip(self.shares, self.candidates, strict=True)
        ]


def proxy_model(model: Retriever, inputs: TrainingInputs) -> Retriever:
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
    return next((best for part in parts(model) if (best := first_dense(part)) is not None), None)
