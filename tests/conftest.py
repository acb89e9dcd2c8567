"""What several test files share: small real documents and an encoder trained on them in a second."""

import hashlib
import inspect
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from zero2ir.collections.pydocs.documents import read_documents
from zero2ir.collections.records import Document
from zero2ir.encoders import DenseEncoder, EncoderSettings, SparseEncoder, package_folder
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.masked_language_model import HeadFit, LearnedSparseSettings, train_learned_sparse
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
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> DenseEncoder:
    """A real transformer of 16 dimensions and one layer with the default encoder's vocabulary, random as it is."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("transformer")
    tokenizer = AutoTokenizer.from_pretrained(package_folder(TOKENIZER))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model = SentenceTransformer(modules=[Transformer(str(folder)), Pooling(16)], device="cpu")
    return DenseEncoder(EncoderSettings(name="tiny", source="hub"), model)


@pytest.fixture(scope="session")
def tiny_sparse_encoder(docstrings: list[Document], tiny_transformer: DenseEncoder) -> SparseEncoder:
    """A real learned sparse encoder on the body of ``tiny_transformer``."""
    short = HeadFit(steps=5, batch_size=16, learning_rate=0.01)
    settings = LearnedSparseSettings(passages=20, max_tokens=32, reconstruction=short, contrast=short)
    return train_learned_sparse(docstrings, tiny_transformer, settings, seed=0)


class Oracle:
    """An engine whose answers have the right form and whose content follows from nothing but the request."""

    def complete(self, request: Any) -> Any:
        from dspy.lm15 import Message, Response, TextPart, Usage

        asked = [message.text or "" for message in request.messages]
        digest = hashlib.sha256("\0".join([str(request.system), *asked]).encode()).digest()
        places = re.findall(r"^\[(\d+)\]", asked[-1], re.MULTILINE)
        if places:
            answer = " > ".join(f"[{place}]" for place in sorted(places, key=lambda place: digest[int(place)]))
        elif "\nDocument:" in asked[-1]:
            answer = json.dumps({"grade": digest[0] % 4})
        else:
            answer = f"file list string {digest[0] % 4}"
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(answer)]),
            finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Oracle":
        return self


@pytest.fixture(scope="session")
def oracle() -> LanguageModel:
    """A language model that is no network: for what needs many answers and not good ones."""
    usage = Usage()
    client = MeteredLM("oracle/1", usage, seed=0, engine=Oracle(), cache=False, temperature=0.0)
    return LanguageModel(LMSettings(name="oracle"), usage=usage, connect=lambda: client)


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
