"""Prompts as hyperparameters, for writing queries and in models: candidates, who proposes them, how one is chosen."""

from zero2ir.strategies.prompt_search.candidates import Demonstration, PartCandidate, PromptCandidate
from zero2ir.strategies.prompt_search.optimizers import GEPA, Bootstrap, Copro, Mipro
from zero2ir.strategies.prompt_search.pool import Pool
from zero2ir.strategies.prompt_search.proposals import NothingProposed, PartTask, Proposer, WritingTask

__all__ = [
    "GEPA",
    "Bootstrap",
    "Copro",
    "Demonstration",
    "Mipro",
    "NothingProposed",
    "PartCandidate",
    "PartTask",
    "Pool",
    "PromptCandidate",
    "Proposer",
    "WritingTask",
]
