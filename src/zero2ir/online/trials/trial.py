"""Online trial of two programs: what each user is shown, the outcome, and when to stop.

Nothing is stored besides the feedback events: user, query and salt determine what was shown, so the events alone tell
which program a click counts for. The two programs must not change while the trial runs.

The unit is the user, because a user's searches are not independent. A user's outcome is final ``window_seconds`` after
the first event and does not change afterwards; this is what makes daily looks valid.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval
from zero2ir.io.settings import Settings
from zero2ir.online.assignment import assign_arm, random_generator
from zero2ir.online.trials.interleaving import InterleavedRanking, preference, team_draft
from zero2ir.online.trials.sequential import always_valid_p, confidence_sequence

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent
    from zero2ir.program.program import Program

Search = Callable[[str, int], Sequence[str]]  # (query, number of documents) -> ids, best first
Better = Literal["first", "second"]

SAMPLE_RATIO_LEVEL = 0.001  # a smaller p-value of the arms' sizes means that the assignment is broken


def cached_search(program: "Program", remembered: int = 10_000) -> Search:
    """Returns a function that searches with a program and caches the results of up to ``remembered`` queries."""

    @lru_cache(maxsize=remembered)
    def search(query: str, k: int) -> tuple[str, ...]:
        return tuple(program(query=query, k=k).docids)

    return search


class TrialSettings(Settings):
    """Settings of a trial.

    Attributes:
        salt: salt of the assignment; another salt gives another assignment.
        level: probability of finding a difference if there is none.
        window_seconds: how long a user is observed.
        min_effect: smallest relevant difference, in units of the outcome.
        max_users: number of users at which the trial ends at the latest; None for no limit.
        depth: number of documents shown.
    """

    salt: Annotated[str, Field(min_length=1)]
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    window_seconds: Annotated[float, Field(ge=0)] = 86_400.0
    min_effect: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_users: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1)] = 10


class Verdict(NamedTuple):
    """Current state of a trial.

    Attributes:
        difference: second minus first, with an always-valid interval; ``n`` is the number of users, or of pairs of
            users in a trial with arms.
        p_value: always-valid p-value.
        sample_ratio_p: chi-square p-value of the arms' sizes; None without arms.
        better: the better program; None if undecided, or if the arms cannot be trusted.
        stop: whether to stop the trial.
        text: summary in words.
    """

    difference: Interval
    p_value: float
    sample_ratio_p: float | None
    better: Better | None
    stop: bool
    text: str


class UserOutcome(NamedTuple):
    """Final outcome of one user, from 0 to 1, and the time at which it became final."""

    user: str
    value: float
    timestamp: float


class Trial(ABC):
    """A trial of two programs.

    Args:
        first: search function of the program in use.
        second: search function of the candidate program.
        settings: level, window and end of the trial.
    """

    what: str  # description of the measured quantity

    def __init__(self, first: Search, second: Search, settings: TrialSettings) -> None:
        self.first = first
        self.second = second
        self.settings = settings

    @abstractmethod
    def show(self, query: str, user: str) -> list[str]:
        """Returns the ids of the documents to show to this user, best first.

        Raises:
            InputError: the user is empty.
        """

    @abstractmethod
    def outcome(self, query: str, user: str, clicked: set[str]) -> float:
        """Returns the outcome of one query of one user, from 0 to 1, given the clicked documents."""

    @abstractmethod
    def differences(self, outcomes: Sequence[UserOutcome]) -> np.ndarray:
        """Returns second minus first, each from -1 to 1, in the order in which users became final."""

    def outcomes(self, events: Iterable["FeedbackEvent"], now: float) -> list[UserOutcome]:
        """Returns the final outcomes, earliest first; a user's outcome is the mean over the user's queries.

        Args:
            events: impressions and clicks; grades and events without a user are ignored.
            now: current time in seconds since 1970, as ``event.timestamp``.
        """
        mine: dict[str, list[FeedbackEvent]] = {}
        for event in events:
            if event.user and event.kind != "grade":
                mine.setdefault(event.user, []).append(event)
        ends = {user: min(one.timestamp for one in own) + self.settings.window_seconds for user, own in mine.items()}
        over = sorted((end, user) for user, end in ends.items() if end <= now)
        return [UserOutcome(user, self._of_user(user, mine[user], end), end) for end, user in over]

    def _of_user(self, user: str, events: Sequence["FeedbackEvent"], end: float) -> float:
        clicked: dict[str, set[str]] = {}
        for event in events:
            if event.timestamp <= end:
                clicked.setdefault(event.query, set()).update({event.doc_id} if event.kind == "click" else ())
        return float(np.mean([self.outcome(query, user, doc_ids) for query, doc_ids in clicked.items()]))

    def verdict(self, events: Iterable["FeedbackEvent"], now: float) -> Verdict:
        """Returns the current state of the trial; may be called at any time and any number of times."""
        outcomes = self.outcomes(events, now)
        differences = self.differences(outcomes)
        return decide_trial(differences, len(outcomes), self.sample_ratio_p(outcomes), self.settings, self.what)

    def sample_ratio_p(self, outcomes: Sequence[UserOutcome]) -> float | None:
        """Returns the p-value of the arms' sizes; None without arms."""
        return None


class InterleavedTrial(Trial):
    """Shows every user one interleaved ranking; the outcome is whose documents were clicked.

    Needs a tenth to a hundredth of the users of a trial with two arms, but tells which program is better and not by how
    much users gain.
    """

    what = "share of users who prefer the second program, minus that of the first"

    def show(self, query: str, user: str) -> list[str]:
        return self._drawn(query, user).doc_ids

    def _drawn(self, query: str, user: str) -> InterleavedRanking:
        if not user:
            raise InputError("user: empty; a trial needs a user id, so that every user sees the same ranking again")
        depth = self.settings.depth
        rng = random_generator(self.settings.salt, user, query)
        return team_draft(self.first(query, depth), self.second(query, depth), depth, rng)

    def outcome(self, query: str, user: str, clicked: set[str]) -> float:
        drawn = self._drawn(query, user)
        places = {place for place, doc_id in enumerate(drawn.doc_ids) if doc_id in clicked}
        return (1 + preference(drawn.teams, places)) / 2

    def differences(self, outcomes: Sequence[UserOutcome]) -> np.ndarray:
        return np.array([2 * one.value - 1 for one in outcomes])


class SplitTrial(Trial):
    """Shows each half of the users one of the programs; the outcome is the reciprocal rank of the first click.

    Compares users of the two arms in pairs, in the order in which they became final.
    """

    what = "mean reciprocal rank of the first click"

    def show(self, query: str, user: str) -> list[str]:
        search = (self.first, self.second)[assign_arm(user, self.settings.salt)]
        return list(search(query, self.settings.depth))

    def outcome(self, query: str, user: str, clicked: set[str]) -> float:
        if not clicked:
            return 0.0
        shown = self.show(query, user)
        return max((1 / rank for rank, doc_id in enumerate(shown, 1) if doc_id in clicked), default=0.0)

    def differences(self, outcomes: Sequence[UserOutcome]) -> np.ndarray:
        return np.array([second - first for first, second in zip(*self._arms(outcomes), strict=False)])

    def _arms(self, outcomes: Sequence[UserOutcome]) -> tuple[list[float], list[float]]:
        arms: tuple[list[float], list[float]] = ([], [])
        for one in outcomes:
            arms[assign_arm(one.user, self.settings.salt)].append(one.value)
        return arms

    def sample_ratio_p(self, outcomes: Sequence[UserOutcome]) -> float | None:
        return sample_ratio_p([len(arm) for arm in self._arms(outcomes)])


def sample_ratio_p(counts: Sequence[int], shares: Sequence[float] = (0.5, 0.5)) -> float:
    """Returns the chi-square p-value of the arms' sizes given the assignment shares.

    A small value means that users were lost in one arm, so no difference between the arms can be trusted.

    Source: Fabijan et al., KDD 2019, doi:10.1145/3292500.3330722.
    """
    from scipy.stats import chisquare

    if not sum(counts):
        return 1.0
    expected = np.array(shares) / np.sum(shares) * np.sum(counts)
    return float(chisquare(counts, expected).pvalue)


def decide_trial(
    differences: np.ndarray, users: int, ratio_p: float | None, settings: TrialSettings, what: str
) -> Verdict:
    """Decides on the differences so far.

    Args:
        differences: (n,) second minus first per user or pair of users, as returned by ``Trial.differences``.
        users: number of final users.
        ratio_p: p-value of the arms' sizes; None without arms.
        settings: level, smallest relevant effect, maximum number of users.
        what: description of the measured quantity.
    """
    outcomes = (differences + 1) / 2
    half = confidence_sequence(outcomes, 1 - settings.level)
    difference = Interval(2 * half.mean - 1, 2 * half.ci_low - 1, 2 * half.ci_high - 1, half.n)
    p_value = float(always_valid_p(outcomes)[-1]) if len(outcomes) else 1.0
    broken = ratio_p is not None and ratio_p < SAMPLE_RATIO_LEVEL
    better: Better | None = None
    if p_value <= settings.level and not broken:
        better = "second" if difference.mean > 0 else "first"
    equal = max(-difference.ci_low, difference.ci_high) <= settings.min_effect
    ended = settings.max_users is not None and users >= settings.max_users
    decision = _decision_text(better, broken, equal, ended, ratio_p, settings)
    figures = (
        f"{what}: {difference.mean:+.3f} [{difference.ci_low:+.3f}, {difference.ci_high:+.3f}] after {half.n} "
        f"{'users' if ratio_p is None else 'pairs of users'}, p = {p_value:.4f}, always valid"
    )
    text = f"{decision}. {figures[0].upper()}{figures[1:]}." if half.n else f"{decision}."
    return Verdict(difference, p_value, ratio_p, better, bool(better or broken or equal or ended), text)


def _decision_text(
    better: Better | None, broken: bool, equal: bool, ended: bool, ratio_p: float | None, settings: TrialSettings
) -> str:
    if broken:
        return (
            f"Stop: arms of such different sizes occur by chance in one of {1 / max(ratio_p or 0, 1e-12):,.0f} trials; "
            "find out where users are lost, and restart with another salt"
        )
    if better:
        return f"Stop: the {better} program is better"
    if equal:
        return f"Stop: the two differ by less than {settings.min_effect:g}; keep the first"
    if ended:
        return f"Stop: no difference after {settings.max_users} users; keep the first"
    return "Continue: no decision yet"
