"""Small retrieval tasks for meta-learning, made from a collection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.encoders.clusters import cluster, cluster_vectors
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.io.settings import Settings
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.strategies.base import TrainingInputs

MIN_TASKS = 4  # three training tasks and a held-out one
MIN_EXAMPLES = 4 * MIN_TASKS


class MetaTaskSettings(Settings):
    """Settings of the tasks.

    Attributes:
        number: maximum number of tasks; each has about twice as many examples as there are judged queries, or more.
        examples: maximum number of examples of a task.
        documents: size of the tasks' collection, and maximum number of documents with pretext queries.
        held_out: share of held-out tasks.
        auxiliary_documents: size of the tasks' collection for each auxiliary collection.
    """

    number: Annotated[int, Field(ge=MIN_TASKS)] = 16
    examples: Annotated[int, Field(ge=4)] = 60
    documents: Annotated[int, Field(ge=MIN_TASKS)] = 2000
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.3
    auxiliary_documents: Annotated[int, Field(ge=MIN_TASKS)] = 300


class AuxiliaryTask(NamedTuple):
    """A task from an auxiliary collection; the examples have document numbers of the corpus."""

    corpus: Corpus
    examples: Sequence[Example]


@dataclass(frozen=True)
class MetaTaskSet:
    """Tasks in a small, encoded collection.

    Attributes:
        corpus: the documents of the tasks.
        training_tasks: the examples of each training task, with document numbers of ``corpus``.
        held_out: the held-out tasks.
        support: number of training examples of a task; the others are its test examples.
        sources: number of examples by source.
        auxiliary: training tasks of auxiliary collections.
        auxiliary_report: number of tasks of each auxiliary collection, or why there are none; JSON.
    """

    corpus: Corpus
    training_tasks: Sequence[Sequence[Example]]
    held_out: Sequence[Sequence[Example]]
    support: int
    sources: Mapping[str, int]
    auxiliary: Sequence[AuxiliaryTask] = ()
    auxiliary_report: Mapping[str, Any] = field(default_factory=dict)


def make_meta_tasks(model: Retriever, inputs: TrainingInputs, settings: MetaTaskSettings) -> MetaTaskSet | None:
    """Makes a task of each cluster of documents, with as many support examples as judged queries are measured.

    Args:
        model: indexed; its first encoder with one vector per document defines the clusters.
        inputs: the documents and the synthetic queries; of the judgments only the number is used.

    Returns:
        None if there are too few examples.
    """
    rng = np.random.default_rng([inputs.seed, 1])
    support = len(inputs.measured_queries)
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
    auxiliary, report = auxiliary_tasks(inputs, roles, settings)
    return MetaTaskSet(corpus, tasks[first:], tasks[:first], support, sources, auxiliary, report)


def auxiliary_tasks(
    inputs: TrainingInputs, roles: Sequence[str], settings: MetaTaskSettings
) -> tuple[list[AuxiliaryTask], dict[str, Any]]:
    """Returns the judged queries of auxiliary collections as tasks, and a report by collection.

    An encoder trained on this collection represents others poorly, so that parameters learned there do not transfer.
    Such encoders exclude all auxiliary tasks.
    """
    own = [role for role in roles if inputs.auxiliary_collections and inputs.corpus.encoder(role).trained]
    if own:
        reason = f"the encoder {own[0]!r} is trained on this collection and does not transfer to another one"
        refused = {"tasks": 0, "refused": reason}
        return [], {other.name: {**other.metadata, **refused} for other in inputs.auxiliary_collections}
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
    """Returns the accepted synthetic queries, with pretext queries if there are fewer than ``enough``.

    The pretext queries are a sentence and the title of at most ``documents`` documents.

    Returns:
        The examples and their number by source.
    """
    written = inputs.synthetic_examples()
    if len(written) >= enough:
        return written, {"synthetic": len(written), "pretext": 0}
    pretext = inputs.pretext_examples(documents, rng)
    return [*written, *pretext], {"synthetic": len(written), "pretext": len(pretext)}


def _groups(
    examples: Sequence[Example], corpus: Corpus, roles: Sequence[str], number: int, seed: int
) -> list[list[Example]]:
    """Groups examples by the clusters of their documents."""
    documents = sorted({example.positive for example in examples})
    vectors = next((rows for rows in map(corpus.encoded, roles) if isinstance(rows, np.ndarray)), None)
    if vectors is None:
        labels = cluster([corpus.contents[document] for document in documents], number, seed, corpus.language)
    else:
        labels = cluster_vectors(vectors[documents], number, seed)
    label_of = dict(zip(documents, labels.tolist(), strict=True))
    groups: dict[int, list[Example]] = {label: [] for label in sorted(set(label_of.values()))}
    for example in examples:
        groups[label_of[example.positive]].append(example)
    return list(groups.values())


def sorted_tasks(groups: Sequence[Sequence[Example]], least: int, rng: np.random.Generator) -> list[Sequence[Example]]:
    """Returns the groups in random order, after merging those with fewer than ``least`` examples."""
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
    """Returns a corpus of the tasks' documents and random others, and the tasks with its document numbers."""
    kept, moved = _kept(tasks, len(corpus.documents), documents, rng)
    return corpus.cached_subset(kept, [one.query for task in tasks for one in task], roles), moved


def _kept(
    tasks: Sequence[Sequence[Example]], documents: int, number: int, rng: np.random.Generator
) -> tuple[list[int], list[list[Example]]]:
    """Returns the numbers of the tasks' documents and random others, and the tasks with their positions in these."""
    used = {number for task in tasks for one in task for number in (one.positive, *one.negatives)}
    drawn = rng.permutation(documents).tolist()
    others = [number for number in drawn if number not in used]
    kept = sorted([*used, *others[: max(0, number - len(used))]])
    place = {number: row for row, number in enumerate(kept)}
    moved = [
        [one._replace(positive=place[one.positive], negatives=tuple(place[n] for n in one.negatives)) for one in task]
        for task in tasks
    ]
    return kept, moved
