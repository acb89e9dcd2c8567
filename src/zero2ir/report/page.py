"""Writes the report folder: page, tables and figures."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zero2ir.data.records import Collection
from zero2ir.evaluation.results import all_topics, read_all
from zero2ir.io.files import finished_file, finished_folder
from zero2ir.io.markdown import Table, escaped, heading, markdown
from zero2ir.io.pages import render_page
from zero2ir.report import tables
from zero2ir.report.budget_curves import Curve, budget_curves, budgets_table, read_other_budgets
from zero2ir.report.delta_plot import delta_plot
from zero2ir.report.efficiency import differing_cost_axes, pareto_table
from zero2ir.report.figures import draw_figures
from zero2ir.report.findings import Finding, find_findings
from zero2ir.report.latex import latex
from zero2ir.report.model_choice import candidates_table, worth_of_judging
from zero2ir.report.provenance import provenance
from zero2ir.report.query_cases import Cases, find_cases
from zero2ir.report.story import Answer, highest, tell
from zero2ir.report.tables import BETTER, SIGNIFICANCE_LEVEL, UNTRAINED_STRATEGY, WORSE, CorrectedComparison, Summary

_CANDIDATES = {"qrels": "all documents judged for it", "run": "documents of a run"}


def build_report(
    results: Sequence[Path],
    output: Path,
    *,
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
    cards: Sequence[Mapping[str, Any]] = (),
    judgments: Mapping[str, Mapping[str, int]] | None = None,
    collection: Collection | None = None,
    other_results: Sequence[Path] = (),
    baseline: str = "sparse/zero_shot",
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Path:
    """Writes the report folder atomically: index.html, tables and figures.

    Args:
        results: one results folder per system and seed.
        output: replaced if it exists.
        manifest: the content of the collection's manifest.json.
        settings: the settings of the experiment, as in params.yaml.
        cards: the data cards of the synthetic queries, as in card.json.
        judgments: the numbers of judgments by seed, as in counts.json.
        collection: the collection, for the section on single queries; None omits the section.
        other_results: folders with results of other budgets, for curves over the number of judged queries.
        baseline: "model/strategy" with which every system is compared.
        resamples: number of resamples of each bootstrap and randomisation test.
        level: confidence level of the intervals.
        seed: seed of the resampling; the same seed and results give the same page, whose path is returned.

    Raises:
        InputError: there are no results, or they are not comparable.
    """
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    summary = tables.summarise(read_all(results), baseline=baseline, **options)
    others = read_other_budgets(other_results, summary.dataset)
    measured = [*summary.results, *others]
    curves = budget_curves(measured, summary.main_measure, **options, topics=all_topics(measured))
    cases = find_cases(summary, results, collection) if collection else None
    with finished_folder(output) as part:
        answers = tell(summary, curves)
        for name, text in _tables(summary, answers).items():
            _write(part / name, text)
        figures = [
            {"caption": drawn.caption, "alt": drawn.alt, "name": drawn.name, "data": _data_uri(part, drawn.name)}
            for drawn in draw_figures(summary, part / "figures", curves)
        ]
        _write(
            part / "index.html",
            _page(
                summary,
                answers,
                figures,
                manifest,
                settings,
                cards,
                judgments or {},
                cases,
                curves,
                _judged_irrelevant(collection),
            ),
        )
    return output / "index.html"


def _write(path: Path, text: str) -> None:
    with finished_file(path) as file:
        file.write(text)


def _tables(summary: Summary, answers: Sequence[Answer]) -> dict[str, str]:
    systems, paper = tables.systems_table(summary), tables.paper_table(summary)
    bold = tables.best_cells(summary, paper)
    return {
        "summary.md": _summary(summary, answers, markdown(paper, bold)),
        "systems.md": markdown(systems, tables.best_cells(summary, systems)),
        "systems.tex": latex(paper, _caption(summary), bold),
        "systems.csv": tables.systems_csv(summary),
        "comparisons.md": markdown(tables.comparisons_table(summary.distinct_rows(summary.comparisons))),
        "comparisons.csv": tables.comparisons_csv(summary.comparisons),
        "deltas.csv": tables.deltas_csv(summary),
    }


def _caption(summary: Summary) -> str:
    return (
        f"{summary.dataset}: means with {summary.level:.0%} bootstrap intervals, the highest mean per column in bold. "
        f"{BETTER} better, {WORSE} worse than {summary.baseline}: paired randomisation test, Holm-corrected "
        f"p < {SIGNIFICANCE_LEVEL:g}, and an interval of the difference that excludes 0."
    )


def _summary(summary: Summary, answers: Sequence[Answer], table: str) -> str:
    """Returns the answers, the table, its caption and the findings in Markdown, for a README."""
    told = [
        f"- **{escaped(one.question)}** {escaped(f'{one.claim} {one.evidence}'.replace('`', ''))}" for one in answers
    ]
    found = [f"- {escaped(one.sentence)}" for one in _findings(summary)] or ["No difference is significant."]
    parts = ["\n".join(told), table, escaped(_caption(summary)), "\n".join(found)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _findings(summary: Summary) -> list[Finding]:
    """Returns the findings of both families, each pair of systems once."""
    against, untrained = (
        find_findings(summary, rows) for rows in (summary.against_baseline, summary.against_untrained)
    )
    named = {(system, finding.other) for finding in against for system in finding.systems}
    new = [one for one in untrained if any((system, one.other) not in named for system in one.systems)]
    return [*against, *new]


def _data_uri(folder: Path, name: str) -> str:
    """Returns an SVG as a data URI, which makes the page self-contained."""
    encoded = base64.b64encode((folder / "figures" / f"{name}.svg").read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{encoded}"


def _page(
    summary: Summary,
    answers: Sequence[Answer],
    figures: Sequence[Mapping[str, str]],
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
    cards: Sequence[Mapping[str, Any]],
    judgments: Mapping[str, Mapping[str, int]],
    cases: Cases | None,
    curves: Sequence[Curve],
    judged_irrelevant: float | None,
) -> str:
    systems = tables.systems_table(summary)
    prices = differing_cost_axes(summary)
    searched = [each for each in summary.results if each.system.prompts]
    return render_page(
        "zero2ir.report",
        "page.html.j2",
        summary=summary,
        figures={drawn["name"]: drawn for drawn in figures},
        answers=answers,
        highest=highest(summary),
        findings=_findings(summary),
        provenance=provenance(summary),
        systems=systems,
        bold=tables.best_cells(summary, systems),
        better=BETTER,
        worse=WORSE,
        condensed=tables.condensed_table(summary),
        judged_irrelevant=judged_irrelevant,
        front=pareto_table(summary, prices) if prices else None,
        budgets=budgets_table(curves) if curves else None,
        plot=delta_plot(cases) if cases else None,
        against_baseline=_comparisons(summary, summary.against_baseline),
        against_untrained=_comparisons(summary, summary.against_untrained),
        with_weights=_comparisons(summary, summary.with_weights),
        with_lm=_comparisons(summary, summary.with_lm),
        untrained=UNTRAINED_STRATEGY,
        calibration=tables.calibration_table(summary),
        selective=tables.selective_table(summary),
        cost=tables.cost_table(summary),
        power=tables.power(summary),
        level=SIGNIFICANCE_LEVEL,
        counts=dict(manifest.get("counts", {})),
        candidates=_CANDIDATES.get(manifest.get("candidates", ""), "given"),
        data=dict(_flat({key: value for key, value in manifest.items() if key not in ("quality", "sha256")})),
        judgments=_judgments(judgments),
        quality=_quality(manifest.get("quality", {})),
        settings=dict(_flat(settings)),
        cards=cards,
        cases=cases,
        signed=tables.format_signed,
        prompts={each.system.name: tables.prompts_table(each.system.prompts) for each in searched},
        prompt_comparisons={each.system.name: tables.compare_prompts(each.system.prompts) for each in searched},
        choices=_choices(summary),
        model_choices={
            each.system.name: (candidates_table(choice), worth_of_judging(choice))
            for each in summary.results
            if (choice := each.system.model_choice)
        },
        figure=tables.format_value,
    )


def _judged_irrelevant(collection: Collection | None) -> float | None:
    """Returns the share of judgments with grade 0; None if there are no judgments."""
    if collection is None or not collection.judgments:
        return None
    return sum(row.relevance <= 0 for row in collection.judgments) / len(collection.judgments)


def _comparisons(summary: Summary, rows: Sequence[CorrectedComparison]) -> Table:
    """Returns the comparisons of distinct systems on the main measure."""
    shown = summary.distinct_rows([row for row in rows if row.measure == summary.main_measure])
    return tables.comparisons_table(shown, family=False)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields nested settings as dotted keys and texts."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", "none" if value is None else str(value)


def _quality(findings: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        [heading(flaw), str(finding["count"]), ", ".join(map(str, finding["examples"])) or "–"]
        for flaw, finding in findings.items()
    ]
    return Table(["Check", "Count", "Examples"], rows, labels=1)


def _judgments(counts: Mapping[str, Mapping[str, int]]) -> Table:
    keys = list(dict.fromkeys(key for row in counts.values() for key in row))
    rows = [[seed, *(str(row.get(key, "–")) for key in keys)] for seed, row in counts.items()]
    return Table(["Draw", *map(heading, keys)], rows, labels=1)


def _choices(summary: Summary) -> Table:
    """Returns the notes of each training, e.g. its choices and their reasons, with the result on the test queries."""
    noted = [each for system in summary.systems for each in system.results if each.system.notes]
    keys = list(dict.fromkeys(key for each in noted for key in each.system.notes))
    rows = [
        [
            each.system.name,
            tables.format_value(each.metrics[summary.main_measure]["mean"]),
            *(each.system.notes.get(key, "–") for key in keys),
        ]
        for each in noted
    ]
    headers = ["System", f"{summary.main_measure} (test)", *map(heading, keys)]
    return Table(headers, rows, labels=len(headers))
