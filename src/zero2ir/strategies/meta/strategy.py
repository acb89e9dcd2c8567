"""meta: learn to learn from a few judgments, on tasks made of the collection itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from zero2ir.models.base import Retriever, Start
from zero2ir.strategies.base import Fitted, Learner, Need, TrainingInputs
from zero2ir.strategies.fine_tune import (
    Rival,
    compared,
    cross_validated,
    from_judgments,
    gain_over,
    require_judgments,
    settings_of,
    tune_parts,
    with_settings,
)
from zero2ir.strategies.meta.reptile import OuterSettings, meta_learn
from zero2ir.strategies.meta.reweighting import agreement_weights, quantiles
from zero2ir.strategies.meta.tasks import LEAST_EXAMPLES, TaskSettings, make_practice, practice_examples
from zero2ir.strategies.tuning import choose

Form = Literal["reptile", "anil", "reweight"]

START = "moved to a meta-learned start"
PRACTISED = "learned from the judgments as fast and as long as the tasks taught"
ADAPTED = "learned from the judgments from a meta-learned start"
WEIGHTED = "learned from examples that agree with the judgments"
WEIGHTED_ADAPTED = "learned from examples that agree with the judgments, then from the judgments"


@dataclass(frozen=True)
class Plan:
    """How the judgments are to be learned from.

    Attributes:
        learners: by what came out in words, the simplest first; what depends on judgments is made in them.
        table: what was learned so far, JSON.
        refusal: why there is nothing to try; empty where there is.
    """

    learners: Mapping[str, Learner]
    table: Mapping[str, Any]
    refusal: str = ""


class Meta(Rival):
    """Practises on tasks, learns from the judgments as the tasks taught, and keeps the result if the judgments gain.

    Tasks are clusters of documents with the synthetic queries that were written for them; where those are too few,
    pretext queries join them. The judged queries of other collections are further tasks to learn from, unless an
    encoder of the model was trained on this collection; what was learned is measured on this collection's tasks alone.
    The judgments gain when a gain is to be expected beside what fine_tune makes of the same model.

    Args:
        form: "reptile" learns a start for all that learns; "anil" one from which a few examples move the head alone;
            "reweight" learns no start, but from the examples that agree with the judgments, as much as they agree.
        tasks: which tasks.
        outer: how the start is learned.
    """

    needs = frozenset[Need]({"synthetic with lm"})

    def __init__(
        self,
        form: Form = "reptile",
        tasks: TaskSettings | Mapping[str, Any] | None = None,
        outer: OuterSettings | Mapping[str, Any] | None = None,
    ) -> None:
        if form not in get_args(Form):
            raise ValueError(f"form={form!r}; choose one of {', '.join(get_args(Form))}")
        self.form: Form = form
        self.tasks = TaskSettings.model_validate(tasks or {})
        self.outer = OuterSettings.model_validate(outer or {})

    def require(self, inputs: TrainingInputs) -> None:
        require_judgments(inputs, "meta")

    def improved(self, model: Retriever, inputs: TrainingInputs, simple: Fitted) -> Fitted:
        base = tune_parts(model, inputs)
        plan = self._reweighted(base, inputs) if self.form == "reweight" else self._practised(base, inputs)
        return self._chosen(plan, simple, inputs)

    def _chosen(self, plan: Plan, simple: Fitted, inputs: TrainingInputs) -> Fitted:
        """What the plan's best learner makes of all judgments, unless what fine_tune made is expected to be better."""

        def simpler(because: str) -> Fitted:
            return replace(simple.renamed(because), report={**simple.report, "meta": dict(plan.table)})

        if plan.refusal:
            return simpler(f"{plan.refusal}; {simple.because}")
        candidates = [one for name, learn in plan.learners.items() for one in cross_validated(learn, name, inputs)]
        if not candidates:
            return simpler(f"too few judged queries teach anything to tell whether it pays; {simple.because}")
        choice = choose(np.stack([one.values for one in candidates]), inputs.tuning.prior_deviation)
        best = candidates[choice.index]
        gain, because = gain_over(simple, best.values, inputs), compared(simple, best.values, inputs)
        if gain <= 0:
            return simpler(f"the judgments do not gain by a model {best.name}: {because}")
        learner = with_settings(plan.learners[best.name], best.settings)
        retriever = learner(list(inputs.queries))
        assert retriever is not None  # it learned in every fold
        report = {
            "choice": choice.as_dict(),
            "settings": settings_of(retriever),
            "gain_over_fine_tune": round(gain, 4),
            "meta": dict(plan.table),
        }
        return Fitted(retriever, best.name, because, best.values, report, len(inputs.judgments), learner)

    def _practised(self, base: Retriever, inputs: TrainingInputs) -> Plan:
        """Reptile and ANIL."""
        inner, prefix = core(base)
        if not inner.parameters():
            return Plan({}, {"form": self.form}, "this model has no parameters that a start could be learned for")
        practice = make_practice(inner, inputs, self.tasks)
        if practice is None:
            return Plan({}, {"form": self.form}, "the documents give too few queries to make tasks of")
        learned = meta_learn(inner.over(practice.corpus), practice, self.form, self.outer, inputs.tuning, inputs.seed)
        way = learned.way
        if learned.choice.index < 2:
            as_it_was, _, at_start, *_ = (row[inputs.tuning.measure] for row in learned.table["tried"])
            return Plan(
                {},
                learned.table,
                f"no other start, rate or number of steps pays on {len(practice.held_out)} held-out tasks "
                f"({inputs.tuning.measure} {at_start:.3f} at the learned start, {as_it_was:.3f} at the model's own)",
            )
        started = base.starting_from(prefixed(way.start, prefix))
        if not way.learning_rate:
            return Plan({START: lambda _: started}, learned.table)
        return Plan({ADAPTED if way.learned_start else PRACTISED: from_judgments(started, inputs)}, learned.table)

    def _reweighted(self, base: Retriever, inputs: TrainingInputs) -> Plan:
        """First-order MetaAdaptRank."""
        rng = np.random.default_rng([inputs.seed, 1])
        examples, sources = practice_examples(inputs, LEAST_EXAMPLES, self.tasks.documents, rng)
        table: dict[str, Any] = {"form": self.form, "examples": sources}
        if inputs.others:
            table["other_collections"] = "form=reweight practises on no tasks, and takes none from other collections"
        every = inputs.judged_examples(list(inputs.queries))
        cosines = base.agreement(examples, every) if examples and every else None
        if cosines is None:
            return Plan({}, table, "this model cannot tell which examples agree with the judgments")
        table["weights"] = quantiles(agreement_weights(cosines))
        column = {one.query: [place for place, other in enumerate(every) if other.query == one.query] for one in every}

        @cache  # a fold's queries are asked for twice
        def weighed(*query_ids: str) -> Retriever | None:
            columns = [place for query_id in query_ids for place in column.get(inputs.queries[query_id], [])]
            weights = agreement_weights(cosines[:, columns]) if columns else np.zeros(len(examples))
            counted = [one._replace(weight=float(weight)) for one, weight in zip(examples, weights, strict=True)]
            return base.learn(counted, inputs.seed)

        def weighted(query_ids: Sequence[str]) -> Retriever | None:
            return weighed(*query_ids)

        def adapted(query_ids: Sequence[str]) -> Retriever | None:
            learned = weighted(query_ids)
            if learned is None:
                return None
            return from_judgments(learned.starting_from(Start(learned.parameters())), inputs)(query_ids) or learned

        if weighted(list(inputs.queries)) is None:
            return Plan({}, table, "no example agrees with the judgments")
        return Plan({WEIGHTED: weighted, WEIGHTED_ADAPTED: adapted}, table)


def core(model: Retriever) -> tuple[Retriever, str]:
    """The innermost retriever that has all the parameters, and what their names in the whole model begin with.

    What stands around it, a reranker or a smoothing, has no part in practice, and costs none of its time.
    """
    prefix = ""
    while len(parts := model.parts()) == 1 and len(parts[0].parameters()) == len(model.parameters()):
        model, prefix = parts[0], f"{prefix}0."
    return model, prefix


def prefixed(start: Start, prefix: str) -> Start:
    """The start of a model as that of the whole that it stands in."""
    parameters, rates = (
        {f"{prefix}{name}": value for name, value in named.items()} for named in (start.parameters, start.rates)
    )
    return Start(parameters, rates, start.steps)
