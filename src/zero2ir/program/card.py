"""The model card of a saved program: README.md, in the form that model hubs show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from zero2ir.data.languages import language_of
from zero2ir.encoders.settings import FROM_SCRATCH
from zero2ir.io.lines import json_line
from zero2ir.io.markdown import Table, escaped, markdown
from zero2ir.program.policy import Policy

CARD_FILE = "README.md"
UNTRAINED = "zero_shot"
ENCODERS = {  # own encoders by name: model, licence and place on the hub
    name: ("all-MiniLM-L6-v2", "Apache-2.0", "sentence-transformers/all-MiniLM-L6-v2")
    for name in ("minilm", "minilm_int8")
}
LANGUAGE_MODELS = {
    "smollm2": ("SmolLM2-135M-Instruct", "Apache-2.0"),
    "gemma3": ("Gemma 3 270M", "Gemma Terms of Use, https://ai.google.dev/gemma/terms"),
}
CALIBRATION = {  # its figures in metrics.json
    "accuracy": "share of relevant first documents",
    "Brier": "Brier score of the confidence",
    "ECE": "expected calibration error",
}
LIMITS = (
    "Ten judged queries do not distinguish systems that differ by less than about 0.16 nDCG@10: that this program is "
    "the best one for these documents is likely, not shown.",
    "The stated probabilities hold for queries like the judged ones. Watch them with `zero2ir monitor`.",
    "A pretrained encoder has the biases of the texts it was trained on.",
)


@dataclass(frozen=True)
class Card:
    """What the card of a program states.

    Attributes:
        about: metadata of the program.
        names: the model type, then those that it falls back to.
        language: ISO 639-1 code.
        documents: their number.
        language_model: its name; empty without one.
        policy: when it warns or abstains; None to answer always.
        is_calibrated: whether it states probabilities.
    """

    about: Mapping[str, Any]
    names: Sequence[str]
    language: str
    documents: int
    language_model: str
    policy: Policy | None
    is_calibrated: bool

    def markdown(self) -> str:
        """Returns the card; the same program gives the same one.

        Source of the form: Mitchell et al., "Model cards for model reporting", FAT* 2019, arXiv 1810.03993, and the
        header of Hugging Face's hub. Texts of users are escaped.
        """
        return "\n\n".join([_header(self), *_sections(self)]) + "\n"


def _header(card: Card) -> str:
    tags = ["information-retrieval", "zero2ir", *dict.fromkeys(card.names)]
    known: dict[str, Any] = {
        "library_name": "zero2ir",
        "pipeline_tag": "text-ranking",
        "language": [card.language],
        "license": "other",
        "license_name": "that-of-the-documents",
        "tags": tags,
    }
    names = card.about.get("encoders", {}).values()
    if base := sorted({ENCODERS[name][2] for name in names if name in ENCODERS}):
        known["base_model"] = base
    if evaluation := card.about.get("evaluation"):
        known["model-index"] = [_results(card.names[0], evaluation)]
    lines = [f"{key}: {json_line(value)}" for key, value in known.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---"])


def _results(name: str, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the test figures in the form of the hub."""
    dataset = str(evaluation["dataset"])
    metrics = [{"type": measure, "value": figure["mean"]} for measure, figure in evaluation["measures"].items()]
    task = {"type": "text-ranking", "name": "Text Ranking"}
    return {
        "name": name,
        "results": [{"task": task, "dataset": {"type": dataset, "name": dataset}, "metrics": metrics}],
    }


def _sections(card: Card) -> list[str]:
    about = card.about
    return [
        f"# {escaped(card.names[0])} by {escaped(str(about.get('strategy', UNTRAINED)))}, a zero2ir program",
        f"It searches {card.documents:,} documents in {language_of(card.language).name}, which this folder "
        "contains, and states the probability that a document is relevant.",
        '## Use\n\n```python\nimport zero2ir\n\nprogram = zero2ir.load("this-folder")\n'
        'answer = program(query="…")\nprint(answer.docids, answer.scores, answer.confidence)\n```\n\n'
        f"Saved by zero2ir {version('zero2ir')}. Loading runs no code of this folder.",
        "## How it was made\n\n" + markdown(_facts(card)).rstrip(),
        *_model_choice(about.get("model_choice")),
        *_decisions(about.get("decisions")),
        *_quality(about.get("quality")),
        *_evaluation(about.get("evaluation")),
        "## How far to trust it\n\n" + _trust(card),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in LIMITS),
        "## Licences\n\nThe folder contains the documents and, in an index or in weights, what was learned from them: "
        "share it only if you may share the documents.\n\n" + markdown(_licences(card)).rstrip(),
    ]


def _licences(card: Card) -> Table:
    about = card.about
    rows = [["documents", str(about.get("data", {}).get("licence", "unknown"))]]
    for role, name in about.get("encoders", {}).items():
        other = (
            "trained on the documents alone" if role in FROM_SCRATCH else "ask the makers of the one it started from"
        )
        model, licence, _ = ENCODERS.get(name, (name, other, ""))
        rows.append([f"encoder {role}: {model}", licence])
    if card.language_model:
        model, licence = LANGUAGE_MODELS.get(card.language_model, (card.language_model, "ask its makers"))
        rows.append([f"language model, not in this folder: {model}", licence])
    return Table(["", "licence"], [*rows, ["zero2ir", "Apache-2.0"]], labels=2)


def _facts(card: Card) -> Table:
    about = card.about
    rows = [
        ["collection", _collection(about.get("data", {}))],
        ["model type", card.names[0]],
        ["training strategy", str(about.get("strategy", UNTRAINED))],
        ["judged queries", f"{about['judged_queries']:,}" if "judged_queries" in about else ""],
        ["judged documents used", f"{about.get('labels', 0):,}"],
        ["chosen", str(about.get("chosen", ""))],
        ["because", str(about.get("reason", ""))],
        ["encoders", ", ".join(f"{role} in {kind}" for role, kind in about.get("precision", {}).items())],
        ["language model", card.language_model],
        ["falls back to", ", ".join(card.names[1:])],
        ["seed", str(about.get("seed", ""))],
    ]
    return Table(["", ""], [row for row in rows if row[1]], labels=2)


def _model_choice(choice: Mapping[str, Any] | None) -> list[str]:
    if not choice:
        return []
    rows = [
        [
            one["name"],
            f"{one['difference']:+.3f} [{one['ci_low']:+.3f}, {one['ci_high']:+.3f}]",
            "over a limit" if one["probability_best"] is None else f"{one['probability_best']:.0%}",
        ]
        for one in choice["candidates"]
    ]
    table = Table(["model type", "expected nDCG@10, difference", "chance of being best"], rows, labels=1)
    return [f"## The model type\n\nChosen on {choice['queries']} judged queries:\n\n{markdown(table).rstrip()}"]


def _collection(data: Mapping[str, str]) -> str:
    return ", ".join(data[key] for key in ("name", "source", "url") if data.get(key))


def _decisions(decisions: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if not decisions:
        return []
    rows = [
        [
            one["subject"],
            "used" if one["used"] else "not used",
            f"{one['expected_gain']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]",
            f"{one['queries']:,}",
        ]
        for one in decisions
    ]
    table = Table(["", "", "expected gain of the tuning measure, 95 % interval", "judged queries"], rows, labels=2)
    return [
        "## What was chosen\n\nBy the gain to expect from the judged queries and from what the same choice gained on "
        f"other collections:\n\n{markdown(table).rstrip()}"
    ]


def _evaluation(evaluation: Mapping[str, Any] | None) -> list[str]:
    """Returns the figures on test queries, which only the pipeline knows."""
    if not evaluation:
        return []
    stated = evaluation["confidence"]
    figures = evaluation["measures"] | {name: stated[key] for key, name in CALIBRATION.items() if key in stated}
    rows = [
        [name, f"{one['mean']:.3f} [{one['ci_low']:.3f}, {one['ci_high']:.3f}]", f"{one['n']:,}"]
        for name, one in figures.items()
    ]
    table = Table(["", f"mean, {100 * evaluation['level']:.0f} % interval", "test queries"], rows, labels=1)
    return [
        f"## How good it is\n\nOn queries of {escaped(str(evaluation['dataset']))} that training did not see:\n\n"
        f"{markdown(table).rstrip()}"
    ]


def _quality(quality: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    if not quality:
        return []
    table = Table(["", "number"], [[flaw, f"{found['count']:,}"] for flaw, found in quality.items()], labels=1)
    return ["## What was left out of the data\n\n" + markdown(table).rstrip()]


def _trust(card: Card) -> str:
    if not card.is_calibrated:
        return "It states no probabilities."
    lines: Sequence[str] = [
        "The probabilities come from the judged queries and from how scores relate to relevance on other collections; "
        "their 95 % intervals say how much few queries leave open."
    ]
    if (policy := card.policy) is not None:
        lines = [
            *lines,
            f"It answers plainly where the risk of a wrong first document is at most {policy.risk:.0%}, with a warning "
            f"up to {policy.max_risk:.0%}, and else not at all.",
        ]
    if "evaluation" not in card.about:
        hint = "No figure on test queries is in this card: `zero2ir compare` cross-validates on your judgments."
        lines = [*lines, hint]
    return "\n\n".join(lines)
