"""Contrastive training of sentence-transformers models with in-batch negatives."""

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
from pydantic import Field, TypeAdapter, model_validator

from zero2ir.encoders.devices import device
from zero2ir.errors import InputError, one_line
from zero2ir.io.files import finished_file, finished_folder, write_json
from zero2ir.io.settings import Settings
from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

CURVE_POINTS = 50  # of a loss curve without checkpoints
WEIGHTS_FILE = "weights.safetensors"  # of the network and of the loss
LOSSES_FILE = "losses.json"
FINISHED_FILE = "finished"


class FitSettings(Settings):
    """Training settings.

    Attributes:
        epochs: passes over the data; each may draw other pairs.
        batch_size: pairs per step, with in-batch negatives.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
        scale: inverse temperature of the softmax over cosines.
    """

    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    scale: Annotated[float, Field(gt=0)] = 20.0


_NetworkT = TypeVar("_NetworkT", "SentenceTransformer", "MultiVectorEncoder")


def fit(model: _NetworkT, columns: Mapping[str, Sequence[str]], settings: FitSettings, seed: int) -> _NetworkT:
    """Trains ``model`` in place on rows in order, and returns it.

    Args:
        model: any bi-encoder, with one or several vectors per text.
        columns: "anchor", "positive" and optionally "negative": lists of equal length. The caller orders the rows such
            that batches have no duplicate documents.
        settings: batch size and learning rate.
        seed: of dropout and other random choices of the network.

    Source: the multiple negatives ranking loss of Henderson et al. 2017, arXiv 1705.00652, section 4.4.
    """
    train_contrastive(model, columns, settings, seed)
    return model


class StepSettings(Protocol):
    """Settings of every training: rows per step and learning rate of AdamW."""

    @property
    def batch_size(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...


class CheckpointSettings(Settings):
    """Checkpoints and early stopping of a long training.

    Attributes:
        number: number of checkpoints with held-out loss, evenly over the training; 0 for short trainings.
        held_out: share of held-out documents, whose loss selects the best checkpoint.
        patience: checkpoints without improvement of the held-out loss before early stopping.
    """

    number: Annotated[int, Field(ge=0)] = 0
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _held_out_is_looked_at(self) -> Self:
        if self.held_out and not self.number:
            raise ValueError(f"held_out={self.held_out}, but number=0 never evaluates it; set number, or held_out=0")
        return self


class LossPoint(NamedTuple):
    """A point of a loss curve.

    Attributes:
        step: number of training batches so far.
        loss: mean over the batches since the previous point.
        held_out: loss of the held-out rows, or None. Not comparable with ``loss``, because batch sizes differ.
    """

    step: int
    loss: float
    held_out: float | None


@dataclass(frozen=True)
class Checkpointing:
    """Checkpoints and held-out rows of a training.

    Attributes:
        checkpoints: number and patience.
        held_out: the held-out rows, or None.
        folder: folder of the checkpoints; training resumes from the last one, and is skipped if it was finished.
            PyTorch loads them by weights_only. None for a temporary folder.
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
    """As ``fit``, with checkpoints; returns the loss curve."""
    loss = contrastive_loss(model, settings.scale)
    curve = train_in_order(model, loss, columns, settings, seed, checkpointing=checkpointing, max_grad_norm=0.0)
    model.eval()
    return curve


def train_in_order(
    model: Any,
    loss: Any,
    columns: Mapping[str, Any],
    settings: StepSettings,
    seed: int,
    callbacks: Sequence[Any] = (),
    checkpointing: Checkpointing = NO_CHECKPOINTS,
    **options: Any,
) -> list[LossPoint]:
    """Trains a network of any kind in place, by one pass over the rows in order.

    Args:
        model: a network of sentence-transformers, which has a trainer for its class.
        loss: module with the network and possibly own parameters; a dict by task for several tasks.
        columns: lists of equal length, in the order that the loss expects; a dict by task for several tasks.
        settings: batch size and learning rate, with linear warm-up over a tenth of the steps and linear decay.
        seed: of dropout and other random choices of the network.
        callbacks: trainer callbacks.
        checkpointing: checkpoints and held-out rows.
        options: further training arguments.

    Returns:
        The loss curve.
    """
    import sentence_transformers
    from transformers import EarlyStoppingCallback, PrinterCallback

    checkpoints = checkpointing.checkpoints
    finished = checkpointing.folder / FINISHED_FILE if checkpointing.folder and checkpoints.number else None
    if finished is not None and finished.is_dir():
        return _read_finished(finished, loss)
    several = isinstance(loss, dict)
    rows = {name: _rows(part) for name, part in columns.items()} if several else _rows(columns)
    held_out = _rows(checkpointing.held_out or {})
    lengths = [len(part) for part in rows.values()] if several else [len(rows)]
    steps = sum(-(-length // settings.batch_size) for length in lengths)
    every = max(1, -(-steps // (checkpoints.number or CURVE_POINTS)))
    with nullcontext(str(checkpointing.folder)) if finished is not None else TemporaryDirectory() as folder:
        arguments = getattr(sentence_transformers, f"{type(model).__name__}TrainingArguments")(
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
            save_strategy="steps" if checkpoints.number else "no",
            save_steps=every,
            save_total_limit=1,  # plus the best one
            eval_strategy="steps" if len(held_out) else "no",
            eval_steps=every,
            load_best_model_at_end=len(held_out) > 0,
            restore_callback_states_from_checkpoint=True,
            report_to="none",
            disable_tqdm=True,
            use_cpu=device() == "cpu",
            dataloader_pin_memory=device() == "cuda",
            **options,
        )
        trainer_type = getattr(sentence_transformers, f"{type(model).__name__}Trainer")
        trainer = _quiet_trainer(trainer_type)(
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
            trainer.add_callback(EarlyStoppingCallback(checkpoints.patience))
        if is_interactive():
            trainer.add_callback(_bar())
        with quiet_transformers():  # suppresses a warning about file times
            trainer.train(resume_from_checkpoint=_last_checkpoint(Path(folder)))
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # bf16 only for training
        curve = _curve(trainer.state.log_history)
        if finished is not None:
            _write_finished(finished, loss, curve)
    return curve


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppresses all transformers messages except errors."""
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
    """Combines the losses of several tasks into one module."""
    import torch

    return torch.nn.ModuleDict(loss) if isinstance(loss, dict) else loss


def _in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> Any:
    from torch.utils.data import BatchSampler, SequentialSampler

    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def _quiet_trainer(trainer_type: Any) -> Any:
    """Returns a trainer class whose checkpoints have only the weights of the network and the loss."""
    from safetensors.torch import load_model, save_model

    class Trainer(trainer_type):  # type: ignore[misc]
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Disables model cards, which would encode samples."""

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
            """Disables logging between progress bars."""

    return Bar


def _last_checkpoint(folder: Path) -> str | None:
    """Returns the last complete checkpoint and removes incomplete ones."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        try:
            whole[json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]] = path
        except (FileNotFoundError, json.JSONDecodeError):  # written last
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def _curve(history: Sequence[Mapping[str, float]]) -> list[LossPoint]:
    """Converts the trainer's log to a loss curve."""
    losses = {int(row["step"]): row["loss"] for row in history if "loss" in row}
    held_out = {int(row["step"]): row["eval_loss"] for row in history if "eval_loss" in row}
    return [LossPoint(step, loss, held_out.get(step)) for step, loss in losses.items()]


def downsample_losses(losses: Sequence[float]) -> list[LossPoint]:
    """Averages the losses of all steps to a curve of about fifty points."""
    every = max(1, -(-len(losses) // CURVE_POINTS))
    runs = [losses[start : start + every] for start in range(0, len(losses), every)]
    return [LossPoint(min((n + 1) * every, len(losses)), float(np.mean(run)), None) for n, run in enumerate(runs)]


def read_losses(path: Path) -> list[LossPoint]:
    """Reads the file that ``write_losses`` wrote.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{"held_out": row.pop("held_out_loss") or None, **row} for row in csv.DictReader(file)]
        return TypeAdapter(list[LossPoint], config={"allow_inf_nan": False, "extra": "forbid"}).validate_python(rows)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(f"{path}: missing or no loss curve ({one_line(error)[:200]}); create it again") from None


def write_losses(curve: Sequence[LossPoint], path: Path) -> None:
    """Writes a loss curve as CSV: step, loss, held_out_loss (possibly empty)."""
    with finished_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["step", "loss", "held_out_loss"])
        table.writerows(curve)


def _write_finished(folder: Path, loss: Any, curve: Sequence[LossPoint]) -> None:
    """Replaces the checkpoints of a finished training by its result."""
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


def contrastive_loss(model: Any, scale: float) -> Any:
    """Returns the contrastive loss of a bi-encoder, a module; ``scale`` multiplies the cosines."""
    from sentence_transformers import MultiVectorEncoder

    if not isinstance(model, MultiVectorEncoder):
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        return MultipleNegativesRankingLoss(model, scale=scale)
    from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
    from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

    return MultiVectorMultipleNegativesRankingLoss(model, scale=scale, similarity_fct=mean_colbert_scores)
