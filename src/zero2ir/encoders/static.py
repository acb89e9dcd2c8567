"""Static token embeddings trained from random initialisation on the collection only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.pretext.training import learn_pairs
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokenizer import TokenizerChoice, make_tokenizer
from zero2ir.encoders.training import CheckpointSettings, FitSettings
from zero2ir.io.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class StaticSettings(Settings):
    """Settings of the static encoder; it trains in some minutes on one core, however many documents there are.

    Attributes:
        tokenizer: "default", the general-purpose encoder's; or "collection", learned from the documents.
        vocabulary: maximum vocabulary size of a learned tokenizer.
        dimension: dimension of the vectors.
        initial_deviation: standard deviation of the random initial weights.
        fit: training on pretext pairs, sampled anew in each epoch. A scale of 20 lost 0.02 on train queries of
            beir/scifact and beir/nfcorpus.
        max_pairs: the most pairs of all epochs together, so that time stops growing at about 10,000 documents of two
            pairs each; each epoch draws others. None for all.
        checkpoints: checkpoints and held-out documents; none by default, because training is fast.
    """

    tokenizer: TokenizerChoice = "default"
    vocabulary: Annotated[int, Field(ge=1000)] = 30_000
    dimension: Annotated[int, Field(ge=2)] = 512
    initial_deviation: Annotated[float, Field(gt=0)] = 0.02
    fit: FitSettings = FitSettings(epochs=12, batch_size=512, learning_rate=0.02, scale=8.0)
    max_pairs: PositiveInt | None = 240_000
    checkpoints: CheckpointSettings = CheckpointSettings()


def train_static(
    documents: Sequence[Document],
    settings: StaticSettings,
    seed: int,
    tasks: PairTasks = DEFAULT_PAIR_TASKS,
    folder: Path | None = None,
) -> DenseEncoder:
    """Trains token embeddings, whose mean is a text's vector; the arguments are those of ``train_scratch``.

    Encoding takes seconds on a CPU.
    """
    model = random_table(documents, settings, seed)
    fit, checkpoints, most = settings.fit, settings.checkpoints, settings.max_pairs
    curve = learn_pairs(model, documents, tasks, fit, checkpoints, seed, folder, max_pairs=most)
    origin = EncoderSettings(name=f"static-seed{seed}", source="static", batch_size=256)
    return DenseEncoder(origin, model, {"pairs": curve})


def random_table(documents: Sequence[Document], settings: StaticSettings, seed: int) -> "SentenceTransformer":
    """Returns random token embeddings."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = make_tokenizer(settings.tokenizer, documents, settings.vocabulary)
    table = StaticEmbedding(tokenizer, embedding_dim=settings.dimension)
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(table.embedding.weight, std=settings.initial_deviation, generator=generator)
    return SentenceTransformer(modules=[table], device="cpu")  # a GPU is not faster for look-ups
