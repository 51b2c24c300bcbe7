"""Bad bodies and queries over real servers: a 4xx soon, and a server that goes on.

The cases are in `tests.hostile.bodies`. After each one a good request has to be answered by the
same process.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.harness import Server, serving
from tests.hostile.bodies import CASES, GOOD, SCRIPTS, Case, Outcome

SERVERS: dict[str, tuple[str, ...]] = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in-process": ("--in_process",),
}
# One process has no other way of reading a body: a sample is enough.
SAMPLE_OF = {"gunicorn": 1, "waitress": 1, "in-process": 20}

ANSWER_S = 10.0  # the slowest takes a fraction of it on an idle machine
GENERIC = "An unexpected error occurred in scoring script. Check the logs for more info."
MIB = 1024 * 1024

RUNS = [
    (server, case)
    for server, step in SAMPLE_OF.items()
    for case in sorted(CASES, key=lambda case: case.script)[::step]
]


class Running:
    """One server at a time: the one that was asked for last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self._key: tuple[str, str] | None = None
        self._server: Server | None = None

    def server(self, kind: str, script: str) -> Server:
        """A ready server of that kind for that script."""
        if self._key != (kind, script) or self._server is None:
            self.close()
            path = self._root / f"{script}.py"
            path.write_text(SCRIPTS[script], encoding="utf-8")
            self._server = self._stack.enter_context(serving(path, *SERVERS[kind], root=self._root))
            self._key = (kind, script)
        return self._server

    def close(self) -> None:
        """End it, if there is one."""
        self._stack.close()
        self._key = self._server = None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    servers = Running(tmp_path_factory.mktemp("bodies"))
    yield servers
    servers.close()


def ask(server: Server, case: Case) -> tuple[int, dict[str, str], bytes]:
    received = server.exchange(case.request(), timeout_s=60)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", first)
    assert match, received[:200]
    pairs = (field.split(": ", 1) for field in fields)
    return int(match[1]), {name.lower(): value for name, value in pairs}, body


def memory_of(process: psutil.Process, name: str) -> int:
    """A line of ``/proc/<pid>/status``, in bytes: VmRSS, or VmHWM for the highest so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024


def start_counting_memory(process: psutil.Process) -> int:
    """Forget the highest memory so far (proc(5), ``clear_refs``); what it has now, in bytes."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return memory_of(process, "VmRSS")


@pytest.mark.parametrize(
    ("kind", "case"), RUNS, ids=[f"{server}-{case.id}" for server, case in RUNS]
)
def test_a_bad_body_costs_its_own_answer_and_nothing_else(
    running: Running, kind: str, case: Case
) -> None:
    server = running.server(kind, case.script)
    _, _, before = ask(server, GOOD[case.script])
    processes = server.tree()
    had = [start_counting_memory(process) for process in processes]

    began = time.monotonic()
    status, fields, body = ask(server, case)
    took_s = time.monotonic() - began

    used = [memory_of(it, "VmHWM") - then for it, then in zip(processes, had, strict=True)]
    found = json.loads(body)
    assert fields["content-type"] == "application/json"
    if case.outcome is Outcome.REFUSED:
        assert 400 <= status < 500, found
        assert fields["x-ms-run-function-failed"] == "False"
        assert found["message"] not in ("", GENERIC)
        assert case.says in found["message"]
        assert len(body) < 400, "an answer that repeats the input"
    elif case.outcome is Outcome.SCRIPT_ERROR:
        assert status == 500
        assert fields["x-ms-run-function-failed"] == "True"
        assert found["message"] == GENERIC
        assert re.fullmatch(rf"{case.script}\.py:\d+ in \S+", found["location"])
    else:
        assert (status, fields["x-ms-run-function-failed"]) == (200, "False"), found
    assert took_s < ANSWER_S
    assert max(used) < limit_bytes(case), used
    status, _, after = ask(server, GOOD[case.script])
    assert status == 200
    assert json.loads(after)["pid"] == json.loads(before)["pid"], server.log()


def limit_bytes(case: Case) -> int:
    """What a process may need for *case*: Python makes 30 bytes of a byte of lists."""
    return 64 * MIB + 40 * len(case.request())
