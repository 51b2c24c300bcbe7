"""A pool with real scoring processes and no HTTP, for the time of an ``async with``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

from azmlinfsrv.messages import BUFFERS, Request, Response
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.pool.spawn import Spawner
from azmlinfsrv.servers.front_end import build_pool
from azmlinfsrv.settings import read_settings

T = TypeVar("T")
WAIT_S = 20.0


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on the event loop the server uses; tests are short, so is the patience."""
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main, 60))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@dataclass
class Line:
    """One log record."""

    logger: str
    text: str
    request_id: str
    level: str


@dataclass
class Bench:
    """A pool and what it said."""

    pool: ProcessPool
    lines: list[Line] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    async def ask(
        self,
        body: str | bytes = "",
        *,
        limit_s: float = 30.0,
        has_left: Callable[[], bool] = lambda: False,
        request_id: str = "",
    ) -> Response:
        """Have one POST scored."""
        content = body.encode() if isinstance(body, str) else body
        request = Request("POST", "/score", body=content, request_id=request_id)
        return await self.pool.submit(request, limit_s, has_left)

    async def value(self, body: str | bytes = "", **options: Any) -> Any:
        """What run() returned."""
        return content_of(await self.ask(body, **options))

    def later(self, body: str | bytes = "", **options: Any) -> asyncio.Task[Response]:
        """The same, not waited for."""
        return asyncio.get_running_loop().create_task(self.ask(body, **options))

    async def ready(self) -> None:
        """Return once a process can score."""
        await self.until(lambda: self.pool.readiness().is_ready)

    async def all_ready(self) -> None:
        """Return once every process can score."""
        await self.until(lambda: all(p.is_ready for p in self.pool.fleet.processes))

    async def until(self, condition: Callable[[], object], limit_s: float = WAIT_S) -> None:
        """Return once *condition* holds."""
        end = asyncio.get_running_loop().time() + limit_s
        while not condition():
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(self.log())
            await asyncio.sleep(0.005)

    async def busy(self, count: int = 1) -> None:
        """Return once *count* processes compute a call."""
        await self.until(
            lambda: sum(process.call is not None for process in self.pool.fleet.processes) == count
        )

    def log(self) -> str:
        """Everything said so far."""
        return "\n".join(f"{line.logger}: {line.text}" for line in self.lines)

    def said(self, logger: str) -> list[str]:
        """The texts of one logger."""
        return [line.text for line in self.lines if line.logger == logger]

    def processes(self) -> list[psutil.Process]:
        """The scoring processes that have not been waited for yet."""
        found = []
        for process in self.pool.fleet.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(process.pid))
        return found


class _Keep(logging.Handler):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(
            Line(
                record.name,
                record.getMessage(),
                getattr(record, "request_id", ""),
                record.levelname,
            )
        )


def content_of(response: Response) -> Any:
    """The JSON of an answer."""
    assert isinstance(response.body, BUFFERS)
    return json.loads(bytes(response.body))


@contextlib.contextmanager
def listening(lines: list[Line]) -> Any:
    """Keep every record of the server's loggers."""
    logger = logging.getLogger("azmlinfsrv")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [_Keep(lines)], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


@contextlib.asynccontextmanager
async def pool_of(
    folder: Path,
    source: str,
    *,
    workers: int = 1,
    queue: int = 100,
    grace_s: float = 1.0,
    wait: bool = True,
    late: bool = False,
    spawner: Spawner | None = None,
    **settings: str,
) -> AsyncIterator[Bench]:
    """A pool for a script given as text, ready unless *wait* is False; closed in the end.

    *settings* are others, by their names. With *late* the pool is connected to its processes
    when they have ended already.
    """
    script = folder / "score.py"
    script.write_text(source, encoding="utf-8")
    flags = {
        "entry_script": str(script),
        "worker_count": str(workers),
        "queue_size": str(queue),
        "interrupt_grace_s": str(grace_s),
        **settings,
    }
    lines: list[Line] = []
    reports: list[str] = []
    loaded = read_settings(flags, {}, folder)
    with listening(lines):
        make_spawner = None if spawner is None else lambda: spawner
        pool = build_pool(loaded, reports.append, make_spawner)
        bench = Bench(pool, lines, reports)
        pool.launch()
        while late and any(p.status() != psutil.STATUS_ZOMBIE for p in bench.processes()):
            await asyncio.sleep(0.005)
        try:
            await pool.attach()
            if wait:
                await bench.ready()
            yield bench
        finally:
            started = bench.processes()
            await pool.close()
            _, alive = psutil.wait_procs(started, timeout=5)
            assert alive == []
            assert [
                t for t in threading.enumerate() if t.name == "worker exit" and t.is_alive()
            ] == []


def pss_bytes() -> int:
    """Memory of this process."""
    return int(psutil.Process().memory_full_info().pss)
