"""Five times more callers than the server can serve, who give up and come again.

Half of what a server does then may be for nobody: a caller that left while it waited is still
run, or a call begins just before its caller gives up.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

from soak.clients import Connection, NoAnswer, ask_once, dismiss, new_token, order
from soak.ledger import wasted
from soak.report import Figure
from soak.target import Contender, Target, serving

RUN_S = 0.1
PATIENCE_S = 5.0
# A lone request is back to normal when it takes no longer than this.
NORMAL_S = RUN_S + 0.1
# Longer than anybody waits for a server to come back.
RECOVERY_S = 70.0


class Crowd:
    """*count* clients who ask, wait *patience_s* at most, and ask again."""

    def __init__(
        self,
        port: int,
        count: int,
        seed: int,
        *,
        run_s: float = RUN_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._port = port
        self._count = count
        self._run_s = run_s
        self._patience_s = patience_s
        self._random = random.Random(seed)
        self.useful: set[str] = set()
        self.refused = 0
        self.gave_up = 0

    async def press(self, seconds: float) -> None:
        """Come, and stay for *seconds*; then all leave at once."""
        tasks = [asyncio.create_task(self._client()) for _ in range(self._count)]
        await asyncio.sleep(seconds)
        await dismiss(tasks)

    async def _client(self) -> None:
        # They do not come in the same millisecond.
        await asyncio.sleep(self._random.random() * self._patience_s / 5)
        connection = Connection(self._port)
        try:
            while True:
                token = new_token()
                data = order(token, do="sleep", seconds=self._run_s)
                try:
                    answer = await connection.ask(data, self._patience_s)
                except NoAnswer:
                    self.gave_up += 1
                    await asyncio.sleep(self._random.random() * 0.02)
                    continue
                if answer.status == 200 and answer.token == token:
                    self.useful.add(token)
                else:
                    # Well-behaved: it comes again when it was told to.
                    self.refused += 1
                    await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
        finally:
            await connection.close()


class Prober:
    """Probes every 10 ms, from a process of its own: our load must not slow them down."""

    def __init__(self, port: int, seconds: float, path: str = "/") -> None:
        self._order = {
            "kind": "probe",
            "port": port,
            "path": "/score",
            "body": "",
            "busy": 0,
            "seconds": seconds,
            "health_path": path,
        }

    async def run(self) -> dict[str, Any]:
        """What `benchmarks.client.probe` returns."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.client"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(json.dumps(self._order).encode())
        answer: dict[str, Any] = json.loads(output)
        return answer


async def overload(contender: Contender, seconds: float, seed: int) -> list[Figure]:
    """500 clients, 2 workers, runs of 100 ms; what is useful, wasted, and how long it lasts."""
    workers = 2
    lone: set[str] = set()
    async with serving(contender, workers=workers) as target:
        crowd = Crowd(target.port, 500, seed)
        prober = asyncio.create_task(Prober(target.port, seconds - 2).run())
        await crowd.press(seconds)
        ended_s = time.monotonic()
        probes = await prober
        recovery_s = await _recovery(target, ended_s, lone)
        runs = [run for run in target.runs() if run.token not in lone]
    capacity = seconds * workers / RUN_S
    return [
        Figure(
            "overload: useful answers of capacity",
            100 * len(crowd.useful) / capacity,
            "%",
            ">=",
            90,
        ),
        Figure(
            "overload: runs wasted on absent clients",
            100 * wasted(runs, crowd.useful) / max(1, len(runs)),
            "%",
            "<=",
            5,
        ),
        Figure("overload: back to normal after", recovery_s, "s", "<=", 1),
        Figure("overload: probe p99", probes["p99_ms"], "ms", "<=", 100),
        Figure("overload: probes without answer", probes["errors"], "", "==", 0),
        Figure("overload: refused (429, 503)", crowd.refused),
    ]


async def _recovery(target: Target, ended_s: float, lone: set[str]) -> float:
    """Seconds from *ended_s* until a lone request takes as long as it should.

    Adds the tokens it used to *lone*.
    """
    while time.monotonic() - ended_s < RECOVERY_S:
        token = new_token()
        lone.add(token)
        sent_s = time.monotonic()
        try:
            answer = await ask_once(
                target.port,
                order(token, do="sleep", seconds=RUN_S),
                RECOVERY_S - (sent_s - ended_s),
            )
        except NoAnswer:
            await asyncio.sleep(0.05)
            continue
        if answer.status == 200 and time.monotonic() - sent_s <= NORMAL_S:
            return sent_s - ended_s
    return float("inf")


async def probes_while_busy(contender: Contender, seconds: float) -> list[Figure]:
    """Probes while every worker computes and as many calls again wait."""
    async with serving(contender, workers=2) as target:

        async def keep_busy(what: str) -> None:
            connection = Connection(target.port)
            try:
                while True:
                    await connection.ask(order(new_token(), do=what, seconds=1.5), 60)
            finally:
                await connection.close()

        tasks = [asyncio.create_task(keep_busy("sleep")) for _ in range(4)]
        await asyncio.sleep(0.3)
        probes = await Prober(target.port, seconds).run()
        await dismiss(tasks)
    return [
        Figure("busy: probe p99", probes["p99_ms"], "ms", "<=", 20),
        Figure("busy: probes without answer", probes["errors"], "", "==", 0),
    ]
