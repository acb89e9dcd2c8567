"""Everything that is fetched or comes in a package is pinned by its digest: packages, weights and data."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from zero2ir.encoders.settings import EncoderSettings, package_folder
from zero2ir.io.files import sha256
from zero2ir.lm.settings import PACKAGED, LMSettings
from zero2ir.lm.weights import weights_file

ROOT = Path(__file__).parents[1]
LOCKS = [path.name for path in sorted(ROOT.glob("requirements*.lock"))]


def conf(group: str) -> dict[str, dict[str, object]]:
    """The choices of a configuration group."""
    folder = ROOT / "conf" / group
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
    return {name: yaml.safe_load(path.read_text(encoding="utf-8")) for name, path in found.items()}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_digests(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8").strip())
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert packages
    assert [entry.split()[0] for entry in packages if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_weights_in_packages_have_the_digest_of_the_configuration() -> None:
    models = {name: one for name, one in conf("lm").items() if one.get("provider", "embedded") == "embedded"}
    settings = {name: LMSettings.model_validate(one) for name, one in models.items() if name != "gguf.yaml"}
    assert "smollm2.yaml" in settings
    for name, one in settings.items():
        assert all(map(PACKAGED.match, one.parts))
        assert one.sha256, f"{name}: no digest"
    smollm2 = settings["smollm2.yaml"].model_copy(update={"quantization": None})
    assert sha256(weights_file(smollm2, Path())) == smollm2.sha256


def test_encoders_in_packages_have_the_digest_of_the_configuration() -> None:
    settings = [EncoderSettings.model_validate(one) for one in conf("encoder").values() if one["source"] == "package"]
    assert settings
    for one in settings:
        assert sha256(package_folder(one.model) / "model.safetensors") == one.sha256


def test_public_collections_have_the_digests_of_their_files() -> None:
    pinned = json.loads((files("ir_datasets") / "etc" / "downloads.json").read_text(encoding="utf-8"))
    ids = {str(one["test"]).split("/")[0] for one in conf("dataset").values() if one["source"] == "ir_datasets"}
    assert {"beir", "cranfield"} <= ids
    for name in ids & pinned.keys():
        assert [place for place, one in _downloads(pinned[name]) if not one.get("expected_md5")] == []


def _downloads(value: dict[str, object], place: str = "") -> list[tuple[str, dict[str, object]]]:
    if "url" in value or "instructions" in value:
        return [(place, value)]
    return [found for key, one in value.items() if isinstance(one, dict) for found in _downloads(one, f"{place}/{key}")]
