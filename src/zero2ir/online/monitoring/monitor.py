"""Checks windows of searches for drift and detects changes in their stream, with controlled false alerts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.errors import InputError
from zero2ir.evaluation.significance import holm
from zero2ir.io.settings import Settings
from zero2ir.online.monitoring.drift import distribution_p, stability_index, vectors_p
from zero2ir.online.monitoring.searches import QUERY_VECTORS, SearchEvent, SearchSignals, SignalMeter

if TYPE_CHECKING:
    from zero2ir.program.program import Program

MIN_SEARCHES = 20  # minimum number of searches with a value of a signal, in reference and window


class MonitorSettings(Settings):
    """Settings of a monitor.

    Attributes:
        level: probability of any false alert over all checks together.
        planned_checks: number of checks that share the level, e.g. 30 for a month of daily checks.
        examples: number of example queries per alert.
        seed: seed of sampling and permutations.
    """

    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    planned_checks: Annotated[int, Field(ge=1)] = 30
    examples: Annotated[int, Field(ge=0)] = 5
    seed: int = 0


class Signal(NamedTuple):
    """Result for one signal in one check.

    Attributes:
        name: name of the signal.
        reference: mean in the reference; NaN for the query vectors, as are the next two.
        current: mean in the window.
        stability: population stability index.
        p_value: adjusted for all signals (Holm) and all checks (Bonferroni).
        drifted: whether this is an alert.
        examples: the queries that show the drift most; empty without an alert.
    """

    name: str
    reference: float
    current: float
    stability: float
    p_value: float
    drifted: bool
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class DriftCheck:
    """Result of checking one window.

    Attributes:
        signals: all signals that could be tested.
        searches: number of searches in the window.
        first: time of the first search in seconds since 1970; 0 if unknown.
        last: time of the last search, likewise.
        measured: the signals of the window.
    """

    signals: tuple[Signal, ...]
    searches: int
    first: float
    last: float
    measured: SearchSignals

    @property
    def alerts(self) -> list[Signal]:
        """The signals that drifted."""
        return [signal for signal in self.signals if signal.drifted]

    @property
    def text(self) -> str:
        """The alerts in words, one per line."""
        if not self.alerts:
            return f"No drift: {self.searches} searches, {len(self.signals)} signals."
        return "\n".join(f"ALERT: {_alert_text(signal)}" for signal in self.alerts)

    def as_dict(self) -> dict[str, Any]:
        """Returns the result without the window; JSON apart from NaN."""
        signals = [one._asdict() for one in self.signals]
        return {"searches": self.searches, "first": self.first, "last": self.last, "signals": signals}


def _alert_text(signal: Signal) -> str:
    what = (
        "the topics of the queries drifted"
        if signal.name == QUERY_VECTORS
        else f"{signal.name} drifted from {signal.reference:.3g} to {signal.current:.3g} on average"
    )
    examples = "; ".join(repr(query) for query in signal.examples)
    index = "" if np.isnan(signal.stability) else f", PSI {signal.stability:.2f}"
    return f"{what} (p = {signal.p_value:.2g}{index}), e.g. {examples}"


class Monitor:
    """Compares searches with a reference.

    Args:
        program: the program that is monitored.
        reference: searches of a normal period; at least 20.
        settings: settings of the monitor.

    Raises:
        InputError: there are too few searches in the reference.
    """

    def __init__(
        self, program: "Program", reference: Sequence[SearchEvent], settings: MonitorSettings | None = None
    ) -> None:
        if len(reference) < MIN_SEARCHES:
            raise InputError(f"reference: {len(reference)} searches; at least {MIN_SEARCHES} are needed")
        self.settings = settings or MonitorSettings()
        self.meter = SignalMeter(program, [one.query for one in reference])
        self.reference = self.meter.measure(reference)

    def check_window(self, window: Sequence[SearchEvent]) -> DriftCheck:
        """Compares a window with the reference; one of the ``settings.planned_checks`` checks that share the level.

        Raises:
            InputError: there are too few searches in the window.
        """
        if len(window) < MIN_SEARCHES:
            raise InputError(f"window: {len(window)} searches; at least {MIN_SEARCHES} are needed")
        current = self.meter.measure(window)
        times = [one.timestamp for one in window]
        return DriftCheck(self.compared(current), len(window), min(times), max(times), current)

    def compared(self, current: SearchSignals) -> tuple[Signal, ...]:
        tested = [(*self._tested(name, current), name) for name in self._testable(current)]
        # the smallest possible p-value, adjusted, is half of the level
        needed = self.settings.planned_checks * (len(tested) + 1) / self.settings.level
        p_value, foreign = vectors_p(
            self.reference.vectors, current.vectors, permutations=math.ceil(2 * needed), seed=self.settings.seed
        )
        tested.append((p_value, foreign, QUERY_VECTORS))
        adjusted = [min(1.0, p * self.settings.planned_checks) for p in holm([p for p, _, _ in tested])]
        return tuple(
            self._signal(name, current, p, shows) for p, (_, shows, name) in zip(adjusted, tested, strict=True)
        )

    def _testable(self, current: SearchSignals) -> list[str]:
        sides = (self.reference.signals, current.signals)
        return [
            name
            for name in sides[0]
            if all(np.isfinite(side.get(name, np.zeros(0))).sum() >= MIN_SEARCHES for side in sides)
        ]

    def _tested(self, name: str, current: SearchSignals) -> tuple[float, np.ndarray]:
        """Returns the p-value of a signal and how much each search of the window shows the direction of its drift."""
        before, now = self.reference.signals[name], current.signals[name]
        before, finite = before[np.isfinite(before)], now[np.isfinite(now)]
        direction = 1.0 if finite.mean() >= before.mean() else -1.0
        return distribution_p(before, finite), np.where(np.isfinite(now), direction * now, -np.inf)

    def _signal(self, name: str, current: SearchSignals, p_value: float, shows: np.ndarray) -> Signal:
        drifted = p_value <= self.settings.level
        order = np.argsort(-shows, kind="stable") if drifted else np.zeros(0, dtype=int)
        examples = tuple(dict.fromkeys(current.queries[place] for place in order.tolist()))[: self.settings.examples]
        if name == QUERY_VECTORS:
            return Signal(name, np.nan, np.nan, np.nan, p_value, drifted, examples)
        before, now = (side.signals[name][np.isfinite(side.signals[name])] for side in (self.reference, current))
        figures = (float(before.mean()), float(now.mean()), stability_index(before, now))
        return Signal(name, *figures, p_value, drifted, examples)

    def change_detector(self) -> "ChangeDetector":
        """Returns a change detector for a stream of searches."""
        return ChangeDetector(self)


class ChangePoint(NamedTuple):
    """A change of a signal in a stream, with the number, from 0, and the query of the search that showed it."""

    signal: str
    search: int
    query: str


class ChangeDetector:
    """Monitors each signal of a stream with ADWIN, which cuts its window where two parts of it differ.

    ADWIN needs values from 0 to 1: the rank of a value within the reference. The reference precedes the stream, so a
    stream that differs from the start is detected, too.

    Args:
        monitor: the monitor with the reference.

    Source: Bifet and Gavaldà, SDM 2007, doi:10.1137/1.9781611972771.42.
    """

    def __init__(self, monitor: Monitor) -> None:
        from river.drift import ADWIN

        self.monitor = monitor
        self.seen = 0
        signals = monitor.reference.signals
        self._sorted = {name: np.sort(row[np.isfinite(row)]) for name, row in signals.items()}
        delta = monitor.settings.level / len(signals)  # ADWIN's bound is loose: false alarms are far rarer than this
        self._detectors = {name: ADWIN(delta=delta, clock=1) for name in signals}
        rng = np.random.default_rng(monitor.settings.seed)
        for name, detector in self._detectors.items():
            for value in rng.permutation(self._sorted[name]):
                detector.update(self._rank(name, value))

    def update(self, search: SearchEvent) -> list[ChangePoint]:
        """Processes the next search of the stream; returns the changes that it shows."""
        return self.update_all(self.monitor.meter.measure([search]))

    def update_all(self, measured: SearchSignals) -> list[ChangePoint]:
        """Processes one measured search, like ``update``."""
        changes = []
        for name, detector in self._detectors.items():
            value = measured.signals.get(name, np.array([np.nan]))[0]
            if np.isfinite(value):
                detector.update(self._rank(name, value))
                if detector.drift_detected:
                    changes.append(ChangePoint(name, self.seen, measured.queries[0]))
        self.seen += 1
        return changes

    def _rank(self, name: str, value: float) -> float:
        """Returns the share of the reference below a value; equal values count half."""
        values = self._sorted[name]
        return float(sum(np.searchsorted(values, value, side) for side in ("left", "right"))) / (2 * len(values))
