"""What several test files share: small real documents and an encoder trained on them in a second."""

import pytest
from hypothesis import settings

from zero2ir.collections.pydocs.documents import read_documents
from zero2ir.collections.records import Document
from zero2ir.encoders import Encoder
from zero2ir.static import StaticSettings, train_static
from zero2ir.training import FitSettings

settings.register_profile("zero2ir", deadline=None, max_examples=50)  # the first example pays for imports
settings.load_profile("zero2ir")


@pytest.fixture(scope="session")
def docstrings() -> list[Document]:
    """Sixty docstrings of the standard library, 20 to 120 words each."""
    documents = [Document(*row) for row in read_documents()[0]]
    middling = [document for document in documents if 20 <= len(document.text.split()) <= 120]
    return middling[:: len(middling) // 60][:60]


@pytest.fixture(scope="session")
def tiny_encoder(docstrings: list[Document]) -> Encoder:
    """A real static encoder of 16 dimensions."""
    fit = FitSettings(epochs=1, batch_size=32, learning_rate=0.02)
    return train_static(docstrings[:20], StaticSettings(dimension=16, fit=fit), seed=0)
