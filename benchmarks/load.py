"""Load generators: ``wrk`` where it is installed, `benchmarks.client` everywhere else.

Both run as a process of their own and repeat one request over N connections, each sending the next
request when the last answer is complete. ``wrk`` uses the least CPU, which matters when the load
and the server share a machine. It counts wrong statuses and broken connections, and does not look
at bodies; the study compares those before and after.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.client import HOST
from benchmarks.server import Server

# Longer than 64 calls of the slowest job on one worker; wrk's own limit is two seconds.
TIMEOUT_S = 60

_WRK_SCRIPT = """\
local file = assert(io.open("body.bin", "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()

done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nBENCH {"requests": %d, "microseconds": %d, "errors": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class LoadError(Exception):
    """The generator itself failed; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a generator saw."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float


class Generator(Protocol):
    """Something that can put load on a server."""

    @property
    def name(self) -> str: ...

    def __call__(self, server: Server, connections: int, seconds: int) -> Load: ...


class Wrk:
    """``wrk`` from the system's packages, one thread."""

    def __init__(self, program: str) -> None:
        self._program = program
        # Prints its version among the usage text, and exits 1.
        text = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
        self.name = " ".join(text.split()[:2]) or "wrk"

    def __call__(self, server: Server, connections: int, seconds: int) -> Load:
        folder = server.task.folder
        (folder / "body.bin").write_bytes(server.task.body)
        (folder / "wrk.lua").write_text(_WRK_SCRIPT, encoding="utf-8")
        url = f"http://{HOST}:{server.port}{server.task.peer.score_path}"
        done = subprocess.run(
            [
                *(self._program, "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_S}s"),
                *("--latency", "--script", "wrk.lua", url),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return parse_wrk(done.stdout, done.stderr)


class Client:
    """Our own client on httptools and uvloop."""

    def __init__(self) -> None:
        import platform

        self.name = f"benchmarks.client (httptools, uvloop, Python {platform.python_version()})"

    def __call__(self, server: Server, connections: int, seconds: int) -> Load:
        answer = _order(
            kind="load",
            port=server.port,
            path=server.task.peer.score_path,
            body=server.task.body.decode(),
            connections=connections,
            seconds=seconds,
        )
        return Load(**answer)


@dataclass(frozen=True, slots=True)
class Probe:
    """What the probes saw while ``run()`` was busy."""

    p50_ms: float
    p99_ms: float
    errors: int


def find_generator(choice: str = "auto") -> Generator:
    """``auto`` is ``wrk`` if it is on PATH, else our client; ``wrk`` and ``client`` insist."""
    program = shutil.which("wrk") if choice in ("auto", "wrk") else None
    if program:
        return Wrk(program)
    if choice == "wrk":
        raise LoadError("wrk is not on PATH. Install it, or leave --generator out.")
    return Client()


def probe(server: Server, busy: int, seconds: int) -> Probe:
    """Probe the health route while *busy* connections keep ``run()`` computing.

    Raises:
        LoadError: the client failed, or ``run()`` was never busy.
    """
    answer = _order(
        kind="probe",
        port=server.port,
        path=server.task.peer.score_path,
        body=server.task.body.decode(),
        busy=busy,
        seconds=seconds,
        health_path=server.task.peer.health_path,
    )
    if not answer["long_requests"]:
        raise LoadError("no long request was answered, so the probes say nothing")
    return Probe(answer["p50_ms"], answer["p99_ms"], answer["errors"])


def parse_wrk(output: str, errors: str = "") -> Load:
    """Read the line our script makes wrk print.

    Raises:
        LoadError: the line is not there.
    """
    for line in output.splitlines():
        if line.startswith("BENCH "):
            told = json.loads(line.removeprefix("BENCH "))
            return Load(
                requests=told["requests"],
                seconds=told["microseconds"] / 1e6,
                errors=told["errors"],
                p50_ms=told["p50"] / 1000,
                p99_ms=told["p99"] / 1000,
            )
    raise LoadError(f"wrk failed: {(errors or output).strip()[-200:]}")


def _order(**order: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LoadError(f"the client failed: {done.stderr.strip()[-200:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
