"""Contrastive training of learned sparse networks with FLOPS regularisation."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from zero2ir.encoders.training import train_in_order
from zero2ir.io.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder as Network


class SparseFitSettings(Settings):
    """Training settings of a sparse network.

    Attributes:
        epochs: passes over the data.
        batch_size: pairs per step, with in-batch negatives.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
        scale: inverse temperature of the softmax over scores.
        flops: weight of the FLOPS regularisation of documents, reached by quadratic growth over a third of the steps.
    """

    epochs: Annotated[int, Field(ge=1)] = 2
    batch_size: Annotated[int, Field(ge=2)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    scale: Annotated[float, Field(gt=0)] = 0.3
    flops: Annotated[float, Field(ge=0)] = 1e-3


def fit_sparse(
    network: "Network",
    importance: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    settings: SparseFitSettings,
    seed: int,
) -> "Network":
    """Trains the document encoder in place on rows in order, and returns it; queries need no network.

    Args:
        network: a masked-language model and its pooling.
        importance: (n_terms,) frozen weights of query terms.
        columns: "anchor", "positive" and optionally "negative": lists of equal length.
        settings: batch size, learning rate, regularisation.
        seed: seeds dropout.

    Source: Formal et al. 2021, arXiv 2109.10086, section 3; FLOPS by Paria et al., ICLR 2020, arXiv 2004.05665.
    """
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.callbacks.splade_callbacks import SpladeRegularizerWeightSchedulerCallback
    from sentence_transformers.sparse_encoder.losses import SparseMultipleNegativesRankingLoss, SpladeLoss
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    table = SparseStaticEmbedding(network.tokenizer, torch.from_numpy(importance), frozen=True)
    layers: list[Any] = list(network.children())
    model = SparseEncoder(modules=[Router.for_query_document([table], layers)], device=str(network.device))
    contrast = SparseMultipleNegativesRankingLoss(model, scale=settings.scale)
    loss = SpladeLoss(model, contrast, document_regularizer_weight=settings.flops, query_regularizer_weight=0.0)
    train_in_order(
        model,
        loss,
        columns,
        settings,
        seed,
        callbacks=[SpladeRegularizerWeightSchedulerCallback(loss)],
        router_mapping={name: "query" if name == "anchor" else "document" for name in columns},
    )
    return network.eval()
