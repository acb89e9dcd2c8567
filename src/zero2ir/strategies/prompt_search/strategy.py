"""prompt: search for the query-writing prompt and the prompts of the model's parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zero2ir.models.base import Retriever, parts
from zero2ir.models.capabilities import learn
from zero2ir.models.dense import Dense
from zero2ir.models.prompted import prompted_parts, with_prompts
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune, GuardedStrategy, compare, require_judgments
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
NO_CHEAP_MODEL = "no part of this model learns from examples without the language model"


@dataclass(frozen=True)
class PromptedModel:
    """A model with optimized prompts of its parts, and the figures of the search.

    Attributes:
        baseline_fit: fine_tune's result for the model.
        improved_parts: the names of the parts with a new prompt.
        notes: the reason for each part's choice.
        report: every candidate and the choices; JSON.
    """

    model: Retriever
    baseline_fit: FitResult
    improved_parts: Sequence[str]
    notes: Sequence[str]
    report: Mapping[str, Any]


class PromptSearch(GuardedStrategy):
    """Searches for the prompts of the model's parts, then for the query-writing prompt that trains a cheap model best.

    Each part that uses a language model gets the prompt with which the whole model ranks best, if that shows a gain
    over fine_tune's result.

    The cheap model is the first dense retriever among the model's parts, with its adapter or the static encoder, or
    else the model itself. The result is compared with fine_tune's as in fixed_prompt.

    With the defaults, the search for a query-writing prompt and all queries of the winner take as many LM answers as
    two full sets of queries; see ``PartSettings`` for the cost of a part's prompt.

    Args:
        proposers: by priority; None for the pool.
        candidates: number of candidates per rung, with the fixed prompt.
        shares: rising shares, 0 to 1, of the documents that each rung writes queries for.
        synthetic_deviation: the typical difference between gains on synthetic and on real queries, in units of the
            measure; a larger value reduces the weight of the synthetic development queries.
        parts: settings of the search for the prompts of the model's parts.

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
        self.proposers = [PromptPool()] if proposers is None else list(proposers)
        self.candidates = candidates
        self.shares = shares
        self.synthetic_deviation = synthetic_deviation
        self.parts = PartSettings.model_validate(parts or {})

    def require(self, inputs: TrainingInputs) -> None:
        _ = inputs.corpus.require_language_model("strategy=prompt")
        require_judgments(inputs, "prompt")
        require_synthetic(inputs, "prompt")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        if not inputs.measured_queries:
            return learn_unless_worse(model, inputs, baseline_fit)
        prompts = self._prompted(model, inputs, baseline_fit)
        fitted = self._taught(prompts.model, inputs, prompts.baseline_fit)
        report = {**prompts.report, **fitted.report}
        if prompts.report and "prompts" in fitted.report:
            report["prompts"] = [*prompts.report["prompts"], *fitted.report["prompts"]]
            for name in ("prompt_choice", "proposals"):
                report[name] = {**prompts.report[name], **fitted.report[name]}
        improved = f"uses optimized prompts ({', '.join(prompts.improved_parts)})" if prompts.improved_parts else ""
        chosen = "; ".join(one for one in (improved, fitted.chosen) if one)
        return replace(fitted, chosen=chosen, reason="; ".join([*prompts.notes, fitted.reason]), report=report)

    def _prompted(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> PromptedModel:
        """Optimizes the prompts of the model's parts one after the other."""
        prior = GainPrior(inputs.tuning.prior_deviation, self.synthetic_deviation)
        improved, notes = list[str](), list[str]()
        records, choices, proposals = list[dict[str, Any]](), dict[str, float](), dict[str, Any]()
        for name in prompted_parts(model):
            result = PartSearch(model, name, inputs, self.parts, prior).search(self.proposers)
            records += result.records
            choices |= {f"{name}/{key}": value for key, value in result.choice.as_dict().items()}
            proposals[name] = result.proposals
            candidate = result.candidate
            if candidate.origin == "fixed":
                notes.append(f"the {name}'s prompt stays among {len(result.records)}")
                continue
            changed = with_prompts(model, {name: candidate.prompt})
            tuned = FineTune().fit(changed, inputs)
            description = f"prompt {candidate.digest} ({candidate.origin}, {candidate.style}) for the {name}"
            decision = compare("prompt", model, tuned.values, baseline_fit, inputs)
            pays = decision.used
            verdict = "was chosen" if pays else "is not expected to gain"
            notes.append(f"{description} {verdict}: {decision.choice}")
            if pays:
                model, baseline_fit = changed, tuned
                improved.append(name)
            for record in result.records:
                record["chosen"] = record["digest"] == candidate.digest if pays else record["origin"] == "fixed"
        report = {"prompts": records, "prompt_choice": choices, "proposals": proposals} if records else {}
        return PromptedModel(model, baseline_fit, improved, notes, report)

    def _taught(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        """Trains the model on the queries of the optimized query-writing prompt."""
        inner = proxy_model(model, inputs)
        if prompted_parts(inner):
            return baseline_fit.with_reason(f"{NO_CHEAP_MODEL}; {baseline_fit.reason}")
        if learn(inner, inputs.synthetic_examples()[:1], inputs.seed) is None:
            return baseline_fit.with_reason(f"{LEARNS_NOTHING}; {baseline_fit.reason}")

        language_model = inputs.corpus.require_language_model()
        settings, seed = inputs.synthetic_settings, inputs.seed
        writer = SyntheticWriter(inputs.corpus, inputs.judgments, language_model, settings, seed)
        candidates, proposals = self._proposed(writer)
        judged = {row.doc_id for row in inputs.judgments}
        documents = choose_documents(inputs.corpus.documents, judged, settings, seed, inputs.corpus.language)
        prior = GainPrior(inputs.tuning.prior_deviation, self.synthetic_deviation)
        search = QueryPromptSearch(inner, inputs, writer, documents, self._rungs(len(documents)), prior)
        result = search.search(candidates)
        report = {"prompts": result.records, "prompt_choice": result.choice.as_dict(), "proposals": proposals}

        best, description = candidates[result.choice.index], f"the fixed prompt stays among {len(candidates)}"
        if found := best is not candidates[0]:
            description = f"prompt {best.digest} ({best.origin}, {best.style}) was chosen among {len(candidates)}"
            inputs = replace(inputs, synthetic=search.write(best, len(documents)))
        fitted = learn_unless_worse(model, inputs, baseline_fit)
        chosen = FOUND_PROMPT_CHOICE if found and fitted.chosen == SYNTHETIC_CHOICE else fitted.chosen
        reason = f"{description}; {fitted.reason}"
        return replace(fitted, chosen=chosen, reason=reason, report={**fitted.report, **report})

    def _proposed(self, writer: SyntheticWriter) -> tuple[list[PromptCandidate], dict[str, str | int]]:
        """Returns the fixed prompt and the proposed candidates, and each proposer's number of candidates or reason."""
        fixed = fixed_candidate(writer.corpus, writer.judgments, writer.settings, writer.seed)
        pairs = judged_demonstrations(writer.corpus, writer.judgments, writer.settings.document_words)

        def propose(proposer: Proposer, left: int) -> list[PromptCandidate]:
            return proposer.propose(WritingTask(writer, fixed, pairs, left, writer.seed))

        return propose_candidates(fixed, self.proposers, self.candidates[0], propose, writer.language_model.usage)

    def _rungs(self, documents: int) -> list[Rung]:
        pairs = zip(self.shares, self.candidates, strict=True)
        return [Rung(max(1, round(share * documents)), number) for share, number in pairs]


def proxy_model(model: Retriever, inputs: TrainingInputs) -> Retriever:
    """Returns the cheap model for the search, indexed."""
    dense = first_dense(model)
    if dense is None:
        return model
    if dense.learning == "adapter" or dense.encoder == "static":
        return dense
    cheap = dense.with_params(learning="adapter")
    return cheap.index(inputs.corpus)


def first_dense(model: Retriever) -> Dense | None:
    """Returns the first dense retriever of a model and its parts, outermost first."""
    if isinstance(model, Dense):
        return model
    return next((best for part in parts(model) if (best := first_dense(part)) is not None), None)
