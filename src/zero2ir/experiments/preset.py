"""Presets: which conditions an experiment has."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from zero2ir.config import Panel, Settings, checked, compose, read_panel
from zero2ir.errors import InputError


class ExperimentConfig(Settings):
    """conf/experiment.yaml: the pipeline under many conditions.

    Attributes:
        title: of the report.
        panel: what all conditions have in place of the values of params.yaml.
        sweep: values of keys of params.yaml ("budget.queries" for one inside another); each combination is a condition.
        conf: changes of files below conf, by their path there.
        target: the last stage of the pipeline that a condition needs; None for none.
        benchmark: a command in the finished pipeline whose printed tables are kept; "{dataset}" is the condition's.
        shared_caches: the parts of .cache that all conditions have in common; without "embeddings" each pays for its
            encoding.
        memory_gb: what one condition takes at most: tells how many run side by side.
    """

    title: str = ""
    panel: dict[str, Any] = Field(default_factory=dict)
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    conf: dict[str, dict[str, Any]] = Field(default_factory=dict)
    target: str | None = "report"
    benchmark: str | None = None
    shared_caches: tuple[str, ...] = ("lm", "embeddings")
    memory_gb: Annotated[float, Field(gt=0)] = 3.0


class Condition(NamedTuple):
    """One run of the pipeline.

    Attributes:
        name: of its folder and of its DVC experiment.
        panel: its params.yaml.
        swept: what differs between the conditions.
    """

    name: str
    panel: Panel
    swept: Mapping[str, Any]

    @property
    def systems(self) -> list[tuple[str, str, int]]:
        """Model, strategy and seed of everything that is trained."""
        return list(itertools.product(self.panel.models, self.panel.strategies, self.panel.seeds))

    @property
    def title(self) -> str:
        """What reports call it: the dataset where nothing is swept, else its values in the order of the sweep."""
        return (
            self.panel.dataset
            if not self.swept
            else ", ".join(
                str(value) if key == "dataset" else f"{key.rpartition('.')[2]} {_plain(value)}"
                for key, value in self.swept.items()
            )
        )


def read_preset(name: str, changes: Sequence[str] = ()) -> ExperimentConfig:
    """Composes conf/experiment/<name>.yaml with changes such as "panel.seeds=[0]" or "sweep.dataset=[cranfield]".

    Raises:
        InputError: no such preset, an unknown key or a bad value.
    """
    return compose("experiment", ExperimentConfig, [f"experiment={name}", *changes])


def conditions(preset: ExperimentConfig) -> list[Condition]:
    """Every combination of the swept values, on top of the preset's panel and params.yaml.

    Raises:
        InputError: a key that params.yaml does not have, a bad value, or two conditions that would share a name.
    """
    combinations = [
        dict(zip(preset.sweep, values, strict=True)) for values in itertools.product(*preset.sweep.values())
    ]
    found = [condition(swept, preset.panel) for swept in combinations]
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"sweep: two conditions would be called {twice}; leave one of these values out")
    return found


def condition(swept: Mapping[str, Any], changes: Mapping[str, Any]) -> Condition:
    """One condition: params.yaml with changes, and with what is swept.

    Raises:
        InputError: a key that params.yaml does not have, or a bad value.
    """
    from omegaconf import OmegaConf

    panel = OmegaConf.merge(read_panel().model_dump(mode="json"), changes)
    for key, value in swept.items():
        OmegaConf.update(panel, key, value)
    name = "-".join(_slug(key, value) for key, value in swept.items())
    return Condition(name or "all", checked(panel, Panel), dict(swept))


def _slug(key: str, value: Any) -> str:
    """ "beir-scifact" for the dataset, "queries5" for anything else; what DVC and git take in a name."""
    known = "" if key == "dataset" else key.rpartition(".")[2]
    return re.sub(r"[^\w.]+", "-", f"{known}{_plain(value)}").strip("-.")


def _plain(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
