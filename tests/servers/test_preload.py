"""WORKER_PRELOAD through the real server: one init(), forked workers, shared memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import Answer, Server, ask, until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PRELOAD = {"WORKER_PRELOAD": "true"}

# What the body says is done, so that one script serves many tests.
SCRIPT = """
import json, os, random, sys, threading, time

print("imported once")

def init():
    global loaded_by
    loaded_by = os.getpid()
    print("initialised once")
    sys.stdout.write("without a line end")
    with open("init_calls", "a") as file:
        file.write(f"{os.getpid()}\\n")

def run(data):
    order = json.loads(data or "{}")
    what = order.get("do")
    if what == "sleep":
        time.sleep(order["seconds"])
    elif what == "swallow":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    elif what == "kill":
        os.kill(os.getpid(), 9)
    elif what == "print":
        print(order["text"])
    elif what == "random":
        return random.random()
    return {"pid": os.getpid(), "loaded_by": loaded_by, "group": os.getpgrp()}
"""


def order(server: Server, **content: object) -> Answer:
    return server.score(json.dumps(content).encode())


def template_of(server: Server) -> psutil.Process:
    (template,) = server.workers()
    return template


def forks_of(server: Server) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess, ValueError):
        return [
            child
            for child in template_of(server).children()
            if child.status() != psutil.STATUS_ZOMBIE
        ]
    return []


def init_calls(server: Server) -> list[int]:
    return [int(line) for line in (server.root / "init_calls").read_text().split()]


def wait_for_forks(server: Server, count: int) -> list[psutil.Process]:
    until(lambda: server.log().count(" forked from ") >= count, 20, server.log)
    until(lambda: len(forks_of(server)) == count, 20, server.log)
    return forks_of(server)


def all_gone(processes: list[psutil.Process], timeout_s: float = 10) -> bool:
    return psutil.wait_procs(processes, timeout=timeout_s)[1] == []


def test_init_runs_once_and_every_worker_has_what_it_made(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "4", environ=PRELOAD)
    forks = wait_for_forks(server, 4)
    template = template_of(server)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: order(server, do="sleep", seconds=0.3), range(4)))

    bodies = [json.loads(answer.body) for answer in answers]
    assert init_calls(server) == [template.pid]
    assert {body["pid"] for body in bodies} == {fork.pid for fork in forks}
    assert {body["loaded_by"] for body in bodies} == {template.pid}
    assert all(body["group"] == body["pid"] for body in bodies)


def test_the_ready_line_is_written_once_and_carries_the_loading_process(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "3", environ=PRELOAD)
    wait_for_forks(server, 3)

    ready = [line for line in server.log().splitlines() if "ready for serving traffic" in line]

    assert len(ready) == 1
    assert f"Worker with pid {template_of(server).pid} ready" in ready[0]


def test_what_is_printed_while_loading_is_logged_once(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "3", environ=PRELOAD)
    wait_for_forks(server, 3)
    pid = template_of(server).pid
    for _ in range(6):
        order(server)

    server.terminate()
    log = server.log()

    assert log.count(f"[{pid}] azmlinfsrv.print - imported once") == 1
    assert log.count(f"[{pid}] azmlinfsrv.print - initialised once") == 1
    assert log.count("initialised once") == 1
    assert log.count("without a line end") == 1


def test_what_a_fork_prints_carries_its_request_and_its_pid(serve: Serve) -> None:
    server = serve(SCRIPT, environ=PRELOAD)

    body = json.dumps({"do": "print", "text": "from a fork"}).encode()
    answer = server.score(body, headers={"x-request-id": "request-4711"})
    log = server.wait_for_log("from a fork")

    (line,) = [line for line in log.splitlines() if "from a fork" in line]
    assert f"[{json.loads(answer.body)['pid']}] azmlinfsrv.print" in line
    assert line.endswith("(request request-4711)")


def test_a_killed_fork_answers_its_caller_and_is_replaced_without_init(serve: Serve) -> None:
    server = serve(SCRIPT, environ=PRELOAD)
    (before,) = wait_for_forks(server, 1)

    failed = order(server, do="kill")
    began = time.monotonic()
    next_ = order(server)
    took_s = time.monotonic() - began

    assert failed.status == 500
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert "was ended by signal SIGKILL" in json.loads(failed.body)["message"]
    assert next_.status == 200
    assert json.loads(next_.body)["pid"] != before.pid
    assert len(init_calls(server)) == 1
    assert took_s < 1


def test_a_call_over_its_time_is_interrupted_and_its_fork_lives(serve: Serve) -> None:
    server = serve(SCRIPT, environ={**PRELOAD, "SCORING_TIMEOUT_MS": "500"})
    (before,) = wait_for_forks(server, 1)

    late = order(server, do="sleep", seconds=60)
    log = server.wait_for_log("run() was interrupted (timeout)")

    assert late.status == 500
    assert json.loads(late.body)["message"] == "Scoring timeout after 500 ms"
    assert 'time.sleep(order["seconds"])' in log
    assert json.loads(order(server).body)["pid"] == before.pid


def test_a_fork_that_swallows_the_interruption_is_replaced(serve: Serve) -> None:
    server = serve(
        SCRIPT,
        environ={**PRELOAD, "SCORING_TIMEOUT_MS": "300", "AZMLINFSRV_INTERRUPT_GRACE_S": "0.2"},
    )

    late = order(server, do="swallow")
    until(lambda: order(server).status == 200, 10, server.log)

    assert late.status == 500
    assert len(init_calls(server)) == 1


def test_forks_do_not_share_their_random_numbers(serve: Serve) -> None:
    server = serve(
        """
import time
import numpy

def init():
    numpy.random.rand()

def run(data):
    time.sleep(0.3)
    return numpy.random.rand()
""",
        "--worker_count",
        "3",
        environ=PRELOAD,
    )
    wait_for_forks(server, 3)

    with ThreadPoolExecutor(3) as clients:
        numbers = list(clients.map(lambda _: server.score().body, range(3)))

    assert len(set(numbers)) == 3


def test_an_asynchronous_script_has_a_loop_in_every_fork(serve: Serve) -> None:
    server = serve(
        """
import asyncio, os

async def init():
    await asyncio.sleep(0)

async def run(data):
    await asyncio.sleep(0.2)
    return os.getpid()
""",
        "--worker_count",
        "2",
        environ=PRELOAD,
    )
    forks = wait_for_forks(server, 2)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: server.score(), range(4)))

    assert [answer.status for answer in answers] == [200] * 4
    assert {int(answer.body) for answer in answers} == {fork.pid for fork in forks}
    assert "init() is asynchronous" in server.log()


def test_threads_that_no_worker_will_have_are_named_in_one_warning(serve: Serve) -> None:
    server = serve(
        """
import threading

def init():
    threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()

def run(data):
    return threading.active_count()
""",
        "--worker_count",
        "2",
        environ=PRELOAD,
    )
    wait_for_forks(server, 2)

    answer = server.score()

    assert answer.body == b"1"
    assert server.log().count("the script has started threads (refresher)") == 1


def test_a_failing_init_ends_the_server_with_one_report_and_status_3(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text("def init():\n    raise ValueError('no model')\n\ndef run(data):\n    pass\n")
    server = Server(script, "--worker_count", "4", root=tmp_path, environ=PRELOAD)
    try:
        status = server.exit_status()
        log = server.log()
    finally:
        server.close()

    assert status == 3
    assert log.count("User's init function failed\n\nAt score.py:2 in init") == 1


def test_a_killed_template_is_started_again_with_its_forks(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "2", environ=PRELOAD)
    forks = wait_for_forks(server, 2)
    template = template_of(server)

    template.kill()

    assert all_gone([template, *forks])
    until(lambda: server.log().count(" forked from ") == 4, 20, server.log)
    assert order(server).status == 200
    assert init_calls(server) == [template.pid, template_of(server).pid]
    assert f"The process {template.pid}, which the workers are forked from, has ended" in (
        server.log()
    )


def test_a_template_that_cannot_start_again_is_retried_and_reported_once(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(
        """
import os

def init():
    if os.path.exists("broken"):
        raise ValueError("gone")

def run(data):
    return 1
""",
        "--worker_count",
        "2",
        environ=PRELOAD,
    )
    wait_for_forks(server, 2)
    (tmp_path / "broken").touch()

    template_of(server).kill()
    until(lambda: server.log().count("before init() returned. Next attempt") >= 4, 20, server.log)
    (tmp_path / "broken").unlink()
    until(lambda: server.score().status == 200, 20, server.log)

    assert server.log().count("User's init function failed") == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stopped_server_leaves_no_process(serve: Serve, name: str) -> None:
    server = serve(
        """
import subprocess

def init():
    global child
    child = subprocess.Popen(["sleep", "600"])

def run(data):
    return child.pid
""",
        "--worker_count",
        "2",
        environ=PRELOAD,
    )
    server.wait_for_log(" forked from ")
    processes = [*server.tree(), psutil.Process(int(server.score().body))]

    server.popen.send_signal(signal.Signals[name])

    assert server.exit_status() == 0
    assert all_gone(processes, 5)


def test_sigterm_while_the_script_is_loaded_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(
        "import time\n\ndef init():\n    print('loading')\n    time.sleep(600)\n\n"
        "def run(data):\n    pass\n"
    )
    server = Server(script, "--worker_count", "2", root=tmp_path, environ=PRELOAD)
    try:
        server.wait_for_log("azmlinfsrv.print - loading", 30)
        processes = server.tree()

        server.popen.terminate()

        assert server.exit_status() == 0
        assert all_gone(processes, 5)
    finally:
        server.close()


def test_a_killed_front_end_leaves_no_orphans(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "2", environ=PRELOAD)
    wait_for_forks(server, 2)
    scoring = [template_of(server), *forks_of(server)]
    assert len(scoring) == 3

    server.front_end().kill()

    assert all_gone(scoring)
    server.wait_until_ready()
    assert order(server).status == 200


def test_a_thousand_calls_over_four_forks_have_no_error(serve: Serve) -> None:
    server = serve(SCRIPT, "--worker_count", "4", environ=PRELOAD)

    def client(_: int) -> set[int]:
        with contextlib.closing(server.connect()) as connection:
            return {ask(connection, "POST", "/score", b"{}").status for _ in range(125)}

    with ThreadPoolExecutor(8) as clients:
        statuses = set().union(*clients.map(client, range(8)))

    assert statuses == {200}


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_four_workers_share_the_memory_of_one_model(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
def init():
    global model, names
    model = bytearray(b"\\x01") * 200_000_000
    names = [str(number) for number in range(100_000)]

def run(data):
    return sum(model[::4096]) + len(names)
"""
    alone = serve(script)
    assert alone.score().status == 200
    one = sum(map(pss_bytes, alone.workers()))
    alone.terminate()

    server = serve(script, "--worker_count", "4", environ=PRELOAD)
    wait_for_forks(server, 4)
    with ThreadPoolExecutor(16) as clients:
        assert {a.status for a in clients.map(lambda _: server.score(), range(64))} == {200}
    four = sum(map(pss_bytes, [template_of(server), *forks_of(server)]))

    with capsys.disabled():
        print(f"\nPSS: one worker {one / 1e6:.0f} MB, four preloaded {four / 1e6:.0f} MB")
    assert four < 1.6 * one


def pss_bytes(process: psutil.Process) -> int:
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("Pss:")]
    return int(line.split()[1]) * 1024
