"""``run()`` does not come back: its caller is answered in time, and the worker is freed."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.conftest import Serve
from tests.faults.scripts import FAULTY
from tests.faults.watch import holds_the_same, message, order, settled, watching
from tests.harness import Server, until

LIMIT_S = 0.5
LIMIT = {"SCORING_TIMEOUT_MS": f"{LIMIT_S * 1000:.0f}"}


@pytest.mark.parametrize("how", ["sleep", "spin", "swallow", "c code", "deadlock", "join"])
def test_a_call_over_its_time_is_answered_on_time_and_the_server_goes_on(
    serve: Serve, flags: tuple[str, ...], how: str
) -> None:
    server = serve(FAULTY, *flags, environ=LIMIT)

    began = time.monotonic()
    late = order(server, do=how, seconds=60)
    took_s = time.monotonic() - began

    assert late.status == 500
    assert message(late) == "Scoring timeout after 500 ms"
    assert late.headers["x-ms-run-function-failed"] == "True"
    assert LIMIT_S <= took_s < LIMIT_S + 1
    _score_until_answered(server)


def _score_until_answered(server: Server) -> None:
    """While a stuck worker is being replaced a call may run into the same short limit."""
    until(lambda: order(server).status == 200, 10, server.log)


@pytest.mark.parametrize("how", ["swallow", "c code"])
def test_a_worker_that_is_stuck_for_good_keeps_nobody_else_waiting(
    serve: Serve, flags: tuple[str, ...], how: str
) -> None:
    server = serve(FAULTY, *flags, "--worker_count", "2", environ={"SCORING_TIMEOUT_MS": "2000"})
    before = settled(server, 2)

    with watching(server) as watch:
        late = order(server, do=how)

    assert late.status == 500
    assert watch.failed == []
    assert watch.failed_probes == []
    settled(server, 2)
    holds_the_same(server, before)


def test_children_of_a_script_that_is_stuck_end_with_its_worker(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(FAULTY, *flags, environ={"SCORING_TIMEOUT_MS": "2000"})
    place = server.root / "child"
    before = settled(server, 1)

    failed = order(server, do="child", then="swallow", path=str(place))

    assert message(failed) == "Scoring timeout after 2000 ms"
    pid = int(place.read_text())
    until(lambda: not psutil.pid_exists(pid), 10, lambda: f"{pid} lives")
    settled(server, 1)
    holds_the_same(server, before)


def test_a_thread_of_the_script_does_not_keep_the_server_from_ending(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(FAULTY, *flags)
    assert order(server, do="thread").status == 200
    processes = server.tree()

    began = time.monotonic()
    status = server.terminate()
    took_s = time.monotonic() - began

    assert status == 0
    assert took_s < 10
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
