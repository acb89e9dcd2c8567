"""The stages of dvc.yaml: those shared by all systems, those of one system, and the report."""

SHARED_STAGES = ("ingest", "pretrain-synthetic")  # of all systems
SYSTEM_STAGES = ("train", "evaluate")  # a matrix
REPORT_STAGE = "report"  # the last one


def systems_of(stages: list[str]) -> list[str]:
    """Returns the systems that stages of the matrix belong to: model-strategy-seed for train@model-strategy-seed."""
    parts = [stage.partition("@") for stage in stages]
    return list(dict.fromkeys(system for stage, _, system in parts if stage in SYSTEM_STAGES))


def stages_of(system: str) -> tuple[str, ...]:
    """Returns the stages of one system."""
    return tuple(f"{stage}@{system}" for stage in SYSTEM_STAGES)
