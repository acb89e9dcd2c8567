"""The base of retrievers that search encoded documents."""

from zero2ir.encoders.base import TextEncoder
from zero2ir.models.base import Model, parts
from zero2ir.models.capabilities import FeedbackSearch, Updatable
from zero2ir.models.initialization import Initializable, Initialization


class EncoderBased(Initializable, Updatable, FeedbackSearch):
    """A retriever with an encoder.

    Attributes:
        encoder: parameter, the role of the encoder.
        learning: parameter, what is trained; "encoder" for the whole network.
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
    """Returns the encoders of a model and its parts by role, without those that were fine-tuned."""
    own = {model.encoder: model.network} if isinstance(model, EncoderBased) and model.learning != "encoder" else {}
    return {role: encoder for part in parts(model) for role, encoder in encoders(part).items()} | own
