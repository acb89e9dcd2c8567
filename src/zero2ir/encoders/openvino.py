"""Networks in int8 on a CPU, by OpenVINO."""

import sys
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

GROUP = 128  # activations that share a scale: a seventh faster than OpenVINO's 32, vectors as near to torch's


def quantize_int8(model: "SentenceTransformer") -> "SentenceTransformer":
    """A copy whose transformer computes in int8; its tokenizer, pooling and normalisation stay.

    Weights have a scale an output. Activations are quantised as they come, each token's by themselves, so that a text's
    vector hardly depends on its company in a batch.

    Raises:
        InputError: the model holds no transformer.
    """
    import torch
    from sentence_transformers.base.modules import Transformer
    from transformers.modeling_outputs import BaseModelOutput

    if not isinstance(model[0], Transformer):
        raise InputError(
            f"backend=openvino runs transformers; this encoder is a {type(model[0]).__name__}; choose backend=torch"
        )
    copy = deepcopy(model).to("cpu").eval().requires_grad_(False)
    transformer: Any = copy[0]
    names, compiled = _compiled(transformer)

    class Compiled(torch.nn.Module):
        config = transformer.model.config
        dtype = torch.float32

        def forward(self, **inputs: Any) -> BaseModelOutput:
            states = compiled([inputs[name].numpy() for name in names])[0]  # -> (n_texts, n_tokens, dimension)
            return BaseModelOutput(last_hidden_state=torch.from_numpy(states.copy()))

    transformer.model = Compiled()
    return copy


def _compiled(transformer: Any) -> tuple[list[str], Any]:
    """The names of a transformer's inputs, and what computes its last hidden states from them."""
    import torch

    openvino = _import()
    example = transformer.preprocess(["a text", "another one, which is longer"])  # so that there is padding to see
    names = [name for name, value in example.items() if isinstance(value, torch.Tensor)]
    inputs = tuple(example[name] for name in names)

    def states(*inputs: torch.Tensor) -> torch.Tensor:
        return transformer.model(**dict(zip(names, inputs, strict=True))).last_hidden_state

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # of checks that are true of any batch
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing, which is what OpenVINO reads best
        network = openvino.convert_model(torch.jit.trace(states, inputs), example_input=inputs)
    _quantize(network, openvino)
    options = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    return names, openvino.compile_model(network, "CPU", options)


def _quantize(network: Any, openvino: Any) -> None:
    """Replaces each weight matrix by int8 values and a scale an output; OpenVINO knows the pattern."""
    operations = openvino.opset13
    for product in network.get_ordered_ops():
        if product.get_type_name() != "MatMul" or product.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = product.input_value(1).get_node().data
        inputs = 1 if product.get_attributes()["transpose_b"] else 0
        scale = np.maximum(np.abs(weights).max(axis=inputs, keepdims=True), 1e-12) / np.float32(127)
        values = operations.constant(np.rint(weights / scale).astype(np.int8))
        restored = operations.multiply(operations.convert(values, "f32"), operations.constant(scale))
        product.input(1).replace_source_output(restored.output(0))
    network.validate_nodes_and_infer_types()


def _import() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # would report the import to its maker
    import openvino
    import openvino.opset13

    return openvino
