"""Names in MLflow, which allows fewer characters in them than we use."""

import re


def metric_name(measure: str) -> str:
    """Replaces characters that MLflow forbids in names: nDCG@10 becomes nDCG.10."""
    return re.sub(r"[^\w./ -]+", ".", measure).strip(".")


def registered_name(experiment: str) -> str:
    """Returns the registered model's name of an experiment; MLflow allows neither "/" nor ":" in it."""
    return re.sub(r"[/:]", "-", experiment)


def prompt_name(experiment: str, part: str) -> str:
    """Returns the name of the prompts of a part of the programs, such as "query writer", in an experiment."""
    return re.sub(r"[^\w.-]+", "-", f"{experiment} {part}", flags=re.ASCII)


def model_name(system: str) -> str:
    """Returns the logged model's name of a system: sparse/zero_shot/seed0 becomes sparse-zero_shot-seed0."""
    return re.sub(r"[/:.%\"']", "-", system)
