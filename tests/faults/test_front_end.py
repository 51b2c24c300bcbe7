"""The processes that are not the script's end: what is under way is lost, nothing is left over."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading

import psutil
import pytest

from tests.conftest import Serve
from tests.faults.scripts import FAULTY
from tests.faults.watch import holds_the_same, order, settled, watching
from tests.harness import Answer, Server, until


def test_a_killed_front_end_is_replaced_under_load_and_holds_no_more_than_before(
    serve: Serve,
) -> None:
    server = serve(FAULTY, "--worker_count", "2")
    before = settled(server, 2)
    old = [server.front_end(), *server.workers()]

    with watching(server) as watch:
        old[0].kill()
        _, alive = psutil.wait_procs(old, timeout=10)
        server.wait_until_ready()
        served = watch.answered
        until(lambda: watch.answered > served, 20, server.log)

    assert alive == []
    # Whoever was connected has lost a call, and was refused until the next one listened.
    assert watch.failed != []
    assert not any("200" in failed for failed in watch.failed)
    settled(server, 2)
    holds_the_same(server, before)


@pytest.mark.parametrize("what", ["idle", "busy"])
def test_a_killed_server_leaves_no_process(serve: Serve, flags: tuple[str, ...], what: str) -> None:
    server = serve(FAULTY, *flags, "--worker_count", "2", "--drain_timeout", "2")
    settled(server, 2)
    processes = server.tree()
    if what == "busy":
        call = threading.Thread(target=_ask_in_vain, args=(server,))
        call.start()
        until(lambda: (server.root / "started").exists(), 10, server.log)

    server.popen.kill()
    server.popen.wait()

    _, alive = psutil.wait_procs(processes, timeout=60)
    if what == "busy":
        call.join()
    assert alive == []


def _ask_in_vain(server: Server) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        order(server, do="swallow", path="started")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_stopping_answers_what_runs_and_waits_on_every_worker(
    serve: Serve, flags: tuple[str, ...], number: signal.Signals
) -> None:
    server = serve(FAULTY, *flags, "--worker_count", "2")
    settled(server, 2)
    processes = server.tree()
    answers: list[Answer] = []
    calls = [
        threading.Thread(target=lambda: answers.append(order(server, do="sleep", seconds=0.7)))
        for _ in range(6)
    ]
    for call in calls:
        call.start()
    front_end = psutil.Process(server.popen.pid) if "waitress" in flags[0] else server.front_end()
    until(
        lambda: (
            sum(each.status == psutil.CONN_ESTABLISHED for each in front_end.net_connections("tcp"))
            >= 6
        ),
        10,
        server.log,
    )

    server.popen.send_signal(number)
    status = server.exit_status()
    for call in calls:
        call.join()

    assert status == 0
    assert [answer.status for answer in answers] == [200] * 6
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
