"""Small results folders, as the stage evaluate leaves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from zero2ir.data.records import Judgment
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, write_results
from zero2ir.io import paths

SETTINGS = EvaluationSettings(measures=("RR@10", "R@10"), depth=10, resamples=100)


def write(
    folder: Path,
    system: str,
    ranks: Sequence[int],
    *,
    seed: int = 0,
    dataset: str = "trial",
    seconds: float = 1.0,
    topics: Mapping[str, str] | None = None,
) -> Path:
    """A system that ranks each query's only relevant document at some place; its results folder below ``folder``."""
    model, strategy = system.split("/")
    width = max(ranks)
    queries = [f"q{number}" for number in range(len(ranks))]
    rows = [
        ["right" if place == rank else f"wrong{place}" for place in range(1, rank + 1)] + [""] * (width - rank)
        for rank in ranks
    ]
    made = folder / paths.system_name(model, strategy, seed)
    write_results(
        made,
        system=SystemIdentity(model=model, strategy=strategy, seed=seed, dataset=dataset),
        run=Run(queries, rows, [[float(width - place) for place in range(width)] for _ in ranks]),
        qrels=[Judgment(query, "right", 1) for query in queries],
        confidence={},
        cost={"train_seconds": seconds},
        settings=SETTINGS,
        seed=0,
        topics=topics,
    )
    return made
