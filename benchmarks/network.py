"""The main job without a network, and whom it calls: a part of ``make promises``.

A network namespace of Linux (``unshare --net``) has a loopback interface and nothing else. In it the pipeline of a
small collection runs to its report, and the command line trains, searches and serves. A hook in every process of
Python, also in those of DVC and MLflow, writes down each host that is looked up and each address that is connected to.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.outcomes import Outcome

sys.path.append(str(Path(__file__).parents[1] / "tests" / "pipeline"))
from small_project import FROM_QRELS, new_project

NAMESPACE = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: it is up and runs
os.execvp(sys.argv[1], sys.argv[1:])
"""
HOOK = """
import json, os, sys

def watch(event, args):
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost", "::1", "0.0.0.0", "::") and not host.startswith("127."):
        with open(os.environ["CALLS"], "a") as file:
            file.write(json.dumps([event, host, sys.argv[:2]]) + "\\n")

sys.addaudithook(watch)
"""
SERVING = """
import json, subprocess, sys, urllib.request

served = subprocess.Popen([sys.argv[1], "serve", "program", "--port", "0"], stdout=subprocess.PIPE, text=True)
line = next(line for line in served.stdout if line.startswith("serving on "))
body = json.dumps({"query": "how do I open a file"}).encode()
request = urllib.request.Request(line.split()[2].rstrip(";") + "/search", body, {"content-type": "application/json"})
found = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request))["results"]
served.terminate()
served.wait()
sys.exit(0 if found else "nothing is found")
"""
COMMANDS: dict[str, Sequence[str]] = {
    "pipeline": ("dvc", "repro"),
    "train": ("zero2ir", "train", "my-collection", "--output", "program"),
    "search": ("zero2ir", "search", "program", "how do I open a file"),
    "serve": (sys.executable, "-c", SERVING, "zero2ir"),
}
SIGNS = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "TELEMETRY", "DVC_NO_ANALYTICS", "GITHUB_ACTIONS", "RAY_")


class Job(NamedTuple):
    """What the main job did: the commands that failed, with their last words, and whom its processes called."""

    failed: dict[str, str]
    calls: list[str]


def is_possible() -> str | None:
    """Returns why there can be no namespace here; None if there can."""
    try:
        ended = subprocess.run([*NAMESPACE, sys.executable, "-c", LOOPBACK_UP, "true"], capture_output=True, text=True)
    except OSError as error:
        return f"unshare: {error.strerror}"
    return ended.stderr.strip() or "unshare failed" if ended.returncode else None


def watched(environment: Mapping[str, str], hook: Path, calls: Path) -> dict[str, str]:
    """Returns an environment in which every process of Python adds its calls to a file; the hook gets a folder."""
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    places = [str(hook), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(places), "CALLS": str(calls)}


def main_job(folder: Path) -> Job:
    """Runs pipeline and command line in a namespace, without the variables by which libraries know of a test."""
    project = new_project(folder / "project")
    systems = {"models": ["static_hybrid"], "strategies": ["fixed_prompt"], "budget": FROM_QRELS}
    project.edit("params.yaml", lambda panel: panel.update(systems))
    own = {name: one for name, one in project.environment().items() if not any(sign in name for sign in SIGNS)}
    calls = folder / "calls.jsonl"
    own = watched(own, folder / "hook", calls)
    failed = {}
    for name, command in COMMANDS.items():
        words = [*NAMESPACE, sys.executable, "-c", LOOPBACK_UP, *command]
        ended = subprocess.run(words, cwd=project.folder, env=own, capture_output=True, text=True)
        if ended.returncode:
            failed[name] = " ".join(f"{ended.stdout} {ended.stderr}".split())[-300:]
    if not (project.folder / "report" / "index.html").is_file():
        failed.setdefault("pipeline", "no report")
    return Job(failed, calls.read_text().splitlines() if calls.exists() else [])


def run(number: int, seed: int) -> Sequence[Outcome]:
    """Runs the main job ``number`` times; nothing of it is drawn."""
    if reason := is_possible():
        raise SystemExit(f"error: no network namespace: {reason}")
    jobs = []
    for _ in range(number):
        with TemporaryDirectory() as folder:
            jobs.append(main_job(Path(folder)))
    commands = number * len(COMMANDS)
    failed = [f"{name}: {words}" for job in jobs for name, words in job.failed.items()]
    calls = sorted({call for job in jobs for call in job.calls})
    trial = "pipeline, train, search and serve on a small collection in a namespace that has a loopback interface only"
    return [
        Outcome(
            promise="The main job ends with the network cut off",
            trial=trial,
            tried=commands,
            kept=commands - len(failed),
            notes="; ".join(failed),
        ),
        Outcome(
            promise="Neither zero2ir nor a library calls another machine",
            trial="each process of these commands writes down the hosts that it looks up or connects to",
            tried=number,
            kept=sum(not job.calls for job in jobs),
            notes="; ".join(json.dumps(json.loads(call)[1:]) for call in calls[:5]),
        ),
    ]
