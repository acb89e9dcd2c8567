"""Reads what a GGUF file says of itself, without its vocabulary and weights, and how much memory its model needs."""

import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
MAX_ITEMS = 4096  # longer arrays, e.g. the vocabulary, are skipped
KEY_VALUE_BYTES = 2  # of a number in the cache of keys and values, float16
RESERVED_BYTES = 1 << 29  # for the computation
MIN_CONTEXT = 256


class GgufHeader(NamedTuple):
    """The metadata of a GGUF file by key, and the number of bytes that a whole file has at least."""

    metadata: dict[str, Any]
    size: int

    def of_model(self, key: str, default: Any = None) -> Any:
        """Returns a value of the file's architecture, e.g. "context_length"."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}", default)

    def bytes_per_token(self) -> int:
        """Returns the memory of the keys and values of one token in all layers."""
        layers, heads = self.of_model("block_count", 0), self.of_model("attention.head_count", 0)
        groups = self.of_model("attention.head_count_kv", heads)
        total = sum(groups) if isinstance(groups, list) else groups * layers
        width = self.of_model("embedding_length", 0) // max(1, max(heads) if isinstance(heads, list) else heads)
        lengths = (self.of_model(f"attention.{name}_length", width) for name in ("key", "value"))
        return int(total * sum(lengths) * KEY_VALUE_BYTES)

    def context(self, wanted: int, slots: int, free: int) -> int:
        """Returns the longest context up to ``wanted`` tokens that the model knows and that fits ``free`` bytes.

        It is 0 if not even ``MIN_CONTEXT`` tokens fit. The bytes are those beside the weights.
        """
        context = min(wanted, self.of_model("context_length", wanted))
        fitting = max(0, free - RESERVED_BYTES) // max(1, self.bytes_per_token() * slots)
        return min(context, fitting) if fitting >= min(context, MIN_CONTEXT) else 0


def read_header(path: Path) -> GgufHeader:
    """Reads the header of a GGUF file.

    Raises:
        InputError: the file is missing, no GGUF file, or truncated.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content[:4] != b"GGUF":
                raise InputError(f"{path}: not a GGUF file; correct lm.weights")
            header = _Reader(content).header()
            if len(content) < header.size:
                raise struct.error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) else "not a GGUF file"
        raise InputError(f"{path}: {reason}; correct lm.weights") from None
    except (struct.error, LookupError, TypeError, ArithmeticError, RecursionError):
        raise InputError(f"{path}: truncated or altered; copy or download it again") from None
    return header


class _Reader:
    """Reads the fields of GGUF, version 2 or 3; source: github.com/ggml-org/ggml, docs/gguf.md."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.place = 4

    def header(self) -> GgufHeader:
        from gguf.constants import GGML_QUANT_SIZES

        sizes = {int(kind): of_block for kind, of_block in GGML_QUANT_SIZES.items()}
        self.number("I")  # the version
        tensors, fields = self.number("Q"), self.number("Q")
        metadata = {}
        for _ in range(fields):
            key = self.text()
            metadata[key] = self.value(self.number("I"))
        end = 0
        for _ in range(tensors):
            self.text()
            elements = 1
            for _ in range(self.number("I")):
                elements *= self.number("Q")
            block, size = sizes.get(self.number("I"), (1, 0))  # newer quantizations have unknown sizes
            end = max(end, self.number("Q") + elements // block * size)
        alignment = metadata.get("general.alignment", 32)
        start = -(-self.place // alignment) * alignment  # of the weights
        return GgufHeader(metadata, start + end if tensors else self.place)

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(form)
        return value

    def text(self) -> str:
        start = self.place + 8
        self.place = start + self.number("Q")
        return self.content[start : self.place].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """Returns a value of a kind; None for a long array."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.number(NUMBERS[kind])
        inner, items = self.number("I"), self.number("Q")
        if items <= MAX_ITEMS or inner == ARRAY:
            return [self.value(inner) for _ in range(items)]
        if inner == STRING:
            for _ in range(items):
                self.place += 8 + struct.unpack_from("<Q", self.content, self.place)[0]
        else:
            self.place += items * struct.calcsize(NUMBERS[inner])
        return None
