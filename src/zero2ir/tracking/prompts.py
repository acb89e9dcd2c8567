"""Keeps the prompts that trained systems use as versions in MLflow's prompt registry."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zero2ir.tracking.registry import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

IS_PROMPT = "mlflow.prompt.is_prompt"  # MLflow's mark of a registered model that holds prompts
DIGEST_TAG = "digest"


def register_prompt(client: "MlflowClient", name: str, record: Mapping[str, Any], run_id: str) -> int:
    """Registers a prompt as a version of ``name``, unless a version has the same text, and links it to a run.

    Args:
        client: of the store.
        name: of the prompt: letters, digits, "-", "_" and ".".
        record: the prompt, as the prompt search records it.
        run_id: the run of a system that uses the prompt.

    Returns:
        The version.
    """
    known = {
        one.tags[DIGEST_TAG]: int(one.version)
        for one in versions(client, name, f"tags.`{IS_PROMPT}` = 'true'")
        if DIGEST_TAG in one.tags
    }
    version = known.get(record["digest"])
    if version is None:
        version = _new_version(client, name, record)
    client.link_prompt_version_to_run(run_id, f"prompts:/{name}/{version}")
    return version


def _new_version(client: "MlflowClient", name: str, record: Mapping[str, Any]) -> int:
    from mlflow.exceptions import MlflowException

    about = f"{record['part']}: {record['style']}, {record['origin']}"

    def register() -> int:
        return int(client.register_prompt(name, prompt_text(record), about, {DIGEST_TAG: record["digest"]}).version)

    try:
        return register()
    except MlflowException as error:  # through a server, another process may have created the name meanwhile
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return register()


def prompt_text(record: Mapping[str, Any]) -> str:
    """Returns the instruction of a prompt, then each demonstration with the names of its fields."""
    demonstrations = [
        "\n".join(f"{field}: {value}" for field, value in one.items()) for one in record["demonstrations"]
    ]
    return "\n\n".join([record["instruction"], *demonstrations])
