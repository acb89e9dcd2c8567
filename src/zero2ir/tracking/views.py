"""A saved view of MLflow's page of runs: the systems of a collection, the best first, with two charts.

MLflow keeps the views that its users save as tags of the experiment; the menu "Views" lists them.
"""

import json
import time
from typing import TYPE_CHECKING, Any

from zero2ir.tracking.names import metric_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

VIEW = "systems"  # as the address of the view names it: …/runs?viewStateShareKey=systems
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
SECTION = "quality"
SECONDS = "cost/train_seconds"
MAX_BARS = 100


def save_view(client: "MlflowClient", experiment: "Experiment", measure: str) -> None:
    """Saves the view in an experiment, unless it has one; ``measure`` sorts the systems."""
    if VIEW_TAG in experiment.tags:
        return
    now = int(time.time() * 1000)
    view = {"name": f"Systems by {measure}", "createdAt": now, "updatedAt": now, "state": json.dumps(_state(measure))}
    client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, json.dumps(view))


def _state(measure: str) -> dict[str, Any]:
    """Returns the view in the form of MLflow 3.17, which ignores what it does not know."""
    name = metric_name(measure)
    metrics = (name, f"{name} ci_low", f"{name} ci_high", SECONDS)
    return {
        "searchFilter": "params.strategy != ''",  # only systems have this parameter; filtered runs need no parent
        "orderByKey": f"metrics.`{name}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"params.`{key}`" for key in ("model", "strategy", "seed")),
            *(f"metrics.`{key}`" for key in metrics),
            "tags.`chosen`",
        ],
        "columnWidths": {},
        "columnOrder": [],
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,  # keeps our section above those that MLflow adds
        "compareRunSections": [{"uuid": SECTION, "name": "Quality", "display": True, "isReordered": True}],
        "compareRunCharts": [
            _chart("bars", "BAR", displayName=measure, metricKey=name),
            _chart("cost", "SCATTER", xaxis=_axis(SECONDS), yaxis=_axis(name)),
        ],
    }


def _chart(uuid: str, kind: str, **properties: Any) -> dict[str, Any]:
    common = {"metricSectionId": SECTION, "runsCountToCompare": MAX_BARS, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, **common, **properties}


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
