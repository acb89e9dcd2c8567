"""Loads saved encoders of all kinds; their files may come from somebody else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from zero2ir.encoders.base import ENCODER_FILE, ENCODERS, WEIGHTS, TextEncoder, network_errors, read_encoder_state
from zero2ir.errors import InputError, one_line
from zero2ir.io.files import files_below, read_json

EncoderT = TypeVar("EncoderT", bound=TextEncoder)
NETWORK_SUFFIXES = {".json", ".safetensors", ".txt", ".md", ".jinja", ".model"}  # no code, and no pickled weights


def load_encoder(folder: Path, kind: type[EncoderT] = TextEncoder) -> EncoderT:  # type: ignore[assignment]
    """Loads a saved encoder, and tries a trained one on two texts.

    Raises:
        InputError: there is no encoder or one of another kind, or its package or weights are missing or altered.
    """
    state = read_encoder_state(folder)
    found = ENCODERS.find(state.kind)
    if not issubclass(found, kind):
        raise InputError(
            f"{folder / ENCODER_FILE}: kind: {state.kind!r} instead of {kind.kind!r}; create or get it again"
        )
    if not state.trained:
        return found.opened(state.settings, None)
    with checked_network(folder / WEIGHTS):
        encoder = found.opened(state.settings, folder / WEIGHTS)
        check_vocabulary(folder / WEIGHTS, *encoder.vocabulary())
        encoder.encode(["word", "word " * encoder.settings.max_tokens])
        encoder.encode_queries(["word"])
    return encoder


def load_encoded(folder: Path, documents: int, kind: type[EncoderT] = TextEncoder) -> tuple[EncoderT, Any]:  # type: ignore[assignment]
    """Loads an encoder and its encoded documents.

    Raises:
        InputError: the files are missing, damaged, or do not have this number of documents.
    """
    encoder = load_encoder(folder, kind)
    return encoder, encoder.read(folder / encoder.encoded, documents)


@contextmanager
def checked_network(folder: Path) -> Iterator[None]:
    """Checks the files of a saved network; the block loads and tries it.

    Raises:
        InputError: a file is no weights, settings or vocabulary, a weight is not finite, or the block fails.
    """
    for path in files_below(folder):
        if path.suffix not in NETWORK_SUFFIXES:
            raise InputError(
                f"{path}: does not belong to the weights and settings of a network; create or get it again"
            )
        if path.suffix == ".json":
            read_json(path)
        if path.suffix == ".safetensors":
            _check_finite(path)
    with network_errors(str(folder)):
        yield


def check_vocabulary(folder: Path, vocabulary: Mapping[str, int], rows: int) -> None:
    """Raises an InputError if a token's number is beyond the rows of the network's table of tokens."""
    if not vocabulary or max(vocabulary.values()) >= rows:
        raise InputError(f"{folder}: the vocabulary does not fit the table of {rows} tokens; create or get it again")


def _check_finite(path: Path) -> None:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                if not torch.isfinite(file.get_tensor(name)).all():
                    raise InputError(f"{path}: {name}: a weight is infinite or not a number; create or get it again")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: missing or damaged ({one_line(error)[:200]}); create or get it again") from None
