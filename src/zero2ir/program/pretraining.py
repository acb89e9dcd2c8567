"""Encoders as the stages store them: with embeddings, loss curves, costs and a digest of what they were made from."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zero2ir.encoders.base import embed, save_encoded
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import MakingSettings, make_encoder, training_digest
from zero2ir.encoders.settings import FROM_SCRATCH, EncoderSettings
from zero2ir.encoders.training import LossPoint, read_losses, write_losses
from zero2ir.evaluation.results import LANGUAGE_MODEL, PRETRAINED_WEIGHTS
from zero2ir.io import paths
from zero2ir.io.files import read_json, write_json
from zero2ir.program.cost import peak_memory_mb, timed

ENCODED = paths.CACHE_FOLDER / "embeddings"
CHECKPOINTS = paths.CACHE_FOLDER / "checkpoints"


class StoredEncoder(NamedTuple):
    """An encoder in a folder of encoders.

    Attributes:
        losses: loss curves by part of the training.
        cost: ``pretrain_seconds``, ``encode_seconds`` and ``pretrain_peak_memory_mb``.
        checkpoints: the folder of the training's checkpoints, which may be removed.
    """

    role: str
    seed: int
    losses: Mapping[str, Sequence[LossPoint]]
    cost: Mapping[str, float]
    checkpoints: Path


def store_encoder(
    role: str,
    corpus: Corpus,
    pretrained: EncoderSettings,
    settings: MakingSettings,
    seed: int,
    folder: Path,
    earlier: Path | None = None,
) -> StoredEncoder:
    """Makes the encoder of a role, and stores it with the embeddings, the loss curves, its sources and the cost.

    Args:
        role: as for ``make_encoder``, and so are the next four.
        corpus: the documents.
        pretrained: the general-purpose encoder.
        settings: settings of the other encoders.
        seed: of initial weights and training data.
        folder: of encoders, with one subfolder per encoder and the loss curves of all.
        earlier: another such folder; an encoder that was made from the same is copied from it, with its cost.
    """
    digest = training_digest(role, corpus, pretrained, settings, seed)
    name, checkpoints = paths.encoder(role, seed).name, CHECKPOINTS / digest
    if earlier is not None and _digest(earlier / name) == digest:
        shutil.copytree(earlier / name, folder / name)
        losses = {part: read_losses(path) for part, path in _curves(earlier, role, seed).items()}
    else:
        made, seconds = timed(lambda: make_encoder(role, corpus, pretrained, settings, seed, checkpoints))
        rows, encoding_seconds = timed(lambda: embed(made, corpus.contents, ENCODED))
        save_encoded(made, rows, folder / name)
        cost = {"pretrain_seconds": seconds, "encode_seconds": encoding_seconds}
        write_json(folder / name / paths.COST_FILE, cost | {"pretrain_peak_memory_mb": peak_memory_mb()})
        write_json(folder / name / paths.SOURCES_FILE, encoder_sources(role, settings))
        write_json(folder / name / paths.DIGEST_FILE, digest)
        losses = dict(made.losses)
    for part, curve in losses.items():
        write_losses(curve, folder / paths.losses(role, seed, part).relative_to(paths.ENCODER_FOLDER))
    return StoredEncoder(role, seed, losses, read_json(folder / name / paths.COST_FILE), checkpoints)


def encoder_sources(role: str, settings: MakingSettings) -> list[str]:
    """Returns what an encoder learned from beside the documents; see ``SystemIdentity.sources``."""
    written = settings.pairs.synthetic is not None and settings.pairs.synthetic.queries
    sources = [] if role in FROM_SCRATCH else [PRETRAINED_WEIGHTS]
    return [*sources, LANGUAGE_MODEL] if written and role not in paths.SEED_INDEPENDENT_ROLES else sources


def _digest(encoder: Path) -> str | None:
    path = encoder / paths.DIGEST_FILE
    return str(read_json(path)) if path.is_file() else None


def _curves(folder: Path, role: str, seed: int) -> dict[str, Path]:
    """Returns the files of an encoder's loss curves by part of the training."""
    first = paths.losses(role, seed, "")
    found = (folder / first.parent.name).glob(f"{first.stem}*.csv")
    return {path.stem.removeprefix(first.stem): path for path in sorted(found)}
