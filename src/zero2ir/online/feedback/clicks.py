"""People who click, simulated: who looks where, and what they click on.

Source: Chuklin, Markov and de Rijke 2015, "Click Models for Web Search", doi:10.2200/S00654ED1V01Y201507ICR043,
sections 3.2 to 3.5.
"""

from typing import Annotated, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class ClickModel(Protocol):
    """How people go through a ranking."""

    def click(self, attraction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Simulates each ranking once.

        Args:
            attraction: (n, k) the probability that a document is clicked on once it was looked at, best rank first; 0
                where there is no document.
            rng: the source of chance.

        Returns:
            (n, k) bool, what was clicked on.
        """
        ...


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PositionBasedModel(_Settings):
    """Whether people look at a document depends on its rank alone: with probability rank ** -``bias``.

    Source: Craswell et al., WSDM 2008, doi:10.1145/1341531.1341545; the form of the curve: Joachims, Swaminathan and
    Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 6.1.

    Attributes:
        bias: 0 for people who look at everything.
    """

    bias: Annotated[float, Field(ge=0)] = 1.0

    def examination(self, k: int) -> np.ndarray:
        """(k,) the probability that each rank is looked at."""
        return np.arange(1, k + 1, dtype=float) ** -self.bias

    def click(self, attraction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.random(attraction.shape) < attraction * self.examination(attraction.shape[1])


class DependentClickModel(_Settings):
    """People read from the top; after each click they go on with probability ``persistence``.

    Source: Guo, Liu and Wang, WSDM 2009, doi:10.1145/1498759.1498818.

    Attributes:
        persistence: 0 for people who stop at their first click.
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
    """People read from the top and stop at their first click.

    Source: Craswell et al., WSDM 2008, doi:10.1145/1341531.1341545.
    """

    persistence: Annotated[float, Field(ge=0, le=0)] = 0.0


def attraction(grades: np.ndarray, noise: float = 0.1, most: int = 1) -> np.ndarray:
    """The probability that a document of each grade is clicked on once it was looked at.

    Args:
        grades: any shape; 0 and less is not relevant.
        noise: of a document that is not relevant; one of the highest grade is missed as often.
        most: the highest grade that there is.

    Source: between the two, the gain of Chapelle et al., CIKM 2009, doi:10.1145/1645953.1646033, equation 4.
    """
    gain = (2.0 ** np.clip(grades, 0, most) - 1) / (2.0**most - 1)
    return noise + (1 - 2 * noise) * gain
