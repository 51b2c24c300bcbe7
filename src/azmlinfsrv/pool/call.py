"""One scoring call on its way through the pool."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from azmlinfsrv.errors import REQUEST_ERRORS, RequestError, ScoringFailed
from azmlinfsrv.messages import Buffer, Request, Response, Timings
from azmlinfsrv.pool.awaited import Awaited
from azmlinfsrv.worker.frames import Cancel, Credit, ToWorker

if TYPE_CHECKING:
    from azmlinfsrv.pool.process import WorkerProcess


class CallerLeft(Exception):
    """Nobody waits for the answer any more."""


class StreamCut(Exception):
    """A streamed answer ended before it was complete; its client must be able to tell."""


class Call:
    """A request, the place its answer goes, and who computes it.

    The answer is given once: by the process, by the deadline, or because the process or
    the caller has gone, whichever is first. What comes later is dropped here.
    """

    __slots__ = (
        "_given_s",
        "answered",
        "arrived_s",
        "begun_s",
        "deadline",
        "has_left",
        "id",
        "is_limit_callers",
        "late",
        "limit_s",
        "process",
        "request",
        "stream",
    )

    def __init__(
        self,
        call_id: int,
        request: Request,
        answered: Awaited[Response],
        has_left: Callable[[], bool],
        limit_s: float,
        deadline: float,
        arrived_s: float,
        *,
        is_limit_callers: bool = False,
    ) -> None:
        self.id = call_id
        self.request = request
        self.answered = answered
        self.has_left = has_left
        self.limit_s = limit_s
        self.deadline = deadline  # on the loop's clock; infinite if there is no limit
        self.arrived_s = arrived_s  # on the loop's clock
        self.begun_s = arrived_s  # when it was given to a process
        self.is_limit_callers = is_limit_callers  # the caller allows less than the server
        self._given_s = perf_counter()  # uvloop's own clock counts whole milliseconds
        self.process: WorkerProcess | None = None
        self.stream: Stream | None = None
        # Its time is up; it will be answered with this, once its process has said where it was.
        self.late: RequestError | None = None

    @property
    def is_over(self) -> bool:
        """The caller has its answer (of a stream: its head), or has given up."""
        return self.answered.done()

    def set_queue_time(self, timings: Timings | None) -> None:
        """Add what the call waited; call when its answer is there."""
        if timings is not None:
            waited_s = perf_counter() - self._given_s
            waited_s -= timings.parse_s + timings.run_s + timings.encode_s
            timings.queue_s = waited_s if waited_s > 0.0 else 0.0

    def waited_s(self, until_s: float) -> float:
        """Seconds from its arrival in the pool to *until_s*, on the clock of `perf_counter`."""
        return until_s - self._given_s

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for its answer, or for the rest of it."""
        return not self.answered.done() or self.stream is not None

    def answer(self, response: Response, *, at_once: bool = False) -> None:
        """Give the whole answer; *at_once*: not in the next turn of the loop."""
        if self.late is not None:
            self.fail(self.late)
        elif not self.answered.done():
            self.answered.give(response, at_once=at_once)

    def fail(self, error: Exception) -> None:
        """Answer with an error; a stream that has begun is cut instead."""
        if not self.answered.done():
            error = self.late or error
            if self.process is not None and isinstance(error, RequestError):
                error.batch = self.process.batch_of(self)
            self.answered.refuse(error)
        elif self.stream is not None:
            self.stream.end(complete=False)

    def fail_with(self, kind: str, message: str, location: str, report: Buffer) -> None:
        """`fail` with what a process reported, by the name of the error's class."""
        error = self.late or REQUEST_ERRORS.get(kind, ScoringFailed)(message, location=location)
        error.report = report
        self.fail(error)

    def begin_stream(self, head: Response, send: Callable[[ToWorker], None]) -> None:
        """Answer with the head; items follow through `stream`."""
        if self.late is not None:
            self.fail(self.late)
        if self.answered.done():
            send(Cancel(self.id))
            return
        self.stream = Stream(self.id, send)
        self.answered.give(replace(head, body=self.stream))


class Stream:
    """The body of a streamed answer: an asynchronous iterator of bytes.

    Whoever reads it gives the process credit by reading; whoever stops reading calls
    `aclose`, and the process closes the generator.
    """

    def __init__(self, call_id: int, send: Callable[[ToWorker], None]) -> None:
        self._call_id = call_id
        self._send = send
        self._items: deque[Buffer] = deque()
        self._arrived = asyncio.Event()
        self._is_over = False
        self._is_complete = False

    def put(self, item: Buffer) -> None:
        """An item has arrived."""
        self._items.append(item)
        self._arrived.set()

    def end(self, *, complete: bool) -> None:
        """No more items; the first word on it counts."""
        if not self._is_over:
            self._is_over = True
            self._is_complete = complete
            self._arrived.set()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        """The next item.

        Raises:
            StreamCut: the generator raised, was interrupted, or its process ended.
        """
        while not self._items:
            if self._is_over:
                if self._is_complete:
                    raise StopAsyncIteration
                raise StreamCut
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        self._send(Credit(self._call_id, len(item)))
        return bytes(item)

    async def aclose(self) -> None:
        """Nobody reads any more."""
        if not self._is_over:
            self.end(complete=False)
            self._items.clear()
            self._send(Cancel(self._call_id))
