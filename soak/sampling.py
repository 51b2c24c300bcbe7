"""Memory, descriptors and processes of a server over time, and whether they grow."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.processes import PROC, parse_pss_kb
from soak.target import Target

# Fewer say nothing about growth.
LEAST_SAMPLES = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server holds; ``at_s`` on the monotonic clock, MB (10**6 bytes) by process id."""

    at_s: float
    pss_of_mb: dict[int, float]
    descriptors: int
    processes: int

    @property
    def pss_mb(self) -> float:
        """Of all processes together."""
        return sum(self.pss_of_mb.values())


def sample(target: Target) -> Sample:
    """Look once; a process that ends meanwhile is left out."""
    descriptors = 0
    pss_of_mb = {}
    for process in target.members():
        folder = PROC / str(process.pid)
        try:
            pss_kb = parse_pss_kb((folder / "smaps_rollup").read_text(encoding="ascii"))
            descriptors += len(os.listdir(folder / "fd"))
            pss_of_mb[process.pid] = pss_kb * 1024 / 1e6
        except (OSError, ValueError):
            continue
    return Sample(time.monotonic(), pss_of_mb, descriptors, len(pss_of_mb))


async def settled_sample(target: Target, limit_s: float = 10.0) -> Sample:
    """A sample of a server nobody speaks to: once descriptors and processes stand still.

    Connections that were just closed, and a worker that is just being replaced, are not growth.
    """
    end_s = time.monotonic() + limit_s
    before = sample(target)
    while True:
        await asyncio.sleep(0.25)
        now = sample(target)
        still = (now.descriptors, now.processes) == (before.descriptors, before.processes)
        if still or now.at_s > end_s:
            return now
        before = now


def growth(values: Sequence[float]) -> float:
    """The median of the last tenth less that of the first tenth; of three values at least."""
    if len(values) < LEAST_SAMPLES:
        return float("nan")
    count = max(3, len(values) // 10)
    return statistics.median(values[-count:]) - statistics.median(values[:count])


def floor_growth(values: Sequence[float]) -> float:
    """The least of the last third less the least of the first: what nothing gives back any more.

    What malloc keeps after large bodies comes and goes by megabytes, above the same floor.
    """
    if len(values) < LEAST_SAMPLES:
        return float("nan")
    count = len(values) // 3
    return min(values[-count:]) - min(values[:count])


def lasting_mb(samples: Sequence[Sample]) -> list[float]:
    """The memory, in each sample, of the processes that are in all of them.

    Where workers are replaced all the time the others are the ones that can grow.
    """
    lasting = set(samples[0].pss_of_mb).intersection(*(each.pss_of_mb for each in samples))
    return [sum(each.pss_of_mb[pid] for pid in lasting) for each in samples]
