"""First-order meta-learning: where to start, how fast and how long, so that a few examples teach a task."""

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
from zero2ir.strategies.tuning import TuningChoice, TuningSettings, choose, judged_values

Parameters = Mapping[str, np.ndarray]
MetaUpdate = Callable[[Retriever, Parameters, Sequence[Example], int, int], Parameters]


class OuterLoopSettings(Settings):
    """How the start is learned, and which ways from it are tried on held-out tasks.

    Attributes:
        iterations: steps of the start.
        batch: tasks whose moves are averaged for a step.
        rate: of the mean move, falling to 0 in equal steps.
        learning_rates: what the model's own learning rate is multiplied with.
        steps: what the model's own number of steps is multiplied with.
        learned_rates: whether each parameter gets a learning rate of its own, beside those.
    """

    iterations: Annotated[int, Field(ge=1)] = 20
    batch: Annotated[int, Field(ge=1)] = 4
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    learning_rates: tuple[PositiveFloat, ...] = (0.3, 1.0, 3.0)
    steps: tuple[PositiveFloat, ...] = (0.5, 1.0)
    learned_rates: bool = False


class AdaptationSettings(NamedTuple):
    """One way to learn a task.

    Attributes:
        initialization: where, how fast, how long.
        learned_initialization: whether the start was learned; else it is the model as it was.
        learning_rate: what the model's own is multiplied with; 0 where the task's examples are not learned from.
        learned_rates: whether each parameter has a learning rate of its own.
    """

    initialization: Initialization
    learned_initialization: bool
    learning_rate: float
    learned_rates: bool = False

    def as_dict(self) -> dict[str, Any]:
        """In words and numbers, JSON."""
        return {
            "learned_initialization": self.learned_initialization,
            "learning_rate": self.learning_rate,
            "steps": self.initialization.steps,
            "learned_rates": self.learned_rates,
        }

    def learn(self, model: Retriever, examples: Sequence[Example], seed: int) -> Retriever:
        """The model after the task's examples."""
        started = with_initialization(model, self.initialization)
        return (learn(started, examples, seed) or started) if self.learning_rate else started


class MetaLearningResult(NamedTuple):
    """What the tasks taught.

    Attributes:
        adaptation: the one that the held-out tasks choose.
        choice: how sure.
        report: all that was learned, JSON.
    """

    adaptation: AdaptationSettings
    choice: TuningChoice
    report: dict[str, Any]


def reptile_update(
    model: Retriever, start: Parameters, task: Sequence[Example], support: int, seed: int
) -> dict[str, np.ndarray]:
    """How far learning from some of a task's examples goes.

    Source: Nichol, Achiam and Schulman 2018, arXiv 1803.02999, algorithm 2.
    """
    return _moved(with_initialization(model, Initialization(start)), _drawn(task, seed)[:support], start, seed)


def anil_update(
    model: Retriever, start: Parameters, task: Sequence[Example], support: int, seed: int
) -> dict[str, np.ndarray]:
    """How far learning from the rest of a task goes, once some of its examples have moved the head.

    Source: Raghu et al. 2020, arXiv 1909.09157, section 4, in first order; which parameters are the head is stated by
    the model: the weights of a hybrid that learns them, else the diagonals of maps.
    """
    drawn = _drawn(task, seed)
    fast = learn(with_initialization(model, Initialization(start, head_only_rates(model))), drawn[:support], seed)
    adapted = start if fast is None else parameters(fast)
    return _moved(with_initialization(model, Initialization(adapted)), drawn[support:], adapted, seed)


META_UPDATES: dict[str, MetaUpdate] = {"reptile": reptile_update, "anil": anil_update}


def head_only_rates(model: Retriever) -> dict[str, np.ndarray]:
    """Rates that keep everything but the head where it is."""
    head = head_mask(model)
    return {name: head.get(name, np.zeros(value.shape)) for name, value in parameters(model).items()}


def meta_learn(
    model: Retriever, meta_tasks: MetaTaskSet, form: str, settings: OuterLoopSettings, tuning: TuningSettings, seed: int
) -> MetaLearningResult:
    """Learns a start from the tasks, and chooses the way to learn from it on those that are held out.

    Args:
        model: states its parameters; indexed on the documents of ``meta_tasks``.
        meta_tasks: the tasks.
        form: a key of ``META_UPDATES``.
        settings: how.
        tuning: the measure, and how to choose by it. What is to be beaten is the model as it was.
        seed: of the draws from the tasks.
    """
    start, moves = learn_initialization(model, meta_tasks, META_UPDATES[form], settings, seed)
    rates: Parameters = head_only_rates(model) if form == "anil" else {}
    given = parameters(model)
    ways = [
        AdaptationSettings(Initialization(given), False, 0.0),
        AdaptationSettings(Initialization(given), False, 1.0),
        AdaptationSettings(Initialization(start), True, 0.0),
    ]
    ways += _ways(given, rates, False, settings) + _ways(start, rates, True, settings)
    if settings.learned_rates:
        fitted = learned_rates(model, start, meta_tasks, rates, seed)
        ways += [way._replace(learned_rates=True) for way in _ways(start, fitted, True, settings)]
    values = np.stack([held_out_values(model, way, meta_tasks, tuning, seed) for way in progress(ways, "choosing")])
    choice = choose(values, tuning.prior_deviation)
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
        "norms": {name: round(float(np.linalg.norm(start[name] - given[name])), 4) for name in start},
        "evaluated": tried,
        "chosen": tried[choice.index],
        "choice": choice.as_dict(),
    }
    return MetaLearningResult(ways[choice.index], choice, table)


def learn_initialization(
    model: Retriever, meta_tasks: MetaTaskSet, move: MetaUpdate, settings: OuterLoopSettings, seed: int
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Moves the start by the mean of what tasks move, a few tasks at a time.

    Returns:
        The start, and the norm of the mean move at each step: it falls as the start gets good for all.
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
        norms.append(_norm(mean))
    return start, norms


def learned_rates(
    model: Retriever, start: Parameters, meta_tasks: MetaTaskSet, rates: Parameters, seed: int
) -> dict[str, np.ndarray]:
    """For each parameter the rate that brings a few examples' move nearest to the whole task's, by least squares.

    With s the move by the support and t that by the whole task, it is (sum st + r) / (sum ss + r) over tasks, at least
    0: r, the mean square of s, draws it to 1 where a parameter hardly moves.

    Source: learned per-parameter learning rates are Meta-SGD, Li et al. 2017, arXiv 1707.09835, section 2; the first-
    order form is ours, and takes the whole task's move for the target as Reptile does.
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
    """(n_queries,) the measure on what the support examples of the held-out tasks leave over."""
    values = []
    for task in meta_tasks.held_out:
        learned = way.learn(model, task[: meta_tasks.support], seed)
        asked = task[meta_tasks.support :]
        query_ids = [str(number) for number in range(len(asked))]
        qrels = [
            Judgment(query_id, meta_tasks.corpus.documents[one.positive].doc_id, 1)
            for query_id, one in zip(query_ids, asked, strict=True)
        ]
        ranking = learned.search([one.query for one in asked], tuning.depth)
        values.append(judged_values(ranking, meta_tasks.corpus, query_ids, qrels, tuning.measure))
    return np.concatenate(values)


def _tasks(model: Retriever, meta_tasks: MetaTaskSet) -> list[tuple[Retriever, Sequence[Example]]]:
    """The tasks to learn from, each with the model on the documents that it searches in."""
    elsewhere = {id(task.corpus): task.corpus for task in meta_tasks.auxiliary}
    models = {key: reindexed(model, corpus) for key, corpus in elsewhere.items()}
    others = [(models[id(task.corpus)], task.examples) for task in meta_tasks.auxiliary]
    return [*((model, task) for task in meta_tasks.training_tasks), *others]


def _ways(
    start: Parameters, rates: Parameters, learned_initialization: bool, settings: OuterLoopSettings
) -> list[AdaptationSettings]:
    """The grid of learning rates and steps from one start."""
    return [
        AdaptationSettings(
            Initialization(start, _times(rates, start, learning_rate), steps), learned_initialization, learning_rate
        )
        for learning_rate in settings.learning_rates
        for steps in settings.steps
    ]


def _times(rates: Parameters, start: Parameters, factor: float) -> dict[str, np.ndarray]:
    return {name: factor * rates.get(name, np.ones(())) for name in start}


def _moved(model: Retriever, examples: Sequence[Example], start: Parameters, seed: int) -> dict[str, np.ndarray]:
    """What learning adds to the parameters."""
    learned = learn(model, examples, seed)
    after = start if learned is None else parameters(learned)
    return {name: after[name] - value for name, value in start.items()}


def _drawn(task: Sequence[Example], seed: int) -> list[Example]:
    return [task[place] for place in np.random.default_rng(seed).permutation(len(task))]


def _norm(parameters: Parameters) -> float:
    return float(np.sqrt(sum(float(np.square(value).sum()) for value in parameters.values())))
