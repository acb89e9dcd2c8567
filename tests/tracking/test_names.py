"""Names that MLflow takes."""

import pytest

from zero2ir.tracking.names import metric_name, model_name, prompt_name, registered_name


@pytest.mark.parametrize(
    ("measure", "name"),
    [("nDCG@10", "nDCG.10"), ("AP", "AP"), ("P(rel=2)@5", "P.rel.2.5"), ("nDCG@10 ci_low", "nDCG.10 ci_low")],
)
def test_measures_get_names_that_mlflow_takes(measure: str, name: str) -> None:
    assert metric_name(measure) == name


def test_a_registered_name_has_no_slash() -> None:
    assert registered_name("beir/scifact") == "beir-scifact"


def test_names_of_prompts_and_logged_models_pass_mlflow_s_own_checks() -> None:
    from mlflow.prompt.registry_utils import validate_prompt_name
    from mlflow.utils.validation import _validate_logged_model_name

    prompt, model = prompt_name("beir/scifact: über", "query writer"), model_name("sparse/zero_shot/seed0")
    validate_prompt_name(prompt)
    _validate_logged_model_name(model)
    assert model == "sparse-zero_shot-seed0"
    assert prompt.startswith("beir-scifact-")
    assert prompt.endswith("-query-writer")
