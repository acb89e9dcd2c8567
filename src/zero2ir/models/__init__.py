"""The model types, each behind one of two small interfaces."""

from pathlib import Path

from zero2ir.models.base import Example, Ranking, Reranker, Retriever, read_state
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse

KINDS: dict[str, type[Retriever]] = {model.kind: model for model in (Sparse, Dense, Hybrid)}

__all__ = ["KINDS", "Dense", "Example", "Hybrid", "Ranking", "Reranker", "Retriever", "Sparse", "load_retriever"]


def load_retriever(folder: Path) -> Retriever:
    """Opens any saved retriever, ready to search."""
    return KINDS[read_state(folder)["kind"]].load(folder)
