"""Presets of experiments and their conditions."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from zero2ir.config import Panel, checked, compose, read_panel
from zero2ir.errors import InputError
from zero2ir.io.settings import PositiveInt, Settings

BYTES_PER_GB = 1 << 30


class ExperimentConfig(Settings):
    """conf/experiment.yaml: the pipeline under many conditions.

    Attributes:
        title: title of the report.
        panel: values that replace those of params.yaml in all conditions.
        sweep: lists of values by key of params.yaml ("budget.queries" for a nested key); each combination is one
            condition.
        conf: changes of files in conf, by their path there.
        target: last pipeline stage that a condition needs; None for none.
        benchmark: command to run after the pipeline; its printed tables are kept; "{dataset}" is the condition's.
        shared_caches: parts of .cache shared by all conditions; without "embeddings" each condition encodes anew.
        memory_gb: maximum memory in GB of one condition, and so of one task; determines how many run in parallel.
        cpus: processor cores of one task; for ``--executor ray`` and ``submitit``.
        gpus: GPUs of one task, for these executors; Ray also takes a share such as 0.5.
    """

    title: str = ""
    panel: dict[str, Any] = Field(default_factory=dict)
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    conf: dict[str, dict[str, Any]] = Field(default_factory=dict)
    target: str | None = "report"
    benchmark: str | None = None
    shared_caches: tuple[str, ...] = ("lm", "embeddings")
    memory_gb: Annotated[float, Field(gt=0)] = 3.0
    cpus: PositiveInt = 1
    gpus: Annotated[float, Field(ge=0)] = 0.0


class Condition(NamedTuple):
    """One run of the pipeline.

    Attributes:
        name: name of its folder and of its DVC experiment.
        panel: its params.yaml.
        swept: the values in which the conditions differ.
    """

    name: str
    panel: Panel
    swept: Mapping[str, Any]

    @property
    def systems(self) -> list[tuple[str, str, int]]:
        """Model, strategy and seed of every trained system."""
        return list(itertools.product(self.panel.models, self.panel.strategies, self.panel.seeds))

    @property
    def title(self) -> str:
        """Label in reports: the swept values in order; the dataset without a sweep."""
        values = [
            str(value) if key == "dataset" else f"{key.rpartition('.')[2]} {_plain(value)}"
            for key, value in self.swept.items()
        ]
        return ", ".join(values) or self.panel.dataset


def read_preset(name: str, changes: Sequence[str] = ()) -> ExperimentConfig:
    """Composes conf/experiment/<name>.yaml with changes such as "panel.seeds=[0]"; an InputError if one is invalid."""
    return compose("experiment", ExperimentConfig, [f"experiment={name}", *changes])


def conditions(preset: ExperimentConfig) -> list[Condition]:
    """Returns a condition for each combination of the swept values, on top of the preset's panel and params.yaml.

    Raises:
        InputError: a key is not in params.yaml, a value is invalid, or two conditions have the same name.
    """
    combinations = itertools.product(*preset.sweep.values())
    result = [condition(dict(zip(preset.sweep, values, strict=True)), preset.panel) for values in combinations]
    names = [one.name for one in result]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"sweep: two conditions have the name {twice}; remove one of these values")
    return result


def condition(swept: Mapping[str, Any], changes: Mapping[str, Any]) -> Condition:
    """Builds one condition: params.yaml with the changes and the swept values; an InputError if one is invalid."""
    from omegaconf import OmegaConf

    panel = OmegaConf.merge(read_panel().model_dump(mode="json"), changes)
    for key, value in swept.items():
        OmegaConf.update(panel, key, value)
    name = "-".join(_slug(key, value) for key, value in swept.items())
    return Condition(name or "all", checked(panel, Panel), dict(swept))


def _slug(key: str, value: Any) -> str:
    """Returns e.g. "beir-scifact" for the dataset, "queries5" for other keys; valid in DVC and git names."""
    label = "" if key == "dataset" else key.rpartition(".")[2]
    return re.sub(r"[^\w.]+", "-", f"{label}{_plain(value)}").strip("-.")


def _plain(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
