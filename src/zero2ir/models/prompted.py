"""The prompts of models that use a language model."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import create_model

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.io.files import write_json
from zero2ir.io.settings import Settings, read_state
from zero2ir.models.base import Model, ModelT, Retriever, by_part, copy_with, nested_models, of_part, parts, with_nested
from zero2ir.models.ranking import Candidates, Ranking, concatenate_rankings, scope_without

PROMPT_FILE = "prompt.json"

PromptTask = Literal["judge", "order", "rewrite", "translate"]


class PartPrompt(NamedTuple):
    """A prompt.

    Attributes:
        instruction: the task.
        demos: demonstrations, JSON; each has the "query" whose judgment it reveals.
        optimized: whether a prompt search chose it; learning then keeps it.
    """

    instruction: str
    demos: tuple[Mapping[str, Any], ...] = ()
    optimized: bool = False

    def without(self, queries: Collection[str]) -> "PartPrompt":
        return self._replace(demos=tuple(row for row in self.demos if row["query"] not in queries))

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "demos": [dict(row) for row in self.demos]}


class Prompted(Model):
    """A model that uses a language model.

    Attributes:
        task: the task of the language model.
        role: its name in reports.
        instruction: the default instruction.
        demonstration: the fields of a demonstration and their types.
        demonstrations: parameter, the number of demonstrations once trained.
        prompt: the current prompt.
    """

    task: ClassVar[PromptTask]
    role: ClassVar[str]
    instruction: ClassVar[str]
    demonstration: ClassVar[Mapping[str, Any]]
    demonstrations: int
    prompt: PartPrompt

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "instruction" in vars(cls):
            cls.prompt = PartPrompt(cls.instruction)

    def with_prompt(self, prompt: PartPrompt) -> Self:
        """Returns an indexed copy with another prompt."""
        return copy_with(self, prompt=prompt)

    @abstractmethod
    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Draws at most ``number`` of the examples as demonstrations, JSON."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        write_json(folder / PROMPT_FILE, self.prompt.as_dict())

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        fields: Any = {name: (kind, ...) for name, kind in cls.demonstration.items()}
        row: Any = create_model("Demonstration", __base__=Settings, **fields)
        fields = {"instruction": (str, ...), "demos": (list[row], ...), "optimized": (bool, ...)}
        state: Any = read_state(folder / PROMPT_FILE, create_model("Prompt", __base__=Settings, **fields))
        rows = tuple(demo.model_dump() for demo in state.demos)
        return super().load(folder, corpus).with_prompt(PartPrompt(state.instruction, rows, state.optimized))


def prompted_parts(model: Model) -> dict[str, Prompted]:
    """Returns the nested models that use a language model, by role; those of a part with its number: "0.reranker"."""
    beside = [one for one in nested_models(model) if not isinstance(one, Retriever)]
    own = {one.role: one for one in [*beside, model] if isinstance(one, Prompted)}
    return by_part([prompted_parts(part) for part in parts(model)]) | own


def with_prompts(model: ModelT, prompts: Mapping[str, PartPrompt]) -> ModelT:
    """Returns an indexed copy with these prompts, by the names of ``prompted_parts``; other prompts stay."""
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
    """Returns the retriever with the positions of the queries that are in no prompt, and a copy for each other query.

    The copies' prompts have no demonstration of their query.
    """
    prompts = {name: part.prompt for name, part in prompted_parts(retriever).items()}
    demonstrated = {row["query"] for prompt in prompts.values() for row in prompt.demos}
    others = [place for place, query in enumerate(queries) if query not in demonstrated]
    left_out = [
        (with_prompts(retriever, {name: prompt.without([query]) for name, prompt in prompts.items()}), [place])
        for place, query in enumerate(queries)
        if query in demonstrated
    ]
    return [*([(retriever, others)] if others else []), *left_out]


def search_without_leakage(
    retriever: Retriever, queries: Sequence[str], k: int, candidates: Candidates | None, own: np.ndarray
) -> Ranking:
    """Searches as ``Retriever.search`` does, but without the demonstrations of the query itself and its own document.

    ``own`` is (n_queries,) document numbers, -1 for none.
    """
    depth, candidates = scope_without(own, k, candidates)
    if not queries:
        return retriever.search(queries, k, candidates)
    retrievers = leakage_free_retrievers(retriever, queries)
    rankings = []
    for one, places in retrievers:
        some = None if candidates is None else [candidates[place] for place in places]
        rankings.append(one.search([queries[place] for place in places], depth, some))
    order = np.argsort([place for _, places in retrievers for place in places])
    return concatenate_rankings(rankings).select_queries(order).without(own, k)
