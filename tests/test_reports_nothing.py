"""No library calls its maker once zero2ir is imported."""

import os
import subprocess
import sys

SIGNS = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "TELEMETRY", "DVC", "LITELLM", "GITHUB_ACTIONS")
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

send_telemetry("anything")
print(is_telemetry_disabled(), get_telemetry_client() is None, huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY)
print(analytics.is_enabled(), called)
"""


def test_no_library_calls_its_maker(tmp_path) -> None:
    plain = {name: value for name, value in os.environ.items() if not any(sign in name for sign in SIGNS)}
    ended = subprocess.run([sys.executable, "-c", STATES], cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n")[:2] == ["True True True", "False []"]
