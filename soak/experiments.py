"""One kind of trouble at a time, over any server that takes our flags.

Each experiment starts a server of its own, counts, and returns figures with what they must be.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from soak.clients import (
    Answer,
    Connection,
    NoAnswer,
    dismiss,
    new_token,
    order,
    send_and_leave,
)
from soak.report import Figure
from soak.target import SCRIPT, Contender, Target, has_flag, serving

# The limit of one call where calls hang, in seconds.
LIMIT_S = 1.0
# How long a caller waits who is not to wait for ever, in seconds.
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one caller got, and when on the monotonic clock; ``status`` 0 is no answer."""

    status: int
    message: str
    sent_s: float
    at_s: float

    @property
    def is_good(self) -> bool:
        return self.status == 200


async def outcome(target: Target, **content: object) -> Outcome:
    """Ask once; never raises for what the server does."""
    sent_s = time.monotonic()
    token = str(content.pop("token", "")) or new_token()
    connection = Connection(target.port)
    try:
        answer = await connection.ask(order(token, **content), PATIENCE_S)
    except NoAnswer as error:
        return Outcome(0, str(error), sent_s, time.monotonic())
    finally:
        await connection.close()
    is_right = answer.status != 200 or answer.token == token
    message = str(answer.content.get("message", ""))
    return Outcome(answer.status if is_right else -1, message, sent_s, time.monotonic())


# --- crash ----------------------------------------------------------------------------------

CRASHES = ("exit", "sys-exit", "abort", "segfault", "kill", "kill from outside")


async def crash(contender: Contender) -> list[Figure]:
    """``run()`` ends its process while four others wait; one worker, no time for ``init()``."""
    figures = []
    for kind in CRASHES:
        async with serving(contender, workers=1) as target:
            await outcome(target)
            token = new_token()
            what = {"do": "sleep", "seconds": 30} if " " in kind else {"do": kind}
            # A moment to have all four in the queue before the end comes.
            first = asyncio.create_task(outcome(target, do="sleep", seconds=0.5))
            await asyncio.sleep(0.2)
            victim = asyncio.create_task(outcome(target, token=token, **what))
            await asyncio.sleep(0.1)
            others = [asyncio.create_task(outcome(target)) for _ in range(4)]
            if " " in kind:
                subprocess.run(["kill", "-9", str((await target.until_run(token)).pid)], check=True)
            ended = await victim
            served = [await first, *[await other for other in others]]
        again_s = min((each.at_s for each in served[1:] if each.is_good), default=math.inf)
        figures += [
            Figure(f"crash, {kind}: caller's status (0: none)", ended.status, "", "==", 500),
            Figure(f"crash, {kind}: others lost of 5", sum(not each.is_good for each in served),
                   "", "==", 0),
            Figure(f"crash, {kind}: serving again after", again_s - ended.at_s, "s", "<=", 1),
        ]  # fmt: skip
    return [*figures, *await _out_of_memory(contender)]


async def _out_of_memory(contender: Contender) -> list[Figure]:
    """Under a limit of 512 MB ``run()`` takes 2 GB; only where there is such a limit."""
    if not has_flag(contender, "--worker_memory_limit"):
        return []
    async with serving(contender, "--worker_memory_limit", str(512 << 20)) as target:
        ended = await outcome(target, do="memory", megabytes=2000)
        again = await outcome(target)
    return [
        Figure("crash, out of memory: caller's status (0: none)", ended.status, "", "==", 500),
        Figure(
            "crash, out of memory: serving again after",
            again.at_s - ended.at_s if again.is_good else math.inf, "s", "<=", 1,
        ),
    ]  # fmt: skip


# --- stuck ----------------------------------------------------------------------------------

STUCK = ("sleep", "loop", "c-code", "swallow")


async def stuck(contender: Contender) -> list[Figure]:
    """``run()`` does not come back; limit 1 s, one worker, one good call behind it."""
    figures = []
    for kind in STUCK:
        environment = {"SCORING_TIMEOUT_MS": f"{LIMIT_S * 1000:.0f}"}
        async with serving(contender, workers=1, environment=environment) as target:
            await outcome(target)
            late = await outcome(target, do=kind, seconds=60)
            again = await _good_call(target)
        took_s = late.at_s - late.sent_s if late.status else math.inf
        figures += [
            Figure(f"stuck, {kind}: status (0: none)", late.status, "", "==", 500),
            Figure(f"stuck, {kind}: answered after", took_s, "s", "<=", LIMIT_S + 1),
            # The grace an interrupted call has (1 s), and a new process.
            Figure(f"stuck, {kind}: next good answer after", again - late.at_s, "s", "<=", 3),
        ]
    return figures


async def _good_call(target: Target) -> float:
    """When the first call after trouble got its answer; infinite if none did."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        told = await outcome(target)
        if told.is_good:
            return told.at_s
        await asyncio.sleep(0.02)
    return math.inf


# --- stopping -------------------------------------------------------------------------------


async def term(contender: Contender) -> list[Figure]:
    """SIGTERM with four calls running and four waiting; four workers, a second each."""
    async with serving(contender, workers=4) as target:
        # Every worker has answered before: none is still starting.
        await asyncio.gather(*(outcome(target, do="sleep", seconds=0.3) for _ in range(8)))
        running = [asyncio.create_task(outcome(target, do="sleep", seconds=1)) for _ in range(4)]
        await asyncio.sleep(0.3)
        waiting = [asyncio.create_task(outcome(target, do="sleep", seconds=1)) for _ in range(4)]
        await asyncio.sleep(0.3)
        before = {process.pid: process.started for process in target.members()}
        target.signal(signal.SIGTERM)
        told_running = [await each for each in running]
        told_waiting = [await each for each in waiting]
        status = await _exit_status(target)
        left = [each for each in target.members() if before.get(each.pid) == each.started]
    return [
        Figure("SIGTERM: running calls answered of 4", _good(told_running), "", "==", 4),
        Figure("SIGTERM: waiting calls answered of 4", _good(told_waiting), "", "==", 4),
        Figure("SIGTERM: exit status", status, "", "==", 0),
        Figure("SIGTERM: processes left", len(left), "", "==", 0),
    ]


async def _exit_status(target: Target) -> float:
    try:
        return await asyncio.to_thread(target.process.wait, 40)
    except subprocess.TimeoutExpired:
        return math.nan


def _good(told: list[Outcome]) -> int:
    return sum(each.is_good for each in told)


# --- swap -----------------------------------------------------------------------------------


class Stream:
    """Calls without end from *count* clients, each with its outcome."""

    def __init__(self, target: Target, count: int) -> None:
        self._target = target
        self._tasks = [asyncio.create_task(self._client()) for _ in range(count)]
        self.good_s: list[float] = []
        self.failed: list[str] = []
        self.versions: list[str] = []

    async def _client(self) -> None:
        connection = Connection(self._target.port)
        while True:
            token = new_token()
            try:
                answer = await connection.ask(order(token, do="sleep", seconds=0.02), PATIENCE_S)
            except NoAnswer as error:
                self.failed.append(str(error))
                await asyncio.sleep(0.02)
                continue
            if answer.status != 200 or answer.token != token:
                self.failed.append(str(answer.status))
                await asyncio.sleep(0.02)
                continue
            self.good_s.append(time.monotonic())
            self.versions.append(str(answer.content.get("version")))

    async def end(self) -> None:
        """No more calls; those under way are left."""
        await dismiss(self._tasks)

    def longest_gap_s(self) -> float:
        """Between two good answers, whoever got them."""
        ordered = sorted([*self.good_s, time.monotonic()])
        return max((b - a for a, b in itertools.pairwise(ordered)), default=math.inf)


async def swap(contender: Contender) -> list[Figure]:
    """Swaps with two workers, and with one."""
    return [*await _swap(contender, 2), *await _swap(contender, 1)]


async def _swap(contender: Contender, workers: int) -> list[Figure]:
    """SIGHUP under load to a good script (``init()`` takes half a second), and to a bad one."""
    source = SCRIPT.read_text(encoding="utf-8")
    good = source.replace('VERSION = "1"', 'VERSION = "2"').replace("INIT_S = 0.0", "INIT_S = 0.5")
    bad = source.replace("time.sleep(INIT_S)", 'raise ValueError("no model")')
    figures = []
    async with serving(contender, workers=workers) as target:
        for name, script, version in (("good", good, "2"), ("broken", bad, "2")):
            title = f"swap to a {name} script, {workers} worker{'s' * (workers > 1)}"
            load = Stream(target, 8)
            await asyncio.sleep(2)
            target.write_script(script)
            load.versions.clear()
            asked_s = time.monotonic()
            target.signal(signal.SIGHUP)
            while time.monotonic() < asked_s + 8:
                await asyncio.sleep(0.05)
            await load.end()
            served = [v for v in load.versions[-50:] if v == version]
            figures += [
                Figure(f"{title}: failed calls", len(load.failed), "", "==", 0),
                Figure(
                    f"{title}: longest gap", load.longest_gap_s(), "s", "<=", 0.2
                ),
                Figure(
                    f"{title}: right version, of the last 50",
                    len(served), "", "==", 50,
                ),
            ]  # fmt: skip
    return figures


# --- abandoned ------------------------------------------------------------------------------


async def abandoned(contender: Contender) -> list[Figure]:
    """Fifty callers leave while they wait behind a call of a second; none may be run."""
    async with serving(contender, workers=1) as target:
        token = new_token()
        busy = asyncio.create_task(outcome(target, token=token, do="sleep", seconds=1.5))
        await target.until_run(token)
        left = [new_token() for _ in range(50)]
        await asyncio.gather(*(send_and_leave(target.port, order(each), 0.3) for each in left))
        await busy
        last = await outcome(target)
        await asyncio.sleep(0.5)
        run = {each.token for each in target.runs()}
    return [
        Figure(
            "abandoned while waiting, run all the same, of 50", len(run & set(left)), "", "==", 0
        ),
        Figure("abandoned: status of the next call", last.status, "", "==", 200),
    ]


# --- one worker cannot start again ------------------------------------------------------------


async def respawn(contender: Contender) -> list[Figure]:
    """A worker of two is killed and its ``init()`` fails from now on; after 5 s it is mended."""
    source = SCRIPT.read_text(encoding="utf-8")
    bad = source.replace("time.sleep(INIT_S)", 'raise ValueError("no model")')
    async with serving(contender, workers=2) as target:
        await asyncio.gather(*(outcome(target, do="sleep", seconds=0.2) for _ in range(4)))
        pids = sorted({run.pid for run in target.runs()})
        target.write_script(bad)
        load = Stream(target, 4)
        await asyncio.sleep(0.5)
        subprocess.run(["kill", "-9", str(pids[0])], check=True)
        await asyncio.sleep(5)
        good_until_s = max(load.good_s, default=0.0)
        is_serving = time.monotonic() - good_until_s < 1
        failed = len(load.failed)
        await load.end()
        target.write_script(source)
        mended_s = time.monotonic()
        alive = await _both_serve(target, set(pids[:1]))
    return [
        Figure("init() fails on respawn: others serve (1: yes)", is_serving, "", "==", 1),
        # The one that the killed worker was computing.
        Figure("init() fails on respawn: failed calls", failed, "", "<=", 1),
        Figure("init() fails on respawn: two workers after it is mended", alive - mended_s, "s"),
    ]


async def _both_serve(target: Target, dead: set[int]) -> float:
    """When two workers first answered together; infinite if they do not."""
    end_s = time.monotonic() + 40
    while time.monotonic() < end_s and target.process.poll() is None:
        tokens = {new_token() for _ in range(4)}
        await asyncio.gather(
            *(outcome(target, token=token, do="sleep", seconds=0.05) for token in tokens)
        )
        if len({run.pid for run in target.runs() if run.token in tokens} - dead) == 2:
            return time.monotonic()
    return math.inf


# --- idle and slow connections ----------------------------------------------------------------

_SLOW = {
    "silent": b"",
    "slow headers": b"POST /score HTTP/1.1\r\nHost: x\r\nX-A",
    "slow body": b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    "slow chunks": b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
    "slow reader": order("slow reader", fill=2_000_000),
}
# What a slow reader's kernel takes for it; the rest of its answer stays in the server.
_SMALL_BYTES = 4096
_BESIDE: dict[str, tuple[int, Sequence[bytes]]] = {
    "200 slow connections": (200, tuple(_SLOW.values())),
    "1,000 idle connections": (1000, (b"",)),
}
_GOOD = 200  # requests, one after another, each on a connection of its own


async def slow(contender: Contender) -> list[Figure]:
    """Connections that say little or nothing, and one good client among them."""
    figures = []
    for what, (count, starts) in _BESIDE.items():
        async with serving(contender, workers=2) as target:
            figures += await _good_beside(
                target, what, [starts[n % len(starts)] for n in range(count)]
            )
    return figures


async def _good_beside(target: Target, what: str, starts: Sequence[bytes]) -> list[Figure]:
    with contextlib.ExitStack() as opened:
        for start in starts:
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
            connection.connect(("127.0.0.1", target.port))
            connection.sendall(start)
        # Connections are taken in the order they came: when this is answered, all are there.
        with contextlib.suppress(NoAnswer):
            await target.ask(limit_s=5)
        before = _ticks(target)
        took_s = []
        for _ in range(_GOOD):
            sent_s = time.monotonic()
            try:
                answer: Answer | None = await asyncio.wait_for(
                    Connection(target.port).ask(order(new_token())), 2
                )
            except (NoAnswer, asyncio.TimeoutError):
                answer = None
            if answer is not None and answer.status == 200:
                took_s.append(time.monotonic() - sent_s)
            elif not took_s and time.monotonic() - sent_s > 1.5:
                break  # nobody is served: 200 times two seconds would say no more
        spent_ms = (_ticks(target) - before) / os.sysconf("SC_CLK_TCK") * 1000
    p99_ms = sorted(took_s)[int(len(took_s) * 0.99) - 1] * 1000 if took_s else math.inf
    return [
        Figure(f"{what}: good requests served", 100 * len(took_s) / _GOOD, "%", "==", 100),
        Figure(f"{what}: good requests' p99", p99_ms, "ms", "<=", 20),
        Figure(f"{what}: CPU time of a good request", spent_ms / _GOOD, "ms"),
    ]


def _ticks(target: Target) -> int:
    return sum(process.ticks for process in target.members())
