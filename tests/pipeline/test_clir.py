"""The task clir through the five stages: queries in Spanish, documents in English, three parallel pairs."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_project import Project, new_project, write_lines

pytestmark = pytest.mark.slow
PASSAGES = {
    "luther": "Martin Luther was born in Eisleben in 1483 and taught theology at Wittenberg.",
    "oxygen": "Oxygen was discovered by Priestley and by Scheele, and named by Lavoisier.",
    "panthers": "The Panthers gave up 308 points and had 24 interceptions in the 2015 season.",
    "amazon": "The Amazon rainforest covers most of Brazil, Peru and Colombia.",
    "tesla": "Nikola Tesla built induction motors in New York from 1887.",
    "apollo": "The crew of Apollo 1 died in a fire on the launch pad in 1967.",
    "kenya": "Kenya became independent in 1963; its capital is Nairobi.",
    "genghis": "Genghis Khan united the Mongol tribes and attacked the Jin dynasty.",
}
QUERIES = {  # by document: Spanish, English
    "luther": ("¿Dónde nació Lutero en 1483?", "Where was Luther born in 1483?"),
    "oxygen": ("¿Quién descubrió el oxígeno?", "Who discovered oxygen?"),
    "panthers": ("¿Cuántos puntos dejaron los Panthers en 2015?", "How many points did the Panthers give up in 2015?"),
    "amazon": ("¿Qué países cubre la selva del Amazonas?", "Which countries does the Amazon rainforest cover?"),
    "tesla": ("¿Qué motores construyó Nikola Tesla?", "Which motors did Nikola Tesla build?"),
    "apollo": ("¿Cómo murió la tripulación del Apolo 1?", "How did the crew of Apollo 1 die?"),
    "kenya": ("¿Cuál es la capital de Kenia desde 1963?", "What is the capital of Kenya since 1963?"),
    "genghis": ("¿Qué tribus unió Gengis Kan?", "Which tribes did Genghis Khan unite?"),
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its results and report, every command as dvc.yaml has it; no language model."""
    project = new_project(tmp_path_factory.mktemp("clir") / "project")
    folder = project.folder / "parallel"
    folder.mkdir()
    write_lines(folder / "docs.en.jsonl", (json.dumps({"doc_id": key, "text": text}) for key, text in PASSAGES.items()))
    for language, place in (("es", 0), ("en", 1)):
        rows = ({"query_id": f"q-{key}", "text": texts[place]} for key, texts in QUERIES.items())
        write_lines(folder / f"queries.{language}.jsonl", (json.dumps(row) for row in rows))
    write_lines(folder / "qrels.trec", (f"q-{key} 0 {key} 1" for key in QUERIES))
    project.edit("conf/dataset/xquad.yaml", lambda dataset: dataset.update(path="parallel"))
    choices = {"dataset": "xquad", "task": "clir", "lm": "none", "models": ["surface"], "strategies": ["zero_shot"]}
    project.edit(
        "params.yaml",
        lambda panel: panel.update(choices, budget={"queries": 3, "documents_per_query": 1, "judging": "relevant"}),
    )
    project.done("dvc", "repro")
    return project


@pytest.fixture(scope="module")
def metrics(evaluated: Project) -> dict[str, Any]:
    path = evaluated.folder / "results" / "surface-zero_shot-seed0" / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_manifest_says_which_languages_were_found(evaluated: Project) -> None:
    manifest = json.loads((evaluated.folder / "data/collection/manifest.json").read_text(encoding="utf-8"))
    assert manifest["languages"] == {"documents": "en", "queries": "es"}
    assert manifest["name"] == "xquad-es-en"


def test_training_sees_the_pairs_of_the_judged_queries_and_they_leave_the_test(evaluated: Project, metrics) -> None:
    path: Path = evaluated.folder / "data/judgments/seed0.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3
    assert all((row["query"], row["translation"]) in QUERIES.values() for row in rows)
    assert metrics["nDCG@10"]["n"] == len(QUERIES) - len(rows)


def test_the_result_is_a_share_of_what_the_translations_reach(metrics) -> None:
    reached, ceiling = metrics["nDCG@10"]["mean"], metrics["ceiling"]["nDCG@10"]["mean"]
    assert 0.5 < reached <= 1
    assert 0.9 < ceiling <= 1
    assert metrics["ceiling_share"]["nDCG@10"]["mean"] == pytest.approx(reached / ceiling, abs=1e-5)


def test_the_report_states_the_share(evaluated: Project) -> None:
    page = (evaluated.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "nDCG@10, share of ceiling" in page
    assert "BM25 with the queries&#39; human translations" in page
