"""The device that networks compute on: one choice for all of them, by the environment, since it is the machine's."""

import os

from zero2ir.errors import InputError

DEVICE_VARIABLE = "ZERO2IR_DEVICE"
DEVICES = ("auto", "cpu", "cuda", "mps")


def device() -> str:
    """Returns the torch device: what ``ZERO2IR_DEVICE`` names, or the first of cuda, mps and cpu that is there.

    Raises:
        InputError: the variable names no device, or one that is not there.
    """
    asked = os.environ.get(DEVICE_VARIABLE) or "auto"
    if asked not in DEVICES:
        raise InputError(f"{DEVICE_VARIABLE}={asked}: unknown device; valid devices are {', '.join(DEVICES)}")
    there = _available()
    if asked == "auto":
        return there[0]
    if asked not in there:
        raise InputError(f"{DEVICE_VARIABLE}={asked}: torch finds no such device; it finds {', '.join(there)}")
    return asked


def _available() -> list[str]:
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name, is_there in found.items() if is_there), "cpu"]
