"""Where learning begins: initial parameters and learning rates, for meta-learning and for learning on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from zero2ir.encoders.examples import Example
from zero2ir.models.base import (
    Model,
    Retriever,
    RetrieverT,
    by_part,
    nested_models,
    of_part,
    parts,
    with_nested,
    with_parts,
)
from zero2ir.models.capabilities import Learnable


class Initialization(NamedTuple):
    """The initial parameters and learning rates of a training.

    Attributes:
        parameters: initial values by name; missing ones begin at the identity.
        rates: factors of the learning rate by name, scalars or of the parameter's shape, 1 by default; a parameter of
            rate 0 stays.
        steps: factor of the number of steps.
    """

    parameters: Mapping[str, np.ndarray] = MappingProxyType({})
    rates: Mapping[str, np.ndarray] = MappingProxyType({})
    steps: float = 1.0

    def for_part(self, part: int) -> "Initialization":
        return Initialization(of_part(self.parameters, part), of_part(self.rates, part), self.steps)

    def rate(self, name: str) -> np.ndarray:
        return np.asarray(self.rates.get(name, 1.0), dtype=np.float64)

    def penalty(self, penalty: float, name: str) -> np.ndarray:
        """Returns the penalty divided by a parameter's rates, for fits that have no learning rate."""
        return penalty / np.maximum(self.rate(name), 1e-6)

    def count(self, steps: int) -> int:
        return max(1, round(steps * self.steps))


class Initializable(Learnable, Retriever):
    """A retriever whose learning can begin at other parameters. By default it delegates to its parts."""

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns the values that ``learn`` changes and ``with_initialization`` can set; empty for a whole network.

        A part's number stands before the names of its parameters, "0.map".
        """
        return by_part([parameters(part) for part in parts(self)])

    def head_mask(self) -> dict[str, np.ndarray]:
        """Returns masks of the parameters, 1 for the few that a handful of examples can train, 0 elsewhere."""
        return by_part([head_mask(part) for part in parts(self)])

    def with_initialization(self, initialization: Initialization) -> Self:
        """Returns an indexed copy with these parameters; its ``learn`` begins and is regularised there."""
        initialized = [
            with_initialization(part, initialization.for_part(number)) for number, part in enumerate(parts(self))
        ]
        return with_parts(self, initialized)

    def gradient_cosines(self, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray | None:
        """Returns (n_examples, n_judged) cosines of ``learn``'s first gradients, averaged over parts, or None."""
        of_parts = [gradient_cosines(part, examples, judged) for part in parts(self)]
        cosines = [one for one in of_parts if one is not None]
        return np.mean(cosines, axis=0) if cosines else None


def parameters(retriever: Retriever) -> dict[str, np.ndarray]:
    """See ``Initializable.parameters``; empty for other retrievers."""
    return retriever.parameters() if isinstance(retriever, Initializable) else {}


def head_mask(retriever: Retriever) -> dict[str, np.ndarray]:
    """See ``Initializable.head_mask``; empty for other retrievers."""
    return retriever.head_mask() if isinstance(retriever, Initializable) else {}


def with_initialization(retriever: RetrieverT, initialization: Initialization) -> RetrieverT:
    """See ``Initializable.with_initialization``; other retrievers are returned as they are."""
    return retriever.with_initialization(initialization) if isinstance(retriever, Initializable) else retriever


def gradient_cosines(retriever: Retriever, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray | None:
    """See ``Initializable.gradient_cosines``; None for other retrievers."""
    return retriever.gradient_cosines(examples, judged) if isinstance(retriever, Initializable) else None


def is_interpolable(model: Model) -> bool:
    """Whether all that a model and its parts learn is in their parameters."""
    if nested := nested_models(model):
        return all(map(is_interpolable, nested))
    return not isinstance(model, Learnable) or (isinstance(model, Initializable) and bool(model.parameters()))


def interpolate(initial: Retriever, learned: RetrieverT, share: float) -> RetrieverT:
    """Returns the learned retriever with parameters on the line from the initial ones; 1 for the learned ones."""
    if share == 1:
        return learned
    before, after = parameters(initial), parameters(learned)
    between = {name: before[name] + np.float32(share) * (value - before[name]) for name, value in after.items()}
    return _at_rest(with_initialization(learned, Initialization(between)))


def _at_rest(model: RetrieverT) -> RetrieverT:
    """Returns a copy whose learning begins at the identity again."""
    changed = with_nested(model, lambda one: _at_rest(one) if isinstance(one, Retriever) else one)
    if hasattr(changed, "initialization"):
        changed.initialization = Initialization()
    return changed
