"""What several test files share: small real documents and an encoder trained on them in a second."""

import inspect
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from zero2ir.collections.pydocs.documents import read_documents
from zero2ir.collections.records import Document
from zero2ir.encoders import DenseEncoder, EncoderSettings, TokenEncoder, package_folder
from zero2ir.projection import ProjectionSettings, projected_encoder
from zero2ir.static import TOKENIZER, StaticSettings, train_static
from zero2ir.training import FitSettings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks: two threads would only wait for each other
settings.register_profile("zero2ir", deadline=None, max_examples=50)  # the first example pays for imports
settings.load_profile("zero2ir")


@pytest.fixture(scope="session")
def docstrings() -> list[Document]:
    """Sixty docstrings of the standard library, 20 to 120 words each."""
    documents = [Document(*row) for row in read_documents()[0]]
    middling = [document for document in documents if 20 <= len(document.text.split()) <= 120]
    return middling[:: len(middling) // 60][:60]


@pytest.fixture(scope="session")
def tiny_encoder(docstrings: list[Document]) -> DenseEncoder:
    """A real static encoder of 16 dimensions."""
    fit = FitSettings(epochs=1, batch_size=32, learning_rate=0.02)
    return train_static(docstrings[:20], StaticSettings(dimension=16, fit=fit), seed=0)


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> EncoderSettings:
    """A real transformer of one layer and 32 dimensions, with random weights and the default encoder's tokenizer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = str(tmp_path_factory.mktemp("transformer"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(package_folder(TOKENIZER)).save_pretrained(folder)
    SentenceTransformer(modules=[Transformer(folder), Pooling(32)], device="cpu").save(folder)
    return EncoderSettings(name="tiny", source="hub", model=folder, max_tokens=64)


@pytest.fixture(scope="session")
def tiny_token_encoder(docstrings: list[Document], tiny_transformer: EncoderSettings) -> TokenEncoder:
    """A real late-interaction encoder of 16 dimensions."""
    return projected_encoder(
        [document.content for document in docstrings], tiny_transformer, ProjectionSettings(dimension=16)
    )


@pytest.fixture(scope="session")
def string_methods() -> list[dict[str, str]]:
    """What people bring: the docstrings of str's methods, 40 to 50 of them, as mappings."""
    public = sorted(name for name in vars(str) if not name.startswith("_"))
    return [{"doc_id": name, "text": inspect.getdoc(getattr(str, name)) or name} for name in public]


@pytest.fixture(scope="session")
def string_judgments() -> list[tuple[str, str, int]]:
    """Six judged questions about ``string_methods``, as (query, doc_id, grade) rows."""
    return [
        ("my input has spaces before and after it, how do I get rid of them", "strip", 2),
        ("my input has spaces before and after it, how do I get rid of them", "lstrip", 1),
        ("my input has spaces before and after it, how do I get rid of them", "center", 0),
        ("cut a sentence into a list of words", "split", 2),
        ("cut a sentence into a list of words", "join", 0),
        ("glue a list of strings together with commas between them", "join", 2),
        ("pad a number with zeros on the left", "zfill", 2),
        ("case-insensitive comparison that also works for German", "casefold", 2),
        ("case-insensitive comparison that also works for German", "lower", 1),
        ("does the file name end in .txt or .csv", "endswith", 2),
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything that stages read besides the package, as the current folder."""
    here = Path(__file__).parent.parent
    folder = tmp_path / "project"
    for name in ("stages", "conf"):
        shutil.copytree(here / name, folder / name)
    shutil.copy(here / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder
