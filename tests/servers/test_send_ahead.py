"""Calls sent ahead to quick workers: nobody may notice (`azmlinfsrv.pool.claims`)."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import Serve
from tests.harness import Server, ask, until

QUICK_OR_SLOW = """
import json, time

def init():
    pass

def run(data):
    seconds = json.loads(data)["seconds"]
    if seconds:
        time.sleep(seconds)
    return seconds
"""
QUICK = b'{"seconds": 0}'


def quick_calls(server: Server, count: int) -> list[int]:
    """Statuses of *count* quick calls, one after another on one connection."""
    with contextlib.closing(server.connect()) as connection:
        return [ask(connection, "POST", "/score", QUICK).status for _ in range(count)]


def under_load(server: Server, clients: int, count: int) -> list[int]:
    with ThreadPoolExecutor(clients) as pool:
        runs = [pool.submit(quick_calls, server, count) for _ in range(clients)]
        return [status for run in runs for status in run.result()]


def test_quick_calls_are_not_stuck_behind_one_that_turns_out_slow(serve: Serve) -> None:
    server = serve(QUICK_OR_SLOW, "--worker_count", "2")
    under_load(server, 16, 40)  # from here on both workers are trusted to be quick
    slow_is_done = threading.Event()

    def slow_call() -> int:
        answer = server.score(json.dumps({"seconds": 3}).encode())
        slow_is_done.set()
        return answer.status

    with ThreadPoolExecutor(17) as pool:
        others = [pool.submit(quick_calls, server, 60) for _ in range(16)]
        slow = pool.submit(slow_call)
        statuses = [status for other in others for status in other.result()]
        was_first = not slow_is_done.is_set()

        assert slow.result() == 200
    assert set(statuses) == {200}
    assert was_first


def test_a_worker_killed_with_calls_sent_ahead_loses_one_at_most(serve: Serve) -> None:
    server = serve(QUICK_OR_SLOW)
    under_load(server, 16, 40)

    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(under_load, server, 16, 200)
        for _ in range(3):
            (worker,) = server.workers()
            worker.kill()
            until(
                lambda old=worker.pid: any(w.pid != old for w in server.workers()),
                10,
                server.log,
            )
            server.wait_until_ready()
        statuses = load.result()

    assert len(statuses) == 16 * 200
    assert statuses.count(500) <= 3
    assert set(statuses) <= {200, 500}
