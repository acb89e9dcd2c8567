"""One variable of the environment decides where every network computes."""

import pytest
import torch

from zero2ir.encoders import devices
from zero2ir.encoders.devices import DEVICE_VARIABLE, device
from zero2ir.encoders.precision import chosen_precision
from zero2ir.errors import InputError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which torch finds a CUDA device that computes in bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)


def test_without_a_choice_a_gpu_is_used_if_there_is_one(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for unset in ("", "auto"):
        monkeypatch.setenv(DEVICE_VARIABLE, unset)
        assert device() == "cuda"
    monkeypatch.delenv(DEVICE_VARIABLE)
    assert device() == "cuda"
    assert chosen_precision("auto") == "bfloat16"


def test_the_processor_can_be_chosen_on_a_machine_with_a_gpu(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert device() == "cpu"
    assert chosen_precision("auto") == "float32"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("cuda", "ZERO2IR_DEVICE=cuda: torch finds no such device; it finds cpu"),
        ("mps", "ZERO2IR_DEVICE=mps: torch finds no such device; it finds cpu"),
        ("gpu", "ZERO2IR_DEVICE=gpu: unknown device; valid devices are auto, cpu, cuda, mps"),
    ],
)
def test_a_device_that_is_not_there_is_refused(asked: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_available", lambda: ["cpu"])
    monkeypatch.setenv(DEVICE_VARIABLE, asked)
    with pytest.raises(InputError) as refused:
        device()
    assert str(refused.value) == message
