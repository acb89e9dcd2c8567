"""Weights and data have a digest and a licence, and the document follows CycloneDX's schema."""

import hashlib
import json
from typing import Any

import pytest
import yaml

from tools.sbom import PARTS, check, completed, stated_licences
from zero2ir.config import conf_folder
from zero2ir.errors import InputError

LISTED: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "components": [
        {"type": "library", "name": "pytest", "licenses": [{"license": {"id": "MIT"}}]},
        {"type": "library", "name": "transformers"},
    ],
}


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return completed(LISTED, PARTS)


def test_weights_and_data_follow_the_packages(bill: dict[str, Any]) -> None:
    check(bill)
    added = {one["name"]: one for one in bill["components"][2:]}
    assert set(added) == {part.name for part in PARTS}
    digests = {name: one["hashes"][0]["content"] for name, one in added.items()}
    minilm = yaml.safe_load((conf_folder() / "encoder" / "minilm.yaml").read_text(encoding="utf-8"))
    assert digests["all-MiniLM-L6-v2"] == minilm["sha256"]
    for part in PARTS:
        assert part.path is not None
        assert digests[part.name] == hashlib.sha256(part.path.read_bytes()).hexdigest()


def test_a_licence_in_words_is_kept(bill: dict[str, Any]) -> None:
    assert bill["components"][1]["licenses"] == [{"license": {"name": "Apache 2.0 License"}}]
    (licence,) = stated_licences("huey")
    assert "Permission is hereby granted" in licence["license"]["text"]["content"]


def test_what_is_missing_or_wrong_is_one_line(bill: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no licence: one; add it"):
        check(bill | {"components": [{"type": "library", "name": "one"}]})
    with pytest.raises(InputError, match="not valid by CycloneDX's schema"):
        check(json.loads(json.dumps(bill).replace('"machine-learning-model"', '"weights"')))
