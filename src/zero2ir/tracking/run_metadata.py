"""Describes a run of the pipeline in ir_metadata, by what ingest, train and evaluate recorded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero2ir.data.records import Collection
from zero2ir.data.words import describe_analysis
from zero2ir.evaluation.ir_metadata import (
    CollectionSource,
    Data,
    DataSource,
    EvaluationGoal,
    Executable,
    Implementation,
    Indexing,
    Method,
    ResearchGoal,
    Retrieval,
    RunMetadata,
    SignificanceTest,
    Source,
)
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity
from zero2ir.io import paths
from zero2ir.models.base import Model, Retriever, nested_models
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program
from zero2ir.tracking.provenance import code_repository, describe_actor, describe_platform
from zero2ir.tracking.runs import TrainingRecord

GOAL = "Retrieval from few relevance judgments: how well a system ranks with {queries} judged queries to train on."
SCORE_TIES = "document id, descending, as trec_eval"
TESTS = [SignificanceTest(name="paired randomisation test", correction_method="Holm")]  # of the report


def run_metadata(
    system: SystemIdentity,
    program: Program,
    collection: Collection,
    training: TrainingRecord,
    settings: EvaluationSettings,
    cost: Mapping[str, float],
) -> RunMetadata:
    """Returns the metadata of a system's run on the test queries.

    Args:
        system: the identity, with the code revision among its notes.
        program: ranked the test queries.
        collection: with its metadata.
        training: the record of the program's training.
        settings: of the evaluation.
        cost: by name with unit, as in metrics.json.
    """
    strategy = {"strategy": system.strategy, "seed": system.seed, "judged queries": system.judged_queries}
    notes = {key: system.notes[key] for key in ("chosen", "reason") if key in system.notes}
    rows = retrieval(program.retriever)
    is_lexical = any(row.method == _class(Sparse) for row in rows)
    return RunMetadata(
        tag=system.name,
        platform=describe_platform(system.runtime),
        resources=dict(cost),
        research_goal=ResearchGoal(
            description=GOAL.format(queries=system.judged_queries),
            evaluation=EvaluationGoal(reported_measures=list(settings.measures), significance_test=TESTS),
        ),
        implementation=Implementation(
            executable=Executable(cmd=f"dvc repro evaluate@{system.model}-{system.strategy}-{system.seed}"),
            source=Source(lang=["python"], repository=code_repository(), commit=system.notes.get("code")),
        ),
        method=Method(
            automatic=True,
            score_ties=SCORE_TIES,
            indexing=Indexing(**describe_analysis(program.language)) if is_lexical else None,
            retrieval=rows,
            training=strategy | notes,
        ),
        actor=describe_actor(),
        data=_data(collection, training, program),
    )


def retrieval(model: Model) -> list[Retrieval]:
    """Returns a row for a model and for each nested one, a component after those whose output it uses."""
    rows: list[Retrieval] = []

    def add(one: Model) -> str:
        nested = [(inner, add(inner)) for inner in nested_models(one)]
        retrievers = [name for inner, name in nested if isinstance(inner, Retriever)]
        scorers = [name for inner, name in nested if not isinstance(inner, Retriever)]
        number = sum(row.name.partition(" ")[0] == one.kind for row in rows)
        row = Retrieval(
            name=one.kind if not number else f"{one.kind} {number + 1}",
            method=_class(type(one)),
            params=_params(one) or None,
            interpolates=retrievers if len(retrievers) > 1 else None,
            reranks=retrievers[0] if scorers and len(retrievers) == 1 else None,
            scores_by=scorers or None,
            searches_by=retrievers if len(retrievers) == 1 and not scorers else None,
        )
        rows.append(row)
        return row.name

    add(model)
    return rows


def _class(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _params(model: Model) -> dict[str, Any]:
    """Returns the parameters that rank and are no models, as JSON; alternatives were for tuning."""
    nested = nested_models(model)
    values = {
        name: value
        for name, value in model.get_params().items()
        if name != "alternatives"
        and value not in nested
        and not (isinstance(value, (list, tuple)) and any(one in nested for one in value))
    }
    return dict(json.loads(json.dumps(values, default=lambda value: value.model_dump(mode="json"))))


def _data(collection: Collection, training: TrainingRecord, program: Program) -> Data:
    facts, name = collection.metadata, str(collection.metadata["name"])
    panel = training.panel
    used = {"encoder": panel.get("encoder")} if program.about.get("precision") else {}
    used |= {"language model": panel.get("lm")} if program.language_model is not None else {}
    url = str(facts.get("url", ""))
    return Data(
        test_collection=CollectionSource(
            name=name,
            source=facts["source"],
            qrels=_relative(paths.COLLECTION_FOLDER / "qrels.parquet"),
            topics=_relative(paths.COLLECTION_FOLDER / "queries.parquet"),
            ir_datasets=url if url.startswith("https://ir-datasets.com/") else None,
            licence=facts["licence"],
        ),
        training_data=[
            *(DataSource(name=one.name, source=_relative(one.path), sha256=one.digest) for one in training.data),
            *(DataSource(name="auxiliary collection", source=Path(one).name) for one in panel["auxiliary_collections"]),
        ],
        other=[DataSource(name=name, source=str(choice)) for name, choice in used.items()] or None,
    )


def _relative(path: Path) -> str:
    """Returns a path below the project; of another one its name."""
    return path.name if path.is_absolute() else path.as_posix()
