"""One way to train a sentence-transformers model on (anchor, positive, negative) texts: in-batch contrast."""

from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
    import torch
    from datasets import Dataset
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import PrinterCallback, ProgressCallback

    trainer_type, arguments_type, loss = _tools(model, settings.scale)

    class Trainer(trainer_type):  # type: ignore[misc, valid-type]
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
            batch_sampler=in_order,  # type: ignore[arg-type]  # any batch sampler works, as documented
            seed=seed,
            optim="adamw_torch_fused",
            max_grad_norm=0.0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, loss=loss)
        trainer.remove_callback(PrinterCallback)
        if watched():
            trainer.add_callback(Bar)
        trainer.train()
    return model.eval()


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
