"""Listwise distillation: a network learns a teacher's scores of each query's candidates."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from zero2ir.encoders.training import FitSettings, contrastive_loss, train_in_order

_NetworkT = TypeVar("_NetworkT")


class TaughtQuery(NamedTuple):
    """A query with its candidates and a teacher's opinion of them.

    Attributes:
        query: the query's text.
        documents: numbers of two or more documents, the teacher's best first.
        logits: the teacher's scores of the documents; their softmax is what the student learns.
    """

    query: str
    documents: tuple[int, ...]
    logits: tuple[float, ...]


def fit_listwise(
    model: _NetworkT,
    taught: Sequence[TaughtQuery],
    contents: Sequence[str],
    settings: FitSettings,
    contrast: float,
    seed: int,
    prompts: tuple[str, str] = ("", ""),
) -> _NetworkT:
    """Trains a bi-encoder in place by one pass over a teacher's scores, and returns it.

    The loss is the KL divergence between the softmax of the teacher's scores and that of the cosines over each query's
    candidates, plus ``contrast`` times the contrastive loss of the teacher's first documents in a batch.

    Args:
        model: any bi-encoder, with one or several vectors per text.
        taught: queries with equally many documents.
        contents: the documents' texts.
        settings: of the training. A step has as many texts as ``batch_size`` pairs have; ``scale`` multiplies the
            cosines; ``epochs`` is not used, since further queries teach more than further passes.
        contrast: weight of the contrastive loss.
        seed: of the order and of dropout.
        prompts: prefixes of queries and of documents.

    Source: Lin et al. 2020, arXiv 2010.11386, section 3; beside a contrastive loss Tamber et al. 2025, arXiv
    2502.19712.
    """
    rows = [taught[place] for place in np.random.default_rng(seed).permutation(len(taught))]
    number = len(rows[0].documents)
    steps = settings.model_copy(update={"batch_size": max(1, 2 * settings.batch_size // (1 + number))})
    before_query, before_document = prompts
    columns: dict[str, Sequence[Any]] = {"anchor": [before_query + row.query for row in rows]}
    for place in range(number):
        columns[f"document_{place}"] = [before_document + contents[row.documents[place]] for row in rows]
    columns["label"] = [list(row.logits) for row in rows]
    train_in_order(model, _listwise_loss(model, settings.scale, contrast), columns, steps, seed, max_grad_norm=0.0)
    model.eval()  # type: ignore[attr-defined]
    return model


def _listwise_loss(model: Any, scale: float, contrast: float) -> Any:
    import torch
    from sentence_transformers import MultiVectorEncoder

    if isinstance(model, MultiVectorEncoder):
        from sentence_transformers.multi_vector_encoder.losses import MultiVectorDistillKLDivLoss as Divergence
        from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_kd_scores as similarity
    else:
        from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss as Divergence
        from sentence_transformers.util import pairwise_cos_sim as similarity

    class ListwiseLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.divergence = Divergence(
                model, similarity_fct=lambda *texts, **masks: scale * similarity(*texts, **masks)
            )
            self.contrast = contrastive_loss(model, scale)

        def forward(self, features: Any, labels: Any) -> Any:
            features = list(features)
            return self.divergence(features, labels) + contrast * self.contrast(features[:2], labels)

    return ListwiseLoss()
