"""Opens saved models, of every kind."""

from pathlib import Path

from zero2ir.encoders.corpus import Corpus
from zero2ir.models.aligned import Aligned
from zero2ir.models.base import Reranker, Retriever, read_state
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.feedback import PseudoRelevanceFeedback
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.learned_sparse import LearnedSparse
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.llm_reranker import Listwise, Pointwise
from zero2ir.models.multitask import HeadReader, Multitask
from zero2ir.models.reranked import Reranked
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.span_reader import SpanReader
from zero2ir.models.sparse import Sparse
from zero2ir.models.surface import CharacterNgrams
from zero2ir.models.translated import Translated

RETRIEVERS: dict[str, type[Retriever]] = {
    model.kind: model
    for model in (
        Sparse,
        CharacterNgrams,
        LearnedSparse,
        Dense,
        Multitask,
        Aligned,
        LateInteraction,
        Hybrid,
        PseudoRelevanceFeedback,
        Smoothed,
        Reranked,
        Rewritten,
        Translated,
    )
}
RERANKERS: dict[str, type[Reranker]] = {
    model.kind: model for model in (CrossEncoder, Pointwise, Listwise, LexicalReader, SpanReader, HeadReader)
}


def load_retriever(folder: Path, corpus: Corpus) -> Retriever:
    """Opens any saved retriever, ready to search the documents of ``corpus``."""
    return RETRIEVERS[read_state(folder)["kind"]].load(folder, corpus)


def load_reranker(folder: Path, corpus: Corpus) -> Reranker:
    """Opens any saved reranker."""
    return RERANKERS[read_state(folder)["kind"]].load(folder, corpus)
