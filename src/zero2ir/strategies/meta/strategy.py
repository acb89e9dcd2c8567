"""meta: meta-learning on tasks made from the collection itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from zero2ir.models.base import Retriever, parts, reindexed
from zero2ir.models.capabilities import learn, requires_learning
from zero2ir.models.initialization import Initialization, gradient_cosines, parameters, with_initialization
from zero2ir.strategies.base import FitResult, Learner, Need, TrainingInputs
from zero2ir.strategies.fine_tune import (
    NOTHING_RELEVANT,
    Decision,
    GuardedStrategy,
    all_settings,
    cross_validate,
    decide,
    decision_report,
    judgment_learner,
    measure,
    require_judgments,
    tune,
)
from zero2ir.strategies.meta.reptile import OuterLoopSettings, meta_learn
from zero2ir.strategies.meta.reweighting import agreement_weights, quantiles
from zero2ir.strategies.meta.tasks import MIN_EXAMPLES, MetaTaskSettings, make_meta_tasks, meta_task_examples
from zero2ir.strategies.prior import family_of
from zero2ir.strategies.tuning import TuningCandidate

MetaAlgorithm = Literal["reptile", "anil", "reweight"]

INITIALIZATION_CHOICE = "uses the meta-learned initialization"
TUNED_LEARNING_CHOICE = "learned from the judgments with meta-learned rate and steps"
ADAPTED_CHOICE = "learned from the judgments from a meta-learned start"
REWEIGHTED_CHOICE = "learned from examples that agree with the judgments"
REWEIGHTED_ADAPTED_CHOICE = "learned from examples that agree with the judgments, then from the judgments"


@dataclass(frozen=True)
class LearningPlan:
    """The learners to compare on the judgments, and the figures so far.

    Attributes:
        learners: by the description of the choice, the simplest first; everything that depends on judgments is in them.
        refusal: why there is no learner; else empty.
    """

    learners: Mapping[str, Learner]
    report: Mapping[str, Any]
    refusal: str = ""


class Meta(GuardedStrategy):
    """Meta-learns on tasks, learns from the judgments with the result, and keeps that if the judgments show a gain.

    Tasks are clusters of documents with their synthetic queries, and pretext queries if those are too few. The judged
    queries of other collections are further training tasks, unless an encoder of the model was trained on this
    collection; held-out tasks come from this collection alone. A gain is a positive expected gain over fine_tune's
    result for the same model.

    Args:
        algorithm: "reptile" learns initial values of all parameters; "anil" ones from which few examples train the head
            alone; "reweight" learns from examples weighted by their agreement with the judgments instead.
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
        if not inputs.measured_queries:
            return baseline_fit.with_reason(NOTHING_RELEVANT)
        base, decisions = model, list[Decision]()
        if not requires_learning(model):
            tuned = tune(model, inputs)
            base, decisions = tuned.retriever, list(tuned.decisions)
        plan = self._reweighted(base, inputs) if self.algorithm == "reweight" else self._practised(base, inputs)

        def fall_back(because: str) -> FitResult:
            return baseline_fit.with_reason(because, {"meta": dict(plan.report)})

        if plan.refusal:
            return fall_back(f"{plan.refusal}; {baseline_fit.reason}")

        def measured(learned: Retriever, inputs: TrainingInputs, query_ids: Sequence[str]) -> list[TuningCandidate]:
            return [TuningCandidate({}, measure(learned, inputs, query_ids))]

        tried = [(name, cross_validate(learner, inputs, measured)) for name, learner in plan.learners.items()]
        alternatives = [TuningCandidate({"model": name}, one.values) for name, row in tried for one in row]
        if not alternatives:
            return fall_back(f"there are too few judged queries to cross-validate learning; {baseline_fit.reason}")
        candidates = [TuningCandidate({}, baseline_fit.values), *alternatives]
        coordinates = [{"used": float(number > 0)} for number in range(len(candidates))]
        decision = decide("meta", candidates, f"meta({family_of(base)})", coordinates, inputs)
        best = candidates[decision.choice.best]
        name = best.settings["model"]
        if not decision.used:
            return fall_back(f"no gain of a model that {name} is expected: {decision.choice}")
        retriever = plan.learners[name](list(inputs.queries))
        assert retriever is not None  # it learned in every fold
        report = {
            **decision_report([*decisions, decision], baseline_fit.values),
            "settings": all_settings(retriever),
            "gain_over_fine_tune": round(decision.choice.expected, 4),
            "meta": dict(plan.report),
        }
        because = f"a gain over fine_tune is expected: {decision.choice}"
        labels = len(inputs.judgments)
        return FitResult(retriever, name, because, best.values, report, labels, plan.learners[name])

    def _practised(self, base: Retriever, inputs: TrainingInputs) -> LearningPlan:
        """Plans with Reptile or ANIL."""
        inner, prefix = innermost_retriever(base)
        table = {"algorithm": self.algorithm}
        if not parameters(inner):
            return LearningPlan({}, table, "this model has no parameters to initialize")
        meta_tasks = make_meta_tasks(inner, inputs, self.tasks)
        if meta_tasks is None:
            return LearningPlan({}, table, "the documents have too few queries for tasks")
        small = reindexed(inner, meta_tasks.corpus)
        learned = meta_learn(small, meta_tasks, self.algorithm, self.outer_loop, inputs.tuning, inputs.seed)
        way = learned.adaptation
        if learned.chosen < 2:
            original, _, at_start, *_ = (row[inputs.tuning.measure] for row in learned.report["evaluated"])
            refusal = (
                "no other initialization, rate or number of steps is expected to gain on "
                f"{len(meta_tasks.held_out)} held-out tasks "
                f"({inputs.tuning.measure} {at_start:.3f} from the learned values, {original:.3f} from the model's)"
            )
            return LearningPlan({}, learned.report, refusal)
        started = with_initialization(base, prefix_initialization(way.initialization, prefix))
        if not way.learning_rate:
            return LearningPlan({INITIALIZATION_CHOICE: lambda _: started}, learned.report)
        name = ADAPTED_CHOICE if way.learned_initialization else TUNED_LEARNING_CHOICE
        return LearningPlan({name: judgment_learner(started, inputs)}, learned.report)

    def _reweighted(self, base: Retriever, inputs: TrainingInputs) -> LearningPlan:
        """Plans with first-order MetaAdaptRank."""
        rng = np.random.default_rng([inputs.seed, 1])
        examples, sources = meta_task_examples(inputs, MIN_EXAMPLES, self.tasks.documents, rng)
        table: dict[str, Any] = {"algorithm": self.algorithm, "examples": sources}
        if inputs.auxiliary_collections:
            table["auxiliary_collections"] = "algorithm=reweight uses no tasks of other collections"
        every = inputs.judged_examples(list(inputs.queries))
        cosines = gradient_cosines(base, examples, every) if examples and every else None
        if cosines is None:
            return LearningPlan({}, table, "this model has no gradients to compare examples with the judgments")
        table["weights"] = quantiles(agreement_weights(cosines))
        column = {one.query: [place for place, other in enumerate(every) if other.query == one.query] for one in every}

        @cache  # both learners need it for each fold
        def weighed(*query_ids: str) -> Retriever | None:
            columns = [place for query_id in query_ids for place in column.get(inputs.queries[query_id], [])]
            weights = agreement_weights(cosines[:, columns]) if columns else np.zeros(len(examples))
            counted = [one._replace(weight=float(weight)) for one, weight in zip(examples, weights, strict=True)]
            return learn(base, counted, inputs.seed)

        def weighted(query_ids: Sequence[str]) -> Retriever | None:
            return weighed(*query_ids)

        def adapted(query_ids: Sequence[str]) -> Retriever | None:
            if (learned := weighted(query_ids)) is None:
                return None
            started = with_initialization(learned, Initialization(parameters(learned)))
            return judgment_learner(started, inputs)(query_ids) or learned

        if weighted(list(inputs.queries)) is None:
            return LearningPlan({}, table, "no example agrees with the judgments")
        return LearningPlan({REWEIGHTED_CHOICE: weighted, REWEIGHTED_ADAPTED_CHOICE: adapted}, table)


def innermost_retriever(model: Retriever) -> tuple[Retriever, str]:
    """Returns the innermost retriever with all parameters, and the prefix of their names in the whole model.

    Meta-learning then skips the wrappers around it, such as a reranker.
    """
    prefix = ""
    while len(inner := parts(model)) == 1 and len(parameters(inner[0])) == len(parameters(model)):
        model, prefix = inner[0], f"{prefix}0."
    return model, prefix


def prefix_initialization(start: Initialization, prefix: str) -> Initialization:
    """Converts the initialization of a part to that of the whole model."""
    moved, rates = (
        {f"{prefix}{name}": value for name, value in named.items()} for named in (start.parameters, start.rates)
    )
    return Initialization(moved, rates, start.steps)
