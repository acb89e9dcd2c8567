"""The metadata beside a run: the schema of ir_metadata, and what the pipeline recorded."""

import gzip
from pathlib import Path
from typing import Any

import ir_measures
import pytest
import pytrec_eval
import yaml
from pydantic import ValidationError

import zero2ir
from zero2ir.data.records import Collection, Document, Judgment, Query
from zero2ir.evaluation.ir_metadata import IR_METADATA_FILE, RunMetadata
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, write_results
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.reranked import Reranked
from zero2ir.models.sparse import Sparse
from zero2ir.tracking.provenance import describe_runtime
from zero2ir.tracking.run_metadata import retrieval, run_metadata
from zero2ir.tracking.runs import DatasetInput, TrainingRecord

DOCUMENTS = [Document("d1", "", "Strip the blanks at both ends."), Document("d2", "", "Join strings to one.")]
COLLECTION = Collection(
    DOCUMENTS,
    [Query("q1", "remove blanks"), Query("q2", "one string of many")],
    [Judgment("q1", "d1", 1), Judgment("q2", "d2", 1)],
    {"name": "small", "source": "folder small", "licence": "CC0-1.0", "language": "en"},
)
RUN = Run(["q1", "q2"], [["d1", "d2"], ["d2", "d1"]], [[2.0, 1.5], [1.0, 0.5]])
SETTINGS = EvaluationSettings(measures=("nDCG@10", "RR@10"), resamples=100)
COST = {"train_seconds": 1.5, "milliseconds_per_query": 0.2, "labels": 1.0}
# In the form of the examples at ir-metadata.org, with keys of its own where the schema allows them.
OF_OTHERS = """
schema-version: 0.1
run-version: 1.0
tag: team.bm25
platform:
  hardware: {cpu: {model: A processor, architecture: x86_64, operation mode: 64-bit, number of cores: 16}, ram: 32 GB}
  operating system: {kernel: GNU/Linux 4.15, distribution: Ubuntu 18.04.5 LTS}
  software: {libraries: {python: [numpy==1.15.4], java: [lucene==7.6]}, retrieval toolkit: [anserini==0.3.0]}
research goal:
  venue: {name: ECIR, year: 2019}
  publication: {doi: 10.1000/1, abstract: We measure it.}
  evaluation: {reported measures: [map, P_10], baseline: [bm25], significance test: [{name: t-test}]}
implementation: {executable: {cmd: python run.py}, source: {lang: [python], repository: "https://example.org/run"}}
method:
  automatic: true
  indexing: {tokenizer: StandardTokenizer, stemmer: PorterStemFilter}
  retrieval:
    - {name: bm25, method: BM25Similarity, b: 0.4, k1: 0.9}
    - {name: interpolation, weight: 0.6, interpolates: [bm25, ensemble]}
actor: {name: Somebody, orcid: 0000-0000-0000-0000, fields: [ir], role: reproducer, degree: Ph.D.}
data:
  test collection: {name: Robust04, ir_datasets: "https://ir-datasets.com/trec-robust04"}
  training data: [{name: disks 4 and 5, qrels: qrels.txt}]
  other: [{name: GloVe, source: "https://nlp.stanford.edu/projects/glove/"}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder, as the stage evaluate writes it."""
    documents = [document.text for document in DOCUMENTS]
    program = zero2ir.train(documents, [("blanks", "0", 1)], model="sparse", strategy="zero_shot", language="en")
    system = SystemIdentity(
        model="sparse",
        strategy="zero_shot",
        seed=3,
        dataset="small",
        notes={"code": "abc+changes", "chosen": "the defaults", "reason": "nothing was trained"},
        judged_queries=1,
        runtime=describe_runtime(),
    )
    training = TrainingRecord(
        panel={"encoder": "minilm", "lm": "smollm2", "auxiliary_collections": ["/home/somebody/other/data"]},
        revision="abc",
        parameters={},
        metrics={},
        tags={},
        seconds=1.5,
        ended=0.0,
        data=(DatasetInput("small judgments, seed 3", Path("data/judgments/seed3.jsonl"), "d1" * 32, "training"),),
    )
    results = tmp_path_factory.mktemp("run") / "results"
    metadata = run_metadata(system, program, COLLECTION, training, SETTINGS, COST)
    write_results(
        results,
        system=system,
        run=RUN,
        qrels=COLLECTION.judgments,
        confidence={},
        cost=COST,
        settings=SETTINGS,
        seed=3,
        metadata=metadata,
    )
    return results


@pytest.fixture(scope="module")
def stated(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / IR_METADATA_FILE).read_text(encoding="utf-8")))


def test_what_is_written_fits_the_schema_and_names_the_run(folder: Path, stated: dict[str, Any]) -> None:
    RunMetadata.model_validate(stated)
    with gzip.open(folder / "run.trec.gz", "rt") as file:
        assert {line.split()[-1] for line in file} == {stated["tag"]} == {"sparse-zero_shot-seed3"}
    assert list(stated)[:3] == ["schema-version", "run-version", "tag"]
    assert None not in stated.values()


def test_every_component_of_primad_says_what_was_recorded(stated: dict[str, Any]) -> None:
    assert stated["platform"]["software"]["retrieval toolkit"] == [f"zero2ir=={zero2ir.__version__}"]
    assert any(one.startswith("numpy==") for one in stated["platform"]["software"]["libraries"]["python"])
    assert stated["platform"]["hardware"]["ram"].endswith(" GB")
    assert stated["resources"] == COST
    assert "with 1 judged queries" in stated["research goal"]["description"]
    assert stated["research goal"]["evaluation"]["reported measures"] == ["nDCG@10", "RR@10"]
    assert stated["implementation"]["executable"]["cmd"] == "dvc repro evaluate@sparse-zero_shot-3"
    assert stated["implementation"]["source"]["commit"] == "abc+changes"
    assert stated["method"]["automatic"] is True
    assert stated["method"]["indexing"]["stemmer"] == "Snowball, English"
    assert stated["method"]["training"]["chosen"] == "the defaults"
    assert stated["actor"]["role"] == "experimenter"
    assert "mail" not in stated["actor"]
    assert stated["data"]["test collection"]["licence"] == "CC0-1.0"
    assert stated["data"]["test collection"]["qrels"] == "data/collection/qrels.parquet"
    assert [one["source"] for one in stated["data"]["training data"]] == ["data/judgments/seed3.jsonl", "data"]
    assert "other" not in stated["data"]  # BM25 has no encoder


def test_no_path_of_the_machine_is_stated(folder: Path) -> None:
    content = (folder / IR_METADATA_FILE).read_text(encoding="utf-8")
    assert "/home/" not in content
    assert str(Path.cwd()) not in content


def test_stages_of_a_ranking_name_those_whose_output_they_use() -> None:
    hybrid = Hybrid([Sparse(), Dense()])
    rows = retrieval(Reranked(hybrid, CrossEncoder()))
    assert [row.name for row in rows] == ["sparse", "dense", "hybrid", "cross_encoder", "reranked"]
    by_name = {row.name: row for row in rows}
    assert by_name["sparse"].method == "zero2ir.models.sparse.Sparse"
    assert by_name["sparse"].params == {"k1": 0.9, "b": 0.4, "feedback_terms": 20, "language": "auto"}
    assert by_name["hybrid"].interpolates == ["sparse", "dense"]
    assert "retrievers" not in (by_name["hybrid"].params or {})
    assert by_name["reranked"].reranks == "hybrid"
    assert by_name["reranked"].scores_by == ["cross_encoder"]
    assert [row.name for row in retrieval(Hybrid([Sparse(), Sparse()]))] == ["sparse", "sparse 2", "hybrid"]


def test_metadata_of_others_fit_the_schema_and_wrong_ones_do_not() -> None:
    found = RunMetadata.model_validate(yaml.safe_load(OF_OTHERS))
    assert found.method.retrieval is not None
    assert found.method.retrieval[0].model_extra == {"b": 0.4, "k1": 0.9}
    wrong = OF_OTHERS.replace("role: reproducer", "role: reader").replace("operating system", "operating_sytem")
    with pytest.raises(ValidationError, match="2 validation errors") as error:
        RunMetadata.model_validate(yaml.safe_load(wrong))
    assert {one["loc"] for one in error.value.errors()} == {("platform", "operating_sytem"), ("actor", "role")}


def test_the_run_is_read_by_other_tools_which_comments_would_stop(folder: Path, tmp_path: Path) -> None:
    qrels = {"q1": {"d1": 1}, "q2": {"d2": 1}}
    plain = tmp_path / "run.trec"
    plain.write_bytes(gzip.decompress((folder / "run.trec.gz").read_bytes()))
    with plain.open() as file:
        run = pytrec_eval.parse_run(file)
    scores = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut_10"}).evaluate(run)
    assert {query: values["ndcg_cut_10"] for query, values in scores.items()} == {"q1": 1.0, "q2": 1.0}
    rows = list(ir_measures.read_trec_run(str(folder / "run.trec.gz")))
    assert [(row.query_id, row.doc_id) for row in rows] == [("q1", "d1"), ("q1", "d2"), ("q2", "d2"), ("q2", "d1")]
    commented = tmp_path / "commented.trec"
    commented.write_text("# ir_metadata.start\n# tag: x\n# ir_metadata.end\n" + plain.read_text())
    with commented.open() as file, pytest.raises(ValueError, match="not enough values"):
        pytrec_eval.parse_run(file)
    with pytest.raises(ValueError, match="not enough values"):
        list(ir_measures.read_trec_run(str(commented)))
