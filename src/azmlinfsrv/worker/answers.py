"""What a worker sends for a call, whichever way the call was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

from azmlinfsrv.errors import Interruption, RequestError, ScoringFailed
from azmlinfsrv.messages import Buffer, Request, Response
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import Answer, Failure, Score, StreamEnd, StreamItem, StreamStart
from azmlinfsrv.worker.output import Printer, has_output
from azmlinfsrv.worker.reporter import Reporter

# R4.7 row G, to the letter.
INTERNAL = "An unexpected internal error occurred. Check the logs for more info."

# Bytes of a stream under way to a client that has not taken them yet.
STREAM_WINDOW_BYTES = 256 * 1024

# The call that this thread, or this task, computes; 0 outside of one. What is logged is
# tagged with it. A worker that computes one call at a time needs none of it: there, what
# other threads of the script log belongs to the one call as well.
CURRENT_CALL: ContextVar[int] = ContextVar("azmlinfsrv_call", default=0)


class Window(Protocol):
    """How far a stream may be ahead of its client."""

    def sent(self, count: int) -> bool:
        """So many bytes were sent; waits while they are too many. False: it shall end."""


def request_of(call: Score, body: Buffer) -> Request:
    """The request of a call."""
    return Request(
        call.method,
        call.path,
        call.query,
        call.headers,
        body,
        call.scheme,
        call.client,
        call.server,
        call.http_version,
        call.request_id,
        call.client_request_id,
    )


class Answers:
    """Sends answers, and reports what failed."""

    def __init__(self, channel: Channel, printer: Printer, reporter: Reporter) -> None:
        self._channel = channel
        self._printer = printer
        self._reporter = reporter

    def whole(self, call_id: int, response: Response, body: Buffer) -> None:
        """Send a response that is complete."""
        self._reporter.answer(response)
        self._printer.finish_line()
        self._channel.send(
            Answer(
                call_id,
                response.status,
                response.headers,
                response.reason,
                response.timings,
                has_output(),
            ),
            body,
        )

    def failed(
        self, call: Score, body: Buffer, error: BaseException, *, is_told: bool = False
    ) -> None:
        """Report *error* and answer with it; only `Closed` is raised again.

        Args:
            is_told: It has been reported for another call already.
        """
        report = b""
        if isinstance(error, Closed):
            raise error
        if isinstance(error, Interruption):
            report = b"" if is_told else self._reporter.interruption(error, body)
            answer: RequestError = ScoringFailed(f"interrupted: {error.reason}")
        elif isinstance(error, RequestError):
            report = b"" if is_told else self._reporter.failure(error, call, body)
            answer = error
        else:  # ours, not the script's: never lose a call
            self._reporter.exception(error)
            answer = ScoringFailed(INTERNAL)
        self._printer.finish_line()
        self._channel.send(
            Failure(
                call.call_id, type(answer).__name__, answer.message, answer.location, has_output()
            ),
            report,
        )

    def begin_stream(self, call_id: int, head: Response) -> None:
        """Send the head of a streamed response."""
        self._channel.send(
            StreamStart(call_id, head.status, head.headers, head.reason, head.timings)
        )

    def item(self, call_id: int, item: Buffer) -> None:
        """Send one item of a stream."""
        self._channel.send(StreamItem(call_id), item)

    def end_stream(self, call_id: int, *, complete: bool) -> None:
        """The stream is over."""
        self._printer.finish_line()
        self._channel.send(StreamEnd(call_id, complete, has_output()))

    def stream_failed(self, error: BaseException) -> None:
        """Report what ended a stream; only `Closed` is raised again."""
        if isinstance(error, Closed):
            raise error
        if isinstance(error, Interruption):
            self._reporter.interruption(error, b"")
        else:  # their generator: anything can come out
            self._reporter.exception(error)

    def stream(
        self,
        call_id: int,
        head: Response,
        items: Iterator[bytes],
        window: Window,
        user_code: Callable[[], AbstractContextManager[object]],
    ) -> None:
        """Send items as they are produced, no further ahead than the client reads.

        Args:
            user_code: The context in which the script's generator runs: interruptible.
        """
        self.begin_stream(call_id, head)
        complete = False
        try:
            complete = self._send_items(call_id, items, window, user_code)
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            self.stream_failed(error)
        finally:
            self._close(items, user_code)
        self.end_stream(call_id, complete=complete)

    def _send_items(
        self,
        call_id: int,
        items: Iterator[bytes],
        window: Window,
        user_code: Callable[[], AbstractContextManager[object]],
    ) -> bool:
        while True:
            with user_code():
                item = next(items, None)
            if item is None:
                return True
            if item:
                self.item(call_id, item)
                if not window.sent(len(item)):
                    return False

    def _close(
        self, items: Iterator[bytes], user_code: Callable[[], AbstractContextManager[object]]
    ) -> None:
        close = getattr(items, "close", None)
        if close is None:
            return
        try:
            with user_code():
                close()
        except BaseException as error:  # noqa: BLE001  # their `finally:` block
            self.stream_failed(error)
