"""Paths of the pipeline's artifacts, relative to the project's folder, and names of MLflow runs."""

import os
from pathlib import Path
from tempfile import TemporaryFile

from zero2ir.errors import InputError

COLLECTION_FOLDER = Path("data/collection")
JUDGMENTS_FOLDER = Path("data/judgments")
AUXILIARY_FOLDER = Path("data/auxiliary")  # auxiliary collections
COMMITTEE_FOLDER = Path("data/committee")  # encoders of the committee whose first documents are judged
SYNTHETIC_FOLDER = Path("data/synthetic")
ENCODER_FOLDER = Path("models/encoder")
RESULTS_FOLDER = Path("results")
REPORT_FOLDER = Path("report")
CACHE_VARIABLE = "ZERO2IR_CACHE"
CACHE_FOLDER = Path(os.environ.get(CACHE_VARIABLE) or ".cache")  # LM answers, embeddings; may be deleted at any time
PROGRAM_FOLDER = "program"  # in a trained system's folder
TRACKING_FILE = "tracking.json"  # in the same folder: the MLflow record of the training
TRAINING_FILE = "training.json"  # in the same folder: cost and choices of the training
SEED_INDEPENDENT_ROLES = ("pretrained", "late_interaction", "sentences")  # encoders that no random draw affects
COST_FILE = "cost.json"  # in the folders of synthetic queries and encoders: the cost of making them
REPRODUCTIONS_FILE = Path("docs/results/reproductions.jsonl")  # the log of checked figures
SOURCES_FILE = "sources.json"  # in the folders of encoders: what they learned from beside the documents
DIGEST_FILE = "digest.json"  # in the folders of encoders: a digest of all that they were made from


def home_expanded(path: str) -> Path:
    """Returns a path with the home folder instead of "~" or "~user"; raises ``InputError`` if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: the user has no home folder; write the whole path") from None


def open_cache(folder: Path) -> Path:
    """Creates a folder of the cache, unless it exists, and returns it.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{folder}: the cache cannot be written ({error.strerror}); set {CACHE_VARIABLE} to a folder that can"
        ) from None
    return folder


def ingested(path: Path) -> Path:
    """Returns the path of a file that the ingest stage wrote.

    Raises:
        InputError: the file does not exist.
    """
    if not path.is_file():
        raise InputError(f"{path}: file not found; run the ingest stage first")
    return path


def judgments(seed: int) -> Path:
    return JUDGMENTS_FOLDER / f"seed{seed}.jsonl"


def judgment_counts() -> Path:
    """Returns the path of the numbers of judged queries and documents of each seed."""
    return JUDGMENTS_FOLDER / "counts.json"


def candidates(seed: int) -> Path:
    """Returns the path of the candidates of the judged queries."""
    return JUDGMENTS_FOLDER / f"seed{seed}-candidates.json"


def unlabelled_queries(seed: int) -> Path:
    return JUDGMENTS_FOLDER / f"seed{seed}-unlabelled-queries.json"


def own_documents(seed: int) -> Path:
    """Returns the path of the own documents of the judged and unlabelled queries."""
    return JUDGMENTS_FOLDER / f"seed{seed}-own-documents.json"


def synthetic(seed: int) -> Path:
    """Returns the folder of the queries whose prompt shows the judgments drawn with ``seed``."""
    return SYNTHETIC_FOLDER / f"seed{seed}"


def encoder(role: str, seed: int) -> Path:
    """Returns the folder of an encoder and the encoded documents; one per seed unless the role is seed-independent."""
    return ENCODER_FOLDER / (role if role in SEED_INDEPENDENT_ROLES else f"{role}-seed{seed}")


def losses(role: str, seed: int, part: str) -> Path:
    """Returns the path of the loss curve of a part of an encoder's training; DVC plots all files of this folder."""
    return ENCODER_FOLDER / "losses" / f"{role}-seed{seed}-{part}.csv"


def pretraining_run(role: str, seed: int) -> str:
    return f"pretraining/{role}/seed{seed}"


def synthetic_run(seed: int) -> str:
    return f"synthetic/seed{seed}"


def system_name(model: str, strategy: str, seed: int) -> str:
    """Returns the folder name of a trained system."""
    return f"{model}-{strategy}-seed{seed}"


def run_name(model: str, strategy: str, seed: int) -> str:
    return f"{model}/{strategy}/seed{seed}"


def training_folder(model: str, strategy: str, seed: int) -> Path:
    """Returns the folder of a trained program and its training record."""
    return Path("models") / system_name(model, strategy, seed)


def results(model: str, strategy: str, seed: int) -> Path:
    """Returns the folder of a program's results on the test queries."""
    return RESULTS_FOLDER / system_name(model, strategy, seed)


def is_url(place: str | Path) -> bool:
    """Returns whether a place is a URL, not a path."""
    return isinstance(place, str) and "://" in place
