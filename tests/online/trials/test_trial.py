"""A trial from what people see to its verdict, on simulated people."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import zero2ir
from zero2ir.errors import InputError
from zero2ir.online.feedback.store import FeedbackEvent
from zero2ir.online.trials.trial import (
    InterleavedTrial,
    SplitTrial,
    Trial,
    TrialSettings,
    cached_search,
    decide_trial,
    sample_ratio_p,
)

DAY = 86_400.0
GOOD, BAD = list("abcdefghij"), list("jihgfedcba")
RELEVANT = "ab"


def good(query: str, k: int) -> Sequence[str]:
    return GOOD[:k]


def bad(query: str, k: int) -> Sequence[str]:
    return BAD[:k]


def events_of(trial: Trial, users: int, seed: int = 0) -> Iterator[FeedbackEvent]:
    """What people do who come one an hour, search twice, and click on relevant documents that they look at."""
    rng = np.random.default_rng(seed)
    for number in range(users):
        user = f"u{number}"
        for query in ("one", "two"):
            for position, doc_id in enumerate(trial.show(query, user), 1):
                told = (query, doc_id, position, None, number * 3600.0, user)
                yield FeedbackEvent(f"{user}/{query}/{position}", "impression", *told)
                if doc_id in RELEVANT and rng.random() < 1 / position:
                    yield FeedbackEvent(f"{user}/{query}/{position}!", "click", *told)


@pytest.mark.parametrize("kind", [InterleavedTrial, SplitTrial])
@pytest.mark.parametrize(
    ("first", "second", "better"), [(good, bad, "first"), (bad, good, "second"), (good, good, None)]
)
def test_a_trial_finds_a_difference_only_if_there_is_one(kind, first, second, better):
    trial = kind(first, second, TrialSettings(salt="trial", max_users=500))
    verdict = trial.verdict(events_of(trial, 120), now=1e9)
    assert verdict.better == better
    assert verdict.stop == (better is not None)
    assert (verdict.sample_ratio_p is None) == (kind is InterleavedTrial)
    assert ("Continue" if better is None else f"the {better} program is better") in verdict.text
    if better:
        assert np.sign(verdict.difference.mean) == (1 if better == "second" else -1)


def test_a_user_sees_the_same_ranking_until_the_salt_changes():
    trials = [InterleavedTrial(good, bad, TrialSettings(salt=salt)) for salt in ("one", "one", "two")]
    shown = [[trial.show("query", f"u{number}") for number in range(20)] for trial in trials]
    assert shown[0] == shown[1] != shown[2]


def test_a_users_outcome_is_final_after_the_window():
    trial = InterleavedTrial(good, bad, TrialSettings(salt="trial", window_seconds=DAY))
    events = list(events_of(trial, 60))
    early, late = trial.outcomes(events, now=1.5 * DAY), trial.outcomes(events, now=9 * DAY)
    assert 0 < len(early) < len(late) == 60
    assert late[: len(early)] == early
    afterwards = events[-1]._replace(event_id="x", kind="click", doc_id="j", user="u0", query="one", timestamp=3 * DAY)
    assert trial.outcomes([*events, afterwards], now=9 * DAY) == late


def test_grades_and_anonymous_users_are_ignored():
    trial = SplitTrial(good, bad, TrialSettings(salt="trial"))
    nameless = FeedbackEvent("1", "click", "one", "a", 1, None, 0.0)
    grade = FeedbackEvent("2", "grade", "one", "a", 1, 2, 0.0, "ada")
    verdict = trial.verdict([nameless, grade], now=1e9)
    assert verdict.difference.n == 0
    assert verdict.p_value == 1.0
    assert verdict.text == "Continue: no decision yet."


def test_arms_that_lose_users_stop_the_trial():
    trial = SplitTrial(bad, good, TrialSettings(salt="trial"))
    kept = [
        event for event in events_of(trial, 300) if trial.show("one", event.user) == GOOD or event.timestamp % 7200 == 0
    ]
    verdict = trial.verdict(kept, now=1e9)
    assert verdict.sample_ratio_p is not None
    assert verdict.sample_ratio_p < 0.001
    assert verdict.stop
    assert verdict.better is None
    assert "another salt" in verdict.text
    assert sample_ratio_p([50, 50]) == 1.0
    assert sample_ratio_p([]) == 1.0
    assert sample_ratio_p([90, 10], (9, 1)) == 1.0


def test_a_trial_ends_if_the_programs_are_equal_or_users_run_out():
    ties = np.zeros(2000)
    assert "less than 0.05" in decide_trial(ties, len(ties), None, TrialSettings(salt="s", min_effect=0.05), "x").text
    ended = decide_trial(ties, len(ties), None, TrialSettings(salt="s", min_effect=0, max_users=2000), "x")
    assert ended.stop
    assert "no difference after 2000 users" in ended.text


@pytest.mark.parametrize("kind", [InterleavedTrial, SplitTrial])
def test_a_trial_ends_after_max_users_of_both_arms(kind):
    trial = kind(good, good, TrialSettings(salt="trial", max_users=60, min_effect=0))
    assert not trial.verdict(events_of(trial, 59), now=1e9).stop
    assert "no difference after 60 users" in trial.verdict(events_of(trial, 60), now=1e9).text


def test_a_program_searches_each_query_once(string_methods):
    program = zero2ir.train(string_methods, model="sparse", strategy="zero_shot")
    search = cached_search(program)
    assert search("white space", 3) is search("white space", 3)
    assert list(search("white space", 3)) == program(query="white space", k=3).docids


@pytest.mark.parametrize("kind", [InterleavedTrial, SplitTrial])
def test_a_user_id_is_required(kind):
    with pytest.raises(InputError, match="user"):
        kind(good, bad, TrialSettings(salt="trial")).show("query", "")
