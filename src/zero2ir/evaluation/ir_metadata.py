"""The schema of ir_metadata, which describes a TREC run by platform, goal, implementation, method, actor and data.

The description is a file of its own beside the run: trec_eval, pytrec_eval, ir_measures and ranx read no comments.

Source: Breuer, Keller and Schaer, "ir_metadata: an extensible metadata schema for IR experiments", SIGIR 2022,
doi:10.1145/3477495.3531738; the fields are those of schema version 0.1, https://www.ir-metadata.org. Further ones are
``resources``, which TIREx tracker writes, too, ``training``, ``scores by``, ``searches by``, ``licence`` and
``sha256``.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from zero2ir.io.files import finished_file
from zero2ir.io.settings import Settings

IR_METADATA_FILE = "ir-metadata.yml"
SCHEMA_VERSION = 0.1


def _spaced(name: str) -> str:
    return name.replace("_", " ")


class _Part(Settings):
    """A part of the metadata; underscores of names are spaces in the file."""

    model_config = ConfigDict(alias_generator=_spaced, populate_by_name=True)


class _OpenPart(_Part):
    """A part that may have keys of its own."""

    model_config = ConfigDict(extra="allow")


class Cpu(_Part):
    model: str | None = None
    architecture: str | None = None
    operation_mode: str | None = None
    number_of_cores: int | None = None


class Gpu(_Part):
    architecture: str | None = None
    number_of_cores: int | None = None
    ram: str | None = None


class Hardware(_Part):
    cpu: Cpu | None = None
    gpu: Gpu | None = None
    ram: str | None = None


class OperatingSystem(_Part):
    kernel: str | None = None
    distribution: str | None = None


class Software(_Part):
    """Names and versions, the libraries by programming language."""

    libraries: dict[str, list[str]] | None = None
    retrieval_toolkit: list[str] | None = None


class Platform(_Part):
    hardware: Hardware = Hardware()
    operating_system: OperatingSystem = OperatingSystem()
    software: Software = Software()


class Venue(_Part):
    name: str | None = None
    year: int | None = None


class Publication(_Part):
    dblp: str | None = None
    doi: str | None = None
    arxiv: str | None = None
    url: str | None = None
    abstract: str | None = None


class SignificanceTest(_Part):
    name: str
    correction_method: str | None = None


class EvaluationGoal(_Part):
    reported_measures: list[str] | None = None
    baseline: list[str] | None = None
    significance_test: list[SignificanceTest] | None = None


class ResearchGoal(_Part):
    description: str | None = None
    venue: Venue | None = None
    publication: Publication | None = None
    evaluation: EvaluationGoal | None = None


class Executable(_Part):
    cmd: str


class Source(_Part):
    lang: list[str] | None = None
    repository: str | None = None
    commit: str | None = None


class Implementation(_Part):
    executable: Executable | None = None
    source: Source | None = None


class Indexing(_Part):
    tokenizer: str | None = None
    stemmer: str | None = None
    stopwords: str | None = None


class Retrieval(_OpenPart):
    """A component of the ranking; it names the components whose output it uses."""

    name: str
    method: str | None = None
    params: dict[str, Any] | None = None
    reranks: str | None = None
    interpolates: list[str] | None = None
    scores_by: list[str] | None = None
    searches_by: list[str] | None = None
    weight: float | None = None


class Method(_OpenPart):
    automatic: bool
    score_ties: str | None = None
    indexing: Indexing | None = None
    retrieval: list[Retrieval] | None = None
    training: dict[str, Any] | None = None


class Actor(_Part):
    name: str | None = None
    orcid: str | None = None
    team: str | None = None
    fields: list[str] | None = None
    mail: str | None = None
    role: Literal["experimenter", "reproducer"] | None = None
    degree: str | None = None
    github: str | None = None
    twitter: str | None = None


class CollectionSource(_OpenPart):
    name: str
    source: str | None = None
    qrels: str | None = None
    topics: str | None = None
    licence: str | None = None
    ir_datasets: str | None = Field(default=None, alias="ir_datasets")


class DataSource(_OpenPart):
    name: str
    source: str | None = None
    sha256: str | None = None


class Data(_Part):
    test_collection: CollectionSource
    training_data: list[DataSource] | None = None
    other: list[DataSource] | None = None


class RunMetadata(_Part):
    """What a run's ``ir-metadata.yml`` states."""

    schema_version: float = Field(default=SCHEMA_VERSION, alias="schema-version")
    run_version: float = Field(default=1.0, alias="run-version")
    tag: str
    platform: Platform
    resources: dict[str, Any] | None = None
    research_goal: ResearchGoal
    implementation: Implementation
    method: Method
    actor: Actor
    data: Data


def write_ir_metadata(path: Path, metadata: RunMetadata) -> None:
    """Writes the metadata as YAML, without what is unknown."""
    from yaml import safe_dump

    content = metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    with finished_file(path) as file:
        safe_dump(content, file, sort_keys=False, allow_unicode=True, width=120)
