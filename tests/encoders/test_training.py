"""Training resumes from its last checkpoint after a kill, and stops early with the best weights."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zero2ir.data.records import Document
from zero2ir.encoders import training
from zero2ir.encoders.adapted import AdaptedSettings, train_adapted
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.pretext.reconstruction import ReconstructionFit
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS
from zero2ir.encoders.pretext.training import split_documents
from zero2ir.encoders.scratch import ScratchSettings, train_scratch
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.encoders.training import (
    CURVE_POINTS,
    CheckpointSettings,
    FitSettings,
    LossPoint,
    downsample_losses,
    write_losses,
)
from zero2ir.errors import InputError

CHECKS = CheckpointSettings(number=6, held_out=0.1, patience=9)
FIT = FitSettings(epochs=4, batch_size=8, learning_rate=0.01)
SCRATCH = ScratchSettings(layers=1, dimension=16, heads=2, max_tokens=24, fit=FIT, checkpoints=CHECKS)
STATIC = StaticSettings(dimension=16, fit=FIT, checkpoints=CHECKS)
ADAPTED = AdaptedSettings(
    max_tokens=24, reconstruction_fit=ReconstructionFit(epochs=4, batch_size=8), contrastive_fit=FIT, checkpoints=CHECKS
)

TRAIN = """
import json, sys
from pathlib import Path
from zero2ir.data.records import Document
from zero2ir.encoders.scratch import ScratchSettings, train_scratch
documents = [Document(*row) for row in json.load(sys.stdin)]
train_scratch(documents, ScratchSettings.model_validate_json(sys.argv[1]), seed=0, folder=Path(sys.argv[2]))
"""


class PowerCut(Exception):
    """What ends a training in between."""


@pytest.fixture
def cut_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ends the next training after so many steps."""

    def cut(step: int) -> None:
        from transformers import TrainerCallback

        class Cut(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
                if state.global_step == step:
                    raise PowerCut

        monkeypatch.setattr(training, "_log_at_the_end", lambda: Cut)

    return cut


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("checkpoint-*")}


def test_a_killed_training_resumes_and_ends_with_the_same_weights(docstrings: list[Document], tmp_path: Path) -> None:
    settings = SCRATCH.model_copy(update={"fit": FIT.model_copy(update={"epochs": 12})})
    command = [sys.executable, "-c", TRAIN, settings.model_dump_json(), str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    json.dump(docstrings, process.stdin)
    process.stdin.close()
    while process.poll() is None and not list(tmp_path.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    assert checkpoints(tmp_path)
    assert not (tmp_path / training.FINISHED_FILE).exists()

    resumed = train_scratch(docstrings, settings, seed=0, folder=tmp_path)
    undisturbed = train_scratch(docstrings, settings, seed=0)
    assert resumed.digest() == undisturbed.digest()
    assert resumed.losses == undisturbed.losses


def kinds(documents: list[Document], pretrained: EncoderSettings) -> dict[str, Callable[[Path | None], DenseEncoder]]:
    def adapted(how: str) -> Callable[[Path | None], DenseEncoder]:
        settings = ADAPTED.model_copy(update={"reconstruction": how})
        return lambda folder: train_adapted(documents, pretrained, settings, 0, folder=folder)

    return {
        "static": lambda folder: train_static(documents, STATIC, 0, folder=folder),
        "scratch": lambda folder: train_scratch(documents, SCRATCH, 0, folder=folder),
        "masked": adapted("masked"),
        "denoising": adapted("denoising"),
    }


@pytest.mark.parametrize("kind", ["static", "scratch", "masked", "denoising"])
def test_every_kind_of_training_resumes(
    kind: str,
    docstrings: list[Document],
    tiny_transformer_settings: EncoderSettings,
    cut_at: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what only the loss learns (a decoder, a vocabulary head) and what is drawn (dropout, masks) goes on."""
    train = kinds(docstrings, tiny_transformer_settings)[kind]
    cut_at(13)
    with pytest.raises(PowerCut):
        train(tmp_path)
    monkeypatch.undo()
    before = checkpoints(tmp_path)
    assert before
    assert "checkpoint-13" not in before  # it was cut in between
    opened: list[str | None] = []
    last_checkpoint = training._last_checkpoint
    monkeypatch.setattr(
        training, "_last_checkpoint", lambda folder: opened.append(last_checkpoint(folder)) or opened[-1]
    )
    resumed = train(tmp_path)
    assert Path(opened[0] or "").name in before
    undisturbed = train(None)
    assert resumed.digest() == undisturbed.digest()
    assert resumed.losses == undisturbed.losses
    assert not checkpoints(tmp_path)  # what it ended in is kept in their place, and found by the next start
    calls = len(opened)
    again = train(tmp_path)
    assert (again.digest(), again.losses, len(opened)) == (resumed.digest(), resumed.losses, calls)


def test_a_checkpoint_that_was_being_written_is_not_used(docstrings: list[Document], tmp_path: Path) -> None:
    for name, state in {"checkpoint-3": None, "checkpoint-5": '{"global_st'}.items():
        (tmp_path / name).mkdir()
        if state:
            (tmp_path / name / "trainer_state.json").write_text(state, encoding="utf-8")
    trained = train_static(docstrings, STATIC, 0, folder=tmp_path)
    assert trained.digest() == train_static(docstrings, STATIC, 0).digest()


def test_without_checks_nothing_is_written(docstrings: list[Document], tmp_path: Path) -> None:
    trained = train_static(
        docstrings, STATIC.model_copy(update={"checkpoints": CheckpointSettings()}), 0, folder=tmp_path / "none"
    )
    assert not (tmp_path / "none").exists()
    (curve,) = trained.losses.values()
    assert all(point.held_out is None for point in curve)
    assert len(curve) <= training.CURVE_POINTS
    assert curve[-1].loss < curve[0].loss


def test_early_stopping_keeps_the_best_weights(docstrings: list[Document]) -> None:
    """Sixty documents are learned by heart soon; the held-out loss tells."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    fit, checkpoints = (
        FitSettings(epochs=20, batch_size=32, learning_rate=0.01),
        CheckpointSettings(number=20, held_out=0.2, patience=2),
    )
    trained = train_scratch(docstrings, SCRATCH.model_copy(update={"fit": fit, "checkpoints": checkpoints}), seed=0)
    curve = trained.losses["pairs"]
    held_out = [point.held_out for point in curve]
    best = int(np.argmin(np.array(held_out, dtype=float)))
    learned, asked = split_documents(docstrings, 0.2, seed=0)
    total = 20 * len(list(DEFAULT_PAIR_TASKS.pairs(learned, np.random.default_rng(0)))) // 32
    assert curve[-1].step < total
    assert len(curve) == best + 1 + 2

    pairs = list(DEFAULT_PAIR_TASKS.pairs(asked, np.random.default_rng([0, 1])))
    loss = MultipleNegativesRankingLoss(trained.model)
    found = loss([trained.model.preprocess([pair[side] for pair in pairs]) for side in (0, 1)], None).item()
    assert found == pytest.approx(held_out[best], abs=1e-4)


@pytest.mark.parametrize(("number", "share"), [(0, 0.0), (1, 0.0), (2, 0.1), (60, 0.05), (60, 0.9), (500, 0.05)])
def test_split_keeps_the_order_of_documents(number: int, share: float) -> None:
    documents = [Document(str(n), "", "") for n in range(number)]
    kept, held_out = split_documents(documents, share, seed=0)
    assert sorted(kept + held_out, key=lambda document: int(document.doc_id)) == documents
    for part in (kept, held_out):
        assert part == sorted(part, key=lambda document: int(document.doc_id))
    if share:
        assert kept
        assert abs(len(held_out) - share * number) <= 5  # half a run
    assert split_documents(documents, share, seed=0) == (kept, held_out)


def test_a_single_document_is_not_split() -> None:
    with pytest.raises(InputError, match="a single document cannot be split"):
        split_documents([Document("d", "", "a b c")], 0.5, seed=0)


def test_held_out_documents_need_checkpoints() -> None:
    with pytest.raises(ValidationError, match=r"held_out=0\.1, but number=0 never evaluates it"):
        CheckpointSettings(held_out=0.1)


@given(st.lists(st.floats(0, 10), max_size=400))
def test_a_downsampled_curve_averages_each_step_once(losses: list[float]) -> None:
    curve = downsample_losses(losses)
    steps = [point.step for point in curve]
    assert len(curve) <= CURVE_POINTS
    assert steps == sorted(set(steps))
    assert steps[-1:] == [len(losses)][: bool(losses)]
    lengths = np.diff([0, *steps])
    assert float(lengths @ [point.loss for point in curve]) == pytest.approx(sum(losses))


def test_a_curve_is_written_as_plain_columns(tmp_path: Path) -> None:
    write_losses([LossPoint(2, 1.5, None), LossPoint(4, 1.25, 2.0)], tmp_path / "losses.csv")
    assert (tmp_path / "losses.csv").read_text() == "step,loss,held_out_loss\n2,1.5,\n4,1.25,2.0\n"
