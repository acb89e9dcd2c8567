"""Learned sparse encoders: weights of a text's own vocabulary terms and of expansion terms."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors.numpy import save, save_file
from scipy.sparse import csr_matrix

from zero2ir.encoders.base import WEIGHTS, TextEncoder, readable
from zero2ir.encoders.batching import BATCH_LOCK
from zero2ir.encoders.devices import device
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError
from zero2ir.io.arrays import Layout, csr_layouts, csr_of, read_tensors
from zero2ir.io.files import finished_file
from zero2ir.io.terminal import progress

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder as Network
    from torch import Tensor

LEXICON = "lexicon.safetensors"
K1, B = 1.2, 0.75  # BM25 parameters of exact matches
EXPANSION = 0.5  # weight of the network's term weights
MAX_EXPANSION_TERMS = 128  # expansion terms per text
PASSAGE_BATCH = 8  # texts per forward pass
MASKED_LOGIT = -1e4  # logit of disabled terms


class Lexicon(NamedTuple):
    """Collection statistics of the vocabulary's terms.

    Attributes:
        importance: (n_terms,) float32 inverse document frequencies; 0 for terms not in the collection.
        mean_length: mean document length, in terms.
    """

    importance: np.ndarray
    mean_length: float

    @classmethod
    def from_counts(cls, counts: csr_matrix) -> "Lexicon":
        """Computes the statistics from term counts, (n_documents, n_terms)."""
        n_documents = counts.shape[0]
        return cls(inverse_frequency(counts), max(float(counts.sum()) / max(1, n_documents), 1.0))

    def with_documents(self, rows: csr_matrix) -> "Lexicon":
        """Returns a copy with the importance of new terms; known terms keep theirs.

        Args:
            rows: (n_documents, n_terms) term weights of all documents, old and new.
        """
        return self._replace(importance=np.where(self.importance > 0, self.importance, inverse_frequency(rows)))


class SparseEncoder(TextEncoder):
    """A masked-language model whose term weights are added to the exact term frequencies of a text.

    A term's weight in a document is its saturated frequency as in BM25, plus ``EXPANSION`` times the network's weight:
    log(1 + the term's maximum logit over all positions). Queries need no network: a table has their terms' weights.

    Attributes:
        lexicon: term statistics of the collection.

    Source: SPLADE-max, Formal et al. 2021, arXiv 2109.10086, section 3; inference-free queries, Geng et al. 2024,
    arXiv 2411.04403, section 3; lexical beside learned weights, Gao et al., ECIR 2021, arXiv 2004.13969.
    """

    kind = "sparse"
    encoded = "terms.safetensors"
    trained = True

    def __init__(
        self,
        settings: EncoderSettings,
        model: "Network",
        lexicon: Lexicon,
        losses: Mapping[str, Sequence[LossPoint]] | None = None,
    ) -> None:
        self.settings = settings
        self.lexicon = lexicon
        self.losses = losses or {}
        self._model = model

    @property
    def model(self) -> "Network":
        return self._model

    def with_model(self, model: "Network") -> "SparseEncoder":
        """Returns a copy with a trained network."""
        return SparseEncoder(self.settings, model, self.lexicon)

    def with_documents(self, rows: csr_matrix) -> "SparseEncoder":
        """Returns a copy whose lexicon includes new terms of encoded documents."""
        return SparseEncoder(self.settings, self.model, self.lexicon.with_documents(rows), self.losses)

    def encode(self, texts: Sequence[str]) -> csr_matrix:
        """Encodes documents, (n_texts, n_terms) float32 weights, at least 0; equal texts have equal rows."""
        distinct = sorted(set(readable(texts)))
        place = {text: number for number, text in enumerate(distinct)}
        with BATCH_LOCK:
            exact = saturated(term_counts(self.model.tokenizer, distinct), self.lexicon.mean_length)
            rows = exact + EXPANSION * self._expanded(distinct)
        return csr_matrix(rows[[place[text] for text in readable(texts)]])

    def encode_queries(self, texts: Sequence[str]) -> csr_matrix:
        """Weights the terms of queries by their importance, (n_texts, n_terms) float32."""
        return importance_weights(term_counts(self.model.tokenizer, texts), self.lexicon.importance)

    def terms(self, numbers: Sequence[int]) -> list[str]:
        """Returns vocabulary terms by number."""
        return [str(term) for term in self.model.tokenizer.convert_ids_to_tokens([int(one) for one in numbers])]

    def _expanded(self, texts: Sequence[str]) -> csr_matrix:
        """Returns the network's ``MAX_EXPANSION_TERMS`` largest weights of each text, (n_texts, n_terms)."""
        import torch

        rows, columns, weights = [], [], []
        known = np.flatnonzero(self.lexicon.importance)
        weigh = term_weigher(self.model, known)
        for number, states in last_hidden_states(self.model, tokens(self.model, texts), "weighing terms"):
            with torch.no_grad():
                pooled = weigh([states])[0].cpu().numpy()
            heaviest = np.argsort(-pooled, kind="stable")[:MAX_EXPANSION_TERMS]
            rows.append(np.full(len(heaviest), number))
            columns.append(known[heaviest])
            weights.append(pooled[heaviest])
        shape = (len(texts), len(self.lexicon.importance))
        if not rows:
            return csr_matrix(shape, dtype=np.float32)
        places = (np.concatenate(rows), np.concatenate(columns))
        expanded = csr_matrix((np.concatenate(weights), places), shape=shape, dtype=np.float32)
        expanded.eliminate_zeros()
        return expanded

    def save(self, folder: Path) -> None:
        super().save(folder)
        statistics = {"importance": self.lexicon.importance, "mean_length": np.array([self.lexicon.mean_length])}
        save_file(statistics, folder / WEIGHTS / LEXICON)

    def digest(self) -> str:
        lexicon = self.lexicon.importance.tobytes() + np.float64(self.lexicon.mean_length).tobytes()
        return hashlib.sha256(super().digest().encode() + lexicon).hexdigest()[:16]

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "SparseEncoder":
        if weights is None:
            raise InputError(f"encoder={settings.name}: no weights were saved with it; run pretrain-synthetic again")
        from sentence_transformers import SparseEncoder as Network

        model = Network(str(weights), local_files_only=True, device=device())
        layouts: dict[str, Layout] = {
            "importance": ("float32", (len(model.tokenizer),)),
            "mean_length": ("float64", (1,)),
        }
        lexicon = read_tensors(weights / LEXICON, layouts)
        return cls(settings, model, Lexicon(lexicon["importance"], max(float(lexicon["mean_length"][0]), 1.0)))

    def write(self, path: Path, rows: csr_matrix) -> None:
        rows.sort_indices()
        parts = {
            "data": rows.data.astype(np.float32),
            "indices": rows.indices.astype(np.int32),
            "indptr": rows.indptr.astype(np.int64),
            "shape": np.array(rows.shape, dtype=np.int64),
        }
        with finished_file(path, "wb") as file:
            file.write(save(parts))

    def read(self, path: Path, number: int) -> csr_matrix:
        shape = number, len(self.lexicon.importance)
        tensors = read_tensors(path, {**csr_layouts("float32", number), "shape": ("int64", (2,))})
        if tuple(tensors["shape"]) != shape:
            raise InputError(
                f"{path}: shape: {tensors['shape'].tolist()} instead of {list(shape)}; create or get it again"
            )
        return csr_of(str(path), tensors, shape)


def term_counts(tokenizer: Any, texts: Sequence[str]) -> csr_matrix:
    """Counts terms in untruncated texts without special tokens, (n_texts, n_terms) float32."""
    ids: list[list[int]] = []
    if texts:
        with BATCH_LOCK:
            ids = tokenizer(readable(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    kept = [[number for number in row if number not in special] for row in ids]
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int64)
    flat = np.fromiter(chain.from_iterable(kept), dtype=np.int32, count=int(pointers[-1]))
    rows = csr_matrix((np.ones(len(flat), dtype=np.float32), flat, pointers), shape=(len(kept), len(tokenizer)))
    rows.sum_duplicates()
    return rows


def inverse_frequency(counts: csr_matrix) -> np.ndarray:
    """Returns BM25's inverse document frequencies from term counts, (n_documents, n_terms); 0 for absent terms."""
    n_documents = counts.shape[0]
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    importance = np.log(1 + (n_documents - frequency + 0.5) / (frequency + 0.5))
    importance[frequency == 0] = 0.0
    return importance.astype(np.float32)


def saturated(counts: csr_matrix, mean_length: float) -> csr_matrix:
    """Returns BM25's saturated term frequencies, 0 to 1, from counts; both are (n_texts, n_terms) float32."""
    lengths = np.asarray(counts.sum(axis=1)).ravel() / mean_length
    norms = K1 * (1 - B + B * np.repeat(lengths, np.diff(counts.indptr)))
    rows = counts.copy()
    rows.data = (counts.data / (counts.data + norms)).astype(np.float32)
    return rows


def importance_weights(counts: csr_matrix, importance: np.ndarray) -> csr_matrix:
    """Returns the importance of the distinct terms of each text, (n_texts, n_terms) float32."""
    rows = counts.copy()
    rows.data = importance[rows.indices]
    rows.eliminate_zeros()
    return rows


def bert(network: "Network") -> Any:
    """Returns the masked-language model of a network."""
    transformer: Any = network[0]
    return transformer.auto_model


def tokens(network: "Network", texts: Sequence[str], most: int | None = None) -> list[np.ndarray]:
    """Returns each text's token ids, (length,), with special tokens; ``most`` tokens, or the network's maximum."""
    if not texts:
        return []
    rows = network.tokenizer(readable(texts), truncation=True, max_length=most or network.max_seq_length)["input_ids"]
    return [np.array(row) for row in rows]


def last_hidden_states(
    network: "Network", passages: Sequence[np.ndarray], description: str = "reading"
) -> Iterator[tuple[int, "Tensor"]]:
    """Yields passage numbers and the body's last hidden states, (length, hidden), longest passages first."""
    import torch

    body = bert(network).base_model.eval()
    order = np.argsort([-len(passage) for passage in passages], kind="stable")
    for start in progress(range(0, len(order), PASSAGE_BATCH), description):
        batch = order[start : start + PASSAGE_BATCH]
        length = len(passages[batch[0]])
        ids = np.stack([np.pad(passages[number], (0, length - len(passages[number]))) for number in batch])
        mask = np.arange(length) < np.array([[len(passages[number])] for number in batch])
        inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        with torch.no_grad():
            states = body(**{name: torch.from_numpy(part).to(body.device) for name, part in inputs.items()})[0]
        for number, row in zip(batch, states, strict=True):
            yield int(number), row[: len(passages[number])]


def term_weigher(network: "Network", terms: np.ndarray) -> Callable[[Sequence["Tensor"]], "Tensor"]:
    """Returns a function that computes SPLADE's max-pooled weights of some terms, and no other terms' logits.

    Args:
        network: has the vocabulary head.
        terms: (n_terms,) term numbers.

    Returns:
        A function from the last hidden states of texts, each (length, hidden), to (n_texts, n_terms).
    """
    import torch

    head = bert(network).cls.predictions
    columns = torch.from_numpy(terms).to(head.bias.device)
    table, bias = head.decoder.weight.detach()[columns].T, head.bias[columns]

    def weigh(texts: Sequence["Tensor"]) -> "Tensor":
        padded = torch.nn.utils.rnn.pad_sequence([states.float() for states in texts], batch_first=True)
        lengths = torch.tensor([[len(states)] for states in texts], device=padded.device)
        outside = torch.arange(padded.shape[1], device=padded.device) >= lengths
        logits = head.transform(padded) @ table + bias
        return torch.log1p(torch.relu(logits.masked_fill(outside[..., None], MASKED_LOGIT).amax(dim=1)))

    return weigh
