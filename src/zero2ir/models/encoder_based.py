"""What retrievers that search by an encoder's rows have in common."""

from zero2ir.encoders.base import TextEncoder
from zero2ir.models.base import Model, parts
from zero2ir.models.capabilities import FeedbackSearch, Updatable
from zero2ir.models.initialization import Initializable, Initialization


class EncoderBased(Initializable, Updatable, FeedbackSearch):
    """A retriever with an encoder.

    Attributes:
        encoder: a parameter: the role of the encoder.
        learning: a parameter: what learns from examples; "encoder" for the whole network.
        network: the encoder itself.
        initialization: where learning begins.
    """

    encoder: str
    learning: str
    network: TextEncoder
    initialization: Initialization = Initialization()

    def needs(self) -> set[str]:
        return super().needs() | {self.encoder}


def encoders(model: Model) -> dict[str, TextEncoder]:
    """The encoders that a model and its parts hold as they were before it learned, by role: others can use them."""
    own = {model.encoder: model.network} if isinstance(model, EncoderBased) and model.learning != "encoder" else {}
    return {role: encoder for part in parts(model) for role, encoder in encoders(part).items()} | own
