"""What a script has started ends with its worker, also when the front end cannot see to it.

A process that has left for a session of its own is the script's business, as it is when a
worker ends in good order.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import Server, until

# Every answer names what the call has started.
PARENT = """
import json, multiprocessing, os, subprocess, time

def init():
    pass

def sleep():
    time.sleep(600)

def daemon(command):
    # Whoever led its session and started it has ended.
    leader = subprocess.Popen(
        ["sh", "-c", command + " > /dev/null & echo $!"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    return int(leader.stdout.readline())

def run(data):
    if data:
        return daemon(json.loads(data))
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    forked = multiprocessing.get_context("fork").Process(target=sleep)
    forked.start()
    session = subprocess.Popen(["sleep", "600"], start_new_session=True)
    return {
        "inside": [os.getpid(), shell.pid, int(shell.stdout.readline()), forked.pid],
        "outside": [session.pid, daemon("sleep 600")],
    }
"""


@dataclass
class Started:
    """Processes of a call: those that belong to its worker, and those that have left."""

    inside: list[psutil.Process]
    outside: list[psutil.Process]


@contextlib.contextmanager
def started(server: Server) -> Iterator[Started]:
    """What the script starts in one call; nothing of it is left afterwards."""
    answer = json.loads(server.score(b"").body)
    family = Started(*([psutil.Process(pid) for pid in answer[k]] for k in ("inside", "outside")))
    try:
        yield family
    finally:
        for process in family.inside + family.outside:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def only_what_has_left_lives(family: Started) -> None:
    """Return once all that belongs to the worker is gone; what has left is there still."""
    _, alive = psutil.wait_procs(family.inside, timeout=40)
    assert alive == []
    assert all(process.is_running() for process in family.outside)


def test_what_leaves_its_worker_outlives_it(serve: Serve) -> None:
    server = serve(PARENT)
    with started(server) as family:
        (worker,) = server.workers()
        worker.kill()

        only_what_has_left_lives(family)


@pytest.mark.parametrize("preload", ["false", "true"], ids=["fresh", "preloaded"])
def test_a_killed_front_end_leaves_nothing_that_belongs_to_its_workers(
    serve: Serve, preload: str
) -> None:
    server = serve(PARENT, "--worker_count", "2", environ={"WORKER_PRELOAD": preload})
    with started(server) as first, started(server) as second:
        server.front_end().kill()

        only_what_has_left_lives(first)
        only_what_has_left_lives(second)
        server.wait_until_ready()
        # The same once more: the next front end's are known as well.
        with started(server) as third:
            server.front_end().kill()

            only_what_has_left_lives(third)
            server.wait_until_ready()


def test_a_front_end_killed_while_the_script_loads_leaves_nothing(tmp_path: Path) -> None:
    script = """
import os, subprocess, time
from pathlib import Path

def init():
    child = subprocess.Popen(["sleep", "600"])
    if not Path("child").exists():
        Path("child").write_text(f"{child.pid}\\n")
        time.sleep(600)

def run(data):
    return "ready"
"""
    (tmp_path / "score.py").write_text(script)
    server = Server("score.py", root=tmp_path)
    try:
        place = tmp_path / "child"
        until(lambda: place.exists() and place.read_text().endswith("\n"), 20, server.log)
        child = psutil.Process(int(place.read_text()))

        server.front_end().kill()

        child.wait(10)
        server.wait_until_ready()
    finally:
        server.close()


def test_a_front_end_killed_because_it_does_not_stop_leaves_nothing(serve: Serve) -> None:
    server = serve(PARENT, "--drain_timeout", "0")
    with started(server) as family:
        server.front_end().send_signal(signal.SIGSTOP)

        server.terminate()

        only_what_has_left_lives(family)


def test_a_killed_arbiter_leaves_nothing_that_belongs_to_its_workers(serve: Serve) -> None:
    server = serve(PARENT)
    processes = server.tree()
    with started(server) as family:
        server.popen.kill()
        server.popen.wait()

        _, alive = psutil.wait_procs(processes, timeout=60)
        assert alive == []
        only_what_has_left_lives(family)


def test_how_an_adopted_process_ends_is_nobodys_business(serve: Serve) -> None:
    server = serve(PARENT)
    fifo = server.root / "fifo"
    os.mkfifo(fifo)
    # Of a front end, 3 would mean that another one is of no use.
    command = shlex.join(["sh", "-c", f"read line < {shlex.quote(str(fifo))}; exit 3"])
    daemon = psutil.Process(int(server.score(json.dumps(command).encode()).body))
    # Once the shell that started it has ended.
    until(lambda: daemon.ppid() == server.popen.pid, 40, lambda: "it was not adopted")
    front_end = server.front_end()

    fifo.write_text("end\n")

    until(lambda: not psutil.pid_exists(daemon.pid), 40, lambda: "it is not waited for")
    assert server.get("/").status == 200
    assert front_end.is_running()
    assert str(daemon.pid) not in server.log()
