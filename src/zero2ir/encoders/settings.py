"""Settings and availability of general-purpose encoders."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from zero2ir.data.settings import LanguageCode
from zero2ir.encoders.precision import Precision, chosen_precision
from zero2ir.errors import InputError
from zero2ir.io.files import sha256
from zero2ir.io.paths import home_expanded
from zero2ir.io.settings import Settings

FROM_SCRATCH = ("static", "scratch")  # roles whose weights are random at first; all others start from pretrained ones


class EncoderSettings(Settings):
    """The schema of ``conf/encoder/*.yaml``: a general-purpose encoder.

    Attributes:
        name: name in logs and reports.
        source: "package" (weights in an installed Python package), "hub" (a sentence-transformers name or a folder) or
            "static" (no pretrained encoder; the one trained from scratch on the collection is used).
        model: for "package" ``package:folder``, for "hub" the model's name or path.
        sha256: expected digest of ``model.safetensors``, for "package".
        max_tokens: maximum tokens per text.
        batch_size: texts per forward pass.
        query_prompt: prefix of queries, e.g. "query: "; None for the model's own, if any.
        document_prompt: prefix of documents, likewise.
        dimensions: truncates vectors, for Matryoshka models; None to keep all.
        languages: ISO 639-1 codes of the languages that it knows; documents in another one are encoded by the encoder
            from scratch instead. Empty if it knows all.
        precision: encodes documents: "float32", "bfloat16", "int8" by OpenVINO, or "auto", bfloat16 where the processor
            computes in it and float32 elsewhere. Queries are always float32.
    """

    name: str
    source: Literal["package", "hub", "static"]
    model: str = ""
    sha256: str = ""
    max_tokens: Annotated[int, Field(ge=8)] = 256
    batch_size: Annotated[int, Field(ge=1)] = 32
    query_prompt: str | None = None
    document_prompt: str | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    languages: tuple[LanguageCode, ...] = ()
    precision: Precision = "auto"

    @field_validator("model")
    @classmethod
    def _from_any_folder(cls, value: str, info: ValidationInfo) -> str:
        """Makes a local folder absolute, so that a saved program finds it from another folder."""
        path = home_expanded(value)
        return str(path.absolute()) if info.data.get("source") == "hub" and value and path.is_dir() else value

    def knows(self, language: str) -> bool:
        """Whether the encoder knows a language, by its ISO 639-1 code."""
        return not self.languages or language in self.languages

    def trained_as(self, name: str) -> "EncoderSettings":
        """Returns the settings of an encoder that was trained here, starting from this one."""
        return self.model_copy(update={"name": name, "source": "static", "model": "", "sha256": ""})

    def identity(self) -> str:
        """Returns the settings that vectors depend on, as JSON; recently added ones only if not default."""
        later = ("query_prompt", "document_prompt", "dimensions", "precision")
        same = {name for name in later if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump_json(exclude={*same, "languages"})


def check_available(settings: EncoderSettings) -> None:
    """Raises ``InputError`` if the package is not installed, its weights are altered, or OpenVINO is missing."""
    if settings.source == "package":
        checked_weights(settings)
    chosen_precision(settings.precision)


def model_folder(place: str, key: str) -> Path | None:
    """Returns the local folder of a sentence-transformers model; None for a name of the hub.

    Args:
        place: a path, or a name such as "BAAI/bge-small-en-v1.5".
        key: the setting that names it, for messages.

    Raises:
        InputError: the path is no folder, or the folder holds no model.
    """
    path = home_expanded(place)
    if not path.is_dir():
        if not place.startswith(("/", "./", "../", "~")) and not path.exists():
            return None
        raise InputError(f"{path}: no such folder; correct {key}")
    if not any((path / name).is_file() for name in ("modules.json", "config.json")):
        raise InputError(f"{path}: no sentence-transformers model (no modules.json, no config.json); correct {key}")
    return path


def package_folder(place: str) -> Path:
    """Finds ``package:folder`` without importing the package.

    Raises:
        InputError: the package is not installed, or has no such folder.
    """
    package, _, inside = place.partition(":")
    if not package.isidentifier() or ".." in Path(inside).parts:  # a dotted name would be imported
        raise InputError(f"encoder.model: {place[:100]!r} is no package:folder; correct it")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package} is not installed; pip install {package.replace('_', '-')}")
    folder = Path(spec.submodule_search_locations[0]) / inside
    if not folder.is_dir():
        raise InputError(f"the package {package} has no folder {inside!r}; reinstall it")
    return folder


def checked_weights(settings: EncoderSettings) -> Path:
    """Returns the folder of the package's weights after checking their digest.

    Raises:
        InputError: the package is not installed or its weights differ from ``sha256``.
    """
    folder = package_folder(settings.model)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"encoder={settings.name}: {settings.model} has no model.safetensors; reinstall the package")
    if settings.sha256 and sha256(weights) != settings.sha256:
        raise InputError(
            f"encoder={settings.name}: the model.safetensors of {settings.model} is not the publisher's "
            f"(its sha256 differs from {settings.sha256[:12]}…); reinstall the package"
        )
    return folder
