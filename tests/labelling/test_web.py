"""Who may see the page and answer: nobody but who was given its address."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from zero2ir.errors import InputError
from zero2ir.io.sockets import listen
from zero2ir.labelling.session import Session
from zero2ir.labelling.web import labelling_application

Open = Callable[..., Session]
ORIGIN = "http://127.0.0.1:8765"


class Browser:
    """Somebody who opened the address, and reads the page's secret."""

    def __init__(self, sitting: Session) -> None:
        self.client = TestClient(labelling_application(sitting, 8765, "key"), base_url=ORIGIN)
        page = self.get("/?token=key").text
        self.headers = {"origin": ORIGIN, "x-zero2ir-token": page.split('name="token" content="')[1].split('"')[0]}

    def get(self, path: str) -> Any:
        return self.client.get(path if "token" in path else f"/8765{path}")

    def post(self, path: str, body: object, **headers: str | None) -> tuple[int, str]:
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (self.headers | changed).items() if value is not None}
        answer = self.client.post(f"/8765{path}", json=body, headers=sent)
        return answer.status_code, answer.text


def test_label_undo_judge_again_and_export(session: Open) -> None:
    sitting = session()
    browser = Browser(sitting)
    asked = browser.get("/view").json()["item"]
    assert browser.post("/answer", {"grade": 2, "answer_count": 0})[0] == 200
    assert browser.post("/answer", {"grade": None, "answer_count": 1})[0] == 200
    assert browser.post("/undo", {"answer_count": 2})[0] == 200
    assert [row.grade for row in sitting.annotations.rows] == [2]
    again = {"query_id": asked["query_id"], "doc_id": asked["doc_id"], "grade": 0, "answer_count": 1}
    assert browser.post("/again", again)[0] == 200
    view = browser.get("/view").json()
    assert view["doubts"][0]["reason"] == "graded 2 by me, then 0 by me"
    assert view["agreement"].startswith("1 judged twice: 0% equal")
    qrels = browser.get("/export/qrels.trec")
    assert qrels.text == f"{asked['query_id']} 0 {asked['doc_id']} 0\n"
    assert "attachment" in qrels.headers["content-disposition"]
    assert browser.get("/export/..%2Fa").status_code in (404, 422)


def test_an_answer_counts_once(session: Open) -> None:
    sitting = session()
    browser = Browser(sitting)
    assert browser.post("/answer", {"grade": 2, "answer_count": 0})[0] == 200
    status, said = browser.post("/answer", {"grade": 2, "answer_count": 0})  # pressed twice, or in two windows
    assert (status, "answered elsewhere" in said) == (409, True)
    assert len(sitting.annotations.rows) == 1
    first = sitting.annotations.rows[0]
    again = {"query_id": first.query_id, "doc_id": first.doc_id, "grade": 0, "answer_count": 1}
    assert [browser.post("/again", again)[0] for _ in range(2)] == [200, 409]
    assert len(sitting.annotations.rows) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": None},
        {"x_zero2ir_token": None},
        {"x_zero2ir_token": "guessed"},
        {"host": "evil.example:8765"},  # a name that was made to point to 127.0.0.1
        {"host": "evil.example:8765", "origin": "http://evil.example:8765"},
        {"cookie": ""},
        {"cookie": "zero2ir_8765=guessed"},
        {"cookie": "zero2ir_8765=key"},  # the token
        {"content_type": "text/plain"},
    ],
)
def test_requests_of_other_sites_change_nothing(session: Open, headers: dict[str, str | None]) -> None:
    sitting = session()
    browser = Browser(sitting)
    if "cookie" in headers:
        browser.client.cookies.clear()
    for path, body in (
        ("/answer", {"grade": 2, "answer_count": 0}),
        ("/undo", {"answer_count": 0}),
        ("/save", {"answer_count": 0}),
    ):
        assert browser.post(path, body, **headers)[0] == (415 if "content_type" in headers else 403)
    assert sitting.annotations.rows == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/8765/",
        "/8765/view",
        "/8765/label.js",
        "/8765/export/qrels.trec",
        "/?token=guessed",
        "/8765/view?token=key",
    ],
)
def test_nothing_is_shown_without_the_token(session: Open, path: str) -> None:
    app = labelling_application(session(), 8765, "key")
    assert TestClient(app, base_url=ORIGIN).get(path).status_code == 403
    assert TestClient(app, base_url="http://evil.example:8765").get("/?token=key").status_code == 403


def test_every_response_has_the_security_headers(session: Open) -> None:
    browser = Browser(session())
    for path in ("/", "/label.js", "/label.css", "/view", "/export/qrels.trec", "/nothing"):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    opened = TestClient(
        labelling_application(browser_session := session(), 8765, "key"), base_url=ORIGIN, follow_redirects=False
    )
    cookie = opened.get("/?token=key").headers["set-cookie"]
    assert browser_session.annotations.rows == []
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/8765;" in cookie  # a browser sends cookies to all ports of a host
    assert "zero2ir_8765=key" not in cookie


def test_a_body_that_is_no_sound_json_is_refused(session: Open) -> None:
    sitting = session()
    browser = Browser(sitting)
    half = {"query_id": "\ud800", "doc_id": "x", "grade": 0, "answer_count": 0}
    headers = browser.headers | {"content-type": "application/json"}
    refused = browser.client.post("/8765/again", content=json.dumps(half), headers=headers)
    assert (refused.status_code, "half of a surrogate pair" in refused.json()["error"]) == (400, True)
    assert browser.post("/again", {**half, "query_id": "x" * 10_000})[0] == 413
    assert sitting.annotations.rows == []


def test_a_body_of_unknown_length_is_not_read(session: Open) -> None:
    browser = Browser(session())
    headers = browser.headers | {"content-type": "application/json"}
    assert browser.client.post("/8765/answer", content=iter([b" " * 100_000] * 100), headers=headers).status_code == 411


@pytest.mark.parametrize(
    "body", [{"grade": 3, "answer_count": 0}, {"grade": "x", "answer_count": 0}, {"answer_count": 0}, {}, []]
)
def test_other_grades_are_refused(session: Open, body: object) -> None:
    sitting = session()
    assert Browser(sitting).post("/answer", body)[0] == 422
    assert sitting.annotations.rows == []


def test_a_port_in_use_is_one_line() -> None:
    with listen(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        with pytest.raises(InputError, match=r"port \d+: cannot be opened \(Address already in use\)"):
            listen(bound.getsockname()[1])
    with pytest.raises(InputError, match="port 99999: cannot be opened"):
        listen(99999)


def test_wrong_requests_are_refused_in_one_line(session: Open) -> None:
    browser = Browser(session())
    for path, body, status, reason in (
        ("/answer", {"grade": 7, "answer_count": 0}, 422, "grade: Input should be 0, 1 or 2"),
        ("/answer", {"grade": {"a": ["b"]}, "answer_count": 0}, 422, "grade: Input should be 0, 1 or 2"),
        ("/undo", {"answer_count": 0, "x\ny": 1}, 422, "x\\ny: Extra inputs are not permitted"),
        ("/save", {}, 409, "no folder to save the program in; start again with --output my-program"),
        ("/nothing", {}, 404, "Not Found"),
        ("/view", {}, 405, "Method Not Allowed"),
    ):
        told, message = browser.post(path, body)
        assert (told, json.loads(message)) == (status, {"error": reason})
