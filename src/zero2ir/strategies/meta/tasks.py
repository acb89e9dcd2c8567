"""Little retrieval tasks made from a collection: what meta-learning practises on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.encoders.clusters import cluster, cluster_vectors
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.title import Title
from zero2ir.io.settings import Settings
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.strategies.base import TrainingInputs

MIN_TASKS = 4  # tasks, three to learn from and one to measure on
MIN_EXAMPLES = 4 * MIN_TASKS


class MetaTaskSettings(Settings):
    """Which tasks are made.

    Attributes:
        number: tasks, at most; each has about twice as many examples as there are judged queries, or more.
        examples: of a task, at most.
        documents: that the tasks' queries search in, and as many at most that pretext queries are made from.
        held_out: the share of the tasks that is learned from by nobody, and measured on.
        auxiliary_documents: of each other collection, that the tasks made of its judgments search in.
    """

    number: Annotated[int, Field(ge=MIN_TASKS)] = 16
    examples: Annotated[int, Field(ge=4)] = 60
    documents: Annotated[int, Field(ge=MIN_TASKS)] = 2000
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.3
    auxiliary_documents: Annotated[int, Field(ge=MIN_TASKS)] = 300


class AuxiliaryTask(NamedTuple):
    """A task from another collection.

    Attributes:
        corpus: its documents.
        examples: their document numbers are those of ``corpus``.
    """

    corpus: Corpus
    examples: Sequence[Example]


@dataclass(frozen=True)
class MetaTaskSet:
    """Tasks in a small collection, where nothing has to be encoded any more.

    Attributes:
        corpus: the documents that the tasks' queries search in.
        training_tasks: the tasks to learn from, each one's examples; their document numbers are those of ``corpus``.
        held_out: the tasks to measure on.
        support: with how many examples a task is learned; the others measure.
        sources: how many examples come from where.
        others: further tasks to learn from, which search elsewhere.
        auxiliary_report: of each other collection, how many tasks it gave, or why none; JSON.
    """

    corpus: Corpus
    training_tasks: Sequence[Sequence[Example]]
    held_out: Sequence[Sequence[Example]]
    support: int
    sources: Mapping[str, int]
    auxiliary: Sequence[AuxiliaryTask] = ()
    auxiliary_report: Mapping[str, Any] = field(default_factory=dict)


def make_meta_tasks(model: Retriever, inputs: TrainingInputs, settings: MetaTaskSettings) -> MetaTaskSet | None:
    """Makes a task of each cluster of like documents, with as many support examples as there are judged queries.

    Args:
        model: indexed; its encoders tell what is alike, where one of them gives a vector a document.
        inputs: the documents and the synthetic queries; of the judgments nothing but their number.
        settings: how many tasks of which size.

    Returns:
        None where the collection gives too few examples.
    """
    rng = np.random.default_rng([inputs.seed, 1])
    support = len(inputs.queries)
    examples, sources = meta_task_examples(inputs, 2 * support * MIN_TASKS, settings.documents, rng)
    if len(examples) < MIN_EXAMPLES:
        return None
    support = min(support, len(examples) // (2 * MIN_TASKS), settings.examples // 2)
    number = min(settings.number, len(examples) // (2 * support))
    roles = encoder_roles(model)
    groups = _groups(examples, inputs.corpus, roles, number, inputs.seed)
    tasks = [
        [group[place] for place in rng.permutation(len(group))[: settings.examples]]
        for group in sorted_tasks(groups, support + (support + 1) // 2, rng)
    ]
    corpus, tasks = _small(inputs.corpus, tasks, roles, settings.documents, rng)
    first = max(1, round(settings.held_out * len(tasks)))
    if len(tasks) <= first:
        return None
    others, report = auxiliary_tasks(inputs, roles, settings)
    return MetaTaskSet(corpus, tasks[first:], tasks[:first], support, sources, others, report)


def auxiliary_tasks(
    inputs: TrainingInputs, roles: Sequence[str], settings: MetaTaskSettings
) -> tuple[list[AuxiliaryTask], dict[str, Any]]:
    """The judged queries of other collections as tasks, and of each collection how many it gave, or why none.

    What is learned stands on what the encoders give: an encoder that was trained on this collection says little of
    another one, and what is learned there is of no use here.

    Args:
        inputs: with the other collections.
        roles: the encoders that the model asks for.
        settings: how large a task is, and how many documents it searches in.
    """
    own = [role for role in roles if inputs.auxiliary_collections and inputs.corpus.encoder(role).trained]
    if own:
        reason = f"the encoder {own[0]!r} is trained on this collection, and says little of another one"
        return [], {
            other.name: {**other.metadata, "tasks": 0, "refused": reason} for other in inputs.auxiliary_collections
        }
    tasks, report = list[AuxiliaryTask](), dict[str, Any]()
    for number, other in enumerate(inputs.auxiliary_collections):
        rng = np.random.default_rng([inputs.seed, 3, number])
        there = TrainingInputs(Corpus(other.documents), other.judgments, tuning=inputs.tuning, seed=inputs.seed)
        examples = there.judged_examples(list(there.queries))
        order = rng.permutation(len(examples))
        groups = [
            [examples[place] for place in order[first : first + settings.examples]]
            for first in range(0, len(examples), settings.examples)
        ]
        kept, moved = _kept(groups, len(other.documents), settings.auxiliary_documents, rng)
        queries = [example.query for example in examples]
        encoders: dict[str, Any] = {role: CachedQueryEncoder(inputs.corpus.encoder(role), queries) for role in roles}
        corpus = Corpus([other.documents[place] for place in kept], encoders)
        tasks += [AuxiliaryTask(corpus, group) for group in moved]
        report[other.name] = {**other.metadata, "tasks": len(groups), "examples": len(examples)}
    return tasks, report


def meta_task_examples(
    inputs: TrainingInputs, enough: int, documents: int, rng: np.random.Generator
) -> tuple[list[Example], dict[str, int]]:
    """The accepted synthetic queries; where they are fewer than ``enough``, pretext queries join them.

    Args:
        inputs: documents and synthetic queries.
        enough: examples.
        documents: that pretext queries are made from, at most: a sentence of each, and its title.
        rng: the source of chance.

    Returns:
        The examples, and how many come from where.
    """
    written = inputs.synthetic_examples()
    if len(written) >= enough:
        return written, {"synthetic": len(written), "pretext": 0}
    pretext_examples = []
    for number in rng.permutation(len(inputs.corpus.documents))[:documents]:
        for task in (InverseCloze(), Title()):
            pair = task.pair(inputs.corpus.documents[number], rng)
            if pair is not None:
                pretext_examples.append(Example(pair[0], int(number)))
    return [*written, *pretext_examples], {"synthetic": len(written), "pretext": len(pretext_examples)}


def _groups(
    examples: Sequence[Example], corpus: Corpus, roles: Sequence[str], number: int, seed: int
) -> list[list[Example]]:
    """The examples by the clusters of their documents."""
    documents = sorted({example.positive for example in examples})
    vectors = next((rows for rows in map(corpus.encoded, roles) if isinstance(rows, np.ndarray)), None)
    if vectors is None:
        labels = cluster([corpus.contents[document] for document in documents], number, seed)
    else:
        labels = cluster_vectors(vectors[documents], number, seed)
    label_of = dict(zip(documents, labels.tolist(), strict=True))
    groups: dict[int, list[Example]] = {label: [] for label in sorted(set(label_of.values()))}
    for example in examples:
        groups[label_of[example.positive]].append(example)
    return list(groups.values())


def sorted_tasks(groups: Sequence[Sequence[Example]], least: int, rng: np.random.Generator) -> list[Sequence[Example]]:
    """The groups in random order; those with fewer than ``least`` examples are joined until they have so many."""
    tasks = [group for group in groups if len(group) >= least]
    gathered: list[Example] = []
    for group in groups:
        if len(group) < least:
            gathered = [*gathered, *group]
            if len(gathered) >= least:
                tasks.append(gathered)
                gathered = []
    return [tasks[place] for place in rng.permutation(len(tasks))]


def _small(
    corpus: Corpus, tasks: Sequence[Sequence[Example]], roles: Sequence[str], documents: int, rng: np.random.Generator
) -> tuple[Corpus, list[list[Example]]]:
    """The tasks' documents, filled up with others, as a corpus of their own, and the tasks with its numbers."""
    kept, moved = _kept(tasks, len(corpus.documents), documents, rng)
    return corpus.cached_subset(kept, [one.query for task in tasks for one in task], roles), moved


def _kept(
    tasks: Sequence[Sequence[Example]], documents: int, number: int, rng: np.random.Generator
) -> tuple[list[int], list[list[Example]]]:
    """The numbers of the tasks' documents, filled up with others, and the tasks with their places among them."""
    named = {number for task in tasks for one in task for number in (one.positive, *one.negatives)}
    drawn = rng.permutation(documents).tolist()
    others = [number for number in drawn if number not in named]
    kept = sorted([*named, *others[: max(0, number - len(named))]])
    place = {number: row for row, number in enumerate(kept)}
    moved = [
        [one._replace(positive=place[one.positive], negatives=tuple(place[n] for n in one.negatives)) for one in task]
        for task in tasks
    ]
    return kept, moved
