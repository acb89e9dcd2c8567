"""meta: learn to learn from a few judgments, on tasks made of the collection itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from zero2ir.models.base import Retriever, parts, reindexed
from zero2ir.models.capabilities import learn
from zero2ir.models.initialization import Initialization, gradient_cosines, parameters, with_initialization
from zero2ir.strategies.base import FitResult, Learner, Need, TrainingInputs
from zero2ir.strategies.fine_tune import (
    GuardedStrategy,
    all_settings,
    comparison_text,
    cross_validate,
    gain_over,
    judgment_learner,
    learner_with_settings,
    require_judgments,
    tune_parts,
)
from zero2ir.strategies.meta.reptile import OuterLoopSettings, meta_learn
from zero2ir.strategies.meta.reweighting import agreement_weights, quantiles
from zero2ir.strategies.meta.tasks import MIN_EXAMPLES, MetaTaskSettings, make_meta_tasks, meta_task_examples
from zero2ir.strategies.tuning import choose

MetaAlgorithm = Literal["reptile", "anil", "reweight"]

INITIALIZATION_CHOICE = "uses the meta-learned initialization"
TUNED_LEARNING_CHOICE = "learned from the judgments with meta-learned rate and steps"
ADAPTED_CHOICE = "learned from the judgments from a meta-learned start"
REWEIGHTED_CHOICE = "learned from examples that agree with the judgments"
REWEIGHTED_ADAPTED_CHOICE = "learned from examples that agree with the judgments, then from the judgments"


@dataclass(frozen=True)
class LearningPlan:
    """How the judgments are to be learned from.

    Attributes:
        learners: by what came out in words, the simplest first; what depends on judgments is made in them.
        report: what was learned so far, JSON.
        refusal: why there is nothing to try; empty where there is.
    """

    learners: Mapping[str, Learner]
    report: Mapping[str, Any]
    refusal: str = ""


class Meta(GuardedStrategy):
    """Practises on tasks, learns from the judgments as the tasks taught, and keeps the result if the judgments gain.

    Tasks are clusters of documents with the synthetic queries that were written for them; where those are too few,
    pretext queries join them. The judged queries of other collections are further tasks to learn from, unless an
    encoder of the model was trained on this collection; what was learned is measured on this collection's tasks alone.
    The judgments gain when a gain is to be expected beside what fine_tune makes of the same model.

    Args:
        algorithm: "reptile" learns a start for all that learns; "anil" one from which a few examples move the head
            alone; "reweight" learns no start, but from the examples that agree with the judgments, as much as they
            agree.
        tasks: which tasks.
        outer_loop: how the start is learned.
    """

    needs = frozenset[Need]({"synthetic with lm"})
    order = 40

    def __init__(
        self,
        algorithm: MetaAlgorithm = "reptile",
        tasks: MetaTaskSettings | Mapping[str, Any] | None = None,
        outer_loop: OuterLoopSettings | Mapping[str, Any] | None = None,
    ) -> None:
        if algorithm not in get_args(MetaAlgorithm):
            raise ValueError(f"algorithm={algorithm!r}; choose one of {', '.join(get_args(MetaAlgorithm))}")
        self.algorithm: MetaAlgorithm = algorithm
        self.tasks = MetaTaskSettings.model_validate(tasks or {})
        self.outer_loop = OuterLoopSettings.model_validate(outer_loop or {})

    def require(self, inputs: TrainingInputs) -> None:
        require_judgments(inputs, "meta")

    def fit_guarded(self, model: Retriever, inputs: TrainingInputs, baseline_fit: FitResult) -> FitResult:
        base = tune_parts(model, inputs)
        plan = self._reweighted(base, inputs) if self.algorithm == "reweight" else self._practised(base, inputs)
        return self._chosen(plan, baseline_fit, inputs)

    def _chosen(self, plan: LearningPlan, simple: FitResult, inputs: TrainingInputs) -> FitResult:
        """What the plan's best learner makes of all judgments, unless what fine_tune made is expected to be better."""

        def simpler(because: str) -> FitResult:
            return replace(simple.with_reason(because), report={**simple.report, "meta": dict(plan.report)})

        if plan.refusal:
            return simpler(f"{plan.refusal}; {simple.reason}")
        candidates = [one for name, learn in plan.learners.items() for one in cross_validate(learn, name, inputs)]
        if not candidates:
            return simpler(f"too few judged queries teach anything to tell whether it pays; {simple.reason}")
        choice = choose(np.stack([one.values for one in candidates]), inputs.tuning.prior_deviation)
        best = candidates[choice.index]
        gain, because = gain_over(simple, best.values, inputs), comparison_text(simple, best.values, inputs)
        if gain <= 0:
            return simpler(f"the judgments do not gain by a model {best.name}: {because}")
        learner = learner_with_settings(plan.learners[best.name], best.settings)
        retriever = learner(list(inputs.queries))
        assert retriever is not None  # it learned in every fold
        report = {
            "choice": choice.as_dict(),
            "settings": all_settings(retriever),
            "gain_over_fine_tune": round(gain, 4),
            "meta": dict(plan.report),
        }
        return FitResult(retriever, best.name, because, best.values, report, len(inputs.judgments), learner)

    def _practised(self, base: Retriever, inputs: TrainingInputs) -> LearningPlan:
        """Reptile and ANIL."""
        inner, prefix = innermost_retriever(base)
        if not parameters(inner):
            return LearningPlan(
                {}, {"algorithm": self.algorithm}, "this model has no parameters that a start could be learned for"
            )
        practice = make_meta_tasks(inner, inputs, self.tasks)
        if practice is None:
            return LearningPlan(
                {}, {"algorithm": self.algorithm}, "the documents give too few queries to make tasks of"
            )
        learned = meta_learn(
            reindexed(inner, practice.corpus), practice, self.algorithm, self.outer_loop, inputs.tuning, inputs.seed
        )
        way = learned.adaptation
        if learned.choice.index < 2:
            as_it_was, _, at_start, *_ = (row[inputs.tuning.measure] for row in learned.report["evaluated"])
            return LearningPlan(
                {},
                learned.report,
                f"no other start, rate or number of steps pays on {len(practice.held_out)} held-out tasks "
                f"({inputs.tuning.measure} {at_start:.3f} at the learned start, {as_it_was:.3f} at the model's own)",
            )
        started = with_initialization(base, prefix_initialization(way.initialization, prefix))
        if not way.learning_rate:
            return LearningPlan({INITIALIZATION_CHOICE: lambda _: started}, learned.report)
        return LearningPlan(
            {
                ADAPTED_CHOICE if way.learned_initialization else TUNED_LEARNING_CHOICE: judgment_learner(
                    started, inputs
                )
            },
            learned.report,
        )

    def _reweighted(self, base: Retriever, inputs: TrainingInputs) -> LearningPlan:
        """First-order MetaAdaptRank."""
        rng = np.random.default_rng([inputs.seed, 1])
        examples, sources = meta_task_examples(inputs, MIN_EXAMPLES, self.tasks.documents, rng)
        table: dict[str, Any] = {"algorithm": self.algorithm, "examples": sources}
        if inputs.auxiliary_collections:
            table["auxiliary_collections"] = (
                "algorithm=reweight practises on no tasks, and takes none from other collections"
            )
        every = inputs.judged_examples(list(inputs.queries))
        cosines = gradient_cosines(base, examples, every) if examples and every else None
        if cosines is None:
            return LearningPlan({}, table, "this model cannot tell which examples agree with the judgments")
        table["weights"] = quantiles(agreement_weights(cosines))
        column = {one.query: [place for place, other in enumerate(every) if other.query == one.query] for one in every}

        @cache  # a fold's queries are asked for twice
        def weighed(*query_ids: str) -> Retriever | None:
            columns = [place for query_id in query_ids for place in column.get(inputs.queries[query_id], [])]
            weights = agreement_weights(cosines[:, columns]) if columns else np.zeros(len(examples))
            counted = [one._replace(weight=float(weight)) for one, weight in zip(examples, weights, strict=True)]
            return learn(base, counted, inputs.seed)

        def weighted(query_ids: Sequence[str]) -> Retriever | None:
            return weighed(*query_ids)

        def adapted(query_ids: Sequence[str]) -> Retriever | None:
            learned = weighted(query_ids)
            if learned is None:
                return None
            return (
                judgment_learner(with_initialization(learned, Initialization(parameters(learned))), inputs)(query_ids)
                or learned
            )

        if weighted(list(inputs.queries)) is None:
            return LearningPlan({}, table, "no example agrees with the judgments")
        return LearningPlan({REWEIGHTED_CHOICE: weighted, REWEIGHTED_ADAPTED_CHOICE: adapted}, table)


def innermost_retriever(model: Retriever) -> tuple[Retriever, str]:
    """The innermost retriever that has all the parameters, and what their names in the whole model begin with.

    What stands around it, a reranker or a smoothing, has no part in practice, and costs none of its time.
    """
    prefix = ""
    while len(inner := parts(model)) == 1 and len(parameters(inner[0])) == len(parameters(model)):
        model, prefix = inner[0], f"{prefix}0."
    return model, prefix


def prefix_initialization(start: Initialization, prefix: str) -> Initialization:
    """The start of a model as that of the whole that it stands in."""
    moved, rates = (
        {f"{prefix}{name}": value for name, value in named.items()} for named in (start.parameters, start.rates)
    )
    return Initialization(moved, rates, start.steps)
