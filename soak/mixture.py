"""Everything at once, for minutes: good clients, bad clients, faults, kills, swaps.

Theory: good clients are the measure. Each of their answers must be 200 with the token they sent.
A call may fail only if its worker was killed from outside: its answer says so (500, "was ended
by"), and there may be no more of those than kills. Faults of the script itself come from one
client, one at a time, and what one has cost has been replaced before the next (`_trouble`), so
that a worker is always left to serve.

Everybody pauses after a round. The server is sampled then: what it holds while
nobody speaks to it must not grow.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from soak.clients import (
    Answer,
    Connection,
    NoAnswer,
    TwoAnswers,
    ask_once,
    dismiss,
    new_token,
    order,
    read_slowly,
    request,
    say,
    send_and_leave,
    send_slowly,
)
from soak.overload import Prober
from soak.report import Figure
from soak.sampling import LEAST_SAMPLES, Sample, floor_growth, growth, lasting_mb, settled_sample
from soak.target import SCRIPT, Contender, Target, serving

# The limit of one call, in milliseconds: a good call may wait behind one that hangs.
LIMIT_MS = 3000
GOOD_CLIENTS = 8
# Everybody works for this long, then pauses for a sample, in seconds.
ROUND_S = 8.0
# Rounds before memory is compared, of fifty in ten minutes: caches fill, every kind of request
# has been seen, in every order.
WARM_UP_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is mixed in."""

    seconds: float
    workers: int
    seed: int
    kills_front_end: bool
    log: Path | None
    swaps: bool
    replaces_workers: bool


@dataclass(slots=True)
class Tally:
    """What was seen; ``unexpected`` keeps a few in words."""

    answers: dict[str, int] = field(default_factory=dict)
    good: int = 0
    wrong: int = 0
    two_answers: int = 0
    lost: int = 0
    ended: int = 0
    kills: int = 0
    front_end_kills: int = 0
    swaps: int = 0
    unexpected: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    probe_p99_ms: list[float] = field(default_factory=list)
    probe_errors: int = 0

    def count(self, what: str) -> None:
        """One more of these."""
        self.answers[what] = self.answers.get(what, 0) + 1

    def note(self, kind: str, answer: Answer, expected: set[int]) -> None:
        """An answer whose token does not matter."""
        self.count(f"{kind}: {answer.status}")
        if answer.status not in expected:
            self._tell(f"{kind}: {answer.status} {answer.body[:120]!r}")

    def note_good(self, kind: str, token: str, answer: Answer) -> None:
        """An answer that must be the right one."""
        self.count(f"{kind}: {answer.status}")
        if answer.status == 200:
            if token in answer.body[:200].decode("latin-1"):
                self.good += 1
            else:
                self.wrong += 1
                self._tell(f"{kind}: asked {token}, got {answer.body[:80]!r}")
        elif "was ended by" in str(answer.content.get("message", "")):
            self.ended += 1
        else:
            self.lost += 1
            self._tell(f"{kind}: {answer.status} {answer.body[:120]!r}")

    def note_none(self, kind: str, error: Exception, *, is_excused: bool) -> None:
        """No answer came; excused while a front end is being replaced that was killed."""
        if isinstance(error, TwoAnswers):
            self.two_answers += 1
        self.count(f"{kind}: none{' (front end killed)' if is_excused else ''}")
        if not is_excused:
            self.lost += 1
            self._tell(f"{kind}: no answer, {type(error).__name__} {error}")

    def _tell(self, what: str) -> None:
        if len(self.unexpected) < 20:
            clock = time.strftime("%H:%M:%S", time.localtime())
            self.unexpected.append(f"{clock} {what}")


Step = Callable[[], Awaitable[None]]


class Mixture:
    """The clients of one target, and what they saw."""

    def __init__(self, target: Target, plan: Plan, tally: Tally) -> None:
        self._target = target
        self._port = target.port
        self._plan = plan
        self._tally = tally
        self._chance = random.Random(plan.seed)
        self._is_open = True
        self._excused_until_s = 0.0
        self._version = 1
        # While the script on disk is broken, a worker that ends stays away.
        self._trouble = asyncio.Lock()

    async def round(self, seconds: float) -> None:
        """Everybody works for *seconds*, and finishes what was begun."""
        end_s = time.monotonic() + seconds
        steps: list[Step] = [self._good] * GOOD_CLIENTS
        steps += [self._large, self._streamed, self._fault, self._malformed]
        steps += [self._slow_sender, self._slow_reader, self._leaver, self._silent, self._kill]
        if self._plan.swaps:
            steps.append(self._swap)
        if self._plan.kills_front_end:
            steps.append(self._kill_front_end)
        tasks = [asyncio.create_task(self._repeat(step, end_s)) for step in steps]
        prober = asyncio.create_task(
            Prober(self._port, max(1.0, seconds - 1), "/health/live").run()
        )
        try:
            await asyncio.gather(*tasks)
            probes = await prober
        finally:
            await dismiss(tasks)
        self._tally.probe_p99_ms.append(probes["p99_ms"])
        if not self._plan.kills_front_end:
            self._tally.probe_errors += probes["errors"]

    async def _repeat(self, step: Step, end_s: float) -> None:
        while time.monotonic() < end_s:
            await step()

    # --- good clients ---------------------------------------------------------------------

    async def _good(self) -> None:
        """A few requests on one connection; sometimes one that is asked to be closed."""
        connection = Connection(self._port)
        try:
            for _ in range(self._chance.randrange(1, 40)):
                token = new_token()
                content: dict[str, object] = {"padding": "x" * self._chance.randrange(2000)}
                if self._chance.random() < 0.3:
                    content |= {"do": "sleep", "seconds": self._chance.random() * 0.02}
                await self._ask_good("good", connection, token, order(token, **content))
        finally:
            await connection.close()

    async def _large(self) -> None:
        connection = Connection(self._port)
        token = new_token()
        up, down = (2_000_000, 0) if self._chance.random() < 0.5 else (0, 8_000_000)
        try:
            await self._ask_good(
                "large", connection, token, order(token, fill=down, padding="x" * up)
            )
        finally:
            await connection.close()
        await asyncio.sleep(0.2)

    async def _streamed(self) -> None:
        token = new_token()
        items = self._chance.randrange(1, 60)
        connection = Connection(self._port)
        try:
            answer = await connection.ask(order(token, do="stream", items=items))
            if answer.status == 200 and answer.body.count(f"{token} ".encode()) != items:
                self._tally.wrong += 1
            self._tally.note_good("stream", token, answer)
        except NoAnswer as error:
            # A stream whose worker was killed is cut: there is no other way to say so.
            self._tally.ended += 1
            self._tally.count(f"stream: cut ({error})")
        finally:
            await connection.close()
        await asyncio.sleep(0.1)

    async def _slow_sender(self) -> None:
        """Slow headers and slow body, but whole in the end: an ordinary answer."""
        token = new_token()
        data = order(token)
        began_s = time.monotonic()
        try:
            answer = await send_slowly(self._port, data, 40, 0.1)
            self._tally.note_good("slow sender", token, answer)
        except NoAnswer as error:
            self._tally.note_none("slow sender", error, is_excused=self._is_excused(began_s))

    async def _ask_good(self, kind: str, connection: Connection, token: str, data: bytes) -> None:
        began_s = time.monotonic()
        try:
            self._tally.note_good(kind, token, await connection.ask(data))
        except (NoAnswer, TwoAnswers) as error:
            self._tally.note_none(kind, error, is_excused=self._is_excused(began_s))
            await asyncio.sleep(0.05)

    def _is_excused(self, began_s: float) -> bool:
        return began_s < self._excused_until_s

    # --- bad clients ----------------------------------------------------------------------

    async def _slow_reader(self) -> None:
        await read_slowly(self._port, order(new_token(), fill=2_000_000), 65536, 0.05)

    async def _leaver(self) -> None:
        """Leaves while it waits or is computed, whichever it happens to be."""
        data = order(new_token(), do="sleep", seconds=self._chance.random() * 0.1)
        await send_and_leave(self._port, data, self._chance.random() * 0.1)
        await asyncio.sleep(0.1)

    async def _silent(self) -> None:
        beginnings = (b"", b"POST /sc", order(new_token())[:60], order(new_token())[:-1])
        told = await say(self._port, self._chance.choice(beginnings), 2)
        self._count_statuses("silent", told)

    async def _malformed(self) -> None:
        cases = (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            request("GET", "/nothing"),
            request("DELETE", "/score"),
        )
        self._count_statuses("malformed", await say(self._port, self._chance.choice(cases), 0.5))
        await asyncio.sleep(0.2)

    def _count_statuses(self, kind: str, told: list[int]) -> None:
        for status in told:
            self._tally.note(kind, Answer(status, {}, b""), {400, 404, 405, 408, 501, 505})
        if len(told) > 1:
            self._tally.two_answers += 1

    # --- faults -----------------------------------------------------------------------------

    async def _fault(self) -> None:
        kinds = ("exit", "sys-exit", "abort", "segfault", "kill", "sleep", "loop", "swallow")
        kind = self._chance.choice(kinds)
        # The number keeps bodies apart: one that has ended its worker twice may be refused.
        data = order(new_token(), do=kind, seconds=60)
        async with self._trouble:
            began_s = time.monotonic()
            try:
                answer = await ask_once(self._port, data, 30)
                self._tally.note(f"fault, {kind}", answer, {500})
            except NoAnswer as error:
                self._tally.note_none(f"fault, {kind}", error, is_excused=self._is_excused(began_s))
            await _until_workers(self._target, self._plan.workers)
        await asyncio.sleep(1 + self._chance.random() * 2)

    async def _kill(self) -> None:
        """``kill -9`` to a worker, idle or busy as it may be."""
        await asyncio.sleep(2 + self._chance.random() * 4)
        async with self._trouble:
            pids = {run.pid for run in self._target.latest_runs()}
            alive = {process.pid for process in self._target.members()}
            if candidates := sorted(pids & alive):
                self._tally.kills += 1
                with suppress(ProcessLookupError):
                    os.kill(self._chance.choice(candidates), signal.SIGKILL)
                await _until_workers(self._target, self._plan.workers)

    async def _kill_front_end(self) -> None:
        await asyncio.sleep(10 + self._chance.random() * 20)
        root = self._target.process.pid
        for process in self._target.members():
            if process.parent == root:
                self._tally.front_end_kills += 1
                # What is under way is lost, and nobody serves until its successor does.
                self._excused_until_s = float("inf")
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                await self._target.until_ready()
                self._excused_until_s = time.monotonic() + 0.5

    async def _swap(self) -> None:
        """A new version of the script, one in three of them broken, and SIGHUP."""
        await asyncio.sleep(5 + self._chance.random() * 5)
        self._version += 1
        source = SCRIPT.read_text(encoding="utf-8")
        source = source.replace('VERSION = "1"', f'VERSION = "{self._version}"')
        if self._chance.random() < 0.33:
            broken = source.replace("time.sleep(INIT_S)", 'raise ValueError("no model")')
            async with self._trouble:
                self._target.write_script(broken)
                self._target.signal(signal.SIGHUP)
                await asyncio.sleep(2)
                self._target.write_script(source)
        self._tally.swaps += 1
        self._target.write_script(source)
        self._target.signal(signal.SIGHUP)
        await asyncio.sleep(1)


async def mixture(
    contender: Contender, plan: Plan, tell: Callable[[str], None]
) -> tuple[list[Figure], Tally]:
    """Rounds of `Mixture` until the time is over; figures, and everything that was counted.

    *tell* gets a line after each round. Ctrl-C ends it early, with what was seen until then.
    """
    tally = Tally()
    environment = {"SCORING_TIMEOUT_MS": str(LIMIT_MS)}
    # Replacing workers between calls is part of it, where the server can.
    flags = ("--max_requests", "400") if plan.replaces_workers else ()
    async with serving(contender, *flags, workers=plan.workers, environment=environment) as target:
        crowd = Mixture(target, plan, tally)
        end_s = time.monotonic() + plan.seconds
        while (left_s := end_s - time.monotonic()) > 0:
            await crowd.round(min(ROUND_S, max(2.0, left_s)))
            await _until_workers(target, plan.workers)
            tally.samples.append(await settled_sample(target))
            latest = tally.samples[-1]
            tell(
                f"{max(0, end_s - time.monotonic()):.0f} s left: {tally.good} right, "
                f"{tally.wrong} wrong, {tally.lost} lost, {tally.kills} kills, "
                f"{latest.pss_mb:.0f} MB, {latest.descriptors} descriptors, "
                f"probe p99 {tally.probe_p99_ms[-1]:.1f} ms"
            )
            if plan.log is not None:
                shutil.copyfile(target.folder / "log", plan.log)
    return _figures(tally), tally


async def _until_workers(target: Target, count: int) -> None:
    """Wait until a call runs on each of *count* workers: none is still being replaced."""
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        tokens = {new_token() for _ in range(count)}
        data = [order(token, do="sleep", seconds=0.1) for token in tokens]
        with suppress(NoAnswer):
            await asyncio.gather(*(ask_once(target.port, each, 20) for each in data))
        if len({run.pid for run in target.latest_runs() if run.token in tokens}) == count:
            return


def _figures(tally: Tally) -> list[Figure]:
    figures = [
        Figure("right answers", tally.good),
        Figure("wrong answers", tally.wrong, "", "==", 0),
        Figure("two answers to one request", tally.two_answers, "", "==", 0),
        Figure("lost, beyond calls in killed workers", tally.lost, "", "==", 0),
        Figure("unexpected answers", len(tally.unexpected), "", "==", 0),
        Figure("workers killed from outside", tally.kills),
        Figure("calls lost in killed workers", tally.ended, "", "<=", tally.kills),
        Figure("front ends killed", tally.front_end_kills),
        Figure("swaps", tally.swaps),
        Figure("probe p99, the worst round", max(tally.probe_p99_ms, default=0.0), "ms", "<=", 100),
        Figure("probes without answer", tally.probe_errors, "", "==", 0),
    ]
    kept = tally.samples[WARM_UP_ROUNDS:]
    if len(kept) >= LEAST_SAMPLES:
        pss = floor_growth(lasting_mb(kept))
        figures += [
            Figure("PSS growth of what is never replaced", pss, "MB", "<=", 1),
            Figure("PSS at the end, all processes", kept[-1].pss_mb, "MB"),
            Figure("descriptors more", growth([each.descriptors for each in kept]), "", "<=", 0),
            Figure("processes more", growth([each.processes for each in kept]), "", "==", 0),
        ]
    return figures
