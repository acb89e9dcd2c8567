"""A late-interaction encoder from the projected token embeddings of a general-purpose one, without training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from zero2ir.encoders.base import readable
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.devices import device
from zero2ir.encoders.precision import in_precision, torch_precision
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokens import TokenEncoder
from zero2ir.errors import InputError
from zero2ir.io.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers.base.modules.dense import Dense


class ProjectionSettings(Settings):
    """Projection and pooling of token embeddings.

    Attributes:
        dimension: dimension of the projected vectors, at most the encoder's. 192 is better than 128 on train queries of
            beir/scifact and beir/nfcorpus.
        whitening: exponent of the variance that divides each principal component: 0 for none, 0.5 for full whitening.
        documents: number of documents, spread over the collection, to estimate the principal components on.
        pooling: tokens per vector, at least 1; vectors are the means of clusters of similar tokens.
    """

    dimension: Annotated[int, Field(ge=2)] = 192
    whitening: Annotated[float, Field(ge=0, le=0.5)] = 0.5
    documents: Annotated[int, Field(ge=1)] = 300
    pooling: Annotated[float, Field(ge=1)] = 2.0


def projected_encoder(
    contents: Sequence[str], pretrained: EncoderSettings, settings: ProjectionSettings
) -> TokenEncoder:
    """Adds a projection onto the documents' principal components to a general-purpose encoder.

    Args:
        contents: the documents' texts.
        pretrained: the encoder; it must provide token embeddings.
        settings: dimension, whitening and pooling.

    Raises:
        InputError: the encoder has no contextual token embeddings, or fewer than ``dimension`` dimensions.

    Source: token pooling by Clavié et al. 2024, arXiv 2409.14683.
    """
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask

    if pretrained.source == "static":
        raise InputError("model=late_interaction needs a transformer encoder; choose encoder=minilm")
    network = DenseEncoder(pretrained)
    chosen = np.linspace(0, len(contents) - 1, min(len(contents), settings.documents)).astype(int)
    tokens = token_vectors(network, [contents[number] for number in chosen])
    modules = [
        network.model[0],
        _projection(tokens, settings),
        Normalize("token_embeddings"),
        MultiVectorMask(["[CLS]", "[SEP]"], skiplist_tasks="query"),
        HierarchicalTokenPooling(settings.pooling),
    ]
    prompts = dict(zip(("query", "document"), network.prompts, strict=True))
    return TokenEncoder(pretrained, MultiVectorEncoder(modules=modules, prompts=prompts, device=device()))


def token_vectors(network: DenseEncoder, texts: Sequence[str]) -> np.ndarray:
    """Returns the embeddings of all tokens of documents with prompts, (n_tokens, dimension) float32."""
    _, prompt = network.prompts
    with in_precision(network.model, torch_precision(network.precision)):
        rows = network.model.encode(
            readable([prompt + text for text in texts]),
            batch_size=network.settings.batch_size,
            output_value="token_embeddings",
            show_progress_bar=False,
        )
    return np.concatenate([row.cpu().numpy() for row in rows])


def _projection(tokens: np.ndarray, settings: ProjectionSettings) -> "Dense":
    """Returns the map x -> (x - mean) V S^-whitening, with V the first principal components and S their variances.

    The covariance is shrunk, because whitening would amplify components with underestimated variances. Source: oracle
    approximating shrinkage, Chen et al., IEEE TSP 2010, doi:10.1109/TSP.2010.2053029.
    """
    import torch
    from sentence_transformers.base.modules.dense import Dense
    from sklearn.covariance import oas

    width = tokens.shape[1]
    if settings.dimension > width:
        raise InputError(f"pretraining.projection.dimension={settings.dimension}: the encoder has {width}; take fewer")
    variances, components = np.linalg.eigh(oas(tokens)[0])  # ascending
    kept = components[:, -settings.dimension :] * variances[-settings.dimension :] ** -settings.whitening
    weight = torch.from_numpy(np.ascontiguousarray(kept.T, dtype=np.float32))  # -> (dimension, width)
    return Dense(
        width,
        settings.dimension,
        activation_function=None,
        init_weight=weight,
        init_bias=-weight @ torch.from_numpy(tokens.mean(axis=0)),
        module_input_name="token_embeddings",
    )
