"""The choices in conf/dataset, and what each mistake in them is answered with."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pydantic import ValidationError

from zero2ir.data.loading import load_collection
from zero2ir.data.settings import DatasetSettings, JudgmentBudget
from zero2ir.errors import InputError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
NEEDED = {
    "local": {"path": "my-collection"},
    "xquad": {"path": "xquad"},
    "ir_datasets": {"test": "vaswani"},
    "birco_arguana": {"path": "birco"},
    "birco_clinical_trial": {"path": "birco"},
}
NAMES = {"ir_datasets": "vaswani", "xquad": "xquad-es-en"}


def settings_of(choice: str, **overrides: object) -> DatasetSettings:
    values = OmegaConf.merge(OmegaConf.load(CONF / f"{choice}.yaml"), overrides)
    return DatasetSettings.model_validate(OmegaConf.to_container(values, resolve=True))


@pytest.mark.parametrize("choice", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_choice_is_valid(choice):
    settings = settings_of(choice, **NEEDED.get(choice, {}))
    assert settings.name == NAMES.get(choice, choice)


@pytest.mark.parametrize(
    ("choice", "overrides", "message"),
    [
        ("local", {}, r"dataset\.path is missing; set dataset\.path=<your folder>"),
        ("ir_datasets", {}, r"dataset\.test is missing; set dataset\.test=<an ir_datasets id>"),
        ("beir/scifact", {"path": "x"}, r"dataset\.path does not apply to source 'ir_datasets'; remove it"),
        ("pydocs", {"test": "x"}, r"dataset\.test does not apply to source 'pydocs'"),
        ("cranfield", {"train": "cranfield"}, r"dataset\.train and dataset\.test are both 'cranfield'"),
        ("pydocs", {"source": "web"}, r"source"),
        ("pydocs", {"pth": "x"}, r"pth"),
        ("xquad", {}, r"dataset\.path is missing"),
        (
            "xquad",
            {"path": "x", "query_language": "en"},
            r"dataset\.parallel: queries and documents have the same language",
        ),
        ("pydocs", {"parallel": True}, r"dataset\.parallel"),
        ("pydocs", {"topic": "q[0-9"}, r"'q\[0-9' is not a regular expression: unterminated"),
        ("pydocs", {"topic": "q[0-9]+"}, r"'q\[0-9\]\+' has no group; write the part of the id that is the topic in"),
    ],
)
def test_a_bad_choice_says_what_to_do(choice, overrides, message):
    with pytest.raises(ValidationError, match=message):
        settings_of(choice, **overrides)


@pytest.mark.parametrize("budget", [{"queries": -1}, {"documents_per_query": 0}, {"documents": 5}])
def test_a_bad_budget_is_refused(budget):
    with pytest.raises(ValidationError):
        JudgmentBudget.model_validate(budget)


def test_load_reads_what_the_settings_name(tmp_path):
    (tmp_path / "docs.tsv").write_text("d1\ttext\n")
    raw = load_collection(settings_of("local", path=str(tmp_path)))
    assert [document.doc_id for document in raw.documents] == ["d1"]
    assert raw.licence == "unknown"
    assert load_collection(settings_of("local", path=str(tmp_path), licence="CC0-1.0")).licence == "CC0-1.0"
    assert load_collection(settings_of("pydocs")).source.startswith("standard library of Python")


def test_a_query_s_id_shows_its_topic(tmp_path):
    (tmp_path / "docs.tsv").write_text("d1\ttext\n")
    (tmp_path / "queries.tsv").write_text("q1-0\tone\nq1-1\ttwo\nq12-0\tthree\n")
    local = {"path": str(tmp_path)}
    assert [query.topic for query in load_collection(settings_of("local", **local)).queries] == ["", "", ""]
    topics = load_collection(settings_of("local", **local, topic=r"(q\d+)-")).queries
    assert [query.topic for query in topics] == ["q1", "q1", "q12"]
    with pytest.raises(InputError, match=r"dataset\.topic: '\(x\)' finds no topic in the query id 'q1-0'"):
        load_collection(settings_of("local", **local, topic="(x)"))
