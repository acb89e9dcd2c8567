"""The saved view of an experiment."""

import json
from pathlib import Path

from zero2ir.tracking.views import VIEW_TAG, save_view


def test_an_experiment_gets_one_view_that_stays_as_its_users_changed_it(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    number = client.create_experiment("cranfield", artifact_location=str(tmp_path))
    save_view(client, client.get_experiment(number), "nDCG@10")
    view = json.loads(client.get_experiment(number).tags[VIEW_TAG])
    state = json.loads(view["state"])
    assert view["name"] == "Systems by nDCG@10"
    assert state["orderByKey"] == "metrics.`nDCG.10`"
    assert [chart["type"] for chart in state["compareRunCharts"]] == ["BAR", "SCATTER"]
    found = client.search_runs([number], state["searchFilter"])
    assert found == []  # MLflow takes the filter
    client.set_experiment_tag(number, VIEW_TAG, "changed")
    save_view(client, client.get_experiment(number), "AP")
    assert client.get_experiment(number).tags[VIEW_TAG] == "changed"
