"""A trial of two searchers on the people who use them: what each is shown, what came of it, and when to stop.

Nothing is stored beside the feedback events: who sees what follows from the user, the query and the salt, so that the
events alone tell afterwards what a click speaks for. The two searchers must stay as they are while the trial runs.

The unit is a user, whose searches are not independent of each other. A user counts when ``window_seconds`` have passed
since the first event, with what happened until then, and does not change any more: only so may one look every day.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval
from zero2ir.online.assignment import assign_arm, random_generator
from zero2ir.online.trials.interleaving import InterleavedRanking, preference, team_draft
from zero2ir.online.trials.sequential import always_valid_p, confidence_sequence

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent
    from zero2ir.program.program import Program

Search = Callable[[str, int], Sequence[str]]  # a query and a number of documents to their ids, best first
Better = Literal["first", "second"]

SAMPLE_RATIO_LEVEL = 0.001  # a p-value of the arms' sizes below this says that the assignment does not work


def cached_search(program: "Program", remembered: int = 10_000) -> Search:
    """How a program searches, with the answers to so many queries remembered."""

    @lru_cache(maxsize=remembered)
    def search(query: str, k: int) -> tuple[str, ...]:
        return tuple(program(query=query, k=k).docids)

    return search


class TrialSettings(BaseModel):
    """How two searchers are tried.

    Attributes:
        salt: of the assignment; another salt, another assignment.
        level: how often a difference may be found where there is none.
        window_seconds: how long a user is watched.
        min_effect: a difference below this is of no use to anybody, in units of the outcome.
        max_users: where the trial ends at the latest; None for no end.
        depth: how many documents are shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    salt: Annotated[str, Field(min_length=1)]
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    window_seconds: Annotated[float, Field(ge=0)] = 86_400.0
    min_effect: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_users: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1)] = 10


class Verdict(NamedTuple):
    """Where a trial stands.

    Attributes:
        difference: second minus first, with an interval that holds at all looks together; ``n`` users are behind it, or
            pairs of users where there are arms.
        p_value: always valid.
        sample_ratio_p: of the arms' sizes (chi-square); None where there are no arms.
        better: the searcher that is better; None where that is open, or the arms cannot be trusted.
        stop: whether there is any use in going on.
        text: all of it in words.
    """

    difference: Interval
    p_value: float
    sample_ratio_p: float | None
    better: Better | None
    stop: bool
    text: str


class UserOutcome(NamedTuple):
    """One user's outcome, from 0 to 1, when it was final."""

    user: str
    value: float
    timestamp: float


class Trial(ABC):
    """Two searchers on trial.

    Args:
        first: the searcher in use.
        second: its rival.
        settings: how they are tried.
    """

    what: str  # is measured, in words

    def __init__(self, first: Search, second: Search, settings: TrialSettings) -> None:
        self.first = first
        self.second = second
        self.settings = settings

    @abstractmethod
    def show(self, query: str, user: str) -> list[str]:
        """The ids of the documents that this user is shown, best first.

        Raises:
            InputError: the user is empty.
        """

    @abstractmethod
    def outcome(self, query: str, user: str, clicked: set[str]) -> float:
        """The outcome of one query of one user, from 0 to 1, by the documents that were clicked on."""

    @abstractmethod
    def differences(self, outcomes: Sequence[UserOutcome]) -> np.ndarray:
        """Second minus first, each from -1 to 1, in the order in which users were final."""

    def outcomes(self, events: Iterable["FeedbackEvent"], now: float) -> list[UserOutcome]:
        """The outcome of each user whose time is over, the earliest first; a user's outcome is the mean over queries.

        Args:
            events: impressions and clicks; grades, and events without a user, are left out.
            now: in seconds since 1970, as ``event.timestamp``.
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
        return float(np.mean([self.outcome(query, user, found) for query, found in clicked.items()]))

    def verdict(self, events: Iterable["FeedbackEvent"], now: float) -> Verdict:
        """Where the trial stands; may be asked for at any time and as often as one likes."""
        seen = self.outcomes(events, now)
        differences = self.differences(seen)
        return decide_trial(differences, len(seen), self.sample_ratio_p(seen), self.settings, self.what)

    def sample_ratio_p(self, outcomes: Sequence[UserOutcome]) -> float | None:
        """Of the arms' sizes; None where there are no arms."""
        del outcomes
        return None


class InterleavedTrial(Trial):
    """Everybody sees one ranking made of both; the outcome is whose documents were clicked on.

    Needs a tenth to a hundredth of the users of a trial with two arms, and tells which searcher is better rather than
    by how much people gain.
    """

    what = "the share of users who prefer the second searcher, less that of the first"

    def show(self, query: str, user: str) -> list[str]:
        return self._drawn(query, user).doc_ids

    def _drawn(self, query: str, user: str) -> InterleavedRanking:
        if not user:
            raise InputError("user: empty; a trial needs to know who asks, so that everybody sees the same again")
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
    """Half of the users see the one, half the other; the outcome is the reciprocal rank of the first click.

    Users of the two arms are compared in pairs, in the order in which they were final.
    """

    what = "the mean reciprocal rank of the first click"

    def show(self, query: str, user: str) -> list[str]:
        search = (self.first, self.second)[assign_arm(user, self.settings.salt)]
        return list(search(query, self.settings.depth))

    def outcome(self, query: str, user: str, clicked: set[str]) -> float:
        if not clicked:
            return 0.0
        return max(
            (1 / rank for rank, doc_id in enumerate(self.show(query, user), 1) if doc_id in clicked), default=0.0
        )

    def differences(self, outcomes: Sequence[UserOutcome]) -> np.ndarray:
        first, second = self._arms(outcomes)
        return np.array([theirs - own for own, theirs in zip(first, second, strict=False)])

    def _arms(self, outcomes: Sequence[UserOutcome]) -> tuple[list[float], list[float]]:
        arms: tuple[list[float], list[float]] = ([], [])
        for one in outcomes:
            arms[assign_arm(one.user, self.settings.salt)].append(one.value)
        return arms

    def sample_ratio_p(self, outcomes: Sequence[UserOutcome]) -> float | None:
        return sample_ratio_p([len(arm) for arm in self._arms(outcomes)])


def sample_ratio_p(counts: Sequence[int], shares: Sequence[float] = (0.5, 0.5)) -> float:
    """The p-value (chi-square) of arms of these sizes where users were assigned by these shares.

    A small one says that users got lost in one of the arms, and that no difference between them means anything.

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
    """The verdict on the differences so far.

    Args:
        differences: (n,) of users or pairs of users, second minus first, from -1 to 1, in the order in which they were
            final.
        users: whose time is over.
        ratio_p: of the arms' sizes; None where there are no arms.
        settings: level, least effect, most users.
        what: is measured, in words.
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
    said = _said(better, broken, equal, ended, ratio_p, settings)
    figures = (
        f"{what}: {difference.mean:+.3f} [{difference.ci_low:+.3f}, {difference.ci_high:+.3f}] after {half.n} "
        f"{'users' if ratio_p is None else 'pairs of users'}, p = {p_value:.4f}, valid at every look"
    )
    text = f"{said}. {figures[0].upper()}{figures[1:]}." if half.n else f"{said}."
    return Verdict(difference, p_value, ratio_p, better, bool(better or broken or equal or ended), text)


def _said(
    better: Better | None, broken: bool, equal: bool, ended: bool, ratio_p: float | None, settings: TrialSettings
) -> str:
    """The verdict in one sentence."""
    if broken:
        return (
            f"Stop: the arms' sizes differ as they would by chance in one of {1 / max(ratio_p or 0, 1e-12):,.0f} "
            "trials; find out where users get lost, and start anew with another salt"
        )
    if better:
        return f"Stop: the {better} searcher is better"
    if equal:
        return f"Stop: the two differ by less than {settings.min_effect:g}, if at all; keep the first"
    if ended:
        return f"Stop: {settings.max_users} users have not shown a difference; keep the first"
    return "Go on: nothing is decided yet"
