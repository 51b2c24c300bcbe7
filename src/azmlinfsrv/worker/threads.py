"""Calls in several threads of one worker (``--threads``), for scripts that are safe for it.

Theory: the main thread receives and never computes; scoring threads take calls from a
queue and answer them. A call is ended by raising `Interruption` in its thread, which the
interpreter does at the thread's next bytecode: code that sleeps or is in C does not see it
before it comes back. So a call that does not end costs a thread until its process, which
the front end gives no more calls, has finished the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import NoReturn

from azmlinfsrv.errors import Interruption
from azmlinfsrv.messages import BUFFERS, Buffer
from azmlinfsrv.script.scorer import ScriptScorer
from azmlinfsrv.worker.answers import CURRENT_CALL, STREAM_WINDOW_BYTES, Answers, request_of
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import Cancel, Credit, Interrupt, Score
from azmlinfsrv.worker.interrupts import stack_of


class _Strike(Interruption):
    """What is raised in a thread: the interpreter makes it itself, without arguments."""

    def __init__(self) -> None:
        super().__init__("timeout")


class _Running:
    """One call that a thread computes; as a context, what of it is the script's."""

    def __init__(self, call_id: int) -> None:
        self.call_id = call_id
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._changed: threading.Condition | None = None  # made when a stream must wait
        self._is_theirs = False  # user code runs
        self._is_pending = False  # a strike has been ordered and not yet struck
        self._ahead = 0  # bytes of a stream that its client has not taken
        self.reason = ""
        self.stack = ""

    def user_code(self) -> _Running:
        """What runs in this context can be struck."""
        return self

    def __enter__(self) -> None:
        with self._lock:
            if self.reason:
                raise Interruption(self.reason, self.stack)
            self._is_theirs = True

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._is_theirs = False
            if self._is_pending:  # it comes too late, and must not strike us
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)
                self._is_pending = False

    def strike(self, reason: str) -> None:
        """End it, from another thread."""
        with self._lock:
            self.reason = reason
            self.stack = stack_of(sys._current_frames().get(self._thread))
            self._notify()
            if self._is_theirs:
                self._is_pending = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(_Strike)
                )

    def taken(self, count: int) -> None:
        """The client has taken so many bytes of the stream."""
        with self._lock:
            self._ahead -= count
            self._notify()

    def sent(self, count: int) -> bool:
        """See `azmlinfsrv.worker.answers.Window`."""
        with self._lock:
            self._ahead += count
            while self._ahead >= STREAM_WINDOW_BYTES and not self.reason:
                if self._changed is None:
                    self._changed = threading.Condition(self._lock)
                self._changed.wait()
            return not self.reason

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.notify()


class ThreadedCalls:
    """Answers calls in *count* threads."""

    def __init__(
        self, channel: Channel, answers: Answers, scorer: ScriptScorer, count: int
    ) -> None:
        self._channel = channel
        self._answers = answers
        self._scorer = scorer
        self._count = count
        self._queue: SimpleQueue[tuple[Score, Buffer]] = SimpleQueue()
        self._running: dict[int, _Running] = {}

    def serve(self) -> NoReturn:
        """Receive, until the front end has closed the socket.

        Raises:
            Closed: it has.
        """
        for number in range(self._count):
            name = f"scoring {number + 1}"
            threading.Thread(target=self._compute, name=name, daemon=True).start()
        while True:
            frame, body = self._channel.next_frame()
            if isinstance(frame, Score):
                self._queue.put((frame, body))
            elif isinstance(frame, Interrupt | Cancel | Credit):
                running = self._running.get(frame.call_id)
                if running is None:
                    continue
                if isinstance(frame, Credit):
                    running.taken(frame.body_bytes)
                else:
                    running.strike(frame.reason if isinstance(frame, Interrupt) else "cancelled")

    def _compute(self) -> None:
        with contextlib.suppress(Closed):  # the main thread hears of it as well
            while True:
                call, body = self._queue.get()
                running = _Running(call.call_id)
                self._running[call.call_id] = running
                CURRENT_CALL.set(call.call_id)
                try:
                    self._answer(running, call, body)
                except _Strike:  # between two lines of ours: it is over in any case
                    self._answers.failed(call, body, Interruption(running.reason, running.stack))
                finally:
                    CURRENT_CALL.set(0)
                    del self._running[call.call_id]

    def _answer(self, running: _Running, call: Score, body: Buffer) -> None:
        try:
            with running.user_code():
                response = self._scorer.score(request_of(call, body))
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            if isinstance(error, _Strike):
                error = Interruption(running.reason, running.stack)
            self._answers.failed(call, body, error)
            return
        if isinstance(response.body, BUFFERS):
            self._answers.whole(call.call_id, response, response.body)
        else:
            items: Iterator[bytes] = response.body  # type: ignore[assignment]  # a plain one on this side
            self._answers.stream(call.call_id, response, items, running, running.user_code)
