"""Measures one system in a process of its own; ``benchmarks/peers.py`` calls it.

    python -P benchmarks/peer_systems.py NAME TASK.json

Each peer is written as its own documentation shows it. This file imports nothing of its own project, because the peers
have another environment. The task is ``{"documents": [text], "queries": [text], "k": int, "model": folder}``; ``model``
holds all-MiniLM-L6-v2 in the layout of sentence-transformers. One JSON object on the standard output is the answer.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

Hits = list[tuple[int, float]]  # document numbers with scores, best first

FIRST = 32  # documents that set-up indexes, so that what is opened or compiled on first use counts there
SINGLE = 100  # queries that are asked one by one


class System(Protocol):
    """Is constructed with the folder of all-MiniLM-L6-v2, and loads what it needs."""

    def index(self, texts: Sequence[str]) -> None: ...

    def search(self, queries: Sequence[str], k: int) -> list[Hits]: ...

    def save(self, folder: Path) -> None:
        """Writes the index; raises NotImplementedError if the library has no format for it."""


def best(scores: Any, k: int) -> Hits:
    """Returns the ``k`` best of a numpy array of scores, (n_documents,)."""
    order = (-scores).argsort(kind="stable")[:k]
    return list(zip(order.tolist(), scores[order].tolist(), strict=True))


class Zero2IR:
    """A model of zero2ir without judgments."""

    def __init__(self, model: str) -> None:
        import zero2ir

        self.train, self.model = zero2ir.train, model

    def index(self, texts: Sequence[str]) -> None:
        self.program = self.train(texts, model=self.model, strategy="zero_shot")

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        ranking, _ = self.program.search(queries, k)
        return [
            [(number, score) for number, score in zip(*row, strict=True) if number >= 0]
            for row in zip(ranking.numbers.tolist(), ranking.scores.tolist(), strict=True)
        ]

    def save(self, folder: Path) -> None:
        self.program.save(folder / "program")


class BM25S:
    """https://github.com/xhluca/bm25s, quickstart."""

    def __init__(self, model: Path) -> None:
        import bm25s
        import Stemmer

        self.library, self.stemmer = bm25s, Stemmer.Stemmer("english")

    def tokenize(self, texts: Sequence[str]) -> Any:
        return self.library.tokenize(list(texts), stopwords="en", stemmer=self.stemmer, show_progress=False)

    def index(self, texts: Sequence[str]) -> None:
        self.retriever = self.library.BM25()
        self.retriever.index(self.tokenize(texts), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        k = min(k, self.retriever.scores["num_docs"])
        numbers, scores = self.retriever.retrieve(self.tokenize(queries), k=k, show_progress=False)
        return [list(zip(*row, strict=True)) for row in zip(numbers.tolist(), scores.tolist(), strict=True)]

    def save(self, folder: Path) -> None:
        self.retriever.save(str(folder))


class RankBM25:
    """https://github.com/dorianbrown/rank_bm25, usage; lower case, because the library does not process texts."""

    def __init__(self, model: Path) -> None:
        from rank_bm25 import BM25Okapi

        self.library = BM25Okapi

    def index(self, texts: Sequence[str]) -> None:
        self.retriever = self.library([text.lower().split() for text in texts])

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        return [best(self.retriever.get_scores(query.lower().split()), k) for query in queries]

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class SentenceTransformers:
    """https://sbert.net, semantic search."""

    def __init__(self, model: Path) -> None:
        from sentence_transformers import SentenceTransformer, util

        self.model, self.semantic_search = SentenceTransformer(str(model), device="cpu"), util.semantic_search

    def index(self, texts: Sequence[str]) -> None:
        self.vectors = self.model.encode_document(list(texts), convert_to_tensor=True)

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        vectors = self.model.encode_query(list(queries), convert_to_tensor=True)
        found = self.semantic_search(vectors, self.vectors, top_k=k)
        return [[(hit["corpus_id"], hit["score"]) for hit in hits] for hits in found]

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({"vectors": self.vectors}, folder / "vectors.safetensors")


class Fused:
    """bm25s and sentence-transformers, by reciprocal rank fusion of https://github.com/AmenRa/ranx."""

    def __init__(self, model: Path) -> None:
        import ranx

        self.library, self.parts = ranx, (BM25S(model), SentenceTransformers(model))

    def index(self, texts: Sequence[str]) -> None:
        for part in self.parts:
            part.index(texts)

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        runs = [self.run(part.search(queries, k)) for part in self.parts]
        fused = self.library.fuse(runs=runs, method="rrf").to_dict()
        rows = (fused[str(number)].items() for number in range(len(queries)))
        return [sorted(((int(doc), score) for doc, score in row), key=lambda hit: -hit[1])[:k] for row in rows]

    def run(self, found: Sequence[Hits]) -> Any:
        return self.library.Run(
            {str(number): {str(doc): score for doc, score in hits} for number, hits in enumerate(found)}
        )

    def save(self, folder: Path) -> None:
        for part in self.parts:
            part.save(folder)


class FastEmbed:
    """https://qdrant.github.io/fastembed, getting started, with the same weights as an ONNX file."""

    def __init__(self, model: Path) -> None:
        import numpy as np
        from fastembed import TextEmbedding

        self.numpy = np
        self.model = TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", specific_model_path=str(self.onnx(model)))

    def onnx(self, model: Path) -> Path:
        return model / "onnx"

    def index(self, texts: Sequence[str]) -> None:
        self.vectors = self.numpy.array(list(self.model.passage_embed(texts)))

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        vectors = self.numpy.array(list(self.model.query_embed(queries)))
        return [best(scores, k) for scores in vectors @ self.vectors.T]

    def save(self, folder: Path) -> None:
        self.numpy.save(folder / "vectors.npy", self.vectors)


class FastEmbedInt8(FastEmbed):
    """The same, with the weights in int8 by the dynamic quantization of ONNX Runtime."""

    def onnx(self, model: Path) -> Path:
        return model / "onnx_int8"


class Haystack:
    """https://docs.haystack.deepset.ai, hybrid retrieval: in-memory store, reciprocal rank fusion."""

    def __init__(self, model: Path) -> None:
        from haystack import Document, Pipeline
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
        from haystack.document_stores.in_memory import InMemoryDocumentStore
        from haystack.utils import ComponentDevice
        from haystack_integrations.components.embedders import sentence_transformers

        settings = {"model": str(model), "device": ComponentDevice.from_str("cpu"), "progress_bar": False}
        self.document, self.store = Document, InMemoryDocumentStore()
        self.embedder = sentence_transformers.SentenceTransformersDocumentEmbedder(**settings)
        self.embedder.warm_up()
        self.pipeline = Pipeline()
        self.pipeline.add_component("text_embedder", sentence_transformers.SentenceTransformersTextEmbedder(**settings))
        self.pipeline.add_component("bm25_retriever", InMemoryBM25Retriever(self.store))
        self.pipeline.add_component("embedding_retriever", InMemoryEmbeddingRetriever(self.store))
        self.pipeline.add_component("document_joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
        self.pipeline.connect("text_embedder.embedding", "embedding_retriever.query_embedding")
        self.pipeline.connect("bm25_retriever", "document_joiner")
        self.pipeline.connect("embedding_retriever", "document_joiner")

    def index(self, texts: Sequence[str]) -> None:
        self.store.delete_all_documents()
        documents = [self.document(id=str(number), content=text) for number, text in enumerate(texts)]
        self.store.write_documents(self.embedder.run(documents)["documents"])

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        return [self.search_one(query, k) for query in queries]

    def search_one(self, query: str, k: int) -> Hits:
        inputs = {
            "text_embedder": {"text": query},
            "bm25_retriever": {"query": query, "top_k": k},
            "embedding_retriever": {"top_k": k},
            "document_joiner": {"top_k": k},
        }
        found = self.pipeline.run(inputs)["document_joiner"]["documents"]
        return [(int(document.id), document.score) for document in found]

    def save(self, folder: Path) -> None:
        self.store.save_to_disk(str(folder / "store.json"))


class MaxSim:
    """https://sbert.net, multi-vector encoder: MaxSim over the token vectors of all-MiniLM-L6-v2."""

    def __init__(self, model: Path) -> None:
        from sentence_transformers import MultiVectorEncoder
        from sentence_transformers.base.modules import Normalize, Transformer
        from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

        modules = [Transformer.load(str(model)), MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
        self.model = MultiVectorEncoder(modules=modules, device="cpu")

    def index(self, texts: Sequence[str]) -> None:
        self.vectors = self.model.encode_document(list(texts))

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        scores = self.model.similarity(self.model.encode_query(list(queries)), self.vectors)
        return [best(row, k) for row in scores.numpy()]

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({str(number): rows for number, rows in enumerate(self.vectors)}, folder / "vectors.safetensors")


class PyTerrierBM25:
    """https://pyterrier.readthedocs.io, TerrierIndex; needs Java, and Terrier's jar from Maven Central."""

    def __init__(self, model: Path) -> None:
        import pandas
        import pyterrier

        self.library, self.frame = pyterrier, pandas.DataFrame
        pyterrier.java.init()

    def index(self, texts: Sequence[str]) -> None:
        self.folder = TemporaryDirectory()
        self.terrier = self.library.terrier.TerrierIndex(Path(self.folder.name) / "index")
        self.terrier.index({"docno": str(number), "text": text} for number, text in enumerate(texts))

    def pipeline(self, k: int) -> Any:
        return self.terrier.bm25(num_results=k)

    def search(self, queries: Sequence[str], k: int) -> list[Hits]:
        topics = self.frame({"qid": [str(number) for number in range(len(queries))], "query": list(queries)})
        found: list[Hits] = [[] for _ in queries]
        for row in self.pipeline(k)(topics).sort_values("rank").itertuples():
            found[int(row.qid)].append((int(row.docno), float(row.score)))
        return found

    def save(self, folder: Path) -> None:
        shutil.copytree(self.terrier.path, folder / "index")


class PyTerrierRM3(PyTerrierBM25):
    """https://pyterrier.readthedocs.io, TerrierIndex.rm3: BM25, RM3, BM25."""

    def pipeline(self, k: int) -> Any:
        return self.terrier.bm25() >> self.terrier.rm3() >> self.terrier.bm25(num_results=k)


OWN = ("sparse", "static_hybrid", "hybrid", "late_interaction")  # models of zero2ir
PEERS: dict[str, Callable[[Path], System]] = {
    "bm25s": BM25S,
    "rank_bm25": RankBM25,
    "PyTerrier BM25": PyTerrierBM25,
    "PyTerrier RM3": PyTerrierRM3,
    "sentence-transformers": SentenceTransformers,
    "fastembed": FastEmbed,
    "fastembed int8": FastEmbedInt8,
    "bm25s + sentence-transformers, ranx": Fused,
    "Haystack hybrid": Haystack,
    "sentence-transformers MaxSim": MaxSim,
}


class Spent:
    """Wall and processor seconds, the latter of all threads, of the block below ``spent()``."""

    wall = processor = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    seconds = Spent()
    wall, processor = time.perf_counter(), time.process_time()
    yield seconds
    seconds.wall, seconds.processor = time.perf_counter() - wall, time.process_time() - processor


def peak_bytes() -> int:
    """Returns the largest resident memory of this process; ``ru_maxrss`` would count that of the parent as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def saved_bytes(system: System) -> int | None:
    """Returns the size of the saved index; None if the library cannot save it."""
    with TemporaryDirectory() as folder:
        try:
            system.save(Path(folder))
        except NotImplementedError:
            return None
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def measure(name: str, documents: Sequence[str], queries: Sequence[str], k: int, model: str) -> dict[str, Any]:
    """Returns seconds, bytes and the rankings of all queries."""
    with spent() as setup:
        system: System = Zero2IR(name) if name in OWN else PEERS[name](Path(model))
        system.index(documents[:FIRST])
        system.search(queries[:1], k)
    with spent() as index:
        system.index(documents)
    with spent() as single:
        for query in queries[:SINGLE]:
            system.search([query], k)
    with spent() as batch:
        rankings = system.search(queries, k)
    per_query = {"single": (single, len(queries[:SINGLE])), "batch": (batch, len(queries))}
    seconds = {name: (one.wall, one.processor) for name, one in {"setup": setup, "index": index}.items()}
    seconds |= {name: (one.wall / number, one.processor / number) for name, (one, number) in per_query.items()}
    return {"seconds": seconds, "memory": peak_bytes(), "disk": saved_bytes(system), "rankings": rankings}


def main(name: str, task: str) -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print, Java too, does not mix with the answer
    json.dump(measure(name, **json.loads(Path(task).read_text())), answer)
    answer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
