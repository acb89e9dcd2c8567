"""A small transformer trained from random initialisation on the collection only."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.devices import device
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.pretext.training import learn_pairs
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokenizer import TokenizerChoice, make_tokenizer
from zero2ir.encoders.training import CheckpointSettings, FitSettings
from zero2ir.io.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class ScratchSettings(Settings):
    """Settings of the small transformer, for a GPU; one core takes a third of a second per document and epoch.

    Attributes:
        tokenizer: "default", the general-purpose encoder's; or "collection", learned from the documents.
        vocabulary: maximum vocabulary size of a learned tokenizer.
        layers: number of transformer layers.
        dimension: dimension of hidden states and vectors.
        heads: number of attention heads; a divisor of ``dimension``.
        max_tokens: maximum tokens per text.
        fit: training on pretext pairs, sampled anew in each epoch.
        checkpoints: checkpoints, and held-out documents for early stopping.
    """

    tokenizer: TokenizerChoice = "default"
    vocabulary: Annotated[int, Field(ge=1000)] = 30_000
    layers: Annotated[int, Field(ge=1)] = 4
    dimension: Annotated[int, Field(ge=2)] = 256
    heads: Annotated[int, Field(ge=1)] = 4
    max_tokens: Annotated[int, Field(ge=8)] = 128
    fit: FitSettings = FitSettings(epochs=20, batch_size=128, learning_rate=5e-4)
    checkpoints: CheckpointSettings = CheckpointSettings(number=20, held_out=0.05)

    @model_validator(mode="after")
    def _heads_share_the_dimension(self) -> Self:
        if self.dimension % self.heads:
            raise ValueError(f"dimension={self.dimension} is not a multiple of heads={self.heads}; change one")
        return self


def train_scratch(
    documents: Sequence[Document],
    settings: ScratchSettings,
    seed: int,
    tasks: PairTasks = DEFAULT_PAIR_TASKS,
    folder: Path | None = None,
) -> DenseEncoder:
    """Trains a small BERT from random initialisation on pretext pairs.

    Args:
        documents: the collection.
        settings: architecture and training.
        seed: of the initial weights, the pairs, the held-out documents and dropout.
        tasks: the pretext tasks; by default inverse cloze and titles, which need no LM.
        folder: folder of the checkpoints; None for no resumption.

    Raises:
        InputError: a task does not apply to these documents.
    """
    tasks.check(documents)
    model = random_transformer(documents, settings, seed)
    curve = learn_pairs(model, documents, tasks, settings.fit, settings.checkpoints, seed, folder)
    origin = EncoderSettings(name=f"scratch-seed{seed}", source="static", max_tokens=settings.max_tokens, batch_size=64)
    return DenseEncoder(origin, model, {"pairs": curve})


def random_transformer(documents: Sequence[Document], settings: ScratchSettings, seed: int) -> "SentenceTransformer":
    """Returns a mean-pooled BERT with random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(settings.tokenizer, documents, settings.vocabulary),
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.dimension,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.dimension,
        max_position_embeddings=settings.max_tokens,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = BertModel(config)
    with TemporaryDirectory() as folder:
        body.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        opened = Transformer(folder, max_seq_length=settings.max_tokens)
    return SentenceTransformer(modules=[opened, Pooling(settings.dimension)], device=device())
