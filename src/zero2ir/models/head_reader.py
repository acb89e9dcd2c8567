"""A reader that uses the answer head of a multitask encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.data.answers import Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.multitask import MultitaskEncoder
from zero2ir.errors import InputError
from zero2ir.models.base import Reader
from zero2ir.models.capabilities import Updatable


class HeadReader(Updatable, Reader):
    """Extracts the span that the encoder's answer head scores highest; the head is trained with the encoder.

    Args:
        encoder: the role of the multitask encoder.
    """

    kind = "head_reader"

    def __init__(self, encoder: str = "multitask") -> None:
        self.encoder = encoder

    def needs(self) -> set[str]:
        return {self.encoder}

    def index(self, corpus: Corpus) -> Self:
        return self.with_network(corpus.encoder(self.encoder))

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        return self  # it does not depend on the collection

    def with_network(self, network: MultitaskEncoder) -> Self:
        """Sets the encoder and returns itself."""
        self.network = network
        return self

    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        return self.network.find_answers(queries, candidates)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.network.save(folder / "encoder")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        network = load_encoder(folder / "encoder", MultitaskEncoder)
        if "answer" not in network.heads.trained_tasks:
            raise InputError(f"{folder / 'encoder'}: the encoder has no answer head; create or get it again")
        return super().load(folder, corpus).with_network(network)
