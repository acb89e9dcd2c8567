"""Training reads no test query and no test judgment: it cannot miss them, and nothing it leaves behind holds one."""

import json
from pathlib import Path

import pytest
from small_project import MODELS, STRATEGIES, SYSTEMS, Project, write_lines

from zero2ir.data.judgments import normalised, read_judgments, test_queries
from zero2ir.data.store import read_collection
from zero2ir.program.program import program_digest

pytestmark = pytest.mark.slow
SEEN_BY_TRAINING = ("data/synthetic", "data/judgments", "data/committee", "models")
TRAINED = (*STRATEGIES, "fine_tune")


@pytest.fixture(scope="module")
def blind(finished: Project, tmp_path_factory) -> Project:
    """A copy without queries and qrels, in which everything was trained again, by hand and in one Hydra multirun."""
    project = finished.copy(tmp_path_factory.mktemp("blind") / "project", "mlruns", "models", "data/synthetic")
    for name in ("queries.parquet", "qrels.parquet"):
        (project.folder / "data" / "collection" / name).unlink()
    project.done("python", "stages/pretrain_synthetic.py", "lm=smollm2", "encoder=minilm")
    choices = (f"model={','.join(MODELS)}", f"strategy={','.join(TRAINED)}")
    project.done("python", "stages/train.py", "-m", *choices)
    return project


@pytest.fixture(scope="module")
def one_split(fresh: Project, tmp_path_factory) -> tuple[Project, Project]:
    """A project whose training queries come from the test split, and a copy trained without queries and qrels."""
    project = fresh.copy(tmp_path_factory.mktemp("one-split") / "project")
    queries = project.folder / "my-collection" / "queries.jsonl"
    rows = [json.loads(line) | {"split": "test"} for line in queries.read_text(encoding="utf-8").splitlines()]
    write_lines(queries, map(json.dumps, rows))
    choices = {"lm": "none", "models": ["static_hybrid"], "strategies": ["fine_tune"]}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("python", "stages/ingest.py", "dataset=local")
    blind = project.copy(tmp_path_factory.mktemp("one-split-blind") / "project")
    for name in ("queries.parquet", "qrels.parquet"):
        (blind.folder / "data" / "collection" / name).unlink()
    for one in (project, blind):
        one.done("python", "stages/pretrain_synthetic.py", "lm=none")
        one.done("python", "stages/train.py", "lm=none", "model=static_hybrid", "strategy=fine_tune")
    return project, blind


def program(project: Project, model: str, strategy: str) -> Path:
    return project.folder / "models" / f"{model}-{strategy}-seed0" / "program"


@pytest.mark.parametrize(("model", "strategy"), SYSTEMS)
def test_training_gives_the_same_program_without_queries_and_qrels(finished, blind, model, strategy):
    assert program_digest(program(blind, model, strategy)) == program_digest(program(finished, model, strategy))


def test_a_multirun_trains_every_combination_and_leaves_nothing_else(finished, blind):
    trained = {path.name for path in (blind.folder / "models").iterdir()}
    assert trained == {"encoder"} | {f"{model}-{strategy}-seed0" for model in MODELS for strategy in TRAINED}
    new = {path.name for path in blind.folder.iterdir()} - {path.name for path in finished.folder.iterdir()}
    assert new <= {"multirun"}  # Hydra's own record


def test_a_second_run_asks_no_lm(blind):
    cost = json.loads((blind.folder / "data/synthetic/seed0/cost.json").read_text(encoding="utf-8"))
    assert (cost["lm_calls"], cost["lm_cached"] > 0) == (0, True)


def test_pooled_judgments_of_test_queries_keep_the_other_ones_out(one_split):
    project, _ = one_split
    digests = {program_digest(program(one, "static_hybrid", "fine_tune")) for one in one_split}
    assert len(digests) == 1
    judgments = read_judgments(project.folder / "data" / "judgments" / "seed0.jsonl")
    collection = read_collection(project.folder / "data" / "collection")
    assert {query.split for query in collection.queries} == {"test"}
    tested = {query.query_id for query in test_queries(collection, judgments)[0]}
    assert tested == {query.query_id for query in collection.queries} - {row.query_id for row in judgments}
    require_no_test_query(project)


def test_no_test_query_is_in_anything_that_training_reads_or_writes(finished):
    require_no_test_query(finished)


def require_no_test_query(project: Project) -> None:
    collection = read_collection(project.folder / "data" / "collection")
    judgments = read_judgments(project.folder / "data" / "judgments" / "seed0.jsonl")
    documents = "\n".join(normalised(document.content) for document in collection.documents)
    hidden = [
        query.text
        for query in test_queries(collection, judgments)[0]
        if normalised(query.text) not in documents  # a document may say the same, and documents may be seen
    ]
    texts = {
        path: normalised(readable(path))
        for folder in SEEN_BY_TRAINING
        for path in sorted((project.folder / folder).rglob("*"))
        if path.is_file()
    }
    assert hidden
    assert [(path.name, query) for path, text in texts.items() for query in hidden if said(query, text)] == []
    shown = [row.query for row in judgments if any(said(row.query, text) for text in texts.values())]
    assert shown == [row.query for row in judgments]  # the search does find what is there


def said(query: str, text: str) -> bool:
    """Whether a text, perhaps JSON, holds a query."""
    return any(normalised(json.dumps(query, ensure_ascii=escaped)[1:-1]) in text for escaped in (True, False))


def readable(path: Path) -> str:
    """All text in a file; a binary one may hold some between its numbers."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False)
    return path.read_bytes().decode("utf-8", errors="ignore")
