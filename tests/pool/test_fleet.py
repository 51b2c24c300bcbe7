"""Processes that come and go: reloads, replacements, limits, with real ones and no HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from azmlinfsrv.errors import (
    FatalRequest,
    Overloaded,
    RequestError,
    ScoringFailed,
    ScoringProcessEnded,
    ScoringTimeout,
    Unavailable,
)
from azmlinfsrv.pool.call import CallerLeft
from tests.pool.bench import Bench, content_of, pool_of, run

# Does what the body says; tells which version of the script does.
OBEDIENT = """
import os, signal, time

VERSION = 1
hoard = []

def init():
    pass

def run(data):
    what, _, rest = data.partition(" ")
    if what == "gate":
        while not os.path.exists(rest):
            time.sleep(0.005)
    elif what == "exit":
        os._exit(int(rest))
    elif what == "pid":
        return os.getpid()
    elif what == "spin":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    elif what == "sleep":
        time.sleep(float(rest))
    elif what == "hoard":
        hoard.append(bytearray(int(rest) * 1024 * 1024))
        return len(hoard)
    return [VERSION, data]
"""

SECOND = OBEDIENT.replace("VERSION = 1", "VERSION = 2")


def write(folder: Path, source: str) -> None:
    (folder / "score.py").write_text(source, encoding="utf-8")


async def swap(bench: Bench) -> None:
    """Reload, and wait for how it turns out."""
    task = bench.pool.fleet.swap()
    assert task is not None
    await task


# --- reload -----------------------------------------------------------------------------


@pytest.mark.parametrize("preload", ["false", "true"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_moves_calls_to_the_new_script_and_ends_the_old(
    tmp_path: Path, workers: int, preload: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, workers=workers, worker_preload=preload) as bench:
            before = {process.pid for process in bench.processes()}
            assert await bench.value("x") == [1, "x"]
            write(tmp_path, SECOND)

            await swap(bench)

            assert await bench.value("x") == [2, "x"]
            await bench.until(lambda: not before & {p.pid for p in bench.processes()})
            await bench.until(lambda: len(list(bench.pool.fleet.processes)) == workers)
            assert bench.pool.readiness().reason == ""

    run(main())


def test_a_call_that_runs_is_finished_by_the_old_script(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            old = bench.later(f"gate {gate}")
            await bench.busy()
            write(tmp_path, SECOND)

            await swap(bench)
            new = await bench.value("x")
            gate.touch()

            assert new == [2, "x"]
            assert content_of(await old)[0] == 1

    run(main())


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("def init(: pass", "Failed to import"),
        ("def init():\n    1 / 0\ndef run(data): pass", "User's init function failed"),
        ("def init(): pass", "run()"),
        ("import os\ndef init(): os._exit(5)\ndef run(data): pass", "exited with status 5"),
    ],
    ids=["syntax", "init", "no run", "exits"],
)
@pytest.mark.parametrize("preload", ["false", "true"])
def test_a_script_that_cannot_be_served_changes_nothing(
    tmp_path: Path, broken: str, why: str, preload: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, workers=2, worker_preload=preload) as bench:
            await bench.all_ready()
            before = {process.pid for process in bench.pool.fleet.serving}
            write(tmp_path, broken)

            await swap(bench)

            assert {process.pid for process in bench.pool.fleet.serving} == before
            assert await bench.value("x") == [1, "x"]
            readiness = bench.pool.readiness()
            assert readiness.is_ready
            assert why in readiness.reason
            assert "the one before it is still served" in bench.log()
            await bench.until(lambda: len(list(bench.pool.fleet.processes)) == 2)
            assert bench.reports == []

            write(tmp_path, SECOND)
            await swap(bench)
            assert await bench.value("x") == [2, "x"]
            assert bench.pool.readiness().reason == ""

    run(main())


def test_no_call_fails_while_the_script_is_reloaded_again_and_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            is_over = False

            async def client(number: int) -> int:
                count = 0
                while not is_over:
                    version, echo = await bench.value(f"{number}-{count}")
                    assert version in (1, 2)
                    assert echo == f"{number}-{count}"
                    count += 1
                return count

            clients = [asyncio.ensure_future(client(number)) for number in range(8)]
            for source in (SECOND, OBEDIENT, SECOND):
                write(tmp_path, source)
                await swap(bench)
            is_over = True

            assert min(await asyncio.gather(*clients)) > 0

    run(main())


# --- warm-up ----------------------------------------------------------------------------

WARM = """
seen = []

def init():
    pass

def run(data):
    if "bad" in data:
        raise ValueError(data)
    seen.append(data)
    return seen
"""


def test_every_process_scores_the_warm_up_requests_before_its_first_call(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "a.json").write_text('{"a": 1}')
    (samples / "b.json").write_text('{"request": {"body": {"b": 2}}, "response": {"body": 1}}')

    async def main() -> None:
        async with pool_of(tmp_path, WARM, warmup_requests=str(samples)) as bench:
            assert await bench.value("mine") == ['{"a": 1}', '{"b": 2}', "mine"]
            await swap(bench)
            assert await bench.value("mine") == ['{"a": 1}', '{"b": 2}', "mine"]

    run(main())


def test_a_script_that_fails_a_warm_up_request_is_not_served(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "a.json").write_text('{"a": 1}')

    async def main() -> None:
        async with pool_of(tmp_path, WARM, warmup_requests=str(samples)) as bench:
            write(tmp_path, WARM.replace('"bad"', '"a"'))

            await swap(bench)

            assert len(await bench.value("mine")) == 2
            assert "The warm-up request a.json failed" in bench.pool.readiness().reason

        write(tmp_path, WARM.replace('"bad"', '"a"'))
        async with pool_of(
            tmp_path, WARM.replace('"bad"', '"a"'), warmup_requests=str(samples), wait=False
        ) as bench:
            await bench.until(lambda: bench.reports)
            assert "The warm-up request a.json failed" in bench.reports[0]

    run(main())


# --- replacement ------------------------------------------------------------------------


@pytest.mark.parametrize("preload", ["false", "true"])
def test_a_process_is_replaced_after_max_requests_without_a_failed_call(
    tmp_path: Path, preload: str
) -> None:
    async def main() -> None:
        async with pool_of(
            tmp_path,
            OBEDIENT,
            max_requests="20",
            max_requests_jitter="5",
            worker_preload=preload,
        ) as bench:
            pids = []
            while len(set(pids)) < 4:
                pids += await asyncio.gather(*(bench.value("pid") for _ in range(4)))

            assert min(pids.count(pid) for pid in set(pids[:-20])) >= 20
            await bench.until(lambda: len(list(bench.pool.fleet.processes)) <= 2)

    run(main())


def test_more_and_fewer_processes_can_be_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:

            async def count_is(count: int) -> None:
                await bench.until(
                    lambda: (
                        sum(p.is_ready for p in bench.pool.fleet.processes)
                        == len(list(bench.pool.fleet.processes))
                        == count
                    )
                )

            bench.pool.resize(1)
            bench.pool.resize(1)
            await count_is(3)
            bench.pool.resize(-1)
            await count_is(2)
            bench.pool.resize(-1)
            bench.pool.resize(-1)  # one stays
            await count_is(1)
            assert await bench.value("x") == [1, "x"]

    run(main())


def test_a_process_that_ends_by_itself_again_and_again_is_started_with_growing_pauses(
    tmp_path: Path,
) -> None:
    source = """
import os, threading, time

def init():
    if os.path.exists("flag"):
        threading.Timer(0.05, lambda: os._exit(4)).start()

def run(data):
    return 1
""".replace('"flag"', repr(str(tmp_path / "flag")))

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            (tmp_path / "flag").touch()
            (process,) = bench.processes()
            process.kill()

            await bench.until(lambda: "Next in 0.8 s" in bench.log())

            texts = [line.text for line in bench.lines if "as soon as" in line.text]
            assert [text.rpartition("Next in ")[2] for text in texts[:4]] == [
                "0.1 s.",
                "0.2 s.",
                "0.4 s.",
                "0.8 s.",
            ]
            (tmp_path / "flag").unlink()
            await bench.ready()

    run(main())


def test_one_process_that_cannot_start_leaves_the_others_serving_and_is_told_of(
    tmp_path: Path,
) -> None:
    source = f"""
import os
def init():
    if os.path.exists({str(tmp_path / "flag")!r}):
        raise ValueError("no model")
def run(data):
    return os.getpid()
"""

    async def main() -> None:
        async with pool_of(tmp_path, source, workers=2) as bench:
            await bench.all_ready()
            (tmp_path / "flag").touch()
            victim, _ = bench.processes()
            victim.kill()
            await bench.until(lambda: "Next attempt in 0.4 s" in bench.log())

            readiness = bench.pool.readiness()
            assert readiness.is_ready
            assert "1 of 2 scoring processes are up" in readiness.reason
            assert "User's init function failed" in readiness.reason
            assert await bench.value() != victim.pid

            (tmp_path / "flag").unlink()
            await bench.until(lambda: bench.pool.readiness().reason == "")

    run(main())


# --- memory -----------------------------------------------------------------------------


@pytest.mark.parametrize("preload", ["false", "true"])
def test_an_allocation_over_the_limit_fails_in_the_script(tmp_path: Path, preload: str) -> None:
    async def main() -> None:
        async with pool_of(
            tmp_path,
            OBEDIENT,
            worker_memory_limit=str(200 * 1024 * 1024),
            worker_preload=preload,
        ) as bench:
            (before,) = (process.pid for process in bench.pool.fleet.processes)
            with pytest.raises(ScoringFailed, match="unexpected error"):
                await bench.ask("hoard 500")

            assert "MemoryError" in bench.log()
            assert await bench.value("pid") == before

    run(main())


def test_a_process_that_has_grown_over_the_limit_is_replaced(tmp_path: Path) -> None:
    # A shared mapping is memory, but no private one: no allocation fails. It grows when no
    # call is computed: with one, the process would be ended.
    source = """
import mmap, os, threading, time

def init(): pass

def grow(gate):
    global area
    while not os.path.exists(gate):
        time.sleep(0.005)
    area = mmap.mmap(-1, 150 << 20)
    for _ in range(150):
        area.write(bytes(1 << 20))

def run(data):
    if data:
        threading.Thread(target=grow, args=[data], daemon=True).start()
    return os.getpid()
"""
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, source, worker_memory_limit=str(100 * 1024 * 1024)) as bench:
            with_much = await bench.value(str(gate))
            gate.touch()
            await bench.until(lambda: "over its limit of 100 MiB" in bench.log())
            await bench.until(lambda: with_much not in {p.pid for p in bench.pool.fleet.processes})
            assert await bench.value("") != with_much

    run(main())


# --- requests that end processes --------------------------------------------------------


def test_a_request_that_has_ended_two_processes_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            for _ in range(2):
                with pytest.raises(ScoringProcessEnded):
                    await bench.ask("exit 3", request_id="culprit")
            await bench.ready()
            (process,) = bench.pool.fleet.processes

            with pytest.raises(FatalRequest, match="ended its scoring process twice"):
                await bench.ask("exit 3", request_id="third")

            assert [p.pid for p in bench.pool.fleet.processes] == [process.pid]
            assert await bench.value("x") == [1, "x"]
            (line,) = [line for line in bench.lines if "refused from now on" in line.text]
            assert line.request_id == "culprit"

            write(tmp_path, OBEDIENT.replace("os._exit(int(rest))", "return 'mended'"))
            await swap(bench)
            assert await bench.value("exit 3") == "mended"

    run(main())


def test_the_quarantine_can_be_turned_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, quarantine="false") as bench:
            for _ in range(4):
                with pytest.raises(ScoringProcessEnded):
                    await bench.ask("exit 3")

    run(main())


def test_a_request_in_processes_killed_from_outside_is_not_refused(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, workers=2) as bench:
            await bench.all_ready()
            both = [bench.later(f"gate {gate}") for _ in range(2)]
            await bench.busy(2)
            for process in bench.processes():
                process.send_signal(signal.SIGKILL)
            for call in both:
                with pytest.raises(ScoringProcessEnded):
                    await call
            gate.touch()

            assert (await bench.value(f"gate {gate}"))[0] == 1

    run(main())


def test_a_caller_who_allows_little_time_does_not_get_a_request_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, grace_s=0.1) as bench:
            for _ in range(3):
                await bench.ready()
                call = bench.pool.submit(
                    request_of("spin"), 0.2, lambda: False, is_limit_callers=True
                )
                with pytest.raises((ScoringTimeout, Unavailable)):
                    await call

            with pytest.raises((ScoringTimeout, Unavailable)):
                await bench.ask("spin", limit_s=0.2)

    run(main())


def request_of(text: str):  # type: ignore[no-untyped-def]
    from azmlinfsrv.messages import Request

    return Request("POST", "/score", body=text.encode())


# --- callers ----------------------------------------------------------------------------


def test_a_call_whose_caller_has_left_runs_to_its_end_by_default(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT) as bench:
            has_left = False
            call = bench.later(f"gate {gate}", has_left=lambda: has_left, request_id="gone")
            await bench.busy()
            has_left = True
            gate.touch()
            await call

            assert bench.pool.counts.left_running == 1
            (line,) = [line for line in bench.lines if "had left before" in line.text]
            assert line.request_id == "gone"

    run(main())


def test_it_is_interrupted_if_that_is_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, cancel_running="true") as bench:
            has_left = False
            call = bench.later("sleep 60", has_left=lambda: has_left)
            await bench.busy()
            (before,) = (process.pid for process in bench.pool.fleet.processes)
            has_left = True

            with pytest.raises(CallerLeft):
                await call
            assert await bench.value("pid") == before
            assert bench.pool.counts.cancelled == 1
            assert "run() was interrupted (cancelled)" in bench.log()

    run(main())


# --- admission --------------------------------------------------------------------------


def test_beyond_the_queue_calls_are_refused_and_told_when_to_come_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, queue=4) as bench:
            await bench.ask("sleep 0.5")  # how long calls take is known now
            waiting = [bench.later("sleep 0.5") for _ in range(5)]
            await bench.busy()

            with pytest.raises(Overloaded) as caught:
                await bench.ask("x")

            # Four wait before it, and it takes its time too: 5 x 0.5 s.
            assert dict(caught.value.headers)[b"Retry-After"] == b"3"
            await asyncio.gather(*waiting)
            assert bench.pool.counts.refused == 1

    run(main())


def test_no_more_calls_than_max_concurrency_are_in_the_pool(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, max_concurrency="3") as bench:
            calls = [bench.later(f"gate {gate}") for _ in range(3)]
            await bench.busy()

            with pytest.raises(Overloaded, match="3 calls"):
                await bench.ask("x")

            gate.touch()
            await asyncio.gather(*calls)
            assert await bench.value("x") == [1, "x"]

    run(main())


def test_no_descriptor_is_left_open_by_reloads_and_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, OBEDIENT, workers=2) as bench:
            await swap(bench)
            await bench.until(lambda: len(list(bench.pool.fleet.processes)) == 2)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                await swap(bench)
                with pytest.raises(RequestError):
                    await bench.ask("exit 1")
                await bench.ready()
            await bench.until(
                lambda: (
                    sum(p.is_ready for p in bench.pool.fleet.processes) == 2
                    and len(list(bench.pool.fleet.processes)) == 2
                )
            )

            await bench.until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(main())
