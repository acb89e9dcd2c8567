"""Click models that simulate users: which ranks are examined and which documents are clicked.

Source: Chuklin, Markov and de Rijke 2015, "Click Models for Web Search", doi:10.2200/S00654ED1V01Y201507ICR043,
sections 3.2 to 3.5.
"""

from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from zero2ir.io.settings import Settings


class ClickModel(Protocol):
    """Simulates how users browse a ranking."""

    def click(self, attraction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Simulates one session per ranking.

        Args:
            attraction: (n, k) probability of a click on a document once it is examined, best rank first; 0 where there
                is no document.
            rng: random generator.

        Returns:
            (n, k) bool, the clicks.
        """
        ...


class PositionBasedModel(Settings):
    """Examination depends on the rank alone: its probability is rank ** -``bias``.

    Source: Craswell et al., WSDM 2008, doi:10.1145/1341531.1341545; the form of the curve: Joachims, Swaminathan and
    Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 6.1.

    Attributes:
        bias: strength of the position bias; 0 if every rank is examined.
    """

    bias: Annotated[float, Field(ge=0)] = 1.0

    def examination(self, k: int) -> np.ndarray:
        """Returns (k,) the examination probability of each rank."""
        return np.arange(1, k + 1, dtype=float) ** -self.bias

    def click(self, attraction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.random(attraction.shape) < attraction * self.examination(attraction.shape[1])


class DependentClickModel(Settings):
    """Users read from the top and continue after a click with probability ``persistence``.

    Source: Guo, Liu and Wang, WSDM 2009, doi:10.1145/1498759.1498818.

    Attributes:
        persistence: probability of continuing after a click; 0 if users stop at the first click.
    """

    persistence: Annotated[float, Field(ge=0, le=1)] = 0.6

    def click(self, attraction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        reading = np.ones(len(attraction), dtype=bool)
        clicked = np.zeros(attraction.shape, dtype=bool)
        for rank in range(attraction.shape[1]):
            clicked[:, rank] = reading & (rng.random(len(attraction)) < attraction[:, rank])
            reading &= ~clicked[:, rank] | (rng.random(len(attraction)) < self.persistence)
        return clicked


class CascadeModel(DependentClickModel):
    """Users read from the top and stop at the first click.

    Source: Craswell et al., WSDM 2008, doi:10.1145/1341531.1341545.
    """

    persistence: Annotated[float, Field(ge=0, le=0)] = 0.0


def attraction(grades: np.ndarray, noise: float = 0.1, most: int = 1) -> np.ndarray:
    """Returns the click probability of an examined document of each grade.

    Args:
        grades: any shape; 0 or less is not relevant.
        noise: click probability of a non-relevant document; a document of the highest grade is missed as often.
        most: highest possible grade.

    Source: for grades in between, the gain of Chapelle et al., CIKM 2009, doi:10.1145/1645953.1646033, equation 4.
    """
    gain = (2.0 ** np.clip(grades, 0, most) - 1) / (2.0**most - 1)
    return noise + (1 - 2 * noise) * gain
