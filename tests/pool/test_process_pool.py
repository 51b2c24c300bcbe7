"""Queue, deadlines and supervision with real scoring processes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from azmlinfsrv.errors import (
    Overloaded,
    ScoringFailed,
    ScoringProcessEnded,
    ScoringTimeout,
    Unavailable,
)
from azmlinfsrv.pool.call import CallerLeft
from azmlinfsrv.pool.spawn import Child, FreshInterpreters
from tests.pool.bench import Bench, content_of, pool_of, run

# Does what the body says; `gate` is a file whose appearance lets a waiting call go on.
OBEDIENT = """
import os, signal, time

def init():
    pass

done = []

def run(data):
    what, _, rest = data.partition(" ")
    if what == "gate":
        while not os.path.exists(rest):
            time.sleep(0.005)
    elif what == "sleep":
        time.sleep(float(rest))
    elif what == "hang":
        os.closerange(3, 256)
        time.sleep(2)
        os._exit(3)
    elif what == "swallow":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    elif what == "spin":
        while True:
            pass
    elif what == "signal":
        os.kill(os.getpid(), int(rest))
        time.sleep(60)
    elif what == "exit":
        os._exit(int(rest))
    elif what == "alarm":
        def strike(*_):
            raise RuntimeError("my own limit")
        signal.signal(signal.SIGALRM, strike)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            time.sleep(10)
        except RuntimeError as error:
            return str(error)
    elif what == "pid":
        return os.getpid()
    elif what == "done":
        return done
    done.append(data)
    return data
"""


def test_the_oldest_waiting_call_is_next(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> list[str]:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            first = bench.later(f"gate {gate}")
            await bench.busy()
            rest = [bench.later(f"n {number}") for number in range(20)]
            await asyncio.sleep(0)
            gate.touch()
            await asyncio.gather(first, *rest)
            found: list[str] = await bench.value("done")
            return found

    assert run(main())[1:] == [f"n {number}" for number in range(20)]


def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, queue=3) as bench:
            waiting = [bench.later(f"gate {gate}")]
            await bench.busy()
            waiting += [bench.later("n") for _ in range(3)]
            await asyncio.sleep(0)

            with pytest.raises(Overloaded) as caught:
                await bench.ask("one more")
            gate.touch()
            answers = await asyncio.gather(*waiting)

            assert (b"Retry-After", b"1") in caught.value.headers
            assert [answer.status for answer in answers] == [200] * 4

    run(main())


@pytest.mark.parametrize("how", ["time is up", "caller has left"])
def test_those_who_do_not_wait_any_more_do_not_fill_the_queue(tmp_path: Path, how: str) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, queue=3) as bench:
            running = bench.later(f"gate {gate}")
            await bench.busy()
            if how == "time is up":
                gone = [bench.later("gone", limit_s=0.02) for _ in range(3)]
                results = await asyncio.gather(*gone, return_exceptions=True)
                assert {type(result) for result in results} == {Unavailable}
            else:
                gone = [bench.later("gone", has_left=lambda: True) for _ in range(3)]
                await asyncio.sleep(0)

            living = bench.later("living")
            await asyncio.sleep(0)
            gate.touch()
            await asyncio.gather(running, living)
            done = await bench.value("done")
            await asyncio.gather(*gone, return_exceptions=True)

            assert done == [f"gate {gate}", "living"]

    run(main())


def test_a_call_whose_time_is_up_while_it_waits_is_never_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            running = bench.later(f"gate {gate}")
            await bench.busy()
            with pytest.raises(Unavailable, match="No scoring process was free within 50 ms"):
                await bench.ask("late", limit_s=0.05)
            gate.touch()
            await running

            assert await bench.value("done") == [f"gate {gate}"]

    run(main())


def test_a_call_whose_caller_left_while_it_waited_is_never_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            running = bench.later(f"gate {gate}")
            await bench.busy()
            left = bench.later("left", has_left=lambda: True)
            cancelled = bench.later("cancelled")
            await asyncio.sleep(0)
            cancelled.cancel()
            gate.touch()
            await running
            with pytest.raises(CallerLeft):
                await left

            assert await bench.value("done") == [f"gate {gate}"]

    run(main())


def test_calls_have_deadlines_of_their_own(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            running = bench.later(f"gate {gate}")
            await bench.busy()
            began = time.monotonic()
            ends: dict[float, float] = {}

            async def wait(limit_s: float) -> None:
                with pytest.raises(Unavailable):
                    await bench.ask("late", limit_s=limit_s)
                ends[limit_s] = time.monotonic() - began

            await asyncio.gather(*(wait(limit_s) for limit_s in (0.3, 0.1, 0.2, 0.1)))
            gate.touch()
            await running

            assert list(ends) == [0.1, 0.2, 0.3]
            for limit_s, after_s in ends.items():
                assert limit_s - 0.02 <= after_s < limit_s + 0.5

    run(main())


def test_no_limit_means_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            assert await bench.value("sleep 0.05", limit_s=0.0) == "sleep 0.05"

    run(main())


@pytest.mark.parametrize(
    ("order", "survives"), [("sleep 60", True), ("spin", True), ("swallow", False)]
)
def test_a_call_over_its_time_is_answered_then_and_its_process_kept_if_it_lets_go(
    tmp_path: Path, order: str, survives: bool
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, grace_s=0.5) as bench:
            before = await bench.value("pid")
            began = time.monotonic()
            with pytest.raises(ScoringTimeout, match="Scoring timeout after 100 ms"):
                await bench.ask(order, limit_s=0.1)
            took_s = time.monotonic() - began
            after = await bench.value("pid")

            assert 0.08 <= took_s < 0.4
            assert (after == before) is survives
            if not survives:
                assert "did not stop when it was interrupted" in bench.log()

    run(main())


def test_every_interruption_is_heard(tmp_path: Path) -> None:
    """The signal must never overtake the frame that says whom it is for."""

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, grace_s=5.0) as bench:
            before = await bench.value("pid")
            began = time.monotonic()
            heard = 0
            while heard < 40:
                try:
                    await bench.ask("sleep 60", limit_s=0.01)
                except ScoringTimeout:
                    heard += 1
                except Unavailable:
                    pass  # the process was still telling of the one before

            assert await bench.value("pid") == before
            assert time.monotonic() - began < 5.0

    run(main())


def test_a_limit_that_strikes_while_a_large_body_is_on_its_way_is_kept(tmp_path: Path) -> None:
    source = OBEDIENT + "\nplain = run\ndef run(data): return plain(data.strip())\n"

    async def main() -> None:
        async with pool_of(tmp_path, source, grace_s=5.0) as bench:
            before = await bench.value("pid")
            body = b"sleep 60" + b" " * 60_000_000
            began = time.monotonic()
            with pytest.raises(ScoringTimeout):
                await bench.ask(body, limit_s=0.005)

            assert await bench.value("pid") == before
            assert time.monotonic() - began < 5.0

    run(main())


def test_a_limit_of_the_scripts_own_works(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            assert await bench.value("alarm") == "my own limit"

    run(main())


@pytest.mark.parametrize(
    ("order", "how"),
    [
        ("exit 0", "exited with status 0"),
        ("exit 9", "exited with status 9"),
        (f"signal {int(signal.SIGKILL)}", "was ended by signal SIGKILL"),
        (f"signal {int(signal.SIGSEGV)}", "was ended by signal SIGSEGV"),
    ],
)
def test_a_crash_costs_one_call_and_the_next_is_served(
    tmp_path: Path, order: str, how: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            crashing = bench.later(order)
            await asyncio.sleep(0)
            waiting = bench.later("n")
            with pytest.raises(ScoringProcessEnded, match=how):
                await crashing

            assert content_of(await waiting) == "n"
            assert "Another one takes its place" in bench.log()

    run(main())


def test_an_idle_process_that_dies_costs_no_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            for _ in range(3):
                os.kill(await bench.value("pid"), signal.SIGKILL)
                process = next(bench.pool.fleet.processes)
                await bench.until(lambda p=process: not p._is_connected)  # type: ignore[misc]

                assert await bench.value("n") == "n"

    run(main())


def test_a_process_that_closes_its_socket_but_lives_costs_no_call(tmp_path: Path) -> None:
    source = OBEDIENT + "\n".join(
        (
            "",
            "import threading",
            "def hang():",
            "    while os.path.exists(__file__ + '.hang'): time.sleep(0.01)",
            "def init():",
            "    if os.path.exists(__file__ + '.hang'):",
            "        threading.Thread(target=close, daemon=True).start()",
            "def close():",
            "    time.sleep(0.3)",
            "    for fd in range(3, 20):",
            "        try:",
            "            if os.readlink(f'/proc/self/fd/{fd}').startswith('socket:'):",
            "                import socket; socket.socket(fileno=fd).shutdown(2)",
            "        except OSError: pass",
            "",
        )
    )
    flag = tmp_path / "score.py.hang"
    flag.touch()

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            process = next(bench.pool.fleet.processes)
            await bench.until(lambda: not process._is_connected)
            flag.unlink()

            assert await bench.value("n") == "n"

    run(main())


def test_no_call_is_lost_or_run_twice_when_processes_die_at_random(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, workers=2, queue=1000) as bench:

            async def client(number: int) -> list[str]:
                wrong = []
                for turn in range(25):
                    order = "exit 3" if (number, turn) in ((3, 5), (7, 11)) else f"n {turn}"
                    try:
                        answer = await bench.value(order)
                        if answer != order:
                            wrong.append(f"{order}: {answer}")
                    except ScoringProcessEnded:
                        if order != "exit 3":
                            wrong.append(f"{order} ended")
                return wrong

            found = await asyncio.gather(*(client(number) for number in range(20)))

            assert [text for wrong in found for text in wrong] == []
            await bench.until(lambda: len(list(bench.pool.fleet.processes)) == 2)

    run(main())


def test_answers_that_a_process_gave_before_it_ended_are_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, queue=1000) as bench:
            for _ in range(200):  # until calls are sent ahead
                await bench.value("n")
            process = next(bench.pool.fleet.processes)
            pauses = [0.5]

            def stays() -> bool:
                # Asked just before more is written to the process: that answers what it has
                # and goes before the loop comes to it, as on a machine with other things to do.
                if pauses and any(call.request.body == b"hang up" for call in process.calls):
                    time.sleep(pauses.pop())
                return False

            quick = [bench.later(f"n {number}") for number in range(10)]
            last = bench.later("hang up")
            more = [bench.later(f"n {number}", has_left=stays) for number in range(10, 90)]

            answers = [content_of(await task) for task in (*quick, *more)]

            assert answers == [f"n {number}" for number in range(90)]
            with pytest.raises(ScoringProcessEnded):
                await last

    run(main())


async def _killed(bench: Bench) -> None:
    bench.processes()[0].kill()


async def _ended_by_a_call(bench: Bench) -> None:
    with pytest.raises(ScoringProcessEnded):
        await bench.value("exit 1")


async def _swapped(bench: Bench) -> None:
    bench.pool.swap()
    await bench.value("n")


def _is_dead(one: weakref.ref[Any]) -> bool:
    return one() is None


@pytest.mark.parametrize("end", [_killed, _ended_by_a_call, _swapped])
def test_a_process_that_has_ended_is_let_go_of(
    tmp_path: Path, end: Callable[[Bench], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            await bench.value("n")
            gc.disable()
            try:
                # Twice: the first one is started in another way than its successors are.
                for _ in range(2):
                    ended = weakref.ref(next(bench.pool.fleet.processes))
                    await end(bench)
                    await bench.until(partial(_is_dead, ended))
                    await bench.value("n")
            finally:
                gc.enable()

    run(main())


def test_a_script_error_is_a_script_error(tmp_path: Path) -> None:
    source = "def init(): pass\ndef run(data):\n    raise ValueError('patient 4711')\n"

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            with pytest.raises(ScoringFailed) as caught:
                await bench.ask("x")

            assert caught.value.location == "score.py:3 in run"
            assert "4711" not in caught.value.message
            assert "patient 4711" in bench.log()

    run(main())


# --- starts -------------------------------------------------------------------------------

FAILING = {
    "missing name": ("import nothing_of_this_name\n", "nothing_of_this_name"),
    "syntax": ("def init(:\n", "SyntaxError"),
    "no run": ("def init(): pass\n", "does not have a run() function"),
    "init raises": (
        "def init(): raise KeyError('k')\ndef run(d): 1",
        "User's init function failed",
    ),
    "init leaves": (
        "def init(): raise SystemExit(0)\ndef run(d): 1",
        "User's init function failed",
    ),
    "init exits": (
        "import os\ndef init(): os._exit(5)\ndef run(d): 1",
        "exited with status 5 before init() returned",
    ),
    "init is killed": (
        "import os\ndef init(): os.kill(os.getpid(), 9)\ndef run(d): 1",
        "was ended by signal SIGKILL before init() returned",
    ),
    "init crashes": (
        "import os\ndef init(): os.kill(os.getpid(), 11)\ndef run(d): 1",
        "was ended by signal SIGSEGV before init() returned",
    ),
    "a thread keeps it alive": (
        "import threading, time\n"
        "def init():\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    raise KeyError('k')\n"
        "def run(d): 1",
        "User's init function failed",
    ),
}


@pytest.mark.parametrize(("source", "text"), FAILING.values(), ids=list(FAILING))
def test_a_script_that_cannot_start_is_reported_once(
    tmp_path: Path, source: str, text: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, workers=2, wait=False) as bench:
            waiting = bench.later("x")
            await bench.until(lambda: bench.reports)
            with pytest.raises(Unavailable):
                await waiting
            with pytest.raises(Unavailable):
                await bench.pool.facts(1.0)
            await asyncio.sleep(0.05)

            (report,) = bench.reports
            assert text in report
            assert not bench.pool.readiness().is_ready

    run(main())


def test_a_report_written_before_anybody_listened_is_heard(tmp_path: Path) -> None:
    """The first processes are launched before the front end has an event loop."""

    source = "def init():\n    raise KeyError('k')\ndef run(d): 1"

    async def main() -> None:
        async with pool_of(tmp_path, source, wait=False, late=True) as bench:
            await bench.until(lambda: bench.reports)
            assert "User's init function failed" in bench.reports[0]
            assert "score.py:2 in init" in bench.reports[0]

    run(main())


def test_calls_wait_for_the_first_init(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    source = (
        "import os, time\n"
        "def init():\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
        "def run(data): return data\n"
    )

    async def main() -> None:
        async with pool_of(tmp_path, source, wait=False) as bench:
            waiting = bench.later("early")
            with pytest.raises(Unavailable):
                await bench.ask("impatient", limit_s=0.05)
            with pytest.raises(Unavailable, match=r"init\(\) has not returned yet"):
                await bench.pool.facts(0.05)
            reason = bench.pool.readiness().reason
            gate.touch()

            assert content_of(await waiting) == "early"
            assert "init() has not returned yet" in reason
            assert not (await bench.pool.facts(1.0)).is_raw

    run(main())


def test_a_replacement_that_cannot_start_is_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    source = OBEDIENT + f"\nif os.path.exists({str(broken)!r}): raise KeyError('broken now')\n"

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            broken.touch()
            with pytest.raises(ScoringProcessEnded):
                await bench.ask("exit 1")
            await bench.until(lambda: bench.log().count("Next attempt in") >= 2)
            readiness = bench.pool.readiness()
            broken.unlink()

            assert await bench.value("n") == "n"
            assert not readiness.is_ready
            assert "unhandled exception" in readiness.reason
            assert bench.reports == []
            assert "Next attempt in 0.1 s" in bench.log()
            assert "Next attempt in 0.2 s" in bench.log()

    run(main())


def test_a_system_without_room_for_a_process_is_asked_again(tmp_path: Path) -> None:
    class Full(FreshInterpreters):
        refuse = 0

        def spawn(self) -> Child:
            if self.refuse:
                self.refuse -= 1
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return super().spawn()

    spawner = Full()

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, spawner=spawner) as bench:
            spawner.refuse = 2
            with pytest.raises(ScoringProcessEnded):
                await bench.ask("exit 1")

            assert await bench.value("n") == "n"
            assert "Resource temporarily unavailable" in bench.log()

    run(main())


# --- the end ------------------------------------------------------------------------------


def test_drain_answers_what_runs_and_waits(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            calls = [bench.later(f"gate {gate}"), bench.later("n"), bench.later("n")]
            await bench.busy()
            draining = asyncio.get_running_loop().create_task(bench.pool.drain(10.0))
            await asyncio.sleep(0)
            assert not bench.pool.readiness().is_ready
            gate.touch()
            await draining

            answers = await asyncio.gather(*calls)
            assert [answer.status for answer in answers] == [200] * 3
            with pytest.raises(Unavailable, match="stopping"):
                await bench.ask("after")

    run(main())


def test_what_is_not_done_when_the_drain_ends_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            calls = [bench.later("sleep 60"), bench.later("n")]
            await bench.busy()
            began = time.monotonic()
            await bench.pool.drain(0.1)
            results = await asyncio.gather(*calls, return_exceptions=True)

            assert time.monotonic() - began < 1.0
            assert [type(result) for result in results] == [Unavailable, Unavailable]

    run(main())


def test_an_idle_pool_drains_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            began = time.monotonic()
            await bench.pool.drain(10.0)
            assert time.monotonic() - began < 0.1

    run(main())


def test_a_crash_during_the_drain_ends_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            calls = [bench.later("sleep 60"), bench.later("n")]
            await bench.busy()
            (process,) = bench.processes()
            draining = asyncio.get_running_loop().create_task(bench.pool.drain(20.0))
            await asyncio.sleep(0)
            began = time.monotonic()
            process.kill()
            results = await asyncio.gather(*calls, return_exceptions=True)
            await draining

            assert time.monotonic() - began < 5.0
            assert [type(result) for result in results] == [ScoringProcessEnded, Unavailable]

    run(main())


@pytest.mark.parametrize("order", ["", "sleep 60", "swallow"], ids=["idle", "sleeping", "stuck"])
def test_close_leaves_no_process(tmp_path: Path, order: str) -> None:
    source = OBEDIENT.replace(
        "def init():\n    pass",
        "import subprocess\ndef init():\n    global child\n"
        "    child = subprocess.Popen(['sleep', '600'])",
    )

    async def main() -> list[psutil.Process]:
        async with pool_of(tmp_path, source) as bench:
            family = [p for w in bench.processes() for p in (w, *w.children(recursive=True))]
            call = bench.later(order) if order else None
            if order:
                await bench.busy()
            await bench.pool.close(0.5)
            if call is not None:
                with pytest.raises(Unavailable):
                    await call
            return family

    family = run(main())
    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_close_while_init_runs_leaves_no_process(tmp_path: Path) -> None:
    source = "import time\ndef init(): time.sleep(60)\ndef run(d): 1"

    async def main() -> None:
        async with pool_of(tmp_path, source, wait=False) as bench:
            (process,) = bench.processes()
            await bench.pool.close(0.2)
            assert not process.is_running()

    run(main())


def test_what_a_crashed_script_started_goes_with_it(tmp_path: Path) -> None:
    source = (
        "import os, subprocess\n"
        "def init(): pass\n"
        "def run(data):\n"
        "    if data == 'exit': os._exit(1)\n"
        "    return subprocess.Popen(['sleep', '600']).pid\n"
    )

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            child = psutil.Process(await bench.value("start"))
            with pytest.raises(ScoringProcessEnded):
                await bench.ask("exit")
            await bench.until(lambda: not child.is_running())

    run(main())
