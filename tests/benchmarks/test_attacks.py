"""Every attack on some paths of the server and the label page, and short floods."""

import socket
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI

from benchmarks import attacks
from benchmarks.attacks import ATTACKS, Way, answer_to, attacked, labelled, served, ways


@pytest.mark.parametrize("place", [served, labelled])
def test_a_round_of_hostile_requests_is_refused_and_stores_nothing(place: object, tmp_path: Path) -> None:
    with place(tmp_path) as (target, written, _):  # type: ignore[operator]
        target.ways = target.ways[::4]  # all of them take a minute
        found = [attacks.requests(target, seed=0)[0], attacks.unwritten(target, written)]
        assert target.user()
    for one in found:
        assert (one.kept, one.notes) == (one.tried, one.notes)


def test_a_new_route_is_attacked_too() -> None:
    app, more = FastAPI(openapi_url=None), APIRouter(prefix="/more")
    more.add_api_route("/{name}", lambda name: name, methods=["PUT"])
    app.include_router(more)
    assert ways(app) == [Way("PUT", "/more/qrels.trec")]
    assert len({one.name for one in ATTACKS}) == len(ATTACKS)


@pytest.mark.slow
def test_all_attacks_on_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "FLOOD_SECONDS", 2.0)
    with served(tmp_path) as (target, state, log):
        for one in attacked(target, state, log, rounds=1, seed=0):
            assert (one.kept, one.notes) == (one.tried, one.notes)


def test_a_request_without_an_answer_is_told_from_a_closed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert answer_to(silent.getsockname()[1], b"GET / HTTP/1.1\r\n\r\n", 0.2)[0] is None
