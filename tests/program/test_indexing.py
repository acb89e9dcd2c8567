"""Documents that are indexed in shards: the same program as at once, whatever is killed in between."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import zero2ir
from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data.document_stream import open_stream
from zero2ir.data.records import Document
from zero2ir.data.settings import PassageSettings
from zero2ir.data.stored_documents import StoredDocuments
from zero2ir.errors import DataWarning, InputError
from zero2ir.models.capabilities import parts
from zero2ir.models.ranking import Ranking
from zero2ir.program import indexing
from zero2ir.program.indexing import IndexReport, IndexSettings, executor_of, index_documents
from zero2ir.program.program import Program, load_program, program_digest
from zero2ir.program.side_by_side import Executor, LocalExecutor

FAST = ("pretraining.static.dimension=16", "pretraining.static.fit.epochs=1", "pretraining.static.fit.batch_size=32")
QUERIES = ["remove white space", "parse a date", "zzz", ""]


class Here(Executor):
    """Calls one after another in this process, and then stops if it was told to."""

    def __init__(self, most: int = 10**6) -> None:
        super().__init__(1)
        self.most = most

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        for number, task in enumerate(tasks):
            if number == self.most:
                raise InterruptedError
            yield work(task)


@pytest.fixture
def folder(tmp_path: Path, docstrings: list[Document]) -> Path:
    (tmp_path / "documents").mkdir()
    rows = [json.dumps(document._asdict()) for document in docstrings]
    (tmp_path / "documents" / "docs.jsonl").write_text("\n".join(rows))
    return tmp_path / "documents"


def indexed(
    folder: Path,
    output: Path,
    executor: Executor | None = None,
    model: str = "static_hybrid",
    shards: int | None = 4,
    passages: PassageSettings | None = None,
    seed: int = 0,
    settings: Sequence[str] = FAST,
) -> IndexReport:
    config = compose("library", LibraryConfig, [f"model={model}", *settings])
    plan = {"model": model, "seed": seed, "shards": shards}
    chosen = IndexSettings(build(config.model, "model"), config, seed, shards, passages, plan)
    return index_documents(open_stream(str(folder)), output, chosen, executor or Here())


def assert_same(one: Ranking, other: Ranking) -> None:
    for name, values in one._asdict().items():
        np.testing.assert_array_equal(values, getattr(other, name), name)


def assert_same_answers(one: Program, other: Program, queries: Sequence[str] = QUERIES) -> None:
    (ranking, probabilities), (again, same) = one.search(queries, 50), other.search(queries, 50)
    assert_same(ranking, again)
    assert probabilities is not None
    np.testing.assert_array_equal(probabilities, same)


@pytest.mark.parametrize("model", ["sparse", "static", "static_hybrid"])
def test_the_program_is_that_of_training_without_judgments(
    model: str, folder: Path, docstrings: list[Document], tmp_path: Path
) -> None:
    report = indexed(folder, tmp_path / "program", model=model)
    assert report == IndexReport(documents=60, shards=4, continued=0)
    rows = [document._asdict() for document in docstrings]
    expected = zero2ir.train(rows, model=model, strategy="zero_shot", settings=FAST)
    program = zero2ir.load(tmp_path / "program")
    assert_same_answers(expected, program)
    assert program(query="parse a date").toDict() == expected(query="parse a date").toDict()
    told = {"model", "strategy", "language", "precision", "chosen", "reason", "labels", "seed"}
    assert {name: program.about[name] for name in told} == {name: expected.about[name] for name in told}
    assert program.about["shards"] == 4
    assert isinstance(program.documents, StoredDocuments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents", "program"]


def test_the_number_of_shards_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    for shards in (1, 7, 100, None):
        indexed(folder, tmp_path / str(shards), shards=shards)
    programs = [load_program(tmp_path / str(shards)) for shards in (1, 7, 100, None)]
    assert [program.about["shards"] for program in programs] == [1, 7, 60, 1]
    for program in programs[1:]:
        assert_same_answers(programs[0], program)


def test_a_killed_run_goes_on_with_the_missing_shards(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        indexed(folder, tmp_path / "program", Here(most=3))  # the encoder is another run of the executor
    assert not (tmp_path / "program").exists()
    shards = tmp_path / "program.work" / "shards"
    finished = {path: path.stat().st_ino for path in shards.iterdir()}
    assert [path.name for path in sorted(finished)] == ["00000", "00001", "00002"]
    report = indexed(folder, tmp_path / "program")
    assert report.continued == 3
    indexed(folder, tmp_path / "at-once")
    assert program_digest(tmp_path / "program") == program_digest(tmp_path / "at-once")


def test_shards_of_other_documents_or_settings_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        indexed(folder, tmp_path / "program", Here(most=2))
    with pytest.raises(InputError, match=r"program\.work: .*\(seed\); repeat its command, or remove the folder"):
        indexed(folder, tmp_path / "program", seed=1)
    with (folder / "docs.jsonl").open("a") as file:
        file.write('\n{"doc_id": "new", "text": "A further document."}')
    with pytest.raises(InputError, match=r"\(digest\)"):
        indexed(folder, tmp_path / "program")
    assert len(list((tmp_path / "program.work" / "shards").iterdir())) == 2


def test_a_working_folder_of_somebody_else_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "program.work").mkdir()
    (tmp_path / "program.work" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not written by zero2ir index"):
        indexed(folder, tmp_path / "program")
    assert [path.name for path in (tmp_path / "program.work").iterdir()] == ["thesis.txt"]


def test_two_runs_of_one_output_do_not_mix(folder: Path, tmp_path: Path) -> None:
    class Again(Here):
        def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
            with pytest.raises(InputError, match="another zero2ir index writes this output"):
                indexed(folder, tmp_path / "program")
            return super().run(work, tasks)

    indexed(folder, tmp_path / "program", Again(), model="sparse")
    assert load_program(tmp_path / "program").name == "sparse"


def test_documents_are_checked_and_cut_into_passages(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    rows = [
        ("a", "one two three four five"),
        ("b", " "),
        ("c", "six"),
        ("a", "one two three four five"),
        ("d", "seven"),
    ]
    table = tmp_path / "documents" / "docs.tsv"
    table.write_text("doc_id\ttext\n" + "".join(f"{doc_id}\t{text}\n" for doc_id, text in rows))
    cut = PassageSettings(words=3, overlap=1)
    with pytest.warns(DataWarning, match=r"(repeated|empty) documents: . left out") as warned:
        indexed(tmp_path / "documents", tmp_path / "program", model="sparse", passages=cut)
    assert [str(one.message).split(";")[0] for one in warned] == [
        "repeated documents: 2 left out",
        "empty documents: 1 left out",
    ]
    program = load_program(tmp_path / "program")
    assert [tuple(document) for document in program.documents] == [
        ("a#0", "", "one two three"),
        ("a#1", "", "three four five"),
        ("c", "", "six"),
        ("d", "", "seven"),
    ]
    assert program.about["passages"] == {"words": 3, "overlap": 1}
    assert program.about["quality"]["empty documents"]["count"] == 1
    for row, message in (
        ("a\tother\n", "two texts have the document id 'a'"),
        ("e f\tx\n", "docs.tsv:7: the id 'e f'"),
    ):
        with table.open("a") as file:
            file.write(row)
        with pytest.raises(InputError, match=re.escape(message)):
            indexed(tmp_path / "documents", tmp_path / "other", model="sparse")
        table.write_text(table.read_text().removesuffix(row))
        for left in (tmp_path / "other.work").iterdir():
            left.unlink()


def test_encoders_learn_from_a_sample_of_many_documents(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table(output: str, seed: int) -> np.ndarray:
        indexed(folder, tmp_path / output, model="static", seed=seed)
        return np.asarray(load_program(tmp_path / output).retriever.encode_queries(QUERIES))

    monkeypatch.setattr(indexing, "SAMPLE", 20)
    one, same = table("one", 0), table("same", 0)
    np.testing.assert_array_equal(one, same)
    monkeypatch.setattr(indexing, "SAMPLE", 100)
    assert not np.array_equal(one, table("all", 0))


def test_models_that_need_more_are_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="late_interaction: a model of this type cannot be indexed in shards"):
        indexed(folder, tmp_path / "program", model="late_interaction")
    assert not (tmp_path / "program.work").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shards": 0}, "shards=0: give 1 or more"),
        ({"passages": 10, "overlap": 10}, "overlap=10: give 0 or more, and less than passages"),
        ({"executor": "slurm"}, "executor=slurm: unknown; choose local or ray"),
        ({"model": "sparse", "source": "no/such"}, "ir_datasets has no dataset 'no/such'"),
        ({"model": "sparse", "source": "./nothing"}, "./nothing: not a folder"),
    ],
)
def test_mistakes_are_one_line(arguments: dict[str, Any], message: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        zero2ir.index(**{"source": folder, "output": tmp_path / "program", **arguments})


def test_an_error_in_a_process_is_that_of_the_call(folder: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        list(LocalExecutor(1).run(named, [str(folder), "./nothing"]))


def named(source: str) -> str:
    return open_stream(source).name


def test_a_kill_while_the_working_folder_is_removed_changes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, state, work = indexing._remove, tmp_path / "state", tmp_path / "program.work"
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "_remove", lambda work: shutil.copytree(work, state))
        indexed(folder, tmp_path / "program")
    expected = program_digest(tmp_path / "program")
    for allowed in itertools.count(1, 4):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(state, work)
        with monkeypatch.context() as patched:
            steps = iter(range(allowed))
            for name in ("unlink", "rmdir", "rename", "replace"):
                patched.setattr(os, name, interrupted_after(steps, getattr(os, name)))
            with suppress(KeyboardInterrupt):
                remove(work)
        if not work.exists():
            break
        indexed(folder, tmp_path / "program")
        assert program_digest(tmp_path / "program") == expected, allowed
        assert not work.exists()
    assert allowed > 10


def interrupted_after(steps: Iterator[int], call: Callable[..., Any]) -> Callable[..., Any]:
    def limited(*arguments: Any, **options: Any) -> Any:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return call(*arguments, **options)

    return limited


def test_jobs_are_within_the_cores() -> None:
    model = build(compose("library", LibraryConfig, ["model=sparse"]).model, "model")
    assert 1 <= executor_of("local", None, model).jobs <= len(os.sched_getaffinity(0))
    assert executor_of("local", 3, model).jobs == 3


@pytest.mark.slow
def test_ray_makes_the_same_program(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    # In a process of its own, which takes its cluster along when it ends.
    subprocess.run([*command(folder, tmp_path / "program"), "--executor", "ray"], check=True, timeout=600)
    indexed(folder, tmp_path / "here", shards=5)
    assert program_digest(tmp_path / "program") == program_digest(tmp_path / "here")


def command(folder: Path, output: Path) -> list[str]:
    settings = [word for one in FAST for word in ("--set", one)]
    code = "from zero2ir.cli import main; main()"
    options = ["--output", str(output), "--shards", "5", "--jobs", "1", *settings]
    return [sys.executable, "-c", code, "index", str(folder), *options]


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_no_finished_shard(folder: Path, tmp_path: Path) -> None:
    with subprocess.Popen(command(folder, tmp_path / "program"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        while "shard" not in next(lines):
            pass
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert children
    assert psutil.wait_procs(children, timeout=20)[1] == []  # none goes on by itself
    assert not (tmp_path / "program").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "program.work" / "shards").glob("0000?")}
    assert 1 <= len(finished) < 5
    start = time.time_ns()
    done = subprocess.run(command(folder, tmp_path / "program"), stdout=subprocess.PIPE, text=True, check=True)
    assert f"60 documents in 5 shards, {len(finished)} of them from a former run" in done.stdout
    assert max(finished.values()) < start
    indexed(folder, tmp_path / "at-once", shards=5)
    one, other = load_program(tmp_path / "program"), load_program(tmp_path / "at-once")
    assert_same_answers(one, other)
    assert not (tmp_path / "program.work").exists()


@pytest.mark.slow
def test_cranfield_in_four_shards_is_the_unsharded_one(tmp_path: Path) -> None:
    import ir_datasets

    dataset = ir_datasets.load("cranfield")
    try:
        queries = [query.text for query in dataset.queries_iter()]
        documents = [Document(one.doc_id, one.title, one.text) for one in dataset.docs_iter()]
    except (OSError, RuntimeError):
        pytest.skip("the source files of cranfield are not on this machine")
    rows = [document._asdict() for document in documents if document.content]  # two of 1,400 are empty
    expected = zero2ir.train(rows, model="static_hybrid", strategy="zero_shot", settings=FAST)
    report = zero2ir.index("cranfield", tmp_path / "program", shards=4, jobs=1, settings=FAST)
    assert report == IndexReport(documents=1398, shards=4, continued=0)
    program = zero2ir.load(tmp_path / "program")
    assert_same(expected.search(queries, 1000)[0], program.search(queries, 1000)[0])
    for part, whole in zip(parts(program.retriever), parts(expected.retriever), strict=True):
        assert_same(whole.search(queries, 1000), part.search(queries, 1000))
