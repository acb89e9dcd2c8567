"""Looks at windows of searches, and watches their stream, without crying wolf however often."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.errors import InputError
from zero2ir.evaluation.significance import holm
from zero2ir.online.monitoring.drift import distribution_p, stability_index, vectors_p
from zero2ir.online.monitoring.searches import QUERY_VECTORS, SearchEvent, SearchSignals, SignalMeter

if TYPE_CHECKING:
    from zero2ir.program.program import Program

MIN_SEARCHES = 20  # searches on each side, of which a signal is known


class MonitorSettings(BaseModel):
    """How searches are watched.

    Attributes:
        level: how often an alert may be false, over all looks together.
        planned_checks: how many looks share it, e.g. 30 for a month of daily ones.
        examples: queries that an alert shows for each signal.
        seed: of draws and permutations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    planned_checks: Annotated[int, Field(ge=1)] = 30
    examples: Annotated[int, Field(ge=0)] = 5
    seed: int = 0


class Signal(NamedTuple):
    """One signal at one look.

    Attributes:
        name: what it is of.
        reference: its mean in the reference; NaN for the queries' vectors, like the next two.
        current: its mean in the window.
        stability: the population stability index.
        p_value: for all signals and all looks together (Holm, Bonferroni).
        drifted: whether that is an alert.
        examples: the queries that show it most, where it moved.
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
    """What a look at a window found.

    Attributes:
        signals: all that could be tested.
        searches: in the window.
        first: when the first of them was; seconds since 1970, 0 where that is not known.
        last: the same of the last one.
        measured: the window itself.
    """

    signals: tuple[Signal, ...]
    searches: int
    first: float
    last: float
    measured: SearchSignals

    @property
    def alerts(self) -> list[Signal]:
        """The signals that moved."""
        return [signal for signal in self.signals if signal.drifted]

    @property
    def text(self) -> str:
        """The alerts in words, a line each."""
        if not self.alerts:
            return f"Nothing moved: {self.searches} searches, {len(self.signals)} signals."
        return "\n".join(f"ALERT: {_said(signal)}" for signal in self.alerts)

    def as_dict(self) -> dict[str, Any]:
        """The findings without the window; JSON, but for NaN."""
        names = ("searches", "first", "last")
        return {name: getattr(self, name) for name in names} | {"signals": [one._asdict() for one in self.signals]}


def _said(signal: Signal) -> str:
    what = (
        "what is asked about moved"
        if signal.name == QUERY_VECTORS
        else f"{signal.name} moved from {signal.reference:.3g} to {signal.current:.3g} on average"
    )
    shown = "; ".join(repr(query) for query in signal.examples)
    index = "" if np.isnan(signal.stability) else f", PSI {signal.stability:.2f}"
    return f"{what} (p = {signal.p_value:.2g}{index}), e.g. {shown}"


class Monitor:
    """Compares searches with a reference.

    Args:
        program: the searcher.
        reference: searches as they should be; at least 20.
        settings: how.

    Raises:
        InputError: there are too few searches in the reference.
    """

    def __init__(
        self, program: "Program", reference: Sequence[SearchEvent], settings: MonitorSettings | None = None
    ) -> None:
        if len(reference) < MIN_SEARCHES:
            raise InputError(
                f"reference: {len(reference)} searches; {MIN_SEARCHES} are the least that says what is usual"
            )
        self.settings = settings or MonitorSettings()
        self.meter = SignalMeter(program, [one.query for one in reference])
        self.reference = self.meter.measure(reference)

    def check_window(self, window: Sequence[SearchEvent]) -> DriftCheck:
        """Compares a window with the reference; one of ``settings.planned_checks`` looks that share the level.

        Raises:
            InputError: there are too few searches in the window.
        """
        if len(window) < MIN_SEARCHES:
            raise InputError(f"window: {len(window)} searches; {MIN_SEARCHES} are the least that can be compared")
        current = self.meter.measure(window)
        times = [one.timestamp for one in window]
        return DriftCheck(self.compared(current), len(window), min(times), max(times), current)

    def compared(self, current: SearchSignals) -> tuple[Signal, ...]:
        """Compares searches that were measured already."""
        tested = [(*self._tested(name, current), name) for name in self._known(current)]
        # so that the least p-value, adjusted, is half of the level
        needed = self.settings.planned_checks * (len(tested) + 1) / self.settings.level
        p_value, foreign = vectors_p(
            self.reference.vectors, current.vectors, permutations=math.ceil(2 * needed), seed=self.settings.seed
        )
        tested.append((p_value, foreign, QUERY_VECTORS))
        adjusted = [min(1.0, p * self.settings.planned_checks) for p in holm([p for p, _, _ in tested])]
        return tuple(
            self._signal(name, current, p, shows) for p, (_, shows, name) in zip(adjusted, tested, strict=True)
        )

    def _known(self, current: SearchSignals) -> list[str]:
        """The signals that are known of enough searches on both sides."""
        sides = (self.reference.signals, current.signals)
        return [
            name
            for name in sides[0]
            if all(np.isfinite(side.get(name, np.zeros(0))).sum() >= MIN_SEARCHES for side in sides)
        ]

    def _tested(self, name: str, current: SearchSignals) -> tuple[float, np.ndarray]:
        """The p-value of a signal, and how much each search of the window shows in which direction it moved."""
        before, now = self.reference.signals[name], current.signals[name]
        before, known = before[np.isfinite(before)], now[np.isfinite(now)]
        direction = 1.0 if known.mean() >= before.mean() else -1.0
        return distribution_p(before, known), np.where(np.isfinite(now), direction * now, -np.inf)

    def _signal(self, name: str, current: SearchSignals, p_value: float, shows: np.ndarray) -> Signal:
        moved = p_value <= self.settings.level
        order = np.argsort(-shows, kind="stable") if moved else np.zeros(0, dtype=int)
        examples = tuple(dict.fromkeys(current.queries[place] for place in order.tolist()))[: self.settings.examples]
        if name == QUERY_VECTORS:
            return Signal(name, np.nan, np.nan, np.nan, p_value, moved, examples)
        before, now = (side.signals[name][np.isfinite(side.signals[name])] for side in (self.reference, current))
        figures = (float(before.mean()), float(now.mean()), stability_index(before, now))
        return Signal(name, *figures, p_value, moved, examples)

    def change_detector(self) -> "ChangeDetector":
        """What watches a stream, search by search."""
        return ChangeDetector(self)


class ChangePoint(NamedTuple):
    """A change in a stream.

    Attributes:
        signal: what moved.
        search: the number of the search, from 0, after which it was seen.
        query: that search's.
    """

    signal: str
    search: int
    query: str


class ChangeDetector:
    """Watches each signal of a stream by ADWIN, which cuts its window where two parts of it differ.

    ADWIN wants values from 0 to 1: a signal's share of the reference that lies below it. The reference stands in front
    of the stream, so that a stream that is another one from the start is found, too.

    Args:
        monitor: knows the reference.

    Source: Bifet and Gavaldà, SDM 2007, doi:10.1137/1.9781611972771.42.
    """

    def __init__(self, monitor: Monitor) -> None:
        from river.drift import ADWIN

        self.monitor = monitor
        self.seen = 0
        signals = monitor.reference.signals
        self._sorted = {name: np.sort(row[np.isfinite(row)]) for name, row in signals.items()}
        delta = monitor.settings.level / len(signals)  # ADWIN's bound is loose: it errs far less often than that
        self._detectors = {name: ADWIN(delta=delta, clock=1) for name in signals}
        rng = np.random.default_rng(monitor.settings.seed)
        for name, detector in self._detectors.items():
            for value in rng.permutation(self._sorted[name]):
                detector.update(self._rank(name, value))

    def update(self, search: SearchEvent) -> list[ChangePoint]:
        """Takes the next search of the stream; returns the signals of which it shows that they moved."""
        return self.update_all(self.monitor.meter.measure([search]))

    def update_all(self, measured: SearchSignals) -> list[ChangePoint]:
        """As ``update``, of one search that was measured already."""
        found = []
        for name, detector in self._detectors.items():
            value = measured.signals.get(name, np.array([np.nan]))[0]
            if np.isfinite(value):
                detector.update(self._rank(name, value))
                if detector.drift_detected:
                    found.append(ChangePoint(name, self.seen, measured.queries[0]))
        self.seen += 1
        return found

    def _rank(self, name: str, value: float) -> float:
        """The share of the reference below a value; of those that are equal to it, half."""
        known = self._sorted[name]
        return float(np.searchsorted(known, value, "left") + np.searchsorted(known, value, "right")) / (2 * len(known))
