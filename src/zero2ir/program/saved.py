"""A saved program as a model, such as the teacher of strategy=distil."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.program.program import PROGRAM_FILE, load_program


class SavedProgram(Retriever):
    """Ranks as a saved program does, which was trained on the same documents; its fallbacks are not used.

    It is saved as the program's own retriever.

    Args:
        folder: of the saved program.
    """

    kind = "saved"

    def __init__(self, folder: str) -> None:
        if not (Path(folder) / PROGRAM_FILE).is_file():
            raise InputError(f"folder: {folder} is not a saved program; give the folder of program.save or of training")
        self.folder = folder

    def index(self, corpus: Corpus) -> Self:
        """Loads the program; raises an InputError if its files are damaged or it has other documents."""
        program = load_program(self.folder)
        if list(program.documents) != list(corpus.documents):
            raise InputError(f"{self.folder}: the program has other documents; train it on these")
        self.corpus, self.retriever = corpus, program.retriever
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self.retriever.search(queries, k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return self.retriever.score(queries, candidates)

    def save(self, folder: Path) -> None:
        self.retriever.save(folder)
