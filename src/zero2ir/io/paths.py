"""Where the pipeline's artifacts lie, relative to the project's folder."""

from pathlib import Path

COLLECTION = Path("data/collection")
JUDGMENTS = Path("data/judgments")
OTHERS = Path("data/others")  # other collections, to practise on
SYNTHETIC = Path("data/synthetic")
ENCODERS = Path("models/encoder")
RESULTS = Path("results")
REPORT = Path("report")
CACHE = Path(".cache")  # LM answers and embeddings by content; may be deleted at any time
PROGRAM = "program"  # inside a trained system's folder
TRACKED = "tracking.json"  # beside it: what MLflow is told of its training
TRAINING = "training.json"  # beside it: what its training took and chose
UNSEEDED = ("pretrained", "late_interaction", "sentences")  # roles of encoders for which nothing is drawn
COST = "cost.json"  # beside synthetic queries and encoders: what making them took


def judgments(seed: int) -> Path:
    """The judgments that one draw gives."""
    return JUDGMENTS / f"seed{seed}.jsonl"


def candidates(seed: int) -> Path:
    """What the judged queries of one draw rank; null where that is the whole collection."""
    return JUDGMENTS / f"seed{seed}-candidates.json"


def asked(seed: int) -> Path:
    """The queries that training may see the texts of beside one draw's judgments."""
    return JUDGMENTS / f"seed{seed}-asked.json"


def synthetic(seed: int) -> Path:
    """The synthetic queries whose prompt shows one draw's judgments."""
    return SYNTHETIC / f"seed{seed}"


def encoder(role: str, seed: int) -> Path:
    """The encoder that plays a role, with the encoded documents; one a seed where the seed decides anything."""
    return ENCODERS / (role if role in UNSEEDED else f"{role}-seed{seed}")


def losses(role: str, seed: int, part: str) -> Path:
    """The loss curve of one part of an encoder's training; nothing else lies in its folder, so that DVC plots all."""
    return ENCODERS / "losses" / f"{role}-seed{seed}-{part}.csv"


def pretraining_run(role: str, seed: int) -> str:
    """What MLflow calls the making of one encoder."""
    return f"pretraining/{role}/seed{seed}"


def synthetic_run(seed: int) -> str:
    """What MLflow calls the writing of one seed's synthetic queries."""
    return f"synthetic/seed{seed}"


def system(model: str, strategy: str, seed: int) -> str:
    """The folder name of one trained system."""
    return f"{model}-{strategy}-seed{seed}"


def run_name(model: str, strategy: str, seed: int) -> str:
    """What MLflow calls one trained system."""
    return f"{model}/{strategy}/seed{seed}"


def trained(model: str, strategy: str, seed: int) -> Path:
    """One trained program, and what its training took."""
    return Path("models") / system(model, strategy, seed)


def results(model: str, strategy: str, seed: int) -> Path:
    """One program's results on the test queries."""
    return RESULTS / system(model, strategy, seed)
