"""Where learning begins: initial parameters and learning rates, for meta-learning and for learning on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from zero2ir.encoders.examples import Example
from zero2ir.models.base import Retriever, RetrieverT, by_part, of_part, parts, with_parts
from zero2ir.models.capabilities import Learnable


class Initialization(NamedTuple):
    """Where learning begins, and how each parameter moves from there.

    Attributes:
        parameters: by the names of ``parameters``; one that is not named begins at "change nothing".
        rates: by the same names, a scalar or of the parameter's shape: factors of the model's own learning rate, 1
            where a parameter is not named. Where it is 0, the parameter stays.
        steps: factor of the model's own number of steps.
    """

    parameters: Mapping[str, np.ndarray] = MappingProxyType({})
    rates: Mapping[str, np.ndarray] = MappingProxyType({})
    steps: float = 1.0

    def for_part(self, part: int) -> "Initialization":
        """What concerns one part of a composite."""
        return Initialization(of_part(self.parameters, part), of_part(self.rates, part), self.steps)

    def rate(self, name: str) -> np.ndarray:
        """The rates of one parameter."""
        return np.asarray(self.rates.get(name, 1.0), dtype=np.float64)

    def penalty(self, penalty: float, name: str) -> np.ndarray:
        """What keeps one parameter near its start in a fit that takes no steps: the less, the higher its rates."""
        return penalty / np.maximum(self.rate(name), 1e-6)

    def count(self, steps: int) -> int:
        """How many steps instead of so many."""
        return max(1, round(steps * self.steps))


class Initializable(Learnable, Retriever):
    """A retriever whose learning can begin elsewhere. One that is made of others hands on to its parts."""

    def parameters(self) -> dict[str, np.ndarray]:
        """The present value of everything that ``learn`` moves and that ``with_initialization`` can set.

        The parameters of a part have its number in front, "0.map". Nothing for a model that trains a whole network.
        """
        return by_part([parameters(part) for part in parts(self)])

    def head_mask(self) -> dict[str, np.ndarray]:
        """Which of the parameters are the few that a handful of examples can move alone: 1 there, 0 elsewhere."""
        return by_part([head_mask(part) for part in parts(self)])

    def with_initialization(self, initialization: Initialization) -> Self:
        """An indexed copy that has these parameters; its ``learn`` begins there, and keeps near to them."""
        initialized = [
            with_initialization(part, initialization.for_part(number)) for number, part in enumerate(parts(self))
        ]
        return with_parts(self, initialized)

    def gradient_cosines(self, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray | None:
        """(n_examples, n_judged) cosines of the gradients that ``learn`` would follow first, the mean over parts.

        None where no part can tell.
        """
        cosines = [gradient_cosines(part, examples, judged) for part in parts(self)]
        known = [one for one in cosines if one is not None]
        return np.mean(known, axis=0) if known else None


def parameters(retriever: Retriever) -> dict[str, np.ndarray]:
    """See ``Initializable.parameters``; nothing for a retriever that has none."""
    return retriever.parameters() if isinstance(retriever, Initializable) else {}


def head_mask(retriever: Retriever) -> dict[str, np.ndarray]:
    """See ``Initializable.head_mask``; nothing for a retriever that has no parameters."""
    return retriever.head_mask() if isinstance(retriever, Initializable) else {}


def with_initialization(retriever: RetrieverT, initialization: Initialization) -> RetrieverT:
    """See ``Initializable.with_initialization``; itself where a retriever has no parameters."""
    return retriever.with_initialization(initialization) if isinstance(retriever, Initializable) else retriever


def gradient_cosines(retriever: Retriever, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray | None:
    """See ``Initializable.gradient_cosines``; None where a retriever cannot tell."""
    return retriever.gradient_cosines(examples, judged) if isinstance(retriever, Initializable) else None
