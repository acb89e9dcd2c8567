"""Denoising: a decoder restores a text from the vector of some of its words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.data.words import join_words, split_words
from zero2ir.encoders.pretext.reconstruction import Reconstruction
from zero2ir.encoders.training import quiet_transformers

DELETED_SHARE = 0.6  # share of deleted words


class Denoising(Reconstruction):
    """Restores texts after the deletion of random words; the decoder sees the encoder's vector only.

    The decoder shares the encoder's weights except for its cross-attention, and is discarded after training.

    Source: TSDAE, Wang, Reimers and Gurevych, Findings of EMNLP 2021, arXiv 2104.06979, section 3.
    """

    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        return {"damaged": [delete_words(text, rng) for text in texts], "text": list(texts)}

    def loss(self, model: Any) -> Any:
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        with quiet_transformers():  # suppresses the list of the decoder's new weights
            return DenoisingAutoEncoderLoss(model)


def delete_words(text: str, rng: np.random.Generator) -> str:
    """Deletes random words of a text; keeps at least one."""
    words = split_words(text)
    if not words:
        return text
    kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= DELETED_SHARE]
    return join_words(kept or [words[rng.integers(len(words))]])
