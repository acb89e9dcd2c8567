"""Report of drift checks for people and Prometheus: one folder, rewritten at each check."""

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.errors import InputError
from zero2ir.io.files import add_line, check_writable, finished_file
from zero2ir.io.lines import json_line, read_lines
from zero2ir.io.pages import render_page
from zero2ir.online.monitoring.monitor import DriftCheck
from zero2ir.online.monitoring.searches import FALLBACK_SIGNAL, QUERY_VECTORS, SearchSignals
from zero2ir.report.figures import COLOURS, GREY, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from prometheus_client import CollectorRegistry

CHECKS_FILE, PAGE_FILE, METRICS_FILE = "checks.jsonl", "index.html", "metrics.prom"


def check_folder(folder: Path, planned_checks: int) -> int:
    """Returns the number of the next check in a folder, after checking that it can be written.

    Raises:
        InputError: all planned checks are done, or the folder has files but no checks; or as ``read_checks``.
    """
    check_writable(folder, folder)
    checks = read_checks(folder)
    for name in (PAGE_FILE, METRICS_FILE):
        if (folder / name).exists() and not (folder / CHECKS_FILE).exists():
            raise InputError(f"{folder / name}: not written by zero2ir; give another folder with --output")
    if len(checks) >= planned_checks:
        raise InputError(
            f"{folder / CHECKS_FILE}: all {planned_checks} planned checks are done; start again with a new reference "
            "and another folder"
        )
    return len(checks) + 1


def write_monitoring_report(folder: Path, check: DriftCheck, reference: SearchSignals) -> int:
    """Writes index.html and metrics.prom for a check after those in the folder; returns its number.

    Raises:
        InputError: as for ``read_checks``.
    """
    from prometheus_client import generate_latest

    checks = [*read_checks(folder), check.as_dict()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHECKS_FILE).touch()  # marks the folder as ours
    with finished_file(folder / PAGE_FILE) as file:
        file.write(_page(check, checks, reference))
    with finished_file(folder / METRICS_FILE, "wb") as file:
        file.write(generate_latest(prometheus_registry(check, len(checks))))
    return len(checks)


def add_check(folder: Path, check: DriftCheck) -> None:
    """Adds a check to checks.jsonl: it is one of the planned ones from now on."""
    add_line(folder / CHECKS_FILE, json_line(_json(check.as_dict())))


def read_checks(folder: Path) -> list[dict[str, Any]]:
    """Reads the checks so far, oldest first.

    Raises:
        InputError: a line is not a check; the message names it.
    """
    path = folder / CHECKS_FILE
    if not path.is_file():
        return []
    checks = []
    for place, line in read_lines(path):
        try:
            check = json.loads(line)
            _ = check["searches"], [signal["p_value"] for signal in check["signals"]]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{place}: not a drift check; move the file away to start again") from None
        checks.append(check)
    return checks


def prometheus_registry(check: DriftCheck, checks: int) -> "CollectorRegistry":
    """Converts the last check to Prometheus metrics; queries are not included."""
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()
    names = {
        "drift_p_value": ("P-value adjusted for all signals and checks", lambda one: one.p_value),
        "drift_alert": ("1 if the signal drifted", lambda one: float(one.drifted)),
        "drift_stability_index": ("PSI against the reference", lambda one: one.stability),
        "drift_mean": ("Mean in the window", lambda one: one.current),
        "drift_reference_mean": ("Mean in the reference", lambda one: one.reference),
    }
    for name, (description, value) in names.items():
        gauge = Gauge(f"zero2ir_{name}", description, ["signal"], registry=registry)
        for signal in check.signals:
            if not math.isnan(value(signal)):
                gauge.labels(signal.name).set(value(signal))
    Gauge("zero2ir_drift_checks", "Checks so far", registry=registry).set(checks)
    Gauge("zero2ir_drift_searches", "Searches in the window", registry=registry).set(check.searches)
    return registry


def mlflow_metrics(check: DriftCheck) -> dict[str, float]:
    """Returns the figures of a check as MLflow metrics."""
    values = {
        f"{signal.name}/{name}": float(getattr(signal, name))
        for signal in check.signals
        for name in ("reference", "current", "stability", "p_value", "drifted")
    }
    return {"searches": float(check.searches)} | {key: one for key, one in values.items() if not math.isnan(one)}


def log_check(uri: str, name: str, folder: Path, check: DriftCheck, number: int) -> None:
    """Records a check in MLflow as a run of its own; its number, from 1, is the step of its metrics.

    Args:
        uri: an MLflow tracking URI.
        name: name of the experiment.
        folder: folder written by ``write_monitoring_report``; its page, with the queries of the alerts, is logged.
        check: the last check.
        number: number of the check.
    """
    from zero2ir.online.feedback.versions import client_of, experiment_of
    from zero2ir.tracking.names import metric_name
    from zero2ir.tracking.runs import end_killed

    client = client_of(uri)
    drifted = ", ".join(signal.name for signal in check.alerts)
    experiment, run_name = experiment_of(client, name), f"{name}/check {number}"
    end_killed(client, experiment, f"attributes.run_name LIKE '%/check {number}'")
    run = client.create_run(experiment, run_name=run_name, tags={"drifted": drifted})
    for key, value in mlflow_metrics(check).items():
        client.log_metric(run.info.run_id, metric_name(key), value, step=number)
    client.log_artifact(run.info.run_id, str(folder / PAGE_FILE))
    client.set_terminated(run.info.run_id)


def _json(value: Any) -> Any:
    """Replaces NaN, which JSON does not have, by null."""
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _page(check: DriftCheck, checks: Sequence[Mapping[str, Any]], reference: SearchSignals) -> str:
    return render_page(
        "zero2ir.online.monitoring",
        "page.html.j2",
        check=check,
        searches=len(reference.queries),
        checks=len(checks),
        shown=lambda value: "–" if math.isnan(value) else f"{value:.3g}",
        when=_when,
        windows=_svg(lambda: _windows(check, reference)),
        history=_svg(lambda: _history(checks)) if len(checks) > 1 else None,
    )


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "an unknown time"


def _windows(check: DriftCheck, reference: SearchSignals) -> "Figure":
    from matplotlib.figure import Figure

    signals = [signal for signal in check.signals if signal.name != QUERY_VECTORS]
    columns = min(3, max(1, len(signals)))
    rows = math.ceil(len(signals) / columns) or 1
    figure = Figure(figsize=(3.2 * columns, 0.4 + 2.0 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, signal in zip(grid.flat, signals, strict=False):
        sides = [side.signals[signal.name] for side in (reference, check.measured)]
        sides = [side[np.isfinite(side)] for side in sides]
        edges = (
            [-0.5, 0.5, 1.5] if signal.name == FALLBACK_SIGNAL else np.histogram_bin_edges(np.concatenate(sides), 20)
        )
        for values, colour, label in zip(sides, (GREY, COLOURS[3]), ("reference", "window"), strict=True):
            shares = np.full(len(values), 1 / len(values))
            axes.hist(values, bins=edges, weights=shares, color=colour, alpha=0.55, label=label)
        axes.set_title(f"{signal.name}{': drifted' if signal.drifted else ''}", fontsize=9, loc="left")
    for axes in list(grid.flat)[len(signals) :]:
        axes.set_visible(False)
    grid[0][0].legend(fontsize=7)
    figure.supylabel("share of the searches", fontsize=9)
    return figure


def _history(checks: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the p-value of each signal over the checks."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(signal["name"] for check in checks for signal in check["signals"]))
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(names):
        points = [
            (place, max(signal["p_value"], 1e-6))
            for place, check in enumerate(checks, 1)
            for signal in check["signals"]
            if signal["name"] == name
        ]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, lw=1, color=colour, label=name)
    axes.set(yscale="log", xlabel="check", ylabel="p, all checks")
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


def _svg(draw: Callable[[], "Figure"]) -> str:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        draw().savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
