"""One way to train a sentence-transformers model on (anchor, positive, negative) texts: in-batch contrast."""

from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from zero2ir.progress import watched

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer


class FitSettings(BaseModel):
    """How long and how hard to train.

    Attributes:
        epochs: passes over the data; the caller makes them, since each pass may see other pairs.
        batch_size: pairs per step; each other positive of a batch is a negative.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
        scale: inverse temperature of the softmax over cosines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    scale: Annotated[float, Field(gt=0)] = 20.0


Network = TypeVar("Network", "SentenceTransformer", "MultiVectorEncoder")


def fit(model: Network, columns: Mapping[str, Sequence[str]], settings: FitSettings, seed: int) -> Network:
    """Trains ``model`` in place on rows in the given order, and returns it.

    Args:
        model: any bi-encoder, of one vector a text or of several.
        columns: "anchor", "positive" and optionally "negative": lists of equal length. The caller orders the rows, so
            that a batch does not hold one document twice.
        settings: batch size and learning rate.
        seed: seeds dropout and whatever else the network draws.

    Source: the multiple negatives ranking loss of Henderson et al. 2017, arXiv 1705.00652, section 4.4.
    """
    trainer_type, arguments_type, loss = _tools(model, settings.scale)
    train_in_order(trainer_type, arguments_type, model, loss, columns, settings, seed, max_grad_norm=0.0)
    return model.eval()


class StepSettings(Protocol):
    """What every training has to know: rows a step, and the learning rate of AdamW."""

    @property
    def batch_size(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...


def train_in_order(
    trainer_type: Any,
    arguments_type: Any,
    model: Any,
    loss: Any,
    columns: Mapping[str, Sequence[Any]],
    settings: StepSettings,
    seed: int,
    callbacks: Sequence[Any] = (),
    **options: Any,
) -> None:
    """Trains a network of any kind in place, one pass over the rows as they stand; nothing is logged or kept.

    Args:
        trainer_type: the sentence-transformers trainer of the network's kind.
        arguments_type: the class of its arguments.
        model: the network.
        loss: of its kind.
        columns: lists of equal length, in the order that the loss expects.
        settings: batch size and learning rate, with linear warm-up over a tenth of the steps and linear decay.
        seed: seeds dropout and whatever else the network draws.
        callbacks: of the trainer.
        options: further arguments.
    """
    import torch
    from datasets import Dataset
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import PrinterCallback, ProgressCallback

    class Trainer(trainer_type):  # type: ignore[misc]
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Writes no model card, and so encodes no samples for one."""

    class Bar(ProgressCallback):
        def on_log(self, *arguments: Any, **options: Any) -> None:
            """Shows how far training is, and prints no figures between the bars."""

    def in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> BatchSampler:
        return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)

    rows = Dataset.from_dict({name: list(values) for name, values in columns.items()})
    steps = -(-len(rows) // settings.batch_size)
    with TemporaryDirectory() as folder:
        arguments = arguments_type(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=steps // 10,
            batch_sampler=in_order,
            seed=seed,
            optim="adamw_torch_fused",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            **options,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, loss=loss, callbacks=list(callbacks))
        trainer.remove_callback(PrinterCallback)
        if watched():
            trainer.add_callback(Bar)
        trainer.train()


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
