"""Waitress's channels and threads, with what the contract asks beyond them.

Theory: Waitress runs a request in a thread that is blocked until the answer is there, so
a few waiting calls would starve the probes. Here the main thread hands a request to the
event loop as soon as it is whole (`Channel.begin`), and a thread is taken only when the
answer is known, to write it. A thread that may have to wait for its client, or for the
next item of a stream, is replaced for as long as it does (`AnswerThreads.one_more`). So a
handful of threads answers any number of calls, and slow clients cost only themselves.

Added besides: truncated and oversized bodies get the application's own errors, bodies of
answers to HEAD end nowhere, a client that takes nothing for long is let go.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import RequestEntityTooLarge

from azmlinfsrv.adapters.body import too_large, truncated
from azmlinfsrv.adapters.wsgi import ANSWER, BODY_ERROR, status_line
from azmlinfsrv.app.failures import NOSNIFF, response_for
from azmlinfsrv.errors import BadInput, HeaderTooLong, RequestError, ScoringFailed, Unauthorized
from azmlinfsrv.messages import BUFFERS, Request, Response
from azmlinfsrv.pool.call import StreamCut

Begin = Callable[[dict[str, Any]], "Future[Response]"]
Admits = Callable[[Request], bool]

_NOT_HTTP = BadInput("The request is not valid HTTP/1.1.")
_ERRORS: dict[int, RequestError] = {
    431: HeaderTooLong("The header fields of the request are over 64 KiB."),
    500: ScoringFailed("An unexpected internal error occurred. Check the logs for more info."),
}

# Threads that write answers; none of them waits for anybody.
_THREADS = 4


class AnswerThreads(ThreadedTaskDispatcher):
    """Takes a request when it is whole, and a thread when its answer is known."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = threading.Lock()
        self._count = _THREADS
        self.set_thread_count(_THREADS)

    def add_task(self, task: Channel) -> None:
        """Have the first request of a channel answered."""
        answer = task.begin()
        if answer is None:
            super().add_task(task)
        else:
            answer.add_done_callback(lambda _answer: self._write(task))

    def _write(self, channel: Channel) -> None:
        super().add_task(channel)

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """The calling thread may have to wait: another takes its place meanwhile."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        with self._counting:
            self._count += by
            self.set_thread_count(self._count)


class Parser(HTTPRequestParser):
    """One request as it arrives."""

    error: Any = None  # what Waitress says itself
    environ: dict[str, Any] | None = None
    body_error: RequestError | None = None

    def __init__(self, adjustments: Any, admits: Admits | None = None) -> None:
        super().__init__(adjustments)
        self._admits = admits

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them were this request's."""
        count: int = super().received(data)
        if self.error is not None:
            # Nobody is invited to go on sending what has been refused already.
            self.expect_continue = False
            if isinstance(self.error, RequestEntityTooLarge):
                self.fail_body(too_large(self.adj.max_request_body_size - 1))
        elif self.headers_finished and not self.completed and self._admits is not None:
            admits, self._admits = self._admits, None  # asked once, when the head is here
            if not admits(self._head()):
                self.expect_continue = False
                self.fail_body(Unauthorized(""))  # never seen: the body is not asked for
        return count

    def _head(self) -> Request:
        fields = [
            (name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in self.headers.items()
        ]
        path = self.path.encode("latin-1").decode("utf-8", "replace")
        return Request(self.command, path, headers=fields)

    def parse_header(self, header_plus: bytes) -> None:
        """Take the head; one that says two lengths is an attempt at smuggling (RFC 9112, 6.3)."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")

    def fail_body(self, error: RequestError) -> None:
        """The head is good, the body will not come: the application answers."""
        self.error = None
        self.body_error = error
        self.completed = True


class Task(WSGITask):
    """Writes the answer of one request."""

    def execute(self) -> None:
        """Call the application, and send what it says."""
        environ = self.get_environment()
        if self.request.body_error is not None or self.channel.server.is_stopping:
            # What is left of the body would be taken for the next request.
            self.set_close_on_finish()
        try:
            if _is_stream(environ.get(ANSWER)):
                with self.channel.server.task_dispatcher.one_more():
                    super().execute()
            else:
                super().execute()
        except StreamCut:
            # Without the last chunk the client can tell (RFC 9112, 7.1; R3.38).
            self.close_on_finish = True
            raise ConnectionAbortedError from None

    def finish(self) -> None:
        """The answer is complete; one to HEAD has no body, not even an end of one."""
        if self.request.command == "HEAD":
            if not self.wrote_header:
                self.write(b"")
        else:
            super().finish()

    def get_environment(self) -> dict[str, Any]:
        """The environ; made once a request."""
        request = self.request
        if request.environ is None:
            request.environ = super().get_environment()
            address = self.channel.local_address
            request.environ["SERVER_NAME"] = address[0]
            if request.body_error is not None:
                request.environ[BODY_ERROR] = request.body_error
        environ: dict[str, Any] = request.environ
        return environ


class MalformedTask(ErrorTask):
    """Answers what is no request, in the form of every other error (R4.5)."""

    def execute(self) -> None:
        """Write the answer; nothing more is read from this connection."""
        response = response_for(_ERRORS.get(self.request.error.code, _NOT_HTTP))
        body = response.body
        assert isinstance(body, bytes)
        self.status = status_line(response)
        self.response_headers += [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in (*response.headers, NOSNIFF)
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


def _is_stream(answer: Future[Response] | None) -> bool:
    return (
        answer is not None
        and answer.exception() is None
        and not isinstance(answer.result().body, BUFFERS)
    )


class Channel(HTTPChannel):
    """One connection."""

    task_class = Task
    error_task_class = MalformedTask
    request: Parser | None = None  # the one that is arriving

    def __init__(self, server: Server, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(server, sock, *args, **options)
        self.local_address: tuple[str, int] = sock.getsockname()[:2]
        self._has_ended = False
        self.parser_class = functools.partial(Parser, admits=server.admits)

    def begin(self) -> Future[Response] | None:
        """Hand the first request to the application; None if Waitress answers it itself."""
        request = self.requests[0]
        if request.error is not None:
            return None
        answer: Future[Response] = self.server.begin(Task(self, request).get_environment())
        return answer

    @property
    def is_busy(self) -> bool:
        """A request is being answered, or its answer is on its way out."""
        return bool(self.requests or self.total_outbufs_len)

    def is_stalled(self, cutoff: float) -> bool:
        """The client has not taken anything since *cutoff*, though there is something."""
        return self.total_outbufs_len > 0 and self.last_activity < cutoff

    def readable(self) -> bool:
        """Whether to poll for input."""
        return not self._has_ended and bool(super().readable())

    def handle_read(self) -> None:
        """Bytes, or the end of them.

        In the middle of a body the end is a client error with an answer (D10): the
        connection stays open to be written to. Anywhere else the peer has left.
        """
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.handle_close()
            return
        if data:
            self.last_activity = time.time()
            self.received(data)
            return
        request = self.request
        if request is None or not request.headers_finished or self.requests:
            self.handle_close()
            return
        self._has_ended = True
        request.fail_body(truncated(request.body_bytes_received))
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)

    def _flush_outbufs_below_high_watermark(self) -> None:
        if self.total_outbufs_len > self.adj.outbuf_high_watermark:
            with self.server.task_dispatcher.one_more():
                super()._flush_outbufs_below_high_watermark()


class Server(TcpWSGIServer):
    """One listening socket.

    Args:
        application: Waitress calls it to have an answer written.
        begin: Called in the main thread with the environ of a request that is whole.
        admits: Called with the head of a request; if it says no, the body is not read.
        map: Everything that is polled; shared by the servers of one process.
        sock: Listens already.
    """

    channel_class = Channel

    def __init__(
        self,
        application: Any,
        begin: Begin,
        admits: Admits,
        *,
        map: dict[int, Any],
        sock: socket.socket,
        dispatcher: AnswerThreads,
        adjustments: Any,
    ) -> None:
        self.begin = begin
        self.admits = admits
        self.is_stopping = False
        super().__init__(
            application,
            map,
            _sock=sock,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )

    def stop_accepting(self) -> None:
        """Close the listening socket; connections live on for one answer."""
        self.is_stopping = True
        wasyncore.dispatcher.close(self)

    def is_busy(self) -> bool:
        """Whether an answer is still owed to somebody."""
        return any(channel.is_busy for channel in self.active_channels.values())

    def close_channels(self) -> None:
        """Close every connection; threads that wait for one come back."""
        for channel in list(self.active_channels.values()):
            channel.handle_close()

    def maintenance(self, now: float) -> None:
        """Let idle connections go, and clients that take nothing."""
        super().maintenance(now)
        cutoff = now - self.adj.channel_timeout
        for channel in list(self.active_channels.values()):
            if channel.is_stalled(cutoff):
                channel.handle_close()
