"""What was loaded together: the unit of a swap."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from azmlinfsrv.pool.spawn import Spawner
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.worker.frames import StartFailed

if TYPE_CHECKING:
    from azmlinfsrv.pool.process import WorkerProcess


class Generation:
    """Processes that have loaded the script in the same state, or are about to."""

    def __init__(self, number: int, spawner: Spawner) -> None:
        self.number = number
        self.spawner = spawner
        self.processes: set[WorkerProcess] = set()
        self.facts: ScriptFacts | None = None
        # Of the next generation only: the processes that could serve, and how it turned out.
        self.loaded: list[WorkerProcess] = []
        self.is_settled = asyncio.Event()
        self.report = ""
        self.start_failed: StartFailed | None = None

    def settle(self, report: str = "", start_failed: StartFailed | None = None) -> None:
        """All could serve, or *report* says why one could not; the first word counts."""
        if not self.is_settled.is_set():
            self.report = report
            self.start_failed = start_failed
            self.is_settled.set()
