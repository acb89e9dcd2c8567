"""First-order meta-learning of initial parameters, learning rates and numbers of steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, PositiveFloat

from zero2ir.data.records import Judgment
from zero2ir.encoders.examples import Example
from zero2ir.io.settings import Settings
from zero2ir.io.terminal import progress
from zero2ir.models.base import Retriever, reindexed
from zero2ir.models.capabilities import learn
from zero2ir.models.initialization import Initialization, head_mask, parameters, with_initialization
from zero2ir.strategies.meta.tasks import MetaTaskSet
from zero2ir.strategies.prior import generic_prior
from zero2ir.strategies.tuning import TuningSettings, choose, judged_values

Parameters = Mapping[str, np.ndarray]
MetaUpdate = Callable[[Retriever, Parameters, Sequence[Example], int, int], Parameters]


class OuterLoopSettings(Settings):
    """Settings of the outer loop, and the grid of adaptation settings for the held-out tasks.

    Attributes:
        iterations: outer steps.
        batch: tasks per outer step, whose updates are averaged.
        rate: outer learning rate, falling linearly to 0.
        learning_rates: factors of the model's learning rate to try.
        steps: factors of the model's number of steps to try.
        learned_rates: whether to try learned learning rates per parameter, too.
    """

    iterations: Annotated[int, Field(ge=1)] = 20
    batch: Annotated[int, Field(ge=1)] = 4
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    learning_rates: tuple[PositiveFloat, ...] = (0.3, 1.0, 3.0)
    steps: tuple[PositiveFloat, ...] = (0.5, 1.0)
    learned_rates: bool = False


class AdaptationSettings(NamedTuple):
    """How to learn a task.

    Attributes:
        initialization: initial parameters, rates and number of steps.
        learned_initialization: whether the initial parameters are meta-learned instead of the model's.
        learning_rate: factor of the model's learning rate; 0 for no learning from the task's examples.
    """

    initialization: Initialization
    learned_initialization: bool
    learning_rate: float
    learned_rates: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "learned_initialization": self.learned_initialization,
            "learning_rate": self.learning_rate,
            "steps": self.initialization.steps,
            "learned_rates": self.learned_rates,
        }

    def learn(self, model: Retriever, examples: Sequence[Example], seed: int) -> Retriever:
        """Trains a model on the task's examples."""
        started = with_initialization(model, self.initialization)
        return (learn(started, examples, seed) or started) if self.learning_rate else started


class MetaLearningResult(NamedTuple):
    """The adaptation settings chosen on the held-out tasks, their number among those tried, and all figures as JSON."""

    adaptation: AdaptationSettings
    chosen: int
    report: dict[str, Any]


def reptile_update(
    model: Retriever, start: Parameters, task: Sequence[Example], support: int, seed: int
) -> dict[str, np.ndarray]:
    """Returns the update of the parameters by learning from some of a task's examples.

    Source: Nichol, Achiam and Schulman 2018, arXiv 1803.02999, algorithm 2.
    """
    return _moved(with_initialization(model, Initialization(start)), _shuffled(task, seed)[:support], start, seed)


def anil_update(
    model: Retriever, start: Parameters, task: Sequence[Example], support: int, seed: int
) -> dict[str, np.ndarray]:
    """Returns the update by the rest of a task after its support examples have trained the head.

    Source: Raghu et al. 2020, arXiv 1909.09157, section 4, in first order. The model defines its head: the fusion
    weights of a hybrid that learns them, else the diagonals of maps.
    """
    drawn = _shuffled(task, seed)
    fast = learn(with_initialization(model, Initialization(start, head_only_rates(model))), drawn[:support], seed)
    adapted = start if fast is None else parameters(fast)
    return _moved(with_initialization(model, Initialization(adapted)), drawn[support:], adapted, seed)


META_UPDATES: dict[str, MetaUpdate] = {"reptile": reptile_update, "anil": anil_update}


def head_only_rates(model: Retriever) -> dict[str, np.ndarray]:
    """Returns rates that are 0 outside the head."""
    head = head_mask(model)
    return {name: head.get(name, np.zeros(value.shape)) for name, value in parameters(model).items()}


def meta_learn(
    model: Retriever, meta_tasks: MetaTaskSet, form: str, settings: OuterLoopSettings, tuning: TuningSettings, seed: int
) -> MetaLearningResult:
    """Learns initial parameters on the training tasks, and chooses the adaptation settings on the held-out tasks.

    Args:
        model: has parameters; indexed on the documents of ``meta_tasks``.
        form: a key of ``META_UPDATES``.
        tuning: how to choose; the default is the unchanged model.
    """
    start, moves = learn_initialization(model, meta_tasks, META_UPDATES[form], settings, seed)
    rates: Parameters = head_only_rates(model) if form == "anil" else {}
    initial = parameters(model)
    ways = [
        AdaptationSettings(Initialization(initial), False, 0.0),
        AdaptationSettings(Initialization(initial), False, 1.0),
        AdaptationSettings(Initialization(start), True, 0.0),
    ]
    ways += _ways(initial, rates, False, settings) + _ways(start, rates, True, settings)
    if settings.learned_rates:
        fitted = learned_rates(model, start, meta_tasks, rates, seed)
        ways += [way._replace(learned_rates=True) for way in _ways(start, fitted, True, settings)]
    values = np.stack([held_out_values(model, way, meta_tasks, tuning, seed) for way in progress(ways, "choosing")])
    choice = choose(values, generic_prior(values - values[:1], tuning.prior_deviation))
    tried = [
        {**way.as_dict(), tuning.measure: round(float(row.mean()), 4)} for way, row in zip(ways, values, strict=True)
    ]
    table = {
        "algorithm": form,
        "tasks": len(meta_tasks.training_tasks),
        "auxiliary_tasks": len(meta_tasks.auxiliary),
        "held_out_tasks": len(meta_tasks.held_out),
        "support": meta_tasks.support,
        "examples": dict(meta_tasks.sources),
        "auxiliary_collections": dict(meta_tasks.auxiliary_report),
        "moves": [round(move, 4) for move in moves],
        "norms": {name: round(float(np.linalg.norm(start[name] - initial[name])), 4) for name in start},
        "evaluated": tried,
        "chosen": tried[choice.index],
        "choice": choice.as_dict(),
    }
    return MetaLearningResult(ways[choice.index], choice.index, table)


def learn_initialization(
    model: Retriever, meta_tasks: MetaTaskSet, move: MetaUpdate, settings: OuterLoopSettings, seed: int
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Moves the initial parameters by the mean update of a batch of tasks per outer step.

    Returns:
        The initial parameters, and the norm of the mean update at each step.
    """
    rng = np.random.default_rng([seed, 2])
    start = parameters(model)
    tasks = _tasks(model, meta_tasks)
    norms = []
    for number in progress(range(settings.iterations), "meta-learning"):
        drawn = [tasks[place] for place in rng.permutation(len(tasks))[: settings.batch]]
        moves = [move(there, start, task, meta_tasks.support, int(rng.integers(1 << 31))) for there, task in drawn]
        mean = {name: np.mean([one[name] for one in moves], axis=0) for name in start}
        rate = settings.rate * (1 - number / settings.iterations)
        start = {name: value + rate * mean[name] for name, value in start.items()}
        norms.append(float(np.sqrt(sum(float(np.square(value).sum()) for value in mean.values()))))
    return start, norms


def learned_rates(
    model: Retriever, start: Parameters, meta_tasks: MetaTaskSet, rates: Parameters, seed: int
) -> dict[str, np.ndarray]:
    """Fits a rate per parameter that brings the support examples' update nearest to the whole task's, by least squares.

    With s the update by the support and t that by the whole task, the rate is (sum st + r) / (sum ss + r) over tasks,
    at least 0. r, the mean square of s, draws the rate to 1 for parameters with small updates.

    Source: learned per-parameter learning rates are Meta-SGD, Li et al. 2017, arXiv 1707.09835, section 2; the
    first-order form is ours, with the whole task's update as the target, as in Reptile.
    """
    products = {name: np.zeros(value.shape) for name, value in start.items()}
    squares = {name: np.zeros(value.shape) for name, value in start.items()}
    for there, task in _tasks(model, meta_tasks):
        few = _moved(with_initialization(there, Initialization(start, rates)), task[: meta_tasks.support], start, seed)
        whole = _moved(with_initialization(there, Initialization(start, rates)), task, start, seed)
        for name in start:
            products[name] += few[name] * whole[name]
            squares[name] += few[name] ** 2
    fitted = {}
    for name in start:
        prior = max(float(squares[name].mean()), 1e-12)
        own = np.maximum(products[name] + prior, 0.0) / (squares[name] + prior)
        fitted[name] = own * rates.get(name, np.ones(()))
    return fitted


def held_out_values(
    model: Retriever, way: AdaptationSettings, meta_tasks: MetaTaskSet, tuning: TuningSettings, seed: int
) -> np.ndarray:
    """Returns (n_queries,), the measure on the held-out tasks' examples that are not in the support."""
    documents, values = meta_tasks.corpus.documents, []
    for task in meta_tasks.held_out:
        learned = way.learn(model, task[: meta_tasks.support], seed)
        test = task[meta_tasks.support :]
        query_ids = [str(number) for number in range(len(test))]
        qrels = [Judgment(str(number), documents[one.positive].doc_id, 1) for number, one in enumerate(test)]
        ranking = learned.search([one.query for one in test], tuning.depth)
        values.append(judged_values(ranking, meta_tasks.corpus, query_ids, qrels, tuning.measure))
    return np.concatenate(values)


def _tasks(model: Retriever, meta_tasks: MetaTaskSet) -> list[tuple[Retriever, Sequence[Example]]]:
    """Returns the training and auxiliary tasks, each with the model on its documents."""
    corpora = {id(task.corpus): task.corpus for task in meta_tasks.auxiliary}
    models = {key: reindexed(model, corpus) for key, corpus in corpora.items()}
    auxiliary = [(models[id(task.corpus)], task.examples) for task in meta_tasks.auxiliary]
    return [*((model, task) for task in meta_tasks.training_tasks), *auxiliary]


def _ways(
    start: Parameters, rates: Parameters, learned_initialization: bool, settings: OuterLoopSettings
) -> list[AdaptationSettings]:
    """Returns the grid of learning rates and steps from the same initial parameters."""
    ways = []
    for factor in settings.learning_rates:
        scaled = {name: factor * rates.get(name, np.ones(())) for name in start}
        ways += [
            AdaptationSettings(Initialization(start, scaled, steps), learned_initialization, factor)
            for steps in settings.steps
        ]
    return ways


def _moved(model: Retriever, examples: Sequence[Example], start: Parameters, seed: int) -> dict[str, np.ndarray]:
    """Returns the change of the parameters by learning."""
    learned = learn(model, examples, seed)
    after = start if learned is None else parameters(learned)
    return {name: after[name] - value for name, value in start.items()}


def _shuffled(task: Sequence[Example], seed: int) -> list[Example]:
    return [task[place] for place in np.random.default_rng(seed).permutation(len(task))]
