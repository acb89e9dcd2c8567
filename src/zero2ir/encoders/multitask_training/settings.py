"""Settings of multi-task training."""

from typing import Annotated, Literal

from pydantic import Field

from zero2ir.encoders.multitask import TASKS, TaskName
from zero2ir.io.settings import Settings


class MultitaskSettings(Settings):
    """The schema of ``multitask`` in ``conf/pretraining/*.yaml``; training takes a few minutes on one core.

    Attributes:
        tasks: tasks to train on.
        layers: number of the body's layers to keep, from the first; None for all.
        steps: number of batches; each belongs to one task.
        batch_size: rows per batch.
        learning_rate: of the body, with linear warm-up over a tenth of the steps and linear decay.
        head_rate: learning rate of the heads, whose initial weights are random.
        scale: inverse temperature of the softmax over cosines.
        max_tokens: maximum tokens per text in training.
        temperature: T; a task's share of the steps is proportional to the T-th root of its number of rows.
        weights: weights of the tasks' losses: "equal", or "uncertainty" for learned ones.
        clusters: maximum number of classes if the documents' titles are no classes.
        passage_words: maximum words per passage; passages consist of whole sentences unless these are longer.
        judged_share: share of rows from judged queries, if there are any.
        held_out: share of the documents that are held out to evaluate the heads.
        checkpoints: number of checkpoints, evenly over the training; 0 for none.

    Source: temperature as in Raffel et al. 2020, arXiv 1910.10683, section 3.5.2; weights as in Kendall, Gal and
    Cipolla, CVPR 2018, arXiv 1705.07115, section 3.2.
    """

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1)] = TASKS
    layers: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] = 200
    batch_size: Annotated[int, Field(ge=2)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5
    head_rate: Annotated[float, Field(gt=0)] = 1e-3
    scale: Annotated[float, Field(gt=0)] = 20.0
    max_tokens: Annotated[int, Field(ge=16)] = 64
    temperature: Annotated[float, Field(ge=1)] = 1.0
    weights: Literal["equal", "uncertainty"] = "equal"
    clusters: Annotated[int, Field(ge=2)] = 20
    passage_words: Annotated[int, Field(ge=8)] = 40
    judged_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    checkpoints: Annotated[int, Field(ge=0)] = 0
