"""Threads, tasks and batches inside a worker, with real processes and no HTTP."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.errors import (
    BadInput,
    EncodingFailed,
    ScoringFailed,
    ScoringProcessEnded,
    ScoringTimeout,
)
from azmlinfsrv.messages import Request
from azmlinfsrv.pool.call import CallerLeft, Stream
from tests.pool.bench import Bench, content_of, pool_of, run

THREADED = """
import os, threading, time

together = 0
most = 0

def init():
    pass

def run(data):
    global together, most
    together += 1
    most = max(most, together)
    what, _, rest = data.partition(" ")
    try:
        if what == "sleep":
            time.sleep(float(rest))
        elif what == "spin":
            while True:
                pass
        elif what == "gate":
            print("waiting")
            while not os.path.exists(rest):
                time.sleep(0.005)
        elif what == "fail":
            raise ValueError(rest)
        elif what == "most":
            return most
        elif what == "pid":
            return os.getpid()
        elif what == "print":
            print(rest)
        elif what == "items":
            return ("x" * 1000 for _ in range(int(rest)))
        return data
    finally:
        together -= 1
"""

ASYNC = (
    THREADED.replace("import os,", "import asyncio, os,")
    .replace("def run", "async def run")
    .replace("time.sleep(float(rest))", "await asyncio.sleep(float(rest))")
    .replace("time.sleep(0.005)", "await asyncio.sleep(0.005)")
)

BOTH = pytest.mark.parametrize(
    ("source", "settings"),
    [(THREADED, {"threads": "8"}), (ASYNC, {})],
    ids=["threads", "async"],
)


async def body_of(bench: Bench, text: str) -> bytes:
    """The whole of a streamed answer."""
    response = await bench.ask(text)
    assert isinstance(response.body, Stream)
    return b"".join([item async for item in response.body])


# --- threads and tasks ------------------------------------------------------------------


@BOTH
def test_calls_are_computed_side_by_side(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            calls = [bench.later(f"gate {gate}") for _ in range(8)]
            await bench.until(lambda: bench.said("azmlinfsrv.print").count("waiting") == 8)
            if source is ASYNC:  # there is room for more than eight
                assert await bench.value("most") == 9
            gate.touch()
            await asyncio.gather(*calls)
            assert await bench.value("most") >= 8

    run(main())


@BOTH
def test_every_caller_gets_its_own_answer(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, workers=2, queue=1000, **settings) as bench:
            texts = [f"text {number}" for number in range(500)]
            assert await asyncio.gather(*map(bench.value, texts)) == texts

    run(main())


@BOTH
def test_one_that_fails_fails_alone(tmp_path: Path, source: str, settings: dict[str, str]) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            slow = bench.later("sleep 0.2")
            with pytest.raises(ScoringFailed, match="unexpected error") as caught:
                await bench.ask("fail loudly", request_id="the one")
            assert caught.value.location.startswith("score.py:")
            assert await asyncio.wait_for(slow, 10)
            (line,) = [line for line in bench.lines if "ValueError: loudly" in line.text]
            assert line.request_id == "the one"

    run(main())


@BOTH
def test_what_is_printed_is_tagged_with_its_own_request(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            slow = bench.later("sleep 0.3", request_id="slow")
            await bench.ask("print mine", request_id="quick")
            await slow

            (line,) = [line for line in bench.lines if line.text == "mine"]
            assert line.request_id == "quick"

    run(main())


@BOTH
def test_a_call_over_its_time_ends_and_the_others_do_not(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            (before,) = (process.pid for process in bench.pool.fleet.processes)
            other = bench.later(f"gate {gate}")

            began = time.monotonic()
            with pytest.raises(ScoringTimeout):
                await bench.ask("spin", limit_s=0.3)
            assert time.monotonic() - began < 3

            await bench.until(lambda: "run() was interrupted (timeout)" in bench.log())
            gate.touch()
            assert content_of(await other).startswith("gate")
            assert await bench.value("pid") == before

    run(main())


def test_a_thread_that_does_not_come_back_costs_no_other_call(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def main() -> None:
        async with pool_of(tmp_path, THREADED, threads="4", grace_s=0.1) as bench:
            (before,) = (process.pid for process in bench.pool.fleet.processes)
            other = bench.later(f"gate {gate}")

            with pytest.raises(ScoringTimeout):
                await bench.ask("sleep 600", limit_s=0.2)

            await bench.until(lambda: "ends with the last of its other calls" in bench.log())
            await bench.until(lambda: len(list(bench.pool.fleet.serving)) == 2)
            gate.touch()
            assert content_of(await other).startswith("gate")
            await bench.until(lambda: before not in {p.pid for p in bench.pool.fleet.processes})
            assert await bench.value("pid") != before

    run(main())


@BOTH
def test_streams_are_complete_and_side_by_side(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    if source is ASYNC:
        source = (
            source.replace("async def run", "async def other")
            + """
async def run(data):
    for _ in range(int(data.partition(" ")[2])):
        await asyncio.sleep(0)
        yield "x" * 1000
"""
        )

    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            bodies = await asyncio.gather(*(body_of(bench, "items 2000") for _ in range(4)))
            assert [len(body) for body in bodies] == [2_000_000] * 4

    run(main())


@BOTH
def test_a_process_that_dies_answers_every_call_it_had(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, **settings) as bench:
            calls = [bench.later("sleep 60") for _ in range(5)]
            await bench.until(lambda: len(next(bench.pool.fleet.processes).calls) == 5)
            bench.processes()[0].kill()
            for call in calls:
                with pytest.raises(ScoringProcessEnded):
                    await call
            assert await bench.value("again") == "again"

    run(main())


@BOTH
def test_a_call_whose_caller_has_left_is_interrupted_if_asked(
    tmp_path: Path, source: str, settings: dict[str, str]
) -> None:
    async def main() -> None:
        async with pool_of(
            tmp_path, source, cancel_running="true", grace_s=60, **settings
        ) as bench:
            has_left = False
            call = bench.later("spin" if source is THREADED else "sleep 60",
                               has_left=lambda: has_left)  # fmt: skip
            await bench.busy()
            has_left = True
            with pytest.raises(CallerLeft):
                await call
            await bench.until(lambda: "interrupted (cancelled)" in bench.log())

    run(main())


def test_max_concurrency_bounds_an_async_script(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, ASYNC, max_concurrency="3") as bench:
            assert next(bench.pool.fleet.processes).slots == 3

    run(main())


# --- batches ----------------------------------------------------------------------------

BATCHED = """
import time
from azmlinfsrv import batch

sizes = []

def init():
    pass

@batch(max_size=8)
def run(data):
    sizes.append(len(data))
    time.sleep(0.02)
    if "sizes" in data:
        return [sizes] * len(data)
    if "short" in data:
        return data[1:]
    if "raise" in data:
        raise ValueError("all of them")
    if "number" in data:
        return 5
    return [KeyError(item) if item == "bad" else item.upper() for item in data]
"""


def test_what_has_queued_while_the_worker_was_busy_is_a_batch(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED) as bench:
            texts = [f"t{number}" for number in range(40)]
            assert await asyncio.gather(*map(bench.value, texts)) == [t.upper() for t in texts]
            sizes = await bench.value("sizes")
            assert max(sizes) == 8
            assert sum(sizes) == 41

    run(main())


def test_a_lone_call_does_not_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED) as bench:
            assert await bench.value("one") == "ONE"
            assert await bench.value("sizes") == [1, 1]

    run(main())


def test_an_idle_worker_waits_for_more_if_it_is_asked_to(tmp_path: Path) -> None:
    source = BATCHED.replace("max_size=8", "max_size=3, max_wait_ms=30000")

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            calls = [bench.later(f"t{number}") for number in range(2)]
            await asyncio.sleep(0)  # both are in the queue
            calls.append(bench.later("t2"))  # and now the batch is full, long before its time
            assert [content_of(await call) for call in calls] == ["T0", "T1", "T2"]
            assert (await asyncio.gather(*(bench.value("sizes") for _ in range(3))))[0] == [3, 3]

    run(main())


def test_a_batch_is_due_when_its_oldest_call_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED, batch_max_wait_ms="100") as bench:
            began = time.monotonic()
            assert await bench.value("one") == "ONE"
            assert time.monotonic() - began >= 0.1

    run(main())


def test_an_exception_in_the_place_of_a_result_fails_that_call_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED) as bench:
            calls = [bench.later(text) for text in ("a", "bad", "c", "d")]
            assert content_of(await calls[0]) == "A"
            with pytest.raises(ScoringFailed, match="unexpected error"):
                await calls[1]
            assert content_of(await calls[2]) == "C"
            assert content_of(await calls[3]) == "D"
            assert "KeyError: 'bad'" in bench.log()

    run(main())


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("short", EncodingFailed, "length"),
        ("number", EncodingFailed, "returned int"),
        ("raise", ScoringFailed, "unexpected error"),
    ],
)
def test_what_is_wrong_with_all_fails_all_and_is_reported_once(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED) as bench:
            first = bench.later("first")
            await bench.busy()
            calls = [bench.later(each) for each in (text, "b", "c")]
            await first
            for call in calls:
                with pytest.raises(error, match=words):
                    await call
            assert bench.log().count("Encountered Exception") == 1
            assert await bench.value("after") == "AFTER"

    run(main())


def test_input_that_is_wrong_fails_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, BATCHED) as bench:
            first = bench.later("first")
            await bench.busy()
            calls = [bench.later(each) for each in (b"\xff", b"good")]
            await first
            with pytest.raises(BadInput):
                await calls[0]
            assert content_of(await calls[1]) == "GOOD"

    run(main())


def test_a_call_over_its_time_does_not_end_the_batch_it_is_in(tmp_path: Path) -> None:
    source = BATCHED.replace("time.sleep(0.02)", "time.sleep(0.6)")

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            first = bench.later("first")
            await bench.busy()
            hasty, patient = bench.later("a", limit_s=0.9), bench.later("b")
            await first
            with pytest.raises(ScoringTimeout):
                await hasty
            assert content_of(await patient) == "B"
            assert "interrupted" not in bench.log()

    run(main())


def test_flags_batch_a_run_that_takes_lists(tmp_path: Path) -> None:
    source = BATCHED.replace("@batch(max_size=8)\n", "")

    async def main() -> None:
        async with pool_of(tmp_path, source, batch_max_size="4") as bench:
            assert await asyncio.gather(*map(bench.value, "abcdef")) == list("ABCDEF")
            assert max(await bench.value("sizes")) == 4

    run(main())


SCHEMA = """
import numpy as np
from azmlinfsrv import batch
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("scale", StandardPythonParameterType(1.0))
@output_schema(NumpyParameterType(np.array([1.0])))
@batch(max_size=16)
def run(rows, scale):
    return rows.sum(axis=1)
"""


TYPED = """
import numpy as np
from azmlinfsrv import batch, typed
from numpy.typing import NDArray

def init():
    pass

@typed
@batch(max_size=16)
def run(rows: NDArray[np.float64], scale: list[float]) -> NDArray[np.float64]:
    if rows.ndim == 2 and rows.shape[1] != 2:
        raise ValueError("two columns")
    return rows.sum(axis=1) if len(rows) else rows
"""


@pytest.mark.parametrize(
    ("source", "last"), [(SCHEMA, BadInput), (TYPED, ScoringFailed)], ids=["schema", "typed"]
)
def test_arrays_are_stacked_and_results_split_back(
    tmp_path: Path, source: str, last: type[Exception]
) -> None:
    def request(rows: Any) -> Request:
        body = ('{"rows": %s, "scale": 2.0}' % rows).encode()  # noqa: UP031  # braces
        return Request(
            "POST", "/score", headers=[(b"content-type", b"application/json")], body=body
        )

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            inputs = ["[[1, 2]]", "[[3, 4], [5, 6]]", "[]", "[[7, 8]]", '[["x", 1]]', "[[1]]"]
            results = await asyncio.gather(
                *(bench.pool.submit(request(rows), 30.0, lambda: False) for rows in inputs),
                return_exceptions=True,
            )
            contents = [
                content_of(result) if not isinstance(result, BaseException) else type(result)
                for result in results
            ]
            assert contents[:2] == [[3.0], [7.0, 11.0]]
            assert contents[3] == [15.0]
            assert contents[4:] == [BadInput, last]

    run(main())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "from azmlinfsrv import batch\n"
            "from azureml_inference_server_http.api.aml_request import rawhttp\n"
            "def init(): pass\n@rawhttp\n@batch\ndef run(request): return []\n",
            "batched and decorated with @rawhttp",
        ),
        (
            "from azmlinfsrv import batch\ndef init(): pass\n"
            "@batch(max_size=0)\ndef run(data): return data\n",
            "max_size must be at least 1",
        ),
    ],
)
def test_what_cannot_be_batched_is_said_at_the_start(
    tmp_path: Path, source: str, words: str
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, source, wait=False) as bench:
            await bench.until(lambda: bench.reports)
            assert words in bench.reports[0]

    run(main())


def test_a_coroutine_awaited_alone_is_interrupted_and_its_process_stays(tmp_path: Path) -> None:
    source = """
import asyncio, os
from flask import request

async def init():
    pass

async def run(data):
    await asyncio.sleep(60 if data else 0)
    return [os.getpid(), request.method]
"""

    async def main() -> None:
        async with pool_of(tmp_path, source) as bench:
            before = content_of(await bench.ask(""))
            with pytest.raises(ScoringTimeout):
                await bench.ask("sleep", limit_s=0.5)

            assert content_of(await bench.ask("")) == before

    run(main())
