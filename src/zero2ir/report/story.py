"""The first screen of the report: questions about the experiment, answered in sentences made from its figures.

A sentence claims a difference only if both show it: the test, corrected within its family, and the interval. Names are
in backticks.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from zero2ir.evaluation.results import PRETRAINED_WEIGHTS
from zero2ir.evaluation.significance import SIGNIFICANCE_LEVEL, needed_queries
from zero2ir.report.budget_curves import Curve
from zero2ir.report.model_choice import gain_of_judging
from zero2ir.report.tables import (
    UNTRAINED_STRATEGY,
    CorrectedComparison,
    Summary,
    System,
    as_words,
    difference_text,
    format_signed,
    format_value,
    interval_text,
    listed,
    p_text,
    power,
    untrained_systems,
)

PARTS = {  # of models, in words; others have their own names
    "sparse": "BM25",
    "pretrained": "a pretrained encoder",
    "static": "an encoder from scratch",
    "scratch": "a transformer from scratch",
    "lm": "a language model",
}
MAX_NAMES = 5  # in one sentence
FEW_QUERIES, MANY_QUERIES = 10, 10_000  # fewer and more are not worth an exact number
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Answer(NamedTuple):
    """A question, what the figures answer, and the figures."""

    question: str
    claim: str
    evidence: str


def tell(summary: Summary, curves: Sequence[Curve] = ()) -> list[Answer]:
    """Answers each question for which the experiment has systems.

    Args:
        summary: all figures.
        curves: of the main measure over the number of judged queries, if there are results of other budgets.
    """
    answers = (
        _of_documents(summary),
        _of_pretrained_weights(summary),
        _of_judgments(summary),
        _of_language_model(summary),
        _of_more_judgments(summary, curves),
    )
    return [one for one in answers if one is not None]


def highest(summary: Summary) -> str:
    """Returns a sentence on the system with the highest mean."""
    best = max(summary.systems, key=lambda one: one.measures[summary.main_measure].mean)
    text = f"The highest mean is {_value(summary, best)}, of {_quoted(best.name)}"
    if len(summary.distinct) > 1:
        text += f". It is the best of {len(summary.distinct)} on these queries; expect a little less on new ones"
    return f"{text}."


def _of_documents(summary: Summary) -> Answer | None:
    alone = _untrained(summary)
    if not alone:
        return None
    rows = {one.name: row for one in alone if (row := summary.versus_baseline(one.name, summary.main_measure))}
    question, claim = "What do the documents alone give?", _reached(summary, alone[0])
    baseline = next((one for one in alone if one.name == summary.baseline), None)
    if baseline is None or not rows:
        return Answer(question, f"{claim}.", _sentences(_interval(summary, alone[0])))
    compared = [one for one in alone if one is not baseline]
    better = [one for one in compared if rows[one.name].verdict == "better"]
    if better and better[0] is alone[0]:
        claim += f" and ranks better than {_with_value(summary, baseline)}"
    elif better:
        claim += f". {_quoted(better[0].model)} ranks better than {_with_value(summary, baseline)}"
    elif all(rows[one.name].verdict == "worse" for one in compared):
        claim += f". {_names(_quoted(one.model) for one in compared)} {_verb(compared)} worse"
    elif baseline is alone[0]:
        claim += ". Nothing is shown to rank better"
    else:
        claim += f". Nothing is shown to rank better than {_with_value(summary, baseline)}"
    first, *others = [*better[:1], *(one for one in compared if one not in better[:1])]
    figures = [f"{_quoted(first.model)}: {_figures(rows[first.name])}"]
    figures += [f"{_quoted(one.model)}: {rows[one.name].verdict}" for one in others[:MAX_NAMES]]
    judged = {row.system: row.verdict for row in summary.against_condensed}
    differing = [one for one in compared if judged.get(one.name, rows[one.name].verdict) != rows[one.name].verdict]
    figures += [
        f"Without unjudged documents, {_quoted(one.model)}: {judged[one.name]}" for one in differing[:MAX_NAMES]
    ]
    return Answer(question, f"{claim}.", _sentences(*figures))


def _of_pretrained_weights(summary: Summary) -> Answer | None:
    weighted, alone = _untrained(summary, PRETRAINED_WEIGHTS), _untrained(summary)
    if not weighted:
        return None
    question, claim = "What does a pretrained encoder add?", _reached(summary, weighted[0])
    row = _find(summary.with_weights, weighted[0], alone[0]) if alone else None
    if row is None:
        return Answer(
            question, f"{claim}; nothing without one was measured.", _sentences(_interval(summary, weighted[0]))
        )
    other = f"{_quoted(alone[0].model)}, the best from the documents alone"
    claim += {
        "better": f" and ranks better than {other}.",
        "worse": f" and ranks worse than {other}.",
        "undecided": f"; no difference to {other}, is shown.",
    }[row.verdict]
    return Answer(question, claim, _sentences(f"difference {_figures(row)}"))


def _of_judgments(summary: Summary) -> Answer | None:
    trained = [one for one in summary.systems if one.strategy != UNTRAINED_STRATEGY and _judged(one) != {0}]
    if not trained:
        return None
    question = f"What do {_budget(summary)} add?"
    if rows := _judgment_rows(summary):
        draws = len(summary.seeds)
        luck = (
            "One draw of judgments: its luck is not in the intervals" if draws == 1 else f"{draws} draws of judgments"
        )
        return Answer(question, *_gains(summary, rows, "as before", luck))
    return Answer(question, f"Not measured: the strategies lack {UNTRAINED_STRATEGY} to compare with.", "")


def _of_language_model(summary: Summary) -> Answer | None:
    if not summary.with_lm:
        return None
    return Answer("What does a language model add?", *_gains(summary, summary.with_lm, "as without one"))


def _gains(summary: Summary, rows: Sequence[CorrectedComparison], same: str, *further: str) -> tuple[str, str]:
    """Returns claim and evidence of a family in which each row compares two systems of one model type.

    Args:
        summary: all figures.
        rows: the family.
        same: how models rank whose systems are equal.
        further: sentences that follow the figures, if there are any.
    """
    changed = sorted(summary.distinct_rows(rows), key=lambda row: -row.comparison.difference.mean)
    models = [_model_of(row.system) for row in changed]
    name_of = {
        row.system: _quoted(model if models.count(model) == 1 else row.system)
        for model, row in zip(models, changed, strict=True)
    }
    better, worse, undecided = (
        [row for row in changed if row.verdict == verdict] for verdict in ("better", "worse", "undecided")
    )
    equal = [model for model in dict.fromkeys(_model_of(row.system) for row in rows) if model not in models]
    claims = [
        f"{_names(name_of[row.system] for row in group)} {_verb(group)} {group[0].verdict} "
        f"({_names(format_signed(row.comparison.difference.mean) for row in group)})"
        for group in (better, worse)
        if group
    ]
    if undecided:
        claims.append(f"No gain or loss is shown for {_names(name_of[row.system] for row in undecided)}")
    if equal:
        claims.append(f"{_names(map(_quoted, equal))} {_verb(equal)} {same}")
    if not changed:
        return _sentences(f"Nothing: {claims[0]}"), ""
    figures = [f"{name_of[row.system]}: {_figures(row)}" for row in (*better, *worse)[:2]]
    figures += [f"{name_of[row.system]}: {difference_text(row.comparison.difference)}" for row in undecided[:2]]
    return _sentences(*claims), _sentences(*figures, *further)


def _of_more_judgments(summary: Summary, curves: Sequence[Curve]) -> Answer | None:
    found = power(summary)
    if found is None:
        return None
    budget = {n for one in summary.systems for n in _judged(one) if n}
    few = budget.pop() if len(budget) == 1 else FEW_QUERIES
    least = found.single * math.sqrt(found.queries / few)
    shown = f"show differences between systems from {format_value(least)} on" if least < 1 else "show no difference"
    claims = [f"{_count(few, 'judged query', 'judged queries')} can {shown}"]
    needs = [f"{_needed(row)} {text}" for text, row in _notable(summary) if not math.isnan(row.comparison.sd)]
    if needs:
        claims.append(f"It would take {listed(needs)}")
    return Answer(
        "What would more judgments have shown?",
        _sentences(*claims),
        _sentences(
            f"The {found.queries:,} test queries can show them from {format_value(found.single)} on",
            "This holds for queries judged as completely as these, for true differences as large as measured, and for "
            f"a single paired test at the {SIGNIFICANCE_LEVEL:.0%} level with 80% power",
            *_measured(curves, summary.main_measure),
            *[f"By `model=auto`, {gain_of_judging(choice)}" for choice in _choices(summary)[:1]],
        ),
    )


def _notable(summary: Summary) -> list[tuple[str, CorrectedComparison]]:
    """Returns comparisons whose size is worth relating to a number of judged queries, and what these would show."""
    gains = [row for row in _judgment_rows(summary) if not row.is_equal]
    largest = max(gains, key=lambda row: abs(row.comparison.difference.mean), default=None)
    rows = [(f"to see what training changes in {_quoted(_model_of(row.system))}", row) for row in (largest,) if row]
    rows += [
        (f"to tell the best two apart, {_system(row.system)} and {_system(row.other)}", row)
        for row in summary.best_models
    ]
    return [(f"{text} ({format_value(abs(row.comparison.difference.mean))})", row) for text, row in rows]


def _needed(row: CorrectedComparison) -> str:
    queries = needed_queries(row.comparison.sd, row.comparison.difference.mean)
    if queries < FEW_QUERIES:
        return f"fewer than {FEW_QUERIES}"
    return f"more than {MANY_QUERIES:,}" if queries > MANY_QUERIES else f"about {float(f'{queries:.2g}'):,.0f}"


def _measured(curves: Sequence[Curve], measure: str) -> list[str]:
    """Returns what the curve with the highest last point measured."""
    best = max(curves, key=lambda curve: list(curve.points.values())[-1].mean, default=None)
    if best is None:
        return []
    points = [f"{interval_text(value)} with {number}" for number, value in best.points.items()]
    return [f"{_system(f'{best.model}/{best.strategy}')} has {measure} {listed(points)} judged queries"]


def _judgment_rows(summary: Summary) -> list[CorrectedComparison]:
    """Returns the comparisons of trained with untrained systems that learned from nothing but judgments more."""
    sources = {one.name: one.sources for one in summary.systems}
    rows = (row for row in summary.against_untrained if row.measure == summary.main_measure)
    return [row for row in rows if sources[row.system] == sources[row.other]]


def _untrained(summary: Summary, *sources: str) -> list[System]:
    """Returns ``untrained_systems``, the highest mean first."""
    found = untrained_systems(summary.systems, *sources)
    return sorted(found, key=lambda one: -one.measures[summary.main_measure].mean)


def _find(rows: Iterable[CorrectedComparison], system: System, other: System) -> CorrectedComparison | None:
    return next((row for row in rows if (row.system, row.other) == (system.name, other.name)), None)


def _judged(system: System) -> set[int | None]:
    return {each.system.judged_queries for each in system.results}


def _budget(summary: Summary) -> str:
    numbers = {n for one in summary.systems for n in _judged(one)}
    (number,) = numbers if len(numbers) == 1 else (None,)
    return "judgments" if number is None else _count(number, "judged query", "judged queries")


def _choices(summary: Summary) -> list[Mapping[str, Any]]:
    return [each.system.model_choice for each in summary.results if each.system.model_choice]


def _reached(summary: Summary, system: System) -> str:
    parts = _parts(system)
    name = f"{_quoted(system.model)} ({parts})" if parts else _quoted(system.model)
    return f"{name} reaches {summary.main_measure} {_value(summary, system)}"


def _with_value(summary: Summary, system: System) -> str:
    return f"{_parts(system) or _quoted(system.model)} ({_value(summary, system)})"


def _parts(system: System) -> str:
    """Returns what a system is made of, in words; empty if unknown."""
    parts = [PARTS.get(part, as_words(part)) for part in system.results[0].system.parts]
    return listed(parts) if parts else ""


def _value(summary: Summary, system: System) -> str:
    return format_value(system.measures[summary.main_measure].mean)


def _interval(summary: Summary, system: System) -> str:
    return f"{summary.main_measure} {interval_text(system.measures[summary.main_measure])}"


def _figures(row: CorrectedComparison) -> str:
    each = row.comparison
    total = each.wins + each.ties + each.losses
    record = f"higher on {each.wins:,} of {total:,} queries, lower on {each.losses:,}"
    return f"{difference_text(each.difference)}, {p_text(row.p_holm)}, {record}"


def _model_of(name: str) -> str:
    return name.partition("/")[0]


def _system(name: str) -> str:
    """Returns the model type alone for an untrained system."""
    return _quoted(name.removesuffix(f"/{UNTRAINED_STRATEGY}"))


def _quoted(name: str) -> str:
    return f"`{name}`"


def _names(names: Iterable[str]) -> str:
    """Lists at most ``MAX_NAMES`` names, and the number of the others."""
    shown = list(names)
    rest = len(shown) - MAX_NAMES
    return listed(shown if rest <= 0 else [*shown[:MAX_NAMES], f"{rest} more"])


def _verb(group: Sequence[object]) -> str:
    return "ranks" if len(group) == 1 else "rank"


def _count(number: int, one: str, many: str) -> str:
    word = _WORDS[number] if number < len(_WORDS) else f"{number:,}"
    return f"{word} {one if number == 1 else many}"


def _sentences(*texts: str) -> str:
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in texts if text)
