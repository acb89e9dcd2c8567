"""No library calls its maker once zero2ir is imported, nor in any stage of the pipeline, which needs no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.network import is_possible, main_job, watched

SIGNS = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "TELEMETRY", "DVC", "LITELLM", "GITHUB_ACTIONS", "RAY_")
STATES = """
import socket, sys
sys.addaudithook(lambda event, args: event in ("socket.connect", "socket.getaddrinfo") and called.append(args))
called = []
import zero2ir
import huggingface_hub.constants, litellm, mlflow
from dvc import analytics
from huggingface_hub.utils import send_telemetry
from mlflow.telemetry import get_telemetry_client
from mlflow.telemetry.utils import is_telemetry_disabled
from ray._common.usage.usage_lib import usage_stats_enabled

send_telemetry("anything")
print(is_telemetry_disabled(), get_telemetry_client() is None, huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY)
print(analytics.is_enabled(), usage_stats_enabled(), called)
"""


COMMANDS = """
import json, sys, time
from pathlib import Path
called = []
sys.addaudithook(lambda event, args: event in ("socket.connect", "socket.getaddrinfo") and called.append(args))
from zero2ir.cli import main
from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore

documents = [{"doc_id": row[0], "text": row[2]} for row in read_pydocs()[0][:40]]
Path("docs").mkdir()
Path("docs/docs.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in documents))
texts = [row["text"][:30].splitlines()[0] for row in documents]
Path("docs/queries.tsv").write_text("".join(f"q{n}\\t{text}\\n" for n, text in enumerate(texts)))
Path("docs/qrels.trec").write_text("".join(f"q{n} 0 {row['doc_id']} 1\\n" for n, row in enumerate(documents[:8])))
Path("asked.txt").write_text("".join(f"how does {row['doc_id']} work\\n" for row in documents))
with FeedbackStore("feedback.sqlite") as store:
    for n, row in enumerate(documents[:8]):
        store.record(FeedbackEvent(str(n), "grade", f"about {row['doc_id']}", row["doc_id"], 1, 2, 1.0))
main(["train", "docs", "--output", "program", "--model", "sparse"])
main(["search", "program", "string"])
main(["compare", "docs", "--models", "sparse", "--strategies", "zero_shot"])
main(["monitor", "program", "--reference", "asked.txt", "--current", "asked.txt"])
main(["improve", "program", "--feedback", "feedback.sqlite", "--judgments", "docs"])
time.sleep(2)  # telemetry is sent by threads
print(called)
"""


def printed(script: str, folder: Path) -> list[str]:
    """The lines that a script prints, without the variables by which libraries know of a test."""
    plain = {name: value for name, value in os.environ.items() if not any(sign in name for sign in SIGNS)}
    ended = subprocess.run([sys.executable, "-c", script], cwd=folder, env=plain, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_no_library_calls_its_maker(tmp_path: Path) -> None:
    assert printed(STATES, tmp_path) == ["True True True", "False False []"]


def test_no_command_looks_up_a_host(tmp_path: Path) -> None:
    assert printed(COMMANDS, tmp_path)[-1] == "[]"


def test_a_call_of_any_process_is_written_down(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script = "import socket; socket.getaddrinfo('127.0.0.1', 80); socket.getaddrinfo('::2', 80)"
    subprocess.run([sys.executable, "-c", script], env=watched(os.environ, tmp_path / "hook", calls), check=True)
    assert calls.read_text() == '["socket.getaddrinfo", "::2", ["-c"]]\n'


@pytest.mark.slow
def test_the_main_job_ends_without_a_network_and_calls_nobody(tmp_path: Path) -> None:
    if reason := is_possible():
        pytest.skip(f"no network namespace: {reason}")
    assert main_job(tmp_path) == ({}, [])
