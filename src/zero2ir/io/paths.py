"""Where the pipeline's artifacts lie, relative to the project's folder."""

from pathlib import Path

COLLECTION_FOLDER = Path("data/collection")
JUDGMENTS_FOLDER = Path("data/judgments")
AUXILIARY_FOLDER = Path("data/auxiliary")  # other collections, to practise on
SYNTHETIC_FOLDER = Path("data/synthetic")
ENCODER_FOLDER = Path("models/encoder")
RESULTS_FOLDER = Path("results")
REPORT_FOLDER = Path("report")
CACHE_FOLDER = Path(".cache")  # LM answers and embeddings by content; may be deleted at any time
PROGRAM_FOLDER = "program"  # inside a trained system's folder
TRACKING_FILE = "tracking.json"  # beside it: what MLflow is told of its training
TRAINING_FILE = "training.json"  # beside it: what its training took and chose
SEED_INDEPENDENT_ROLES = ("pretrained", "late_interaction", "sentences")  # roles of encoders for which nothing is drawn
COST_FILE = "cost.json"  # beside synthetic queries and encoders: what making them took


def judgments(seed: int) -> Path:
    """The judgments that one draw gives."""
    return JUDGMENTS_FOLDER / f"seed{seed}.jsonl"


def candidates(seed: int) -> Path:
    """What the judged queries of one draw rank; null where that is the whole collection."""
    return JUDGMENTS_FOLDER / f"seed{seed}-candidates.json"


def unlabelled_queries(seed: int) -> Path:
    """The queries that training may see the texts of beside one draw's judgments."""
    return JUDGMENTS_FOLDER / f"seed{seed}-unlabelled-queries.json"


def synthetic(seed: int) -> Path:
    """The synthetic queries whose prompt shows one draw's judgments."""
    return SYNTHETIC_FOLDER / f"seed{seed}"


def encoder(role: str, seed: int) -> Path:
    """The encoder that plays a role, with the encoded documents; one a seed where the seed decides anything."""
    return ENCODER_FOLDER / (role if role in SEED_INDEPENDENT_ROLES else f"{role}-seed{seed}")


def losses(role: str, seed: int, part: str) -> Path:
    """The loss curve of one part of an encoder's training; nothing else lies in its folder, so that DVC plots all."""
    return ENCODER_FOLDER / "losses" / f"{role}-seed{seed}-{part}.csv"


def pretraining_run(role: str, seed: int) -> str:
    """What MLflow calls the making of one encoder."""
    return f"pretraining/{role}/seed{seed}"


def synthetic_run(seed: int) -> str:
    """What MLflow calls the writing of one seed's synthetic queries."""
    return f"synthetic/seed{seed}"


def system_name(model: str, strategy: str, seed: int) -> str:
    """The folder name of one trained system."""
    return f"{model}-{strategy}-seed{seed}"


def run_name(model: str, strategy: str, seed: int) -> str:
    """What MLflow calls one trained system."""
    return f"{model}/{strategy}/seed{seed}"


def training_folder(model: str, strategy: str, seed: int) -> Path:
    """One trained program, and what its training took."""
    return Path("models") / system_name(model, strategy, seed)


def results(model: str, strategy: str, seed: int) -> Path:
    """One program's results on the test queries."""
    return RESULTS_FOLDER / system_name(model, strategy, seed)
