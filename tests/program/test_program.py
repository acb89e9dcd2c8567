"""A program answers the same wherever it is opened, and is refused where it is not whole."""

import copy
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.data.stored_documents import StoredDocuments, write_documents
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.tokens import TokenEncoder
from zero2ir.errors import InputError
from zero2ir.lm.factory import LanguageModel, open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.confidence import Confidence
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.policy import Policy
from zero2ir.program.program import PROGRAM_FILE, FallbackLink, Program, index_bytes, load_program, program_digest
from zero2ir.program.training import train_program
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.zero_shot import ZeroShot

UNKNOWN = dict.fromkeys(("probabilities", "intervals", "confidence", "confidence_interval"))
SURE = Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1))
QUERIES = ["list of the words in the string", "all letters in lower case", "zzz qqq", ""]


@pytest.fixture(scope="module")
def corpus(string_methods: list[dict[str, str]], tiny_encoder: DenseEncoder) -> Corpus:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    return Corpus(documents, {"static": tiny_encoder})


def learned_dense(corpus: Corpus, judgments: list[tuple[str, str, int]]) -> Retriever:
    """A dense retriever whose adapter has learned, so that it has every kind of file."""
    rows = [JudgedDocument(f"q{number}", *row) for number, row in enumerate(judgments)]
    inputs = TrainingInputs(corpus, rows)
    learned = Dense("static").index(corpus).learn(inputs.judged_examples(list(inputs.queries)), seed=0)
    assert learned is not None
    return learned


def test_stored_documents_make_a_program_that_reads_from_disk(
    corpus: Corpus, string_methods: list[dict[str, str]], tmp_path: Path
) -> None:
    write_documents(corpus.documents, tmp_path / "documents.arrow")
    stored = StoredDocuments(tmp_path / "documents.arrow")
    retriever = Sparse().index(Corpus(stored, language="en"))
    Program(retriever, stored, about={"model": "sparse"}).save(tmp_path / "saved")
    program = load_program(tmp_path / "saved")
    assert isinstance(program.documents, StoredDocuments)
    assert list(program.documents) == list(corpus.documents)
    expected = Program(Sparse().index(corpus), corpus.documents)(query=QUERIES[0])
    assert (program(query=QUERIES[0]).docids, program(query=QUERIES[0]).scores) == (expected.docids, expected.scores)
    assert program.document("strip") == corpus.documents[program.numbers_of(["strip"])[0]]
    with pytest.raises(InputError, match="no document has the id 'nothing'"):
        program.numbers_of(["nothing"])
    for change in (lambda: program.add(string_methods[:1]), lambda: program.remove(["strip"])):
        with pytest.raises(InputError, match="index all documents again"):
            change()
    (tmp_path / "saved" / "documents.arrow").unlink()
    with pytest.raises(InputError, match="missing"):
        load_program(tmp_path / "saved")


@pytest.fixture(scope="module", params=["sparse", "dense", "hybrid"])
def program(request: pytest.FixtureRequest, corpus: Corpus, string_judgments: list[tuple[str, str, int]]) -> Program:
    made: dict[str, Callable[[], Retriever]] = {
        "sparse": lambda: Sparse().index(corpus),
        "dense": lambda: learned_dense(corpus, string_judgments),
        "hybrid": lambda: Hybrid([Sparse(), Dense("static")], [0.75, 0.25]).index(corpus),
    }
    return Program(
        made[request.param](),
        corpus.documents,
        Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1)),
        {"model": request.param},
    )


@pytest.fixture(scope="module")
def sparse(corpus: Corpus) -> Program:
    return Program(Sparse().index(corpus), corpus.documents, None, {"model": "sparse"})


@pytest.fixture
def saved(sparse: Program, tmp_path: Path) -> Path:
    sparse.save(tmp_path / "searcher")
    return tmp_path / "searcher"


def answers(program: Program) -> list[dict[str, object]]:
    found = [program(query=query, k=7).toDict() for query in QUERIES]
    return [*found, program(query=QUERIES[0], documents=["cut into words", "sing a song", ""]).toDict()]


# Saving and opening.


def test_opened_program_answers_the_same(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "searcher")
    opened = load_program(tmp_path / "searcher")
    assert answers(opened) == answers(program)
    assert opened.about == program.about
    assert list(opened.documents) == list(program.documents)
    opened.save(tmp_path / "again")
    assert program_digest(tmp_path / "again") == program_digest(tmp_path / "searcher")


def test_saving_twice_gives_the_same_bytes(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "one")
    program.save(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_programs_that_differ_have_other_digests(sparse: Program, corpus: Corpus, saved: Path, tmp_path: Path) -> None:
    digests = {program_digest(saved)}
    others = [
        Program(Sparse(k1=1.2).index(corpus), corpus.documents, None, sparse.about),
        Program(
            sparse.retriever, corpus.documents, Confidence(0.0, 1.0, (0.7, 0.4), (0.0, 0.0), (1.0, 1.0)), sparse.about
        ),
        Program(sparse.retriever, [*corpus.documents[:-1], Document("z", "", "")], None, sparse.about),
    ]
    for number, other in enumerate(others):
        other.save(tmp_path / str(number))
        digests.add(program_digest(tmp_path / str(number)))
    assert len(digests) == 1 + len(others)


def test_copies_answer_the_same(program: Program) -> None:
    assert answers(pickle.loads(pickle.dumps(program))) == answers(program)
    assert answers(copy.deepcopy(program)) == answers(program)


def test_a_pickled_program_is_checked_when_it_is_opened(sparse: Program) -> None:
    opened, (archive,) = sparse.__reduce__()
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    files["retriever/model.json"] = files["retriever/model.json"].replace(b"0.9", b"1.9")
    altered = io.BytesIO()
    with zipfile.ZipFile(altered, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    with pytest.raises(InputError, match="altered since it was saved"):
        opened(altered.getvalue())


def test_no_file_is_a_pickle(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "searcher")
    for path in (tmp_path / "searcher").rglob("*"):
        if path.is_dir():
            continue
        assert path.suffix in {".json", ".safetensors", ".npy", ".parquet", ".txt", ".md"}, path
        start = path.read_bytes()[:2]
        assert start != b"PK", f"{path} is an archive, as torch.save writes it"
        assert start[:1] != pickle.PROTO, f"{path} starts as a pickle does"
        if path.suffix == ".npy":
            assert np.load(path, allow_pickle=False).dtype == np.float32
        else:
            with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError, AttributeError)):
                pickle.load(io.BytesIO(path.read_bytes()))


def test_saving_over_a_program_leaves_the_old_one_or_the_new_one(
    sparse: Program, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(saved)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("zero2ir.program.program.write_json", full_disk)  # the last file of all
        with pytest.raises(OSError, match="No space"):
            sparse.save(saved)
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]

    sparse.save(saved)
    assert answers(load_program(saved)) == answers(sparse)


@pytest.mark.parametrize("name", ["notes.txt", "retriever/notes.txt", ".hidden", "link"])
def test_a_program_is_not_saved_over_files_of_the_user(sparse: Program, saved: Path, name: str) -> None:
    if name == "link":
        (saved / name).symlink_to(saved.parent)
    else:
        (saved / name).write_text("left by somebody", encoding="utf-8")
    before = contents(saved)
    with pytest.raises(InputError, match=f"{name}: not written by zero2ir; give another folder, or move the file away"):
        sparse.save(saved)
    assert contents(saved) == before
    (saved / name).unlink()
    sparse.save(saved)


def test_a_file_named_as_ours_makes_no_program(sparse: Program, tmp_path: Path) -> None:
    for number, content in enumerate(
        ['{"name": "a game"}', "not json", '{"format": 7, "files": ["thesis.txt"]}', "[]"]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / PROGRAM_FILE).write_text(content, encoding="utf-8")
        (folder / "thesis.txt").write_text("a year of work", encoding="utf-8")
        with pytest.raises(InputError, match="not written by zero2ir"):
            sparse.save(folder)
        assert (folder / "thesis.txt").exists()


def test_two_processes_save_one_program_at_once(saved: Path) -> None:
    code = f"import zero2ir; program = zero2ir.load({str(saved)!r}); [program.save('both') for _ in range(20)]"
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=saved.parent, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [one.communicate(timeout=120)[1] for one in running] == ["", ""]
    assert contents(saved.parent / "both") == contents(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == sorted([saved.name, "both"])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Refusals.


def flip(path: Path, place: int, bits: int = 0xFF) -> None:
    changed = bytearray(path.read_bytes())
    changed[place] ^= bits
    path.write_bytes(changed)


def state_with(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / PROGRAM_FILE
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    return change


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (shutil.rmtree, "not a saved program"),
        (lambda folder: (folder / PROGRAM_FILE).unlink(), "not a saved program"),
        (cut(PROGRAM_FILE, 100), "truncated or altered"),
        (cut(PROGRAM_FILE, 0), "truncated or altered"),
        (lambda folder: (folder / PROGRAM_FILE).write_bytes(b"\xff\xfe"), "truncated or altered"),
        (lambda folder: (folder / PROGRAM_FILE).write_text("[]"), "truncated or altered"),
        (state_with(about={"model": "better"}), "truncated or altered"),
        (state_with(files={}), "truncated or altered"),
        (state_with(format=9), "format 9 is newer than 8.*upgrade zero2ir"),
        (state_with(format=6), "format 6 is older than 7.*train it again"),
        (state_with(format="new"), "truncated or altered"),
        (state_with(format=float("inf")), "truncated or altered"),
        (state_with(format=float("nan")), "truncated or altered"),
        (lambda folder: (folder / PROGRAM_FILE).write_text("[" * 100_000 + "]" * 100_000), "truncated or altered"),
        (lambda folder: (folder / "documents.parquet").unlink(), "documents.parquet: missing"),
        (cut("documents.parquet", 50), "documents.parquet: 50 bytes instead of .*; save the program again"),
        (lambda folder: flip(folder / "documents.parquet", 30), "documents.parquet: altered since it was saved"),
        (lambda folder: flip(folder / "retriever/counts.safetensors", -1), "counts.safetensors: altered since"),
        (lambda folder: (folder / "retriever/model.json").unlink(), "model.json: missing"),
    ],
)
def test_what_is_not_whole_is_refused(saved: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(saved)
    with pytest.raises(InputError, match=reason) as refused:
        load_program(saved)
    assert "\n" not in str(refused.value)
    assert str(saved) in str(refused.value)


def test_a_file_that_does_not_belong_there_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    Program(Dense("static").index(corpus), corpus.documents).save(tmp_path / "searcher")
    (tmp_path / "searcher" / ".DS_Store").write_bytes(b"a file manager's, which nothing reads")
    load_program(tmp_path / "searcher")
    np.save(tmp_path / "searcher" / "retriever" / "adapter.npy", -np.eye(16, dtype=np.float32))  # turns answers round
    with pytest.raises(InputError, match=r"retriever/adapter\.npy: does not belong to the program"):
        load_program(tmp_path / "searcher")


@given(which=st.integers(0), place=st.integers(0), bits=st.integers(1, 255))
def test_no_altered_byte_changes_an_answer(
    tmp_path_factory: pytest.TempPathFactory, which: int, place: int, bits: int
) -> None:
    folder = tmp_path_factory.mktemp("altered") / "searcher"
    documents = [Document("a", "", "one two three"), Document("b", "", "two four")]
    Program(Sparse().index(Corpus(documents)), documents).save(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[which % len(files)]
    before = path.read_bytes()
    flip(path, place % len(before), bits)
    try:
        load_program(folder)
    except InputError:
        return
    assert json.loads(path.read_bytes()) == json.loads(before)  # a line break for a space, say


# Answers.


def nothing() -> dict[str, object]:
    return {"docids": [], "scores": [], **UNKNOWN}


def test_answers_are_plain_python(program: Program) -> None:
    for answer in answers(program):
        assert json.loads(json.dumps(answer)) == answer
        assert answer.keys() == {"docids", "scores", *UNKNOWN}


def test_the_best_come_first(program: Program) -> None:
    answer = program(query=QUERIES[0], k=5)
    assert len(answer.docids) == len(set(answer.docids)) == 5
    assert answer.scores == sorted(answer.scores, reverse=True)
    assert 0 < answer.confidence < 1
    assert answer.probabilities == sorted(answer.probabilities, reverse=True)
    assert answer.probabilities[0] == answer.confidence
    assert answer.intervals[0] == answer.confidence_interval
    assert all(low < p < high for (low, high), p in zip(answer.intervals, answer.probabilities, strict=True))
    assert program(query=QUERIES[0], k=2).docids == answer.docids[:2]
    assert program(query=QUERIES[0], k=2).confidence == answer.confidence  # it does not depend on how many are shown


def test_more_are_asked_for_than_there_are(sparse: Program) -> None:
    assert len(sparse(query="list of words", k=10_000).docids) <= len(sparse.documents)


def test_nothing_found_is_no_error(sparse: Program) -> None:
    assert sparse(query="zzz qqq").toDict() == nothing()
    sure = Program(sparse.retriever, sparse.documents, Confidence(5.0, 1.0, (0.7, 0.4), (0.0, 0.0), (1.0, 1.0)))
    assert sure(query="zzz qqq").confidence == 0.0


@pytest.mark.parametrize("k", [0, -3])
@pytest.mark.parametrize("documents", [None, ["a text"]])
def test_less_than_one_document_cannot_be_asked_for(sparse: Program, k: int, documents: list[str] | None) -> None:
    with pytest.raises(InputError, match=f"k={k}: ask for at least one"):
        sparse(query="words", documents=documents, k=k)


def test_given_texts_are_ranked(program: Program) -> None:
    texts = ["padded with zeros", "Return a list of the words in the string", "nothing of the kind"]
    answer = program(query="list of words in a string", documents=texts)
    assert answer.docids[0] == "1"
    assert sorted(answer.docids) == ["0", "1", "2"]
    assert answer.scores == sorted(answer.scores, reverse=True)
    assert answer.confidence is None
    assert program(query="list of words in a string", documents=texts, k=1).docids == ["1"]
    assert program(query="words", documents=[]).toDict() == nothing()


def test_documents_are_found_by_id(sparse: Program) -> None:
    assert sparse.document("split").text.startswith("Return a list")
    with pytest.raises(InputError, match="no document has the id 'nope'"):
        sparse.document("nope")


def test_a_trained_program_says_how_it_came_about(corpus: Corpus, string_judgments: list[tuple[str, str, int]]) -> None:
    rows = [JudgedDocument(row[0], *row) for row in string_judgments]
    trained = train_program(Sparse(), ZeroShot(), TrainingInputs(corpus, rows), {"model": "sparse"})
    assert trained.program.about["model"] == "sparse"
    learned = {"judged_queries", "labels", "chosen", "reason", "decisions"}
    assert trained.program.about.keys() == {"model", "language", "encoders", "precision"} | learned
    assert trained.program.language == trained.program.about["language"] == "en"


def test_a_program_with_a_language_model_opens_it_in_a_new_process_at_its_first_question(
    corpus: Corpus, tmp_path: Path
) -> None:
    settings = LMSettings(name="smollm2", context=512)
    with open_lm(settings, tmp_path / "cache", seed=7) as language_model:
        asking = Corpus(corpus.documents, language_model=language_model)
        rewritten = Rewritten(Sparse(), "query2doc", max_tokens=8).index(asking)
        program = Program(rewritten, asking.documents, language_model=language_model)
        expected = program(query="cut a sentence into words").toDict()
        program.save(tmp_path / "searcher")
    state = json.loads((tmp_path / "searcher" / "program.json").read_text(encoding="utf-8"))
    assert state["lm"] == {"settings": settings.model_dump(), "seed": 7}

    script = """
import json
from zero2ir.program.program import load_program
program = load_program("searcher")
opened = program.language_model.usage.calls
print(json.dumps([opened, program(query="cut a sentence into words").toDict(), program.language_model.usage.calls]))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [0, expected, 1]
    assert (tmp_path / ".cache" / "lm").is_dir()


def test_a_program_without_a_language_model_keeps_none(sparse: Program, oracle: LanguageModel, tmp_path: Path) -> None:
    program = Program(sparse.retriever, sparse.documents, language_model=oracle)
    program.save(tmp_path / "searcher")
    assert program.language_model is None
    assert load_program(tmp_path / "searcher").language_model is None


def test_the_size_of_an_index_counts_vectors_wherever_they_lie_and_no_network(
    corpus: Corpus, tiny_token_encoder: TokenEncoder, tmp_path: Path
) -> None:
    tokens = Corpus(corpus.documents, {"late_interaction": tiny_token_encoder})
    late = LateInteraction(adaptation=None).index(tokens)
    for name, retriever, vectors in (
        ("dense", Dense("static", adaptation=None).index(corpus), corpus.encoded("static").nbytes),
        ("late", late, late.documents.vectors.nbytes + late.documents.starts.nbytes),
    ):
        Program(retriever, corpus.documents, Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1)), {}).save(
            tmp_path / name
        )
        assert vectors < index_bytes(tmp_path / name) < vectors + 2000  # the settings


# Ranking some documents of the collection.


@given(pool=st.data())
def test_candidates_are_the_collections_ranking_of_them(program: Program, pool: st.DataObject) -> None:
    ids = [document.doc_id for document in program.documents]
    candidates = pool.draw(st.lists(st.sampled_from(ids), max_size=8))
    whole, answer = (program(query=QUERIES[0], k=len(ids), candidates=one) for one in (None, candidates))
    assert sorted(answer.docids) == sorted(set(candidates))
    shared = [doc_id for doc_id in whole.docids if doc_id in candidates]
    assert [doc_id for doc_id in answer.docids if doc_id in whole.docids] == shared
    found = dict(zip(whole.docids, whole.scores, strict=True))
    for doc_id, score in zip(answer.docids, answer.scores, strict=True):
        assert score == pytest.approx(found.get(doc_id, score), abs=1e-5)
    assert len(program(query=QUERIES[0], k=2, candidates=candidates).docids) == min(2, len(set(candidates)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": ["strip", "nowhere"]}, r"candidates\[1\]: no document has the id 'nowhere'; leave it out"),
        ({"candidates": "strip"}, "candidates: a single string instead of a list; pass a list"),
        ({"candidates": ["strip"], "documents": ["a text"]}, "documents and candidates are both given"),
    ],
)
def test_bad_candidates_are_refused(sparse: Program, options: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sparse(query="spaces", **options)


def test_values_of_a_search_are_read_once_and_checked(sparse: Program) -> None:
    expected = sparse(query="spaces", candidates=["strip", "split"])
    for candidates in (iter(["strip", "split"]), np.array(["strip", "split"]), ("strip", "split", "strip")):
        assert sparse(query="spaces", candidates=candidates).docids == expected.docids
    texts = ["cut spaces", "join words"]
    assert sparse(query="spaces", documents=iter(texts)).docids == sparse(query="spaces", documents=texts).docids
    assert sparse(query=np.str_("spaces"), k=np.int64(3)).docids == sparse(query="spaces", k=3.0).docids
    assert np.array_equal(sparse.search(iter(QUERIES), 2)[0].numbers, sparse.search(QUERIES, 2)[0].numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": float("nan")}, "query is nan; pass a string"),
        ({"query": None}, "query is None; pass a string"),
        ({"query": 7}, "query is 7; pass a string"),
        ({"query": "a \ud800"}, r"query contains a lone surrogate \(character 3\)"),
        ({"k": 0}, "k=0: ask for at least one document"),
        ({"k": 1.5}, r"k=1\.5: ask for"),
        ({"k": "3"}, "k='3': ask for"),
        ({"k": True}, "k=True: ask for"),
        ({"documents": "a text"}, "documents: a single string instead of a list"),
        (
            {"documents": {"a": "text"}},
            r"documents: a mapping instead of a list of strings; pass list\(documents.values",
        ),
        ({"documents": ["a text", None]}, r"documents\[1\] is None"),
        ({"candidates": ["strip", None]}, r"candidates\[1\] is None"),
        ({"candidates": [["strip"]]}, r"candidates\[0\] is \['strip'\]"),
        ({"candidates": ["Strip"]}, r"candidates\[0\]: no document has the id 'Strip' \(the document 'strip' differs"),
        ({"candidates": {"strip"}}, "candidates: a set has no order"),
        ({"task": ["rank"]}, r"task=\['rank'\]: unknown task"),
        ({"task": np.array(["rank", "rank"])}, r"task=array.*: unknown task"),
        ({"deadline": float("nan")}, "deadline is nan; pass a number"),
        ({"deadline": "1"}, "deadline is '1'; pass a number"),
    ],
)
def test_bad_values_of_a_search_are_refused(sparse: Program, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        sparse(**{"query": "spaces", **options})


ANY_LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=3),
    st.sampled_from(["strip", "rank", np.nan, np.int64(3), np.array([]), np.array(["a", "b"]), object()]),
)
ANY_VALUE = st.recursive(
    ANY_LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(iter),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
    ),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"query": st.one_of(st.just("spaces"), ANY_VALUE)},
        optional={name: ANY_VALUE for name in ("documents", "k", "candidates", "task", "deadline")},
    )
)
def test_any_values_of_a_search_give_an_answer_or_one_line_of_error(
    sparse: Program, options: dict[str, object]
) -> None:
    try:
        answer = sparse(**options)
    except InputError as error:
        message = str(error)
        assert "\n" not in message, message  # values may be right, too
    else:
        assert len(answer.docids) == len(answer.scores)


# Documents that come and go.


def test_documents_are_added_replaced_and_removed_without_training(corpus: Corpus, tmp_path: Path) -> None:
    program = Program(Hybrid([Sparse(), Dense("static")]).index(corpus), corpus.documents, SURE, {"model": "hybrid"})
    number = len(program.documents)
    program.add([{"doc_id": "new", "text": "zydeco accordion"}, {"doc_id": "join", "text": "gumbo of strings"}])
    assert len(program.documents) == number + 1
    assert program(query="zydeco").docids[0] == "new"
    assert program(query="gumbo").docids[0] == "join"
    assert program.document("join").text == "gumbo of strings"
    program.remove(["split", "strip"])
    assert not {"split", "strip"} & set(program(query="split and strip a string", k=100).docids)
    program.save(tmp_path / "searcher")
    assert answers(load_program(tmp_path / "searcher")) == answers(program)
    with pytest.raises(InputError, match="no document has the id 'split'"):
        program.remove(["split"])
    with pytest.raises(InputError, match="a string has no id"):
        program.add(["a text"])
    with pytest.raises(InputError, match="no document would be left"):
        program.remove([document.doc_id for document in program.documents])
    assert answers(load_program(tmp_path / "searcher")) == answers(program)  # what was refused changed nothing


# Policy and fallback.


def test_policy_and_fallback_are_saved_and_serve_as_before(corpus: Corpus, tmp_path: Path) -> None:
    policy = Policy(risk=0.2, max_risk=0.4)
    links = [FallbackLink("sparse", Sparse().index(corpus), SURE), FallbackLink("plain", Sparse(k1=2.0).index(corpus))]
    settings = FallbackSettings(deadline=9.0, min_confidence=0.99)
    dense = Dense("static").index(corpus)
    program = Program(dense, corpus.documents, SURE, {"model": "dense"}, None, None, policy, links, settings)
    program.save(tmp_path / "searcher")
    opened = load_program(tmp_path / "searcher")
    assert (opened.policy, opened.fallback) == (policy, settings)
    assert [(link.name, link.confidence) for link in opened.links] == [("sparse", SURE), ("plain", None)]
    for query in QUERIES:
        one, other = program(query=query), opened(query=query)
        assert one.toDict() == other.toDict()
        assert one.decision in ("answer", "warn", "abstain")
        assert one.served_by in ("dense", "sparse", "plain")
        if one.decision == "abstain":
            assert one.docids == one.scores == one.probabilities == []
    changed = opened.with_documents([Document("new", "", "zydeco")], ["split"])
    assert changed.chain is opened.chain
    assert [link.retriever.search(["zydeco"], 1).numbers[0, 0] for link in changed.links] == [
        len(changed.documents) - 1
    ] * 2


def test_two_programs_of_one_name_are_refused(corpus: Corpus) -> None:
    retriever = Sparse().index(corpus)
    with pytest.raises(InputError, match="fallback: sparse, sparse; program names must be unique"):
        Program(retriever, corpus.documents, None, {"model": "sparse"}, links=[FallbackLink("sparse", retriever)])
