"""A reader that an encoder with heads brings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.data.answers import Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.multitask import MultitaskEncoder
from zero2ir.models.base import Reader
from zero2ir.models.capabilities import Updatable


class HeadReader(Updatable, Reader):
    """Proposes the span that an encoder's head likes most; it learned to when the encoder was trained.

    Args:
        encoder: the role of the encoder, which has heads.
    """

    kind = "head_reader"

    def __init__(self, encoder: str = "multitask") -> None:
        self.encoder = encoder

    def needs(self) -> set[str]:
        return {self.encoder}

    def index(self, corpus: Corpus) -> Self:
        return self.with_network(corpus.encoder(self.encoder))

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        return self  # it reads texts, whatever stands in the collection

    def with_network(self, network: MultitaskEncoder) -> Self:
        """Itself, with an encoder at hand."""
        self.network = network
        return self

    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        return self.network.find_answers(queries, candidates)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.network.save(folder / "encoder")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        network = load_encoder(folder / "encoder")
        assert isinstance(network, MultitaskEncoder)
        return super().load(folder, corpus).with_network(network)
