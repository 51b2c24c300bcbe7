"""Calls side by side in the event loop of a worker, for an ``async def run``.

Theory: the main thread runs the loop; the socket is read when it is readable, and each
call is a task. A call is ended by cancelling its task. Code that blocks the loop is struck
by the same signal as elsewhere (`interrupts`): its handler raises in the main thread if the
call named is the one whose task is being run at that moment.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from types import FrameType
from typing import NoReturn

from azmlinfsrv.errors import Interruption
from azmlinfsrv.messages import BUFFERS, Buffer, Response
from azmlinfsrv.script.scorer import ScriptScorer
from azmlinfsrv.worker.answers import CURRENT_CALL, STREAM_WINDOW_BYTES, Answers, request_of
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import Cancel, Credit, Interrupt, Score, ToWorker
from azmlinfsrv.worker.interrupts import DOORBELL, stack_of


class _Running:
    """One call, and its task."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.reason = ""
        self.stack = ""
        self._ahead = 0
        self._changed: asyncio.Event | None = None  # made when a stream must wait

    def end(self, reason: str) -> None:
        """Cancel it."""
        self.reason = reason
        frames = self.task.get_stack(limit=1)
        self.stack = stack_of(frames[0]) if frames else ""
        self.task.cancel()

    def taken(self, count: int) -> None:
        """The client has taken so many bytes of the stream."""
        self._ahead -= count
        if self._changed is not None:
            self._changed.set()

    async def sent(self, count: int) -> None:
        """So many bytes were sent; waits while they are too many."""
        self._ahead += count
        while self._ahead >= STREAM_WINDOW_BYTES:
            self._changed = asyncio.Event()
            await self._changed.wait()


class AsyncCalls:
    """Answers calls in an event loop."""

    def __init__(self, channel: Channel, answers: Answers, scorer: ScriptScorer) -> None:
        self._channel = channel
        self._answers = answers
        self._scorer = scorer
        self._running: dict[int, _Running] = {}
        self._is_receiving = False

    def serve(self, loop: asyncio.AbstractEventLoop) -> NoReturn:
        """Receive, until the front end has closed the socket.

        Raises:
            Closed: it has.
        """
        closed: asyncio.Future[NoReturn] = loop.create_future()
        self._loop = loop
        loop.add_reader(self._channel.fileno(), self._receive, closed)
        if DOORBELL is not None:
            signal.signal(DOORBELL, self._ring)
        try:
            loop.run_until_complete(closed)
        finally:
            loop.remove_reader(self._channel.fileno())
        raise Closed

    def _receive(self, closed: asyncio.Future[NoReturn]) -> None:
        self._is_receiving = True
        try:
            for frame, body in self._channel.frames_at_hand():
                self._take(frame, body)
        except Closed as error:
            if not closed.done():
                closed.set_exception(error)
        finally:
            self._is_receiving = False

    def _take(self, frame: ToWorker, body: Buffer) -> None:
        if isinstance(frame, Score):
            task = self._loop.create_task(self._answer(frame, body))
            self._running[frame.call_id] = _Running(task)
        elif isinstance(frame, Interrupt | Cancel | Credit):
            running = self._running.get(frame.call_id)
            if running is None:
                return
            if isinstance(frame, Credit):
                running.taken(frame.body_bytes)
            else:
                running.end(frame.reason if isinstance(frame, Interrupt) else "cancelled")

    def _ring(self, _signum: int, frame: FrameType | None) -> None:
        """The doorbell: whose time is up while it blocks the loop is struck where it is."""
        if self._is_receiving:
            return  # it is read in any case
        self._is_receiving = True
        try:
            frames = list(self._channel.frames_at_hand())
        except Closed:
            return  # the loop hears of it
        finally:
            self._is_receiving = False
        task = asyncio.current_task(self._loop) if asyncio._get_running_loop() else None
        strike: Interruption | None = None
        for message, body in frames:
            running = self._running.get(getattr(message, "call_id", 0))
            if isinstance(message, Interrupt) and running is not None and running.task is task:
                running.reason, running.stack = message.reason, stack_of(frame)
                strike = Interruption(message.reason, running.stack)
            else:
                # As a callback: tasks are not made or cancelled in the middle of one.
                self._loop.call_soon_threadsafe(self._take, message, body)
        if strike is not None:
            raise strike

    async def _answer(self, call: Score, body: Buffer) -> None:
        CURRENT_CALL.set(call.call_id)
        try:
            response = await self._scorer.score_async(request_of(call, body))
            if isinstance(response.body, BUFFERS):
                self._answers.whole(call.call_id, response, response.body)
            else:
                await self._stream(call, response, response.body)  # type: ignore[arg-type]  # asynchronous here
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            self._answers.failed(call, body, self._explained(call, error))
        finally:
            self._running.pop(call.call_id, None)

    async def _stream(self, call: Score, head: Response, items: AsyncIterator[bytes]) -> None:
        self._answers.begin_stream(call.call_id, head)
        running = self._running[call.call_id]
        complete = False
        try:
            async for item in items:
                if item:
                    self._answers.item(call.call_id, item)
                    await running.sent(len(item))
            complete = True
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            if running.reason != "cancelled":  # the caller has left: nobody's error
                self._answers.stream_failed(self._explained(call, error))
        finally:
            await items.aclose()  # type: ignore[attr-defined]  # a generator of ours
        self._answers.end_stream(call.call_id, complete=complete)

    def _explained(self, call: Score, error: BaseException) -> BaseException:
        """A cancellation that we have ordered is an interruption."""
        running = self._running.get(call.call_id)
        if running is not None and running.reason and isinstance(error, asyncio.CancelledError):
            return Interruption(running.reason, running.stack)
        return error
