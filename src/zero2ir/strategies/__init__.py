"""The training strategies, one module each."""

from zero2ir.strategies.base import Fitted, Learner, Need, Strategy, TrainingInputs, wants_synthetic
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.fixed_prompt import FixedPrompt
from zero2ir.strategies.meta.strategy import Meta
from zero2ir.strategies.prompt_search.strategy import PromptSearch
from zero2ir.strategies.stacked import Stacked
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.strategies.zero_shot import ZeroShot

__all__ = [
    "FineTune",
    "Fitted",
    "FixedPrompt",
    "Learner",
    "Meta",
    "Need",
    "PromptSearch",
    "Stacked",
    "Strategy",
    "TrainingInputs",
    "TuningSettings",
    "ZeroShot",
    "wants_synthetic",
]
