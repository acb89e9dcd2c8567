"""Encoders in folders: what is stored, and what is not made twice."""

import json
from pathlib import Path

import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoded
from zero2ir.encoders.making import MakingSettings
from zero2ir.encoders.pretext.synthetic_pairs import SyntheticPairs
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings
from zero2ir.encoders.training import FitSettings
from zero2ir.evaluation.results import LANGUAGE_MODEL, PRETRAINED_WEIGHTS
from zero2ir.io import paths
from zero2ir.program.pretraining import StoredEncoder, encoder_sources, store_encoder

SETTINGS = MakingSettings(static=StaticSettings(dimension=16, fit=FitSettings(epochs=1, batch_size=16)))
DEEPER = SETTINGS.model_copy(update={"static": StaticSettings(dimension=24, fit=SETTINGS.static.fit)})


@pytest.fixture
def earlier(
    docstrings: list[Document],
    tiny_transformer_settings: EncoderSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.chdir(tmp_path)
    for role in ("static", "pretrained"):
        store(role, docstrings, tiny_transformer_settings, tmp_path / "earlier")
    for path in (tmp_path / "earlier").glob(f"*/{paths.COST_FILE}"):
        path.write_text(json.dumps({"pretrain_seconds": 77.0, "encode_seconds": 7.0}), encoding="utf-8")
    return tmp_path / "earlier"


def store(
    role: str,
    documents: list[Document],
    pretrained: EncoderSettings,
    folder: Path,
    earlier: Path | None = None,
    settings: MakingSettings = SETTINGS,
    seed: int = 0,
) -> StoredEncoder:
    return store_encoder(role, Corpus(documents), pretrained, settings, seed, folder, earlier)


@pytest.mark.parametrize(("role", "losses"), [("static", ["pairs"]), ("pretrained", [])])
def test_the_same_encoder_is_copied_with_its_losses_and_its_cost(
    earlier: Path,
    docstrings: list[Document],
    tiny_transformer_settings: EncoderSettings,
    tmp_path: Path,
    role: str,
    losses: list[str],
) -> None:
    copied = store(role, docstrings, tiny_transformer_settings, tmp_path / "later", earlier)
    made = store(role, docstrings, tiny_transformer_settings, tmp_path / "anew")
    assert copied.cost == {"pretrain_seconds": 77.0, "encode_seconds": 7.0}
    assert made.cost.keys() == {"pretrain_seconds", "encode_seconds", "pretrain_peak_memory_mb"}
    assert (list(copied.losses), copied.losses) == (losses, made.losses)
    name = paths.encoder(role, 0).name
    digests, vectors = zip(
        *(
            (encoder.digest(), rows.tobytes())
            for encoder, rows in (load_encoded(tmp_path / one / name, len(docstrings)) for one in ("later", "anew"))
        ),
        strict=True,
    )
    assert len(set(digests)) == len(set(vectors)) == 1
    curves = [
        {path.name: path.read_bytes() for path in (tmp_path / one / "losses").glob("*")} for one in ("later", "anew")
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == len(losses)
    sources = [json.loads((tmp_path / one / name / paths.SOURCES_FILE).read_text("utf-8")) for one in ("later", "anew")]
    assert sources == [encoder_sources(role, SETTINGS)] * 2


def test_another_encoder_is_made(
    earlier: Path, docstrings: list[Document], tiny_transformer_settings: EncoderSettings, tmp_path: Path
) -> None:
    other_documents = store("static", docstrings[1:], tiny_transformer_settings, tmp_path / "1", earlier)
    other_settings = store("static", docstrings, tiny_transformer_settings, tmp_path / "2", earlier, DEEPER)
    other_seed = store("static", docstrings, tiny_transformer_settings, tmp_path / "3", earlier, seed=1)
    assert all(one.cost["pretrain_seconds"] < 77 for one in (other_documents, other_settings, other_seed))
    same = store("pretrained", docstrings, tiny_transformer_settings, tmp_path / "4", earlier, DEEPER)
    assert same.cost["pretrain_seconds"] == 77  # nothing of it was trained here


def test_an_encoder_states_what_it_learned_from_beside_the_documents() -> None:
    written = SyntheticPairs(queries=(("how to split", "str.split"),))
    with_queries = SETTINGS.model_copy(update={"pairs": SETTINGS.pairs.model_copy(update={"synthetic": written})})
    assert encoder_sources("static", SETTINGS) == []
    assert encoder_sources("static", with_queries) == [LANGUAGE_MODEL]
    assert encoder_sources("adapted", with_queries) == [PRETRAINED_WEIGHTS, LANGUAGE_MODEL]
    assert encoder_sources("pretrained", with_queries) == [PRETRAINED_WEIGHTS]  # it is used as it is
