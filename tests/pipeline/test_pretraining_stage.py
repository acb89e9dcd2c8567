"""The stage that pretrains goes on where a kill stopped it, be it between two encoders."""

import json
import signal

import pytest
from small_project import Project

from zero2ir.encoders.loading import load_encoder

pytestmark = pytest.mark.slow
STAGE = ("python", "stages/pretrain_synthetic.py", "lm=none", "encoder=minilm", "pretraining=all")
SMALL = (
    "pretraining.scratch.layers=1",
    "pretraining.scratch.dimension=32",
    "pretraining.scratch.heads=2",
    "pretraining.scratch.max_tokens=32",
    "pretraining.scratch.fit.epochs=4",
    "pretraining.scratch.checkpoints.held_out=0.2",
    "pretraining.static.fit.epochs=60",
    "pretraining.static.fit.batch_size=16",
    "pretraining.static.checkpoints.number=20",
)


def digests(project: Project) -> dict[str, str]:
    folder = project.folder / "models" / "encoder"
    return {role: load_encoder(folder / f"{role}-seed0").digest() for role in ("scratch", "static")}


@pytest.fixture(scope="module")
def begun(fresh: Project, tmp_path_factory) -> Project:
    """A project with its collection and judgments."""
    project = fresh.copy(tmp_path_factory.mktemp("pretraining") / "project")
    choices = {"models": ["scratch", "static"], "strategies": ["zero_shot"]}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("python", "stages/ingest.py", "dataset=local")
    return project


def test_killed_after_the_first_encoder_it_ends_in_the_same_ones(begun, tmp_path):
    undisturbed, killed = (begun.copy(tmp_path / name) for name in ("undisturbed", "killed"))
    undisturbed.done(*STAGE, *SMALL)
    cache = killed.folder / ".cache" / "checkpoints"

    def second_trains() -> bool:
        return len(list(cache.iterdir()) if cache.exists() else ()) == 2 and bool(list(cache.glob("*/checkpoint-*")))

    killed.interrupted(signal.SIGKILL, second_trains, *STAGE, *SMALL)
    assert not (killed.folder / "models" / "encoder").exists()
    assert len(list(cache.glob("*/finished"))) == 1
    killed.done(*STAGE, *SMALL)
    assert digests(killed) == digests(undisturbed)
    assert list(cache.iterdir()) == []  # an encoder that is written needs no checkpoints
    curves = sorted(path.name for path in (killed.folder / "models" / "encoder" / "losses").iterdir())
    assert curves == ["scratch-seed0-pairs.csv", "static-seed0-pairs.csv"]


def test_the_order_of_documents_is_what_the_dataset_says(begun, tmp_path):
    project = begun.copy(tmp_path / "project")
    project.edit("params.yaml", lambda panel: panel.update(models=["static"]))
    next_document = (*STAGE, "pretraining.pairs.adjacency.unit=documents")
    refused = project.run(*next_document)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: pairs.adjacency: the collection does not say")
    project.done("python", "stages/ingest.py", "dataset=local", "dataset.ordered=true")
    manifest = json.loads((project.folder / "data/collection/manifest.json").read_text(encoding="utf-8"))
    assert manifest["ordered"] is True
    project.done(*next_document)
