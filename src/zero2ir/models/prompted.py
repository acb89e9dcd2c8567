"""What a language model in a model is told before each question, and how that is changed."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.io.files import read_json, write_json
from zero2ir.models.base import Model, ModelT, Retriever, by_part, copy_with, nested_models, of_part, parts, with_nested
from zero2ir.models.ranking import Candidates, Ranking, concatenate_rankings

PROMPT_FILE = "prompt.json"

PromptTask = Literal["judge", "order", "rewrite", "translate"]


class PartPrompt(NamedTuple):
    """What the language model is told and shown before each question.

    Attributes:
        instruction: what to do.
        demos: demonstrations, JSON; each names the "query" that it gives away.
        optimized: whether it was searched for: learning leaves it as it is.
    """

    instruction: str
    demos: tuple[Mapping[str, Any], ...] = ()
    optimized: bool = False

    def without(self, queries: Collection[str]) -> "PartPrompt":
        """The same without the demonstrations that give some queries away."""
        return self._replace(demos=tuple(row for row in self.demos if row["query"] not in queries))

    def as_dict(self) -> dict[str, Any]:
        """JSON, for a model's state."""
        return {**self._asdict(), "demos": [dict(row) for row in self.demos]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "PartPrompt":
        """Reads what ``as_dict`` made."""
        return cls(state["instruction"], tuple(state["demos"]), state["optimized"])


class Prompted(Model):
    """A model that asks a language model.

    Attributes:
        task: what it asks for.
        role: what reports call it.
        instruction: in the words of the model itself, where nobody gives others.
        demonstrations: a parameter: how many are shown once something was learned.
        prompt: what the language model is told at present.
    """

    task: ClassVar[PromptTask]
    role: ClassVar[str]
    instruction: ClassVar[str]
    demonstrations: int
    prompt: PartPrompt

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "instruction" in vars(cls):
            cls.prompt = PartPrompt(cls.instruction)

    def with_prompt(self, prompt: PartPrompt) -> Self:
        """An indexed copy that asks with another prompt."""
        return copy_with(self, prompt=prompt)

    @abstractmethod
    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """At most so many of the examples as demonstrations, JSON."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        write_json(folder / PROMPT_FILE, self.prompt.as_dict())

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        return super().load(folder, corpus).with_prompt(PartPrompt.from_dict(read_json(folder / PROMPT_FILE)))


def prompted_parts(model: Model) -> dict[str, Prompted]:
    """What in a model asks a language model, by role; of a part, with its number in front: "0.reranker"."""
    beside = [one for one in nested_models(model) if not isinstance(one, Retriever)]
    own = {one.role: one for one in [*beside, model] if isinstance(one, Prompted)}
    return by_part([prompted_parts(part) for part in parts(model)]) | own


def with_prompts(model: ModelT, prompts: Mapping[str, PartPrompt]) -> ModelT:
    """An indexed copy that asks with these prompts, by the names of ``prompted_parts``; others stay."""
    if not prompts:
        return model
    numbers = iter(range(len(parts(model))))

    def change(one: Model) -> Model:
        return with_prompts(one, of_part(prompts, next(numbers)) if isinstance(one, Retriever) else prompts)

    changed = with_nested(model, change)
    if isinstance(changed, Prompted) and changed.role in prompts:
        return changed.with_prompt(prompts[changed.role])
    return changed


def leakage_free_retrievers(retriever: Retriever, queries: Sequence[str]) -> list[tuple[Retriever, list[int]]]:
    """Who may be measured on which queries: nobody on one that its own prompts give away.

    Args:
        retriever: indexed.
        queries: n texts.

    Returns:
        The retriever as it is with the places of the queries that it shows to no language model, and for each other
        query the retriever without the demonstrations of that query.
    """
    prompts = {name: part.prompt for name, part in prompted_parts(retriever).items()}
    shown = {row["query"] for prompt in prompts.values() for row in prompt.demos}
    as_it_is = [place for place, query in enumerate(queries) if query not in shown]
    left_out = [
        (with_prompts(retriever, {name: prompt.without([query]) for name, prompt in prompts.items()}), [place])
        for place, query in enumerate(queries)
        if query in shown
    ]
    return [*([(retriever, as_it_is)] if as_it_is else []), *left_out]


def search_without_leakage(
    retriever: Retriever, queries: Sequence[str], k: int, candidates: Candidates | None = None
) -> Ranking:
    """As ``Retriever.search``, but no query is asked with a prompt that gives it away."""
    if not queries:
        return retriever.search(queries, k, candidates)
    asked = leakage_free_retrievers(retriever, queries)
    rankings = [
        one.search(
            [queries[place] for place in places],
            k,
            None if candidates is None else [candidates[place] for place in places],
        )
        for one, places in asked
    ]
    return concatenate_rankings(rankings).select_queries(np.argsort([place for _, places in asked for place in places]))
