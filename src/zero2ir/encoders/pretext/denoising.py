"""Denoising reconstruction: a text's vector shall suffice to write the text again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.encoders.pretext.reconstruction import Reconstruction
from zero2ir.encoders.training import quiet_transformers

DELETED_SHARE = 0.6  # share of the words, at random


class Denoising(Reconstruction):
    """A text, written by a decoder that sees nothing but the encoder's one vector of what is left of its words.

    The decoder shares the encoder's weights but for its attention to that vector; it is thrown away afterwards.

    Source: TSDAE, Wang, Reimers and Gurevych, Findings of EMNLP 2021, arXiv 2104.06979, section 3.
    """

    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        return {"damaged": [delete_words(text, rng) for text in texts], "text": list(texts)}

    def loss(self, model: Any) -> Any:
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        with quiet_transformers():  # it lists the decoder's weights that are new
            return DenoisingAutoEncoderLoss(model)


def delete_words(text: str, rng: np.random.Generator) -> str:
    """What is left of a text when most of its words are deleted; at least one word of it."""
    words = text.split()
    if not words:
        return text
    kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= DELETED_SHARE]
    return " ".join(kept or [words[rng.integers(len(words))]])
