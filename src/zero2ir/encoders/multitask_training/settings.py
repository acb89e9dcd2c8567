"""How one encoder learns several tasks at once."""

from typing import Annotated, Literal

from pydantic import Field

from zero2ir.encoders.multitask import TASKS, TaskName
from zero2ir.io.settings import Settings


class MultitaskSettings(Settings):
    """The schema of ``multitask`` in ``conf/pretraining/*.yaml``: some minutes on one core.

    Attributes:
        tasks: which are learned.
        layers: of the body, so many first ones; all where None.
        steps: batches in all; each is of one task.
        batch_size: rows of a batch.
        learning_rate: of the body, with linear warm-up over a tenth of the steps and linear decay.
        head_rate: the same of the heads, which begin with random weights.
        scale: inverse temperature of the softmax over cosines.
        max_tokens: texts are cut after so many in training.
        temperature: tasks take turns by the T-th root of how many rows they have; 1 is in proportion.
        weights: of the tasks' losses: "equal", or "uncertainty", learned.
        clusters: classes, at most, where the documents' titles are none.
        passage_words: words of a passage, at most, which is made of whole sentences where they are no longer.
        judged_share: share of the rows that comes from judged queries, where there are any.
        held_out: share of the documents that is learned from by no task; the heads are measured on them.
        checkpoints: so often, evenly over the training, one is written; 0 is never.

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
