"""``run()`` ends its process, or somebody else does: one call is lost, and it has an answer."""

from __future__ import annotations

import signal
import threading
import time

import psutil
import pytest

from tests.conftest import Serve
from tests.faults.scripts import FAULTY
from tests.faults.watch import (
    holds_the_same,
    message,
    order,
    scoring_processes,
    settled,
    watching,
)
from tests.harness import Answer, until

ENDINGS: list[tuple[str, dict[str, object], str]] = [
    ("exit-0", {"do": "exit", "status": 0}, "exited with status 0"),
    ("exit-7", {"do": "exit", "status": 7}, "exited with status 7"),
    ("kill", {"do": "signal", "number": signal.SIGKILL}, "was ended by signal SIGKILL"),
    ("term", {"do": "signal", "number": signal.SIGTERM}, "was ended by signal SIGTERM"),
    ("usr1", {"do": "signal", "number": signal.SIGUSR1}, "was ended by signal SIGUSR1"),
    ("real-time", {"do": "signal", "number": 40}, "was ended by signal 40"),
    ("segfault", {"do": "segfault"}, "was ended by signal SIGSEGV"),
    ("abort", {"do": "abort"}, "was ended by signal SIGABRT"),
    # Newer Pythons notice, and raise: then run() has failed, and nothing has ended.
    ("recursion", {"do": "recursion"}, ""),
]


@pytest.mark.parametrize(
    ("request_", "how"), [case[1:] for case in ENDINGS], ids=[case[0] for case in ENDINGS]
)
def test_a_worker_that_ends_answers_its_caller_and_is_replaced(
    serve: Serve, flags: tuple[str, ...], request_: dict[str, object], how: str
) -> None:
    server = serve(FAULTY, *flags, "--worker_count", "2")
    before = settled(server, 2)

    with watching(server) as watch:
        failed = order(server, **request_)
        began = time.monotonic()
        next_ = order(server, token="after")
        took_s = time.monotonic() - began

    assert failed.status == 500
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert how in message(failed)
    assert next_.status == 200
    assert took_s < 5
    assert watch.failed == []
    assert watch.failed_probes == []
    settled(server, 2)
    holds_the_same(server, before)


@pytest.mark.parametrize("what", ["sys.exit", "MemoryError", "KeyboardInterrupt"])
def test_what_run_raises_ends_no_process(serve: Serve, flags: tuple[str, ...], what: str) -> None:
    server = serve(FAULTY, *flags)
    (worker,) = scoring_processes(server)

    failed = order(server, do=what, status=7)

    assert failed.status == 500
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert order(server).status == 200
    assert [each.pid for each in scoring_processes(server)] == [worker.pid]


def test_the_only_worker_that_ends_is_replaced_and_those_who_wait_are_served(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(FAULTY, *flags)
    answers: list[Answer] = []
    victim = threading.Thread(target=lambda: answers.append(order(server, do="sleep", seconds=60)))

    with watching(server, callers=4) as watch:
        victim.start()
        # The one worker is busy when no good call is answered any more.
        counts = [watch.answered - 1]

        def stands_still() -> bool:
            counts.append(watch.answered)
            time.sleep(0.2)
            return watch.answered == counts[-1]

        until(stands_still, 20, server.log)
        scoring_processes(server)[0].kill()
        victim.join()
        served = watch.answered
        until(lambda: watch.answered > served, 20, server.log)

    assert [answer.status for answer in answers] == [500]
    assert "was ended by signal SIGKILL" in message(answers[0])
    assert watch.failed == []


def test_an_idle_worker_that_is_killed_costs_no_call(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(FAULTY, *flags)
    before = settled(server, 1)
    (worker,) = scoring_processes(server)

    worker.kill()
    psutil.wait_procs([worker], timeout=10)
    next_ = order(server)

    assert next_.status == 200
    settled(server, 1)
    holds_the_same(server, before)


def test_no_call_goes_to_a_dead_worker_whose_child_holds_its_connection(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(FAULTY, *flags)
    (worker,) = scoring_processes(server)
    assert order(server, do="fork").status == 200

    worker.kill()
    psutil.wait_procs([worker], timeout=10)
    next_ = order(server)

    assert next_.status == 200


def test_a_crash_takes_the_children_of_the_script_with_it(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(FAULTY, *flags)
    place = server.root / "child"
    before = settled(server, 1)

    failed = order(server, do="child", then="exit", path=str(place))

    assert failed.status == 500
    pid = int(place.read_text())
    until(lambda: not psutil.pid_exists(pid), 10, lambda: f"{pid} lives")
    settled(server, 1)
    holds_the_same(server, before)


def test_twenty_crashes_in_a_row_leave_nothing_behind(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(FAULTY, *flags)
    before = settled(server, 1)

    statuses = [order(server, do="exit", status=3, number=number).status for number in range(20)]

    assert statuses == [500] * 20
    settled(server, 1)
    holds_the_same(server, before)
