"""Public benchmarks, from their source files.

ir_datasets fixes its home when it is imported, hence a process of its own for each home.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from zero2ir.data.judgments import draw_judgments, test_queries
from zero2ir.data.mirror import copy_mirror
from zero2ir.data.records import Collection
from zero2ir.data.settings import JudgmentBudget
from zero2ir.data.store import read_collection

SOURCES = ("cranfield/cran.tar.gz", "beir/scifact/source.zip", "beir/nfcorpus/source.zip")
INGEST = """
import sys
from pathlib import Path
from zero2ir.data.checks import check_collection
from zero2ir.data.irds import read
from zero2ir.data.store import write_collection

for name, train, test in (
    ("cranfield", None, "cranfield"),
    ("scifact", "beir/scifact/train", "beir/scifact/test"),
    ("nfcorpus", "beir/nfcorpus/train", "beir/nfcorpus/test"),
):
    write_collection(*check_collection(read(train, test)), Path(sys.argv[1]) / name)
"""
READ = "import sys; from zero2ir.data.irds import read; read(sys.argv[1] or None, sys.argv[2])"


def run(code: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` with a home of its own and a proxy that nobody answers at: no network."""
    proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    offline = {**proxies, "no_proxy": "", "NO_PROXY": "", "IR_DATASETS_DL_TRIES": "1"}
    environment = {**os.environ, **offline, "IR_DATASETS_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ir_datasets home with the source files."""
    own = Path(os.environ.get("IR_DATASETS_HOME", Path.home() / ".ir_datasets"))
    if all((own / source).is_file() for source in SOURCES):
        return own
    mirror = Path(os.environ.get("IR_DATASETS_MIRROR", Path(__file__).parents[3] / "shared" / "ir_datasets"))
    if not mirror.is_dir():
        pytest.skip("no source files in the ir_datasets home, and no mirror of them; set IR_DATASETS_MIRROR")
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(home))
        copy_mirror(mirror)
    return home


@pytest.fixture(scope="module")
def ingested(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ingested")
    process = run(INGEST, str(folder), home=home)
    assert process.returncode == 0, process.stderr
    return folder


def counts(collection: Collection) -> dict[str, int]:
    splits = Counter(query.split for query in collection.queries)
    return {"documents": len(collection.documents), **splits, "judgments": len(collection.judgments)}


def test_cranfield(ingested):
    """1,400 documents, two of them without a word; codes turned, so that the rarest grade is the best."""
    collection = read_collection(ingested / "cranfield")
    assert counts(collection) == {"documents": 1398, "test": 225, "judgments": 1611}
    grades = Counter(judgment.relevance for judgment in collection.judgments)
    assert [grade for grade, _ in grades.most_common()] == [2, 3, 1, 4]
    # cranqrel begins "1 184 2": a code of high, not of slight, relevance.
    assert ("1", "184", 3) in collection.judgments
    # "1 486 -1" is left out: neither relevant nor a document to be taught to avoid.
    assert not any(judgment[:2] == ("1", "486") for judgment in collection.judgments)


def test_scifact(ingested):
    collection = read_collection(ingested / "scifact")
    assert counts(collection) == {"documents": 5183, "train": 809, "test": 300, "judgments": 1258}
    assert collection.documents[0].title.startswith("Microstructural development of human newborn")
    assert collection.metadata["description"].startswith("A version of the SciFact dataset, for fact verification.")
    assert collection.metadata["url"] == "https://ir-datasets.com/beir.html#beir/scifact/test"
    assert "@inproceedings{Wadden2020Scifact,\n" in collection.metadata["citation"]


def test_nfcorpus(ingested):
    collection = read_collection(ingested / "nfcorpus")
    assert counts(collection) == {"documents": 3633, "train": 2590, "test": 323, "judgments": 122909}
    assert {judgment.relevance for judgment in collection.judgments} == {1, 2}


@pytest.mark.parametrize(("name", "split"), [("cranfield", "test"), ("scifact", "train"), ("nfcorpus", "train")])
def test_judgments_come_from_the_train_split_where_there_is_one(ingested, name, split):
    collection = read_collection(ingested / name)
    drawn = draw_judgments(collection, JudgmentBudget(judging="relevant"), seed=0)
    splits = {query.query_id: query.split for query in collection.queries}
    assert {splits[row.query_id] for row in drawn} == {split}
    n = sum(query.split == "test" for query in collection.queries)
    assert len(test_queries(collection, drawn)[0]) == (n - 10 if split == "test" else n)


def test_missing_source_files_say_how_to_get_them(tmp_path):
    process = run(READ, "", "cranfield", home=tmp_path)
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert "cranfield: the source files are missing and cannot be downloaded" in last
    assert "make data MIRROR=" in last


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("", "nowhere/test", "ir_datasets has no dataset 'nowhere/test'"),
        ("", "beir/scifact", "ir_datasets 'beir/scifact' has no qrels"),
        ("beir/nfcorpus/train", "beir/scifact/test", "have different documents; choose a pair"),
    ],
)
def test_a_bad_id_is_named(tmp_path, train, test, message):
    assert message in run(READ, train, test, home=tmp_path).stderr.strip().splitlines()[-1]
