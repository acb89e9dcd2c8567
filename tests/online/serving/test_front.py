"""What stands in front of the replicas, and what the command refuses before any of them starts."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from zero2ir.cli import main
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.ray_cluster import OWN_CLUSTER
from zero2ir.io.sockets import listen
from zero2ir.models.sparse import Sparse
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.replicas import ReplicaSettings, called, merged_metrics, serve_replicas
from zero2ir.online.serving.service import SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application
from zero2ir.program.program import Program


@pytest.fixture
def program(string_methods: list[dict[str, str]]) -> Program:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    return Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"})


def test_a_whole_request_gets_the_whole_response_of_the_application(program: Program, tmp_path: Path) -> None:
    headers = [(b"content-type", b"application/json"), (b"host", b"any")]
    request = {"type": "http", "http_version": "1.1", "scheme": "http", "query_string": b"", "root_path": ""}
    with SearchService(program, tmp_path, ServingSettings()) as service:
        app = application(service)

        def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
            sent = {**request, "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
            answer = asyncio.run(called(app, sent, body))
            assert dict(answer.headers)[b"content-length"] == str(len(answer.body)).encode()
            return answer.status, answer.body

        status, body = ask("POST", "/search", b'{"query": "white space", "k": 2}')
        assert (status, len(json.loads(body)["results"])) == (200, 2)
        assert ask("POST", "/search", b'{"query": ')[0] == 400
        assert ask("GET", "/nowhere")[0] == 404
        text = merged_metrics({name: app.state.metrics.text() for name in ("a", "b")})
    families = [one for one in text_string_to_metric_families(text.decode()) if one.name == "zero2ir_requests"]
    samples = {
        (row.labels["replica"], row.labels["path"], row.labels["status"]): row.value for row in families[0].samples
    }
    assert len(families) == 1
    assert samples["a", "/search", "200"] == samples["b", "/search", "200"] == 1


def test_what_is_not_installed_is_named(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.save(tmp_path / "program")
    for name in ("RAY_AUTH_TOKEN", "RAY_DEDUP_LOGS", *OWN_CLUSTER):
        monkeypatch.setenv(name, "")  # and restored
    for package in ("ray", "psycopg"):
        monkeypatch.setitem(sys.modules, package, None)
    settings = ReplicaSettings(str(tmp_path / "program"), "postgresql://host/name", ServingSettings(), ())
    with listen(0) as bound, pytest.raises(InputError, match=r"pip install 'zero2ir\[ray\]'"):
        serve_replicas(settings, 2, bound, None, None)
    with pytest.raises(InputError, match=r"pip install 'zero2ir\[postgres\]'"):
        FeedbackStore("postgresql://host/name")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--replicas", "2"], "--replicas: one process serves alone"),
        (["--address", "host:6379"], "--address: one process serves alone"),
        (["--executor", "ray", "--replicas", "2"], "give its URL with --state postgresql://"),
        (["--executor", "ray", "--state", "folder"], "give its URL with --state postgresql://"),
        (["--executor", "ray", "--state", "sqlite:///a.db"], "a URL that begins with postgresql://"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    options: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZERO2IR_STATE", raising=False)
    with pytest.raises(SystemExit):
        main(["serve", "program", "--port", "0", *options])
    told = capsys.readouterr().err
    assert reason in told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
