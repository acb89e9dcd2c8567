"""An altered program is rejected in one line, or gives finite answers: its digests protect against accidents only.

Whoever alters a program can compute its digests again. Each family of programs is therefore altered in ways drawn from
``SEED``, gets new digests, is loaded and searches.
"""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.hostile.programs import QUERIES, renew_digest, renew_digests, search
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import StoredDocuments, write_documents
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.io.files import files_below
from zero2ir.lm.factory import LanguageModel
from zero2ir.models.aligned import Aligned
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import learn, of_shards, write_shard
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.expanded import Expanded
from zero2ir.models.feedback import PseudoRelevanceFeedback
from zero2ir.models.head_reader import HeadReader
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.learned_sparse import LearnedSparse
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.listwise import Listwise
from zero2ir.models.multitask import Multitask
from zero2ir.models.pointwise import Pointwise
from zero2ir.models.reranked import Reranked
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.span_reader import SpanReader
from zero2ir.models.sparse import Sparse
from zero2ir.models.surface import CharacterNgrams
from zero2ir.models.translated import Translated
from zero2ir.program.confidence import Confidence
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.policy import Policy
from zero2ir.program.program import PROGRAM_FILE, FallbackLink, Program

SEED = int(os.environ.get("ZERO2IR_ALTERATION_SEED", "24"))
PER_FAMILY = int(os.environ.get("ZERO2IR_ALTERATIONS", "2"))  # drawn alterations of each family
CROSS = {"epochs": 1, "candidates": 4, "learning_rate": 0.001}
FAMILIES: dict[str, Callable[[], Retriever]] = {
    "sparse": lambda: Sparse(alternatives=[(1.2, 0.75)]),
    "surface": CharacterNgrams,
    "learned sparse": LearnedSparse,
    "learned sparse with encoder": lambda: LearnedSparse(queries="network", learning="encoder", fit={"epochs": 1}),
    "hybrid in shards": lambda: Hybrid([Sparse(), Dense("static")]),
    "graph in shards": lambda: Dense("static", exact_limit=0),
    "dense": lambda: Dense("static", adapter={"steps": 5}),
    "dense in int8": lambda: Dense("static", vectors="int8"),
    "dense with encoder": lambda: Dense("pretrained", "encoder", fit={"epochs": 1, "batch_size": 8}),
    "late interaction": lambda: LateInteraction(adapter={"steps": 5}),
    "late interaction after a first stage": lambda: LateInteraction(first_stage=Sparse(), depth=20),
    "sentences": lambda: LateInteraction("sentences"),
    "hybrid": lambda: Hybrid([Sparse(), Dense("static")], [0.3, 0.7], steps=4),
    "feedback": lambda: PseudoRelevanceFeedback(Sparse(), 3, 0.4, alternatives=[(5, 0.2)]),
    "smoothed": lambda: Smoothed(Hybrid([Sparse(), Dense("static")]), "static", alternatives=[(3, 0.0)]),
    "reranked by a cross-encoder": lambda: Reranked(Dense("pretrained"), CrossEncoder(max_tokens=32, fit=CROSS), 4),
    "reranked pointwise": lambda: Reranked(Sparse(), Pointwise(words=20), 3),
    "reranked listwise": lambda: Reranked(Sparse(), Listwise(words=10, window=3, step=2), 4),
    "lexical reader": lambda: Reranked(Sparse(), LexicalReader(), 4),
    "head reader": lambda: Reranked(Sparse(), HeadReader(), 4),
    "span reader": lambda: Reranked(Sparse(), SpanReader(), 4),
    "multitask": lambda: Multitask(adapter={"steps": 5}),
    "aligned": lambda: Aligned("static", alignment={"penalty": 3.0}),
    "translated": lambda: Translated(Hybrid([Sparse(), Dense("static")]), translations=2),
    "rewritten": lambda: Rewritten(Sparse(), "query2doc"),
    "expanded": lambda: Expanded(Sparse(), queries=1),
    "dense by a graph": lambda: Dense("static", exact_limit=0),
    "late interaction by a graph": lambda: LateInteraction(index_type="graph", depth=10),
}

Alteration = tuple[str, Callable[[Path], None]]  # what is altered, and how in a program's folder


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoders: dict[str, TextEncoder], oracle: LanguageModel) -> Corpus:
    return Corpus(docstrings, tiny_encoders, language_model=oracle)


def in_shards(family: str, corpus: Corpus, folder: Path) -> Program:
    """A program of three shards, which is read from disk."""
    write_documents(corpus.documents, folder / "documents.arrow")
    stored, shards = StoredDocuments(folder / "documents.arrow"), [folder / f"shard{place}" for place in range(3)]
    for shard, first in zip(shards, (0, 20, 40), strict=True):
        write_shard(FAMILIES[family](), Corpus(stored.part(first, first + 20), corpus.encoders), shard, len(stored))
    own = Corpus(stored, corpus.encoders)
    confidence = Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1))
    return Program(of_shards(FAMILIES[family](), own, shards, folder / "joined"), stored, confidence, {"model": family})


def built(family: str, corpus: Corpus, folder: Path) -> Program:
    """A trained program of a family, with all that a program may have."""
    if family.endswith(" in shards"):
        return in_shards(family, corpus, folder)
    model = FAMILIES[family]().index(corpus)
    words = [" ".join(text.split()[:3]) for text in corpus.contents[:6]]
    examples = [
        Example(query, number, (number + 6,), answers=(query.split()[-1],), translation=f"le {query}")
        for number, query in enumerate(words)
    ]
    program = Program(
        learn(model, examples, 0) or model,
        corpus.documents,
        Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1)),
        {"model": family},
        corpus.language_model,
        reader=LexicalReader().index(corpus),
        policy=Policy(0.2, 0.4) if family == "sparse" else None,
        links=[FallbackLink("simpler", Sparse().index(corpus))] if family == "hybrid" else [],
        fallback=FallbackSettings(),
    )
    return program


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, oracle: LanguageModel) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("a program reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("zero2ir.lm.factory.lazy_lm", lambda *_: oracle)  # the saved settings name no model


@pytest.mark.parametrize("family", FAMILIES)
def test_an_altered_program_is_rejected_in_one_line_or_gives_finite_answers(
    family: str, corpus: Corpus, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    built(family, corpus, tmp_path).save(tmp_path / "whole")
    search(tmp_path / "whole")
    rng = np.random.default_rng([SEED, *family.encode()])
    wrong = []
    for number in range(PER_FAMILY):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        what, alter = drawn(tmp_path / "whole", rng)
        alter(folder)
        if what.startswith(f"{PROGRAM_FILE}:") and not what.endswith("code beside it"):
            renew_digest(folder / PROGRAM_FILE)
        else:
            renew_digests(folder)
        print(family, number, what, flush=True)
        try:
            search(folder)
        except InputError as error:
            message = str(error)
            print("   ", message)
            if "\n" in message or len(message) > 600:
                wrong.append(f"{what}: not one short line: {message[:300]!r}")
        except BaseException as error:
            wrong.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
        shutil.rmtree(folder)
    record_property("tried", PER_FAMILY)
    record_property("wrong", len(wrong))
    assert not wrong, "\n".join(wrong)


# How files are altered.


def drawn(whole: Path, rng: np.random.Generator) -> Alteration:
    """Draws a file of a program and an alteration of it; a file of parameters as often as all big ones together."""
    files = [one.relative_to(whole) for one in files_below(whole)]
    path = files[int(rng.integers(len(files)))]
    by_suffix: dict[str, Callable[[Path, np.random.Generator], Alteration]] = {
        ".json": json_alteration,
        ".safetensors": tensor_alteration,
        ".npy": array_alteration,
        ".parquet": table_alteration,
        ".usearch": graph_alteration,
    }
    draw = by_suffix.get(path.suffix)
    if draw is None or rng.random() < 0.2:
        what, alter = file_alteration(whole, path, files, rng)
    else:
        what, change = draw(whole / path, rng)
        alter = lambda folder: change(folder / path)  # noqa: E731
    return f"{path}: {what}", alter


def file_alteration(whole: Path, path: Path, files: list[Path], rng: np.random.Generator) -> Alteration:
    size = (whole / path).stat().st_size
    same = [one for one in files if one.suffix == path.suffix and one != path] or files
    other = same[int(rng.integers(len(same)))]
    cut = int(rng.integers(size)) if size else 0
    noise = rng.bytes(min(size, 4096))
    place = int(rng.integers(max(1, size - 8)))

    def flip(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[place : place + 4] = noise[:4]
        (folder / path).write_bytes(data)

    kinds: list[Alteration] = [
        (f"cut to {cut} bytes", lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:cut])),
        ("empty", lambda folder: (folder / path).write_bytes(b"")),
        ("missing", lambda folder: (folder / path).unlink()),
        (f"replaced by {other}", lambda folder: shutil.copy(whole / other, folder / path)),
        ("noise", lambda folder: (folder / path).write_bytes(noise)),
        (f"four bytes from {place}", flip),
        ("code beside it", lambda folder: (folder / path).with_name("evil.py").write_text("raise SystemExit(3)")),
    ]
    return kinds[int(rng.integers(len(kinds)))]


def json_alteration(path: Path, rng: np.random.Generator) -> Alteration:
    value = json.loads(path.read_text())
    places = [one for one in _places(value) if one != ("digest",)]
    place = places[int(rng.integers(len(places)))]
    nested: Any = []
    for _ in range(300):
        nested = [nested]
    others: list[Any] = [
        None, "x", "", -1, 0, 1, 3, 10**6, 10**30, 1e300, -0.5, 1e-300, True, [], {}, [1, 2], ["a"], {"a": 1},
        nested, {"model": "in the folder of this name"}, float("nan"), float("inf"), "../../x",
        "sparse", "os.system", "a" * 10**5,
    ]  # fmt: skip
    kind = rng.choice(["replaced", "replaced", "replaced", "removed", "added", "deep"])
    other = others[int(rng.integers(len(others)))]

    def change(file: Path) -> None:
        if kind == "deep":
            file.write_text("[" * 10**5 + "]" * 10**5)
            return
        state = json.loads(file.read_text())
        if not place:
            file.write_text(json.dumps(other))
            return
        parent = state
        for key in place[:-1]:
            parent = parent[key]
        if kind == "removed":
            del parent[place[-1]]
        elif kind == "added" and isinstance(parent, list):
            parent.append(other)
        elif kind == "added":
            parent["another"] = other
        else:
            parent[place[-1]] = other
        file.write_text(json.dumps(state))

    return f"{kind} {'.'.join(map(str, place))} {str(other)[:40]}", change


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (key, one) in enumerate(items):
        if number < 40:
            yield from _places(one, (*place, key))


def _changed_array(array: np.ndarray, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    copied = array.copy()
    flat = copied.reshape(-1)
    place = int(rng.integers(max(1, flat.size)))
    whole = np.issubdtype(array.dtype, np.integer)
    top = int(np.iinfo(array.dtype).max) if whole else 0
    value = rng.choice([-1, -7, top, top // 2]) if whole else rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e4])
    kind = str(rng.choice(["value", "value", "all", "shorter", "longer", "flat", "transposed", "type", "empty"]))
    if kind in ("value", "all") and flat.size:
        with np.errstate(over="ignore"):
            flat[place if kind == "value" else slice(None)] = np.array(value).astype(array.dtype)
        kind += f" {value}"
    elif kind == "shorter":
        copied = copied[:-1] if array.ndim else copied
    elif kind == "longer":
        copied = np.concatenate([copied, copied]) if array.ndim else copied
    elif kind == "flat":
        copied = copied.reshape(-1)
    elif kind == "transposed":
        copied = np.ascontiguousarray(copied.T)
    elif kind == "type":
        copied = copied.astype(np.float64 if whole else np.int64)
    elif kind == "empty":
        copied = copied[:0] if array.ndim else copied
    return kind, copied


def tensor_alteration(path: Path, rng: np.random.Generator) -> Alteration:
    tensors = load_file(path)
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    what, changed = _changed_array(tensors[name], rng)
    kind = rng.choice(["changed", "changed", "changed", "changed", "removed", "added"])
    if kind == "removed":
        del tensors[name]
    else:
        tensors["another" if kind == "added" else name] = changed
    return f"{kind} {name} {what}", lambda file: save_file(tensors, file, {"format": "pt"})


def array_alteration(path: Path, rng: np.random.Generator) -> Alteration:
    array = np.load(path)
    what, changed = _changed_array(array, rng)
    if rng.random() < 0.2:
        what = "states many rows"
        data = path.read_bytes().replace(f"({len(array)},".encode(), f"({10**9},".encode(), 1)
        return what, lambda file: file.write_bytes(data)
    if rng.random() < 0.1:
        return "pickled", lambda file: np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    return what, lambda file: np.save(file, changed)


def table_alteration(path: Path, rng: np.random.Generator) -> Alteration:
    table = pq.read_table(path)
    rows = table.to_pylist()
    missing = [{**rows[0], "text": None}, *rows[1:]]
    kinds: dict[str, Any] = {
        "a row less": rows[:-1],
        "a row more": [*rows, {**rows[-1], "doc_id": "another"}],
        "no row": pa.Table.from_pylist([], table.schema),
        "the same id twice": [*rows[:-1], {**rows[-1], "doc_id": rows[0]["doc_id"]}],
        "an empty id": [*rows[:-1], {**rows[-1], "doc_id": ""}],
        "another column": [{**row, "another": 1} for row in rows],
        "numbers for texts": [{**row, "text": 1} for row in rows],
        "a missing text": missing,
    }
    kind = str(rng.choice(sorted(kinds)))
    changed = kinds[kind] if isinstance(kinds[kind], pa.Table) else pa.Table.from_pylist(kinds[kind])
    return kind, lambda file: pq.write_table(changed, file)


def graph_alteration(path: Path, rng: np.random.Generator) -> Alteration:
    data = bytearray(path.read_bytes())
    place = int(rng.integers(len(data) - 4)) if rng.random() < 0.7 else int(rng.integers(200))
    data[place : place + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, rng.integers(2**32)])).to_bytes(4, "little")
    return f"four bytes from {place}", lambda file: file.write_bytes(data)


# What chance would hardly draw.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "hub", "model": "somebody/model"}, "cannot load 'somebody/model'"),
        ({"source": "package", "model": "antigravity.inner:folder"}, "is no package:folder"),
        ({"source": "package", "model": "zero2ir:../../.."}, "is no package:folder"),
    ],
)
def test_a_program_downloads_and_imports_nothing(
    settings: dict[str, str], message: str, corpus: Corpus, tmp_path: Path
) -> None:
    built("dense", corpus, tmp_path).save(tmp_path)
    path = tmp_path / "retriever" / "encoder" / "encoder.json"
    state = json.loads(path.read_text())
    state["settings"] |= settings
    path.write_text(json.dumps({**state, "trained": False}))
    shutil.rmtree(path.parent / "weights")
    renew_digests(tmp_path)
    with pytest.raises(InputError, match=message):
        search(tmp_path)
    assert "antigravity" not in sys.modules


def test_a_class_outside_sentence_transformers_is_not_imported(corpus: Corpus, tmp_path: Path) -> None:
    built("dense with encoder", corpus, tmp_path).save(tmp_path)
    path = tmp_path / "retriever" / "encoder" / "weights" / "modules.json"
    modules = json.loads(path.read_text())
    modules[0]["type"] = "antigravity.Module"
    path.write_text(json.dumps(modules))
    renew_digests(tmp_path)
    with pytest.raises(InputError, match=f"{path.parent}: the network cannot be loaded"):
        search(tmp_path)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("depth", [12, 150])
def test_models_are_not_nested_without_end(depth: int, corpus: Corpus, tmp_path: Path) -> None:
    built("feedback", corpus, tmp_path).save(tmp_path)
    inner = tmp_path / "inner"
    shutil.move(tmp_path / "retriever" / "retriever", inner)
    folder = tmp_path / "retriever"
    outer = (folder / "model.json").read_text()
    for _ in range(depth):
        folder = folder / "retriever"
        folder.mkdir()
        (folder / "model.json").write_text(outer)
    shutil.move(inner, folder / "retriever")
    renew_digests(tmp_path)
    with pytest.raises(InputError, match=r"retriever: more than \d+ models in each other"):
        search(tmp_path)


def test_a_long_ranking_takes_no_more_memory_than_the_collection(corpus: Corpus, tmp_path: Path) -> None:
    program = built("sparse", corpus, tmp_path)
    ranking, probabilities = program.search(QUERIES, 10**9)
    assert ranking.numbers.shape == ranking.scores.shape == (len(QUERIES), len(corpus.documents))
    assert probabilities is not None
    assert len(program(query="open a file", k=10**9).docids) <= len(corpus.documents)
