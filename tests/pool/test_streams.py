"""Streamed answers: how far ahead a script may run, and how a stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.errors import ScoringFailed
from azmlinfsrv.messages import Response
from azmlinfsrv.pool.call import StreamCut
from tests.pool.bench import Bench, pool_of, pss_bytes, run

# The first word of the body chooses the generator. What has been produced, and that the
# generator was closed, stands in files: the script is busy while it streams.
SOURCE = """
import os, time

def init():
    pass

def note(name, text):
    with open(os.path.join(os.path.dirname(__file__), name), "w") as file:
        file.write(text)

def items(count, size):
    try:
        for number in range(count):
            note("produced", str(number + 1))
            yield bytes([number % 256]) * size
    finally:
        note("closed", "yes")

def fails(after):
    for number in range(after):
        yield b"item"
    raise ValueError("patient 4711")

def waits():
    try:
        yield b"first"
        time.sleep(60)
    finally:
        note("closed", "yes")

def exits():
    yield b"first"
    os._exit(4)

async def asynchronous():
    for number in range(3):
        yield str(number)

def run(data):
    name, *arguments = data.split()
    if name == "pid":
        return os.getpid()
    return globals()[name](*map(int, arguments))
"""


def items_of(response: Response) -> Any:
    assert isinstance(response.body, AsyncIterator)
    return response.body


async def read_all(response: Response) -> tuple[list[bytes], bool]:
    """The items, and whether the stream was complete."""
    found: list[bytes] = []
    try:
        async for item in items_of(response):
            found.append(item)
    except StreamCut:
        return found, False
    return found, True


def note(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text()
    except FileNotFoundError:
        return ""


async def still_serves(bench: Bench, pid: int) -> None:
    assert await bench.value("pid") == pid


@pytest.mark.parametrize(
    ("body", "items", "complete"),
    [
        ("items 3 4", [b"\0" * 4, b"\1" * 4, b"\2" * 4], True),
        ("items 1 100000", [b"\0" * 100_000], True),
        ("asynchronous", [b"0", b"1", b"2"], True),
        ("fails 2", [b"item", b"item"], False),
        ("exits", [b"first"], False),
    ],
)
def test_items_arrive_as_they_were_produced(
    tmp_path: Path, body: str, items: list[bytes], complete: bool
) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            response = await bench.ask(body)

            assert response.status == 200
            assert await read_all(response) == (items, complete)
            assert await bench.value("pid") > 0

    run(main())


def test_a_failure_before_the_first_item_is_an_ordinary_failure(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            with pytest.raises(ScoringFailed) as caught:
                await bench.ask("fails 0")

            assert caught.value.location == "score.py:22 in fails"
            assert "4711" not in caught.value.message

    run(main())


def test_the_log_tells_why_a_stream_was_cut(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await read_all(await bench.ask("fails 1", request_id="id-1"))

            await bench.until(lambda: "patient 4711" in bench.log())
            (line,) = [line for line in bench.lines if "4711" in line.text]
            assert line.request_id == "id-1"

    run(main())


def test_a_generator_runs_no_further_ahead_than_its_reader_reads(tmp_path: Path) -> None:
    """64 MiB in items of 64 KiB: a reader that takes ten of them and pauses."""
    item_bytes, count = 64 * 1024, 1024

    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            before = pss_bytes()
            response = await bench.ask(f"items {count} {item_bytes}")
            body = items_of(response)
            taken = 0
            for _ in range(10):
                await anext(body)
                taken += 1

            # It has stopped when it waits for credit and says nothing new for a while.
            ahead = await settled(bench, tmp_path) - taken
            grown = pss_bytes() - before

            assert ahead * item_bytes <= 512 * 1024
            assert grown < 8 * 1024 * 1024
            async for _ in body:
                taken += 1
            assert taken == count

    run(main())


async def settled(bench: Bench, folder: Path) -> int:
    """How many items were produced once the process uses no more processor time."""
    (process,) = bench.processes()
    last, same = (-1.0, ""), 0

    def is_settled() -> bool:
        nonlocal last, same
        now = (sum(process.cpu_times()[:2]), note(folder, "produced"))
        same = same + 1 if now == last else 0
        last = now
        return same >= 20

    await bench.until(is_settled)
    return int(last[1])


def test_an_abandoned_stream_closes_its_generator(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            pid = await bench.value("pid")
            response = await bench.ask("items 100000 65536")
            body = items_of(response)
            await anext(body)
            await body.aclose()

            await bench.until(lambda: note(tmp_path, "closed"))
            assert int(note(tmp_path, "produced")) < 100
            await still_serves(bench, pid)

    run(main())


def test_a_stream_that_nobody_reads_is_closed_when_it_is_let_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            response = await bench.ask("items 100000 65536")
            await items_of(response).aclose()

            await bench.until(lambda: note(tmp_path, "closed"))

    run(main())


@pytest.mark.parametrize("how", ["computing", "waiting for the reader"])
def test_a_stream_over_its_time_is_cut_and_its_process_goes_on(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE, grace_s=5.0) as bench:
            pid = await bench.value("pid")
            order = "waits" if how == "computing" else "items 100000 65536"
            response = await bench.ask(order, limit_s=0.2)
            body = items_of(response)
            await anext(body)
            if how == "waiting for the reader":
                await bench.until(lambda: note(tmp_path, "closed"))
            with pytest.raises(StreamCut):
                async for _ in body:
                    pass

            await still_serves(bench, pid)
            assert note(tmp_path, "closed") == "yes"

    run(main())


def test_a_call_given_up_before_the_head_cancels_the_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            pid = await bench.value("pid")
            call = bench.later("items 100000 65536")
            await asyncio.sleep(0)
            call.cancel()

            await bench.until(lambda: note(tmp_path, "closed"))
            await still_serves(bench, pid)

    run(main())


def test_close_cuts_a_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            response = await bench.ask("waits")
            await bench.pool.close(0.5)

            assert (await read_all(response))[1] is False

    run(main())
