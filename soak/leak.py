"""Many mixed requests, large ones among them: does anything stay behind?

Nothing is killed here, so that every process has the whole history.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from soak.clients import Connection, NoAnswer, TwoAnswers, dismiss, new_token, order, request
from soak.report import Figure
from soak.sampling import Sample, floor_growth, growth, settled_sample
from soak.target import Contender, Target, serving

REQUESTS = 24_000
# As many again come first: until heaps have seen every order of large and small.
WARM_UP = 24_000
# Everybody pauses after this many, so that nothing but the server itself is measured.
BETWEEN_SAMPLES = 750
CLIENTS = 16
WORKERS = 2
UP_BYTES = 2_000_000
DOWN_BYTES = 8_000_000


async def leak(
    contender: Contender, count: int, seed: int, tell: Callable[[str], None]
) -> list[Figure]:
    """*count* requests after the warm-up; growth of memory and descriptors, and failures."""
    chance = random.Random(seed)
    failures: list[str] = []
    samples: list[Sample] = []
    async with serving(contender, workers=WORKERS) as target:
        done = 0
        while done < WARM_UP + count:
            tell(f"{done} of {WARM_UP + count} requests, {len(failures)} failed")
            jobs = deque(_job(chance) for _ in range(BETWEEN_SAMPLES))
            done += len(jobs)
            clients = [
                asyncio.create_task(_client(target.port, jobs, failures)) for _ in range(CLIENTS)
            ]
            try:
                await asyncio.gather(*clients)
            finally:
                await dismiss(clients)
            if done > WARM_UP:
                await _same_last_requests(target)
                samples.append(await settled_sample(target))
    for failure in failures[:5]:
        tell(f"failed: {failure}")
    return [
        Figure("leak: failures", len(failures), "", "==", 0),
        Figure(
            "leak: PSS growth (of the least held)",
            floor_growth([s.pss_mb for s in samples]),
            "MB",
            "<=",
            1,
        ),
        Figure("leak: descriptors more", growth([s.descriptors for s in samples]), "", "<=", 0),
        Figure("leak: processes more", growth([s.processes for s in samples]), "", "==", 0),
        Figure("leak: PSS at the end", samples[-1].pss_mb, "MB"),
    ]


async def _same_last_requests(target: Target) -> None:
    """Bring the allocator of every process into the same state before each sample.

    What malloc keeps for later depends on the last few large bodies, which differ by chance;
    that is many times what a leak must not reach.
    """
    for size in (DOWN_BYTES, DOWN_BYTES, 0, 0):
        # At the same time: one for each worker.
        await asyncio.gather(
            *(
                target.ask(do="sleep", seconds=0.1, fill=size, padding="x" * (size // 4))
                for _ in range(WORKERS)
            )
        )


def _job(chance: random.Random) -> tuple[str, bytes, int]:
    """A request, its token, and the bytes its answer must have at least."""
    token = new_token()
    number = chance.random()
    if number < 0.02:
        return token, order(token, padding="x" * UP_BYTES), 0
    if number < 0.04:
        return token, order(token, fill=DOWN_BYTES), DOWN_BYTES
    if number < 0.2:
        return "", request("GET", "/"), 0
    if number < 0.3:
        return token, order(token, do="sleep", seconds=0.002), 0
    return token, order(token, padding="x" * chance.randrange(4096)), 0


async def _client(port: int, jobs: deque[tuple[str, bytes, int]], failures: list[str]) -> None:
    connection = Connection(port)
    try:
        while jobs:
            token, data, at_least = jobs.popleft()
            try:
                answer = await connection.ask(data)
            except (NoAnswer, TwoAnswers) as error:
                failures.append(f"{data[:20]!r}: {type(error).__name__} {error}")
                continue
            if answer.status != 200 or len(answer.body) < at_least:
                failures.append(f"{data[:20]!r}: {answer.status}, {len(answer.body)} bytes")
            elif token and answer.token != token:
                failures.append(f"{data[:20]!r}: the answer of another request")
    finally:
        await connection.close()
