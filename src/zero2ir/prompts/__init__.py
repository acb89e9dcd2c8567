"""The query-writing prompt as a hyperparameter: candidates, who proposes them, and how one is chosen."""

from zero2ir.prompts.candidates import Demonstration, PromptCandidate
from zero2ir.prompts.optimizers import GEPA, Bootstrap, Copro, Mipro
from zero2ir.prompts.pool import Pool
from zero2ir.prompts.proposals import NothingProposed, Proposer, WritingTask

__all__ = [
    "GEPA",
    "Bootstrap",
    "Copro",
    "Demonstration",
    "Mipro",
    "NothingProposed",
    "Pool",
    "PromptCandidate",
    "Proposer",
    "WritingTask",
]
