"""Inference with dense encoders without sentence-transformers, which takes five seconds to import.

The networks here do the same operations in the same order on the same batches, so their vectors in float32 equal those
of sentence-transformers bit by bit. Supported are BERT with mean pooling and static token embeddings.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zero2ir.encoders.precision import TorchPrecision
from zero2ir.io.files import files_below
from zero2ir.io.terminal import is_interactive, progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

_WEIGHTS = "model.safetensors"
MODULES = "modules.json"
_TOKENIZER = "tokenizer.json"
# Configuration of the supported networks; other values mean another architecture.
PLAIN_BERT = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
}
PLAIN_TOKENIZER = {"padding_side": "right", "truncation_side": "right", "tokenize_chinese_chars": True}
MEAN_POOLING = ({"pooling_mode"}, {"pooling_mode_mean_tokens"})  # the present format and the former one
PLAIN_TRANSFORMER = {
    "do_lower_case": False,
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}


class _InPrecisions(dict[TorchPrecision, "Mapping[str, Tensor]"]):
    """Weights on a device in each precision, cast when first needed."""

    def __init__(self, tensors: "Mapping[str, Tensor]", device: str) -> None:
        self["float32"] = {name: tensor.to(device) for name, tensor in tensors.items()}

    def __missing__(self, precision: TorchPrecision) -> "Mapping[str, Tensor]":
        import torch

        kind = getattr(torch, precision)
        exact = self["float32"].items()
        self[precision] = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in exact}
        return self[precision]


class InferenceNetwork(ABC):
    """A sentence-transformers model loaded from a folder.

    Attributes:
        dimension: dimension of the vectors.
        prompts: the prefixes of "query" and "document".
        max_tokens: maximum tokens per text; None for no limit.
    """

    TABLE: ClassVar[str]  # tensor name of the token embeddings
    dimension: int
    max_tokens: int | None = None

    def __init__(self, folder: Path, tensors: Mapping[str, "Tensor"], tokenizer: "Tokenizer", device: str) -> None:
        """Keeps the content of all files in memory, because the folder may change or disappear later."""
        from safetensors import safe_open

        self._files = {
            path.relative_to(folder): path.read_bytes() for path in files_below(folder) if path.name != _WEIGHTS
        }
        with safe_open(folder / _WEIGHTS, "pt") as file:
            self._metadata = file.metadata()
        self._tensors = tensors
        self._weights = _InPrecisions(tensors, device)
        self._tokenizer = tokenizer
        self._device = device
        self._normalizes = "Normalize" in _kinds(folder)
        stated = _read(folder, "config_sentence_transformers.json").get("prompts", {})
        self.prompts: dict[str, str] = {"query": "", "document": "", **stated}

    @abstractmethod
    def _pooled(self, texts: list[str], weights: "Mapping[str, Tensor]") -> "Tensor":
        """Returns vectors, not normalised, (n_texts, dimension) float32."""

    def encode(
        self,
        texts: Sequence[str],
        prompt: str,
        batch_size: int,
        dimensions: int | None,
        precision: TorchPrecision = "float32",
    ) -> np.ndarray:
        """Encodes texts to unit vectors, (n_texts, dimension) float32, longest first to reduce padding.

        Args:
            texts: at least one, without lone surrogates.
            prompt: prefix of each text.
            batch_size: texts per forward pass.
            dimensions: truncates the vectors; None to keep all.
            precision: of a transformer; token embeddings are always averaged in float32.
        """
        import torch
        from torch.nn.functional import normalize

        weights = self._weights[precision]

        order = np.argsort([-len(text) for text in texts])
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        rows = np.empty((len(texts), min(dimensions or self.dimension, self.dimension)), dtype=np.float32)
        with torch.inference_mode():
            for batch in progress(batches, "encoding") if len(batches) > 2 and is_interactive() else batches:
                vectors = self._pooled([prompt + texts[number] for number in batch], weights)
                if self._normalizes:
                    vectors = normalize(vectors, p=2, dim=-1)
                rows[batch] = normalize(vectors[:, :dimensions], p=2, dim=1).cpu().numpy()
        return rows

    def vocabulary(self) -> tuple[Mapping[str, int], int]:
        """Returns the numbers of the tokens, and the number of rows of the token embeddings."""
        return self._tokenizer.get_vocab(), len(self._tensors[self.TABLE])

    def n_bytes(self) -> int:
        """Returns the bytes of the weights in memory."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    def write(self, folder: Path) -> None:
        """Writes the model as it was loaded."""
        from safetensors.torch import save_file

        for name, content in self._files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        save_file(dict(self._tensors), folder / _WEIGHTS, metadata=self._metadata)


class TokenTable(InferenceNetwork):
    """Static token embeddings; a text's vector is the mean of its tokens' embeddings."""

    TABLE = "embedding.weight"

    @classmethod
    def knows(cls, folder: Path, tokenizer: "Tokenizer") -> bool:
        return _kinds(folder) in (["StaticEmbedding"], ["StaticEmbedding", "Normalize"])

    def __init__(self, folder: Path, tensors: Mapping[str, "Tensor"], tokenizer: "Tokenizer", device: str) -> None:
        super().__init__(folder, tensors, tokenizer, device)
        self.dimension = tensors[self.TABLE].shape[1]
        tokenizer.no_padding()

    def _pooled(self, texts: list[str], weights: "Mapping[str, Tensor]") -> "Tensor":
        import torch

        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]
        flat = torch.tensor([one for row in ids for one in row], dtype=torch.long, device=self._device)
        starts = torch.tensor(np.cumsum([0, *map(len, ids[:-1])]), device=self._device)
        return torch.nn.functional.embedding_bag(flat, weights[self.TABLE].float(), starts, mode="mean")


class Bert(InferenceNetwork):
    """A BERT; a text's vector is the mean of its tokens' last hidden states.

    Source: Devlin et al., NAACL 2019, arXiv 1810.04805; mean pooling as in Reimers and Gurevych, EMNLP 2019,
    arXiv 1908.10084, section 3.
    """

    TABLE = "embeddings.word_embeddings.weight"

    @classmethod
    def knows(cls, folder: Path, tokenizer: "Tokenizer") -> bool:
        from tokenizers.normalizers import BertNormalizer

        if _kinds(folder) not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            return False
        transformer, pooling = (module["path"] for module in _read(folder, MODULES)[:2])
        config, tokens = _read(folder, "config.json"), _read(folder, "tokenizer_config.json")
        reading = _read(folder, "sentence_bert_config.json")
        pooled = _read(folder, f"{pooling}/config.json")
        norm = tokenizer.normalizer
        return (
            transformer == ""
            and _agree(config, PLAIN_BERT)
            and _agree(reading, PLAIN_TRANSFORMER)
            and reading.keys() <= {*PLAIN_TRANSFORMER, "max_seq_length"}
            and {name for name, value in pooled.items() if value in (True, "mean")} - {"include_prompt"} in MEAN_POOLING
            and pooled.get("include_prompt", True)
            and isinstance(norm, BertNormalizer)
            and _agree(tokens, PLAIN_TOKENIZER | {"do_lower_case": norm.lowercase, "strip_accents": norm.strip_accents})
        )

    def __init__(self, folder: Path, tensors: Mapping[str, "Tensor"], tokenizer: "Tokenizer", device: str) -> None:
        super().__init__(folder, tensors, tokenizer, device)
        config = _read(folder, "config.json")
        self.dimension: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._layers: int = config["num_hidden_layers"]
        self._epsilon: float = config.get("layer_norm_eps", 1e-12)
        stated = _read(folder, "tokenizer_config.json").get("model_max_length", config["max_position_embeddings"])
        limit = _read(folder, "sentence_bert_config.json").get("max_seq_length") or stated
        self.max_tokens: int = min(limit, config["max_position_embeddings"])
        padding: int = config.get("pad_token_id", 0)
        tokenizer.enable_padding(pad_id=padding, pad_token=tokenizer.id_to_token(padding))

    def _pooled(self, texts: list[str], weights: "Mapping[str, Tensor]") -> "Tensor":
        import torch

        self._tokenizer.enable_truncation(self.max_tokens)
        encodings = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([encoding.ids for encoding in encodings], device=self._device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=self._device)
        states = self._states(ids, mask, weights).float()  # -> (n_texts, n_tokens, dimension)
        counted = mask.unsqueeze(-1).to(states.dtype)
        return (states * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1e-9)

    def _states(self, ids: "Tensor", mask: "Tensor", weights: "Mapping[str, Tensor]") -> "Tensor":
        """Returns the last hidden states, (n_texts, n_tokens, dimension), of token ids, (n_texts, n_tokens)."""
        length = ids.shape[1]
        words = weights[self.TABLE][ids]
        kinds = weights["embeddings.token_type_embeddings.weight"][0]
        places = weights["embeddings.position_embeddings.weight"][:length]
        states = self._norm(words + kinds + places, "embeddings.LayerNorm", weights)
        seen = None if bool(mask.all()) else mask.bool()[:, None, None, :].expand(-1, 1, length, -1)
        for number in range(self._layers):
            states = self._layer(states, seen, f"encoder.layer.{number}", weights)
        return states

    def _layer(self, states: "Tensor", seen: "Tensor | None", name: str, weights: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import gelu, scaled_dot_product_attention

        query, key, value = (
            self._linear(states, f"{name}.attention.self.{part}", weights) for part in ("query", "key", "value")
        )
        query, key, value = (part.unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in (query, key, value))
        attended = scaled_dot_product_attention(query, key, value, attn_mask=seen)
        joined = attended.transpose(1, 2).flatten(-2)
        added = self._linear(joined, f"{name}.attention.output.dense", weights)
        states = self._norm(added + states, f"{name}.attention.output", weights)
        inner = gelu(self._linear(states, f"{name}.intermediate.dense", weights))
        return self._norm(self._linear(inner, f"{name}.output.dense", weights) + states, f"{name}.output", weights)

    @staticmethod
    def _linear(states: "Tensor", name: str, weights: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import linear

        return linear(states, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _norm(self, states: "Tensor", name: str, weights: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import layer_norm

        name = name if name.endswith("LayerNorm") else f"{name}.LayerNorm"
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return layer_norm(states, weight.shape, weight, bias, self._epsilon)


def open_network(folder: Path, device: str) -> InferenceNetwork | None:
    """Loads a sentence-transformers model; None if its architecture is not supported here."""
    if not all((folder / name).is_file() for name in (MODULES, _WEIGHTS, _TOKENIZER)):
        return None
    if _read(folder, "config_sentence_transformers.json").get("default_prompt_name"):
        return None
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    known = next((network for network in (Bert, TokenTable) if network.knows(folder, tokenizer)), None)
    if known is None:
        return None
    tensors = load_file(folder / _WEIGHTS)
    plain = known.TABLE in tensors and all(t.dtype == torch.float32 for t in tensors.values() if t.is_floating_point())
    return known(folder, tensors, tokenizer, device) if plain else None


def _kinds(folder: Path) -> list[str]:
    """Returns the class names of a model's modules."""
    return [module["type"].rpartition(".")[2] for module in _read(folder, MODULES)]


def _agree(stated: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """Tests whether all stated values are those of ``plain``."""
    return all(stated.get(key, value) == value for key, value in plain.items())


def _read(folder: Path, name: str) -> Any:
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
