"""One way to train a sentence-transformers model on (anchor, positive, negative) texts: in-batch contrast."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from pydantic import Field, model_validator

from zero2ir.io.files import finished_file, finished_folder, write_json
from zero2ir.io.settings import Settings
from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

CURVE_POINTS = 50  # of a loss curve, where nothing is checked
WEIGHTS_FILE = "weights.safetensors"  # of the network and of the loss
LOSSES_FILE = "losses.json"
FINISHED_FILE = "finished"


class FitSettings(Settings):
    """How long and how hard to train.

    Attributes:
        epochs: passes over the data; the caller makes them, since each pass may see other pairs.
        batch_size: pairs per step; each other positive of a batch is a negative.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
        scale: inverse temperature of the softmax over cosines.
    """

    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    scale: Annotated[float, Field(gt=0)] = 20.0


_NetworkT = TypeVar("_NetworkT", "SentenceTransformer", "MultiVectorEncoder")


def fit(model: _NetworkT, columns: Mapping[str, Sequence[str]], settings: FitSettings, seed: int) -> _NetworkT:
    """Trains ``model`` in place on rows in the given order, and returns it.

    Args:
        model: any bi-encoder, of one vector a text or of several.
        columns: "anchor", "positive" and optionally "negative": lists of equal length. The caller orders the rows, so
            that a batch does not hold one document twice.
        settings: batch size and learning rate.
        seed: seeds dropout and whatever else the network draws.

    Source: the multiple negatives ranking loss of Henderson et al. 2017, arXiv 1705.00652, section 4.4.
    """
    train_contrastive(model, columns, settings, seed)
    return model


class StepSettings(Protocol):
    """What every training has to know: rows a step, and the learning rate of AdamW."""

    @property
    def batch_size(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...


class CheckpointSettings(Settings):
    """What a long training does now and then, so that it survives a kill and ends in time.

    Attributes:
        number: so often, evenly over the training, it writes a checkpoint and measures the held-out loss; 0 is never,
            for a training of seconds.
        held_out: share of the documents that it does not learn from; their loss tells which checkpoint is the best.
        patience: it ends early after so many checks without a better held-out loss.
    """

    number: Annotated[int, Field(ge=0)] = 0
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _held_out_is_looked_at(self) -> Self:
        if self.held_out and not self.number:
            raise ValueError(f"held_out={self.held_out}, but number=0 never looks at it; set number, or held_out=0")
        return self


class LossPoint(NamedTuple):
    """A point of a loss curve.

    Attributes:
        step: batches learned from so far.
        loss: mean over the batches since the point before.
        held_out: the loss of the held-out rows; None where there are none. In-batch contrast is easier in a small
            batch, so its level compares with itself alone.
    """

    step: int
    loss: float
    held_out: float | None


@dataclass(frozen=True)
class Checkpointing:
    """How a training is watched.

    Attributes:
        checkpoints: how often, and how patiently.
        held_out: the rows that are not learned from; None for none.
        folder: keeps the checkpoints; a training that finds its own there goes on from the last one, and one that it
            had finished is not done again. PyTorch opens them by weights_only. None keeps them to the end only.
    """

    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    held_out: Mapping[str, Sequence[Any]] | None = None
    folder: Path | None = None


NO_CHECKPOINTS = Checkpointing()


def train_contrastive(
    model: Any,
    columns: Mapping[str, Sequence[str]],
    settings: FitSettings,
    seed: int,
    checkpointing: Checkpointing = NO_CHECKPOINTS,
) -> list[LossPoint]:
    """As ``fit``, but watched; returns the loss curve."""
    trainer_type, arguments_type, loss = _tools(model, settings.scale)
    curve = train_in_order(
        trainer_type,
        arguments_type,
        model,
        loss,
        columns,
        settings,
        seed,
        checkpointing=checkpointing,
        max_grad_norm=0.0,
    )
    model.eval()
    return curve


def train_in_order(
    trainer_type: Any,
    arguments_type: Any,
    model: Any,
    loss: Any,
    columns: Mapping[str, Any],
    settings: StepSettings,
    seed: int,
    callbacks: Sequence[Any] = (),
    checkpointing: Checkpointing = NO_CHECKPOINTS,
    **options: Any,
) -> list[LossPoint]:
    """Trains a network of any kind in place, one pass over the rows as they stand.

    Args:
        trainer_type: the sentence-transformers trainer of the network's kind.
        arguments_type: the class of its arguments.
        model: the network.
        loss: of its kind; holds the network, and may learn weights of its own. Several tasks have one each, by name.
        columns: lists of equal length, in the order that the loss expects; with several losses such columns by name.
        settings: batch size and learning rate, with linear warm-up over a tenth of the steps and linear decay.
        seed: seeds dropout and whatever else the network draws.
        callbacks: of the trainer.
        checkpointing: checkpoints, and what is held out.
        options: further arguments.

    Returns:
        The loss curve.
    """
    import torch
    from transformers import EarlyStoppingCallback, PrinterCallback

    finished = (
        checkpointing.folder / FINISHED_FILE if checkpointing.folder and checkpointing.checkpoints.number else None
    )
    if finished is not None and finished.is_dir():
        return _read_finished(finished, loss)
    several = isinstance(loss, dict)
    rows = {name: _rows(part) for name, part in columns.items()} if several else _rows(columns)
    held_out = _rows(checkpointing.held_out or {})
    lengths = [len(part) for part in rows.values()] if several else [len(rows)]
    steps = sum(-(-length // settings.batch_size) for length in lengths)
    every = max(1, -(-steps // (checkpointing.checkpoints.number or CURVE_POINTS)))
    with nullcontext(str(checkpointing.folder)) if finished is not None else TemporaryDirectory() as folder:
        arguments = arguments_type(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=steps // 10,
            batch_sampler=_in_order,
            seed=seed,
            optim="adamw_torch_fused",
            logging_strategy="steps",
            logging_steps=every,
            save_strategy="steps" if checkpointing.checkpoints.number else "no",
            save_steps=every,
            save_total_limit=1,  # and the best one
            eval_strategy="steps" if len(held_out) else "no",
            eval_steps=every,
            load_best_model_at_end=len(held_out) > 0,
            restore_callback_states_from_checkpoint=True,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            **options,
        )
        kind = _quiet_trainer(trainer_type)
        trainer = kind(
            model=model,
            args=arguments,
            train_dataset=rows,
            eval_dataset=held_out if len(held_out) else None,
            loss=loss,
            callbacks=list(callbacks),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_log_at_the_end())
        if len(held_out):
            trainer.add_callback(EarlyStoppingCallback(checkpointing.checkpoints.patience))
        if is_interactive():
            trainer.add_callback(_bar())
        with quiet_transformers():  # it doubts the clock of the file system
            trainer.train(resume_from_checkpoint=_last_checkpoint(Path(folder)))
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # bf16 is for training alone
        curve = _curve(trainer.state.log_history)
        if finished is not None:
            _write_finished(finished, loss, curve)
    return curve


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Transformers says nothing but errors."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _rows(columns: Mapping[str, Sequence[Any]]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({name: list(values) for name, values in columns.items()})


def _whole(loss: Any) -> Any:
    """The losses of several tasks as one module."""
    import torch

    return torch.nn.ModuleDict(loss) if isinstance(loss, dict) else loss


def _in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> Any:
    from torch.utils.data import BatchSampler, SequentialSampler

    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def _quiet_trainer(trainer_type: Any) -> Any:
    """A trainer whose checkpoints hold the weights of the network and of the loss, and nothing that is not needed."""
    from safetensors.torch import load_model, save_model

    class Trainer(trainer_type):  # type: ignore[misc]
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Writes no model card, and so encodes no samples for one."""

        def _save(self, output_dir: str, state_dict: Any = None) -> None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_model(_whole(self.loss), f"{output_dir}/{WEIGHTS_FILE}")

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            load_model(_whole(self.loss), f"{resume_from_checkpoint}/{WEIGHTS_FILE}", device=str(self.model.device))

        def _load_best_model(self) -> None:
            self._load_from_checkpoint(self.state.best_model_checkpoint)

    return Trainer


def _log_at_the_end() -> Any:
    from transformers import TrainerCallback

    class Last(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
            control.should_log |= state.global_step >= state.max_steps

    return Last


def _bar() -> Any:
    from transformers import ProgressCallback

    class Bar(ProgressCallback):
        def on_log(self, *arguments: Any, **options: Any) -> None:
            """Shows how far training is, and prints no figures between the bars."""

    return Bar


def _last_checkpoint(folder: Path) -> str | None:
    """The last whole checkpoint; one that was being written when the process was killed is removed."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        try:
            whole[json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]] = path
        except (FileNotFoundError, json.JSONDecodeError):  # what is written last
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def _curve(history: Sequence[Mapping[str, float]]) -> list[LossPoint]:
    """The trainer's log as a curve."""
    losses = {int(row["step"]): row["loss"] for row in history if "loss" in row}
    held_out = {int(row["step"]): row["eval_loss"] for row in history if "eval_loss" in row}
    return [LossPoint(step, loss, held_out.get(step)) for step, loss in losses.items()]


def downsample_losses(losses: Sequence[float]) -> list[LossPoint]:
    """The losses of all steps of a training of one's own, as a curve of some fifty points."""
    every = max(1, -(-len(losses) // CURVE_POINTS))
    runs = [losses[start : start + every] for start in range(0, len(losses), every)]
    return [LossPoint(min((n + 1) * every, len(losses)), float(np.mean(run)), None) for n, run in enumerate(runs)]


def write_losses(curve: Sequence[LossPoint], path: Path) -> None:
    """Writes a loss curve as CSV: step, loss, held_out_loss (empty where nothing is held out)."""
    with finished_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["step", "loss", "held_out_loss"])
        table.writerows(curve)


def _write_finished(folder: Path, loss: Any, curve: Sequence[LossPoint]) -> None:
    """Keeps what a training ended in, in place of its checkpoints."""
    from safetensors.torch import save_model

    with finished_folder(folder) as part:
        save_model(_whole(loss), str(part / WEIGHTS_FILE))
        write_json(part / LOSSES_FILE, [point._asdict() for point in curve])
    for path in folder.parent.glob("checkpoint-*"):
        shutil.rmtree(path)


def _read_finished(folder: Path, loss: Any) -> list[LossPoint]:
    from safetensors.torch import load_model

    load_model(_whole(loss), str(folder / WEIGHTS_FILE))
    return [LossPoint(**point) for point in json.loads((folder / LOSSES_FILE).read_text(encoding="utf-8"))]


def _tools(model: Any, scale: float) -> tuple[Any, Any, Any]:
    """The trainer, its arguments and the loss for a kind of network."""
    import sentence_transformers as st

    if not isinstance(model, st.MultiVectorEncoder):
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        loss: Any = MultipleNegativesRankingLoss(model, scale=scale)
        return st.SentenceTransformerTrainer, st.SentenceTransformerTrainingArguments, loss
    from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
    from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

    loss = MultiVectorMultipleNegativesRankingLoss(model, scale=scale, similarity_fct=mean_colbert_scores)
    return st.MultiVectorEncoderTrainer, st.MultiVectorEncoderTrainingArguments, loss
