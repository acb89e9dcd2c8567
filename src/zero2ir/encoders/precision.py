"""The precision in which networks encode documents."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from zero2ir.encoders.devices import device
from zero2ir.errors import InputError

TorchPrecision = Literal["float32", "bfloat16"]
BFLOAT16_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")  # the last one on Arm
DocumentPrecision = Literal["float32", "bfloat16", "int8"]
Precision = Literal["auto", "float32", "bfloat16", "int8"]


def chosen_precision(asked: Precision) -> DocumentPrecision:
    """Returns the precision to encode in; "auto" is bfloat16 where the device computes in it, else float32.

    With bfloat16 MiniLM encodes 2.6 times as many abstracts per processor second (AVX-512), to vectors whose cosine
    with the exact ones is 0.9999.

    Raises:
        InputError: int8 is asked for, and OpenVINO is not installed.
    """
    if asked == "int8" and importlib.util.find_spec("openvino") is None:
        raise InputError("encoder.precision=int8: openvino is not installed; pip install 'zero2ir[openvino]'")
    if asked == "auto":
        return "bfloat16" if computes_in_bfloat16(*BFLOAT16_FEATURES) else "float32"
    return asked


def torch_precision(precision: DocumentPrecision) -> TorchPrecision:
    """Returns the precision of a network of torch: int8 is OpenVINO's."""
    return "bfloat16" if precision == "bfloat16" else "float32"


@contextmanager
def in_precision(network: Any, precision: str) -> Iterator[None]:
    """Computes the transformer of a sentence-transformers network in a precision; its output is float32 again."""
    import torch

    if precision == "float32":
        yield
        return
    rounded = torch.autocast(network.device.type, dtype=getattr(torch, precision))

    def begin(*_: Any) -> None:
        rounded.__enter__()

    def end(_module: Any, _inputs: Any, output: Any) -> Any:
        rounded.__exit__(None, None, None)
        return output and {**output, "token_embeddings": output["token_embeddings"].float()}

    hooks = network[0].register_forward_pre_hook(begin), network[0].register_forward_hook(end, always_call=True)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def computes_in_bfloat16(*features: str) -> bool:
    """Tests whether the device computes in bfloat16: a GPU, or a processor with one of some features."""
    import torch

    if device() == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    processor = torch.cpu.get_capabilities() if device() == "cpu" else {}
    return any(processor.get(feature) for feature in features)
