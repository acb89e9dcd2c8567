from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from zero2ir.lm.settings import LMSettings

CONF = Path(__file__).parents[2] / "conf" / "lm"


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_fits_the_schema_and_is_named_after_its_file(path: Path) -> None:
    assert LMSettings(**yaml.safe_load(path.read_text())).name == path.stem  # "???" is a file name, too


def test_the_defaults_are_the_embedded_smollm2() -> None:
    written = yaml.safe_load((CONF / "smollm2.yaml").read_text())
    digest = written["sha256"]  # of one file, so that it is no default
    expected = LMSettings(name="smollm2", sha256=digest, quantization="Q8_0", slots=2, concurrency=2)
    assert expected == LMSettings(**written)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"api_key": "sk-123"}, "api_key"),  # keys have no place in a configuration file
        ({"provider": "litellm"}, "model"),
        ({"weights": ""}, "the path of a GGUF file"),
        ({"weights": None}, "the path of a GGUF file"),
        ({"provider": "llamacpp"}, "provider"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LMSettings(**{"name": "x", **wrong})
