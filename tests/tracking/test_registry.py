"""The registry's alias: who holds it, and what it takes to get it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Judgment
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, write_results
from zero2ir.tracking.registry import BEST_ALIAS, Promotion, better, promote, versions

OPTIONS = {"resamples": 500, "level": 0.95, "seed": 0}
QUERIES = [f"q{number}" for number in range(40)]
NAME, DOCUMENTS, FIRST = "trial", "d1", "sparse/zero_shot/seed0"
RULE: dict[str, Any] = {"documents": DOCUMENTS, "first": FIRST, "measure": "RR@10", "options": OPTIONS}


def values(*found: float) -> dict[str, float]:
    """A measure by query; the last value goes on to the end."""
    return {query: found[min(place, len(found) - 1)] for place, query in enumerate(QUERIES)}


class Store(NamedTuple):
    """A tracking store with a registered version for each system that was added."""

    client: Any
    experiment: str
    folder: Path

    def add(self, system: str, ranks: Mapping[str, int], documents: str = DOCUMENTS) -> dict[str, float]:
        """A version whose run holds the results of ranking each query's only relevant document at some place."""
        import mlflow

        run = self.client.create_run(self.experiment, run_name=system)
        model, strategy, seed = system.split("/")
        ranked = [["other"] * (rank - 1) + ["right"] for rank in ranks.values()]
        width = max(map(len, ranked))
        doc_ids = [
            [f"{doc}{place}" if doc == "other" else doc for place, doc in enumerate(row)] + [""] * (width - len(row))
            for row in ranked
        ]
        folder = self.folder / system.replace("/", "-")
        write_results(
            folder,
            system=SystemIdentity(model=model, strategy=strategy, seed=int(seed[4:]), dataset=NAME),
            run=Run(list(ranks), doc_ids, [[float(width - place) for place in range(width)] for _ in ranked]),
            qrels=[Judgment(query, "right", 1) for query in ranks],
            confidence={},
            cost={},
            settings=EvaluationSettings(measures=("RR@10",), depth=10, resamples=100),
            seed=0,
        )
        with mlflow.start_run(run_id=run.info.run_id):
            mlflow.log_artifacts(str(folder), "results")
        tags = {"system": system, "documents": documents, "program": f"{system} {len(versions(self.client, NAME))}"}
        self.client.create_model_version(NAME, str(folder), run.info.run_id, tags)
        return {query: 1 / rank for query, rank in ranks.items()}

    def best(self) -> str:
        return str(self.client.get_model_version_by_alias(NAME, BEST_ALIAS).tags["system"])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Store:
    import shutil

    import mlflow

    shutil.copy(template, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model(NAME)
    return Store(client, client.create_experiment(NAME), tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: making its tables takes seconds."""
    import mlflow

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def ranks(good: int, bad: int = 0) -> dict[str, int]:
    """The right document first for some queries, fourth for some, second for the others."""
    return {query: 1 if place < good else 4 if place < good + bad else 2 for place, query in enumerate(QUERIES)}


def test_the_baseline_holds_the_alias_until_another_is_significantly_better(store: Store) -> None:
    first = store.add(FIRST, ranks(0))
    luck = store.add("dense/zero_shot/seed0", ranks(3, 2))
    move = promote(store.client, NAME, {"dense/zero_shot/seed0": luck, FIRST: first}, **RULE)
    assert move == Promotion(FIRST, "it is the first one, against which the others have to show that they are better")
    assert store.best() == FIRST
    assert promote(store.client, NAME, {"dense/zero_shot/seed0": luck, FIRST: first}, **RULE) is None

    better_one = store.add("hybrid/zero_shot/seed0", ranks(30))
    move = promote(store.client, NAME, {"hybrid/zero_shot/seed0": better_one, FIRST: first}, **RULE)
    assert move is not None
    assert "over version 1, sparse/zero_shot/seed0 on 40 test queries" in move.reason
    assert store.best() == "hybrid/zero_shot/seed0"
    assert store.client.get_model_version_by_alias(NAME, BEST_ALIAS).tags["best_reason"] == move.reason


def test_where_nobody_holds_it_the_best_may_get_it_at_once(store: Store) -> None:
    found = {
        FIRST: store.add(FIRST, ranks(0)),
        "hybrid/zero_shot/seed0": store.add("hybrid/zero_shot/seed0", ranks(30)),
    }
    move = promote(store.client, NAME, found, **RULE)
    assert move is not None
    assert move.system == store.best() == "hybrid/zero_shot/seed0"


def test_an_equal_or_worse_newer_version_of_the_holder_does_not_get_it(store: Store) -> None:
    found = {FIRST: store.add(FIRST, ranks(20))}
    promote(store.client, NAME, found, **RULE)
    holder = store.client.get_model_version_by_alias(NAME, BEST_ALIAS).version
    for good in (20, 0):
        assert promote(store.client, NAME, {FIRST: store.add(FIRST, ranks(good))}, **RULE) is None
        assert store.client.get_model_version_by_alias(NAME, BEST_ALIAS).version == holder


def test_other_documents_begin_anew(store: Store) -> None:
    promote(store.client, NAME, {FIRST: store.add(FIRST, ranks(40))}, **RULE)
    newer = {FIRST: store.add(FIRST, ranks(0), documents="d2")}
    assert promote(store.client, NAME, newer, **{**RULE, "documents": "d2"}) is not None
    assert store.client.get_model_version_by_alias(NAME, BEST_ALIAS).tags["documents"] == "d2"


def test_systems_that_are_not_registered_get_nothing(store: Store) -> None:
    assert promote(store.client, NAME, {FIRST: values(1.0)}, **RULE) is None


def test_of_several_that_are_better_the_one_that_gains_most() -> None:
    contenders = {"some": values(*[1.0] * 20, 0.0), "more": values(*[1.0] * 30, 0.0), "none": values(0.0)}
    move = better(contenders, values(0.0), "version 1", "RR@10", OPTIONS)
    assert move is not None
    assert move.system == "more"
    assert move.reason.startswith("RR@10 +0.750 [")
    assert "Holm-corrected over 3" in move.reason


def test_many_contenders_make_it_harder() -> None:
    """Six wins in six: p = 0.03 alone, 0.31 among ten."""
    lucky = values(*[1.0] * 6, 0.0)
    assert better({"lucky": lucky}, values(0.0), "v", "RR@10", OPTIONS) is not None
    crowd = {"lucky": lucky} | {f"other{number}": values(0.0) for number in range(9)}
    assert better(crowd, values(0.0), "v", "RR@10", OPTIONS) is None


@given(st.dictionaries(st.sampled_from(QUERIES), st.floats(0, 1), min_size=2))
def test_nobody_is_better_than_itself(found: dict[str, float]) -> None:
    assert better({"twin": dict(found)}, found, "v", "RR@10", {**OPTIONS, "resamples": 100}) is None
