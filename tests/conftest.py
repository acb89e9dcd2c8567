"""What several test files share: small real documents and an encoder trained on them in a second."""

import hashlib
import inspect
import json
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from postgresql_server import PostgreSQLServer

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.masked_language_model import HeadFit, LearnedSparseSettings, train_learned_sparse
from zero2ir.encoders.multitask import MultitaskEncoder
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.multitask_training.training import train_multitask
from zero2ir.encoders.projection import ProjectionSettings, projected_encoder
from zero2ir.encoders.sentences import SentenceEncoder
from zero2ir.encoders.settings import EncoderSettings, package_folder
from zero2ir.encoders.sparse import SparseEncoder
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.encoders.tokenizer import TOKENIZER
from zero2ir.encoders.tokens import TokenEncoder
from zero2ir.encoders.training import FitSettings
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks: two threads would only wait for each other
settings.register_profile("zero2ir", deadline=None, max_examples=50)  # the first example pays for imports
settings.load_profile("zero2ir")


WHOLE = "tests/pipeline/whole/"
LONGEST = (  # the longest first
    WHOLE,
    "tests/pipeline/",
    "tests/docs/test_code_blocks.py",
    "tests/program/test_indexing.py",
    "tests/online/serving/test_replicas.py",
)
FILLING = "tests/models/test_retriever_contract.py"  # its many small groups keep both processes busy to the end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first and the shortest last, so that no process waits for another one at the end."""

    def place(item: pytest.Item) -> int:
        ranks = (rank for rank, prefix in enumerate(LONGEST) if item.nodeid.startswith(prefix))
        return next(ranks, len(LONGEST) + item.nodeid.startswith(FILLING))

    items.sort(key=place)


def group(nodeid: str) -> str:
    """Tests that share what takes long to make: those of a file, and the whole pipeline's."""
    if nodeid.startswith(WHOLE):
        return WHOLE
    return nodeid.partition("[" if nodeid.startswith(FILLING) else "::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each ``group`` stays in one process.

    The groups of xdist's own ``--dist loadgroup`` (3.8) are lost: pytest 9.2 does not let it rename a test.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server; each test takes its own database."""
    with PostgreSQLServer() as server:
        yield server


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets no file grow beyond a size in bytes, as a full disk does: a write that does not fit is cut, or fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def no_room() -> Callable[[int], AbstractContextManager[None]]:
    """Makes the disk full, for files beyond a size."""
    return largest_file


@pytest.fixture(autouse=True)
def own_tracking_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow keeps the last store, experiment and model in the process: no test finds those of another one."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    if mlflow := sys.modules.get("mlflow"):
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # ``set_experiment`` writes it, beside a variable of its own
        mlflow.tracking.fluent._active_experiment_id = None
        mlflow.set_tracking_uri(None)
        mlflow.clear_active_model()


@pytest.fixture(scope="session")
def docstrings() -> list[Document]:
    """Sixty docstrings of the standard library, 20 to 120 words each."""
    documents = [Document(*row) for row in read_pydocs()[0]]
    middling = [document for document in documents if 20 <= len(document.text.split()) <= 120]
    return middling[:: len(middling) // 60][:60]


@pytest.fixture(scope="session")
def tiny_encoder(docstrings: list[Document]) -> DenseEncoder:
    """A real static encoder of 16 dimensions."""
    fit = FitSettings(epochs=1, batch_size=32, learning_rate=0.02)
    return train_static(docstrings[:20], StaticSettings(dimension=16, fit=fit), seed=0)


@pytest.fixture(scope="session")
def tiny_transformer_settings(tmp_path_factory: pytest.TempPathFactory) -> EncoderSettings:
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
def tiny_transformer(tiny_transformer_settings: EncoderSettings) -> DenseEncoder:
    """The dense encoder of ``tiny_transformer_settings``."""
    return DenseEncoder(tiny_transformer_settings)


@pytest.fixture(scope="session")
def tiny_token_encoder(docstrings: list[Document], tiny_transformer_settings: EncoderSettings) -> TokenEncoder:
    """A real late-interaction encoder of 16 dimensions."""
    return projected_encoder(
        [document.content for document in docstrings], tiny_transformer_settings, ProjectionSettings(dimension=16)
    )


@pytest.fixture(scope="session")
def tiny_sparse_encoder(docstrings: list[Document], tiny_transformer: DenseEncoder) -> SparseEncoder:
    """A real learned sparse encoder on the body of ``tiny_transformer``."""
    short = HeadFit(steps=5, batch_size=16, learning_rate=0.01)
    settings = LearnedSparseSettings(passages=20, max_tokens=32, reconstruction=short, contrast=short)
    return train_learned_sparse(docstrings, tiny_transformer, settings, seed=0)


@pytest.fixture(scope="session")
def tiny_multitask_encoder(docstrings: list[Document], tiny_transformer_settings: EncoderSettings) -> MultitaskEncoder:
    """A real encoder with five heads on the body of ``tiny_transformer``, after six steps."""
    settings = MultitaskSettings(steps=6, batch_size=4, max_tokens=32, held_out=0.2, clusters=3)
    return train_multitask(docstrings, DenseEncoder(tiny_transformer_settings), settings, seed=0)


@pytest.fixture(scope="session")
def tiny_encoders(
    tiny_encoder: DenseEncoder,
    tiny_transformer: DenseEncoder,
    tiny_sparse_encoder: SparseEncoder,
    tiny_token_encoder: TokenEncoder,
    tiny_multitask_encoder: MultitaskEncoder,
) -> dict[str, TextEncoder]:
    """A small encoder of each role."""
    return {
        "static": tiny_encoder,
        "pretrained": tiny_transformer,
        "learned_sparse": tiny_sparse_encoder,
        "late_interaction": tiny_token_encoder,
        "sentences": SentenceEncoder(tiny_transformer.settings),
        "multitask": tiny_multitask_encoder,
    }


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real cross-encoder of one layer and 32 dimensions, with random weights, as sentence-transformers saves it."""
    import torch
    from sentence_transformers import CrossEncoder as Network
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    below = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForSequenceClassification(BertConfig(num_labels=1, **sizes)).save_pretrained(below / "body")
    AutoTokenizer.from_pretrained(package_folder(TOKENIZER)).save_pretrained(below / "body")
    Network(str(below / "body"), device="cpu").save(str(below / "my reranker (v2)"))
    return below / "my reranker (v2)"


@dataclass
class Script:
    """An engine that answers what a function makes of the messages: no network, and every request is kept."""

    answer: Callable[[Sequence[str]], str]
    requests: list[list[str]] = field(default_factory=list)

    def complete(self, request: Any) -> Any:
        from dspy.lm15 import Message, Response, TextPart, Usage

        messages = [str(request.system or ""), *(message.text or "" for message in request.messages)]
        self.requests.append(messages)
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(self.answer(messages))]),
            finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Script":
        return self  # a copied client shares the script, so that every request is seen


def scripted(answer: Callable[[Sequence[str]], str]) -> tuple[LanguageModel, Script]:
    usage, script = Usage(), Script(answer)
    client = MeteredLM("script/1", usage, seed=0, engine=script, cache=False, temperature=0.0)
    return LanguageModel(LMSettings(name="script"), usage=usage, connect=lambda: client), script


@pytest.fixture(scope="session")
def script_lm() -> Callable[[Callable[[Sequence[str]], str]], tuple[LanguageModel, Script]]:
    """Makes a language model that follows a script, and what keeps its requests."""
    return scripted


@pytest.fixture(scope="session")
def oracle() -> LanguageModel:
    """A language model whose answers have the right form, and whose content follows from the request alone."""

    def answer(messages: Sequence[str]) -> str:
        digest = hashlib.sha256("\0".join(messages).encode()).digest()
        if places := re.findall(r"^\[(\d+)\]", messages[-1], re.MULTILINE):
            return " > ".join(f"[{place}]" for place in sorted(places, key=lambda place: digest[int(place)]))
        if "\nDocument:" in messages[-1]:
            return json.dumps({"grade": digest[0] % 4})
        return f"file list string {digest[0] % 4}"

    return scripted(answer)[0]


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


def copied(folder: Path) -> Path:
    """A copy of everything that stages read besides the package."""
    here = Path(__file__).parent.parent
    for name in ("stages", "conf"):
        shutil.copytree(here / name, folder / name)
    shutil.copy(here / "params.yaml", folder)
    return folder


@pytest.fixture(scope="session")
def untouched_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that nobody may change."""
    return copied(tmp_path_factory.mktemp("untouched") / "project")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change, as the current folder."""
    monkeypatch.chdir(folder := copied(tmp_path / "project"))
    return folder
