"""Waitress's channels and threads, with what the contract asks beyond them.

Theory: Waitress runs a request in a thread that is blocked until the answer is there, so
a few waiting calls would starve the probes. Here the main thread hands a request to the
event loop as soon as it is whole (`Channel.begin`), and a thread is taken only when the
answer is known, to write it. A thread that may have to wait for its client, or for the
next item of a stream, is replaced for as long as it does (`AnswerThreads.one_more`). So a
handful of threads answers any number of calls, and slow clients cost only themselves.

Added besides: truncated and oversized bodies get the application's own errors, bodies of
answers to HEAD end nowhere, and a connection that takes too long is ended (`watch`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

from azmlinfsrv.adapters.body import late, truncated
from azmlinfsrv.adapters.wsgi import ANSWER, BODY_ERROR, status_line
from azmlinfsrv.app.buffers import BodyBudget
from azmlinfsrv.app.failures import NOSNIFF, response_for
from azmlinfsrv.errors import RequestError, ScoringFailed
from azmlinfsrv.messages import BUFFERS, Response
from azmlinfsrv.pool.call import StreamCut
from azmlinfsrv.servers.limits import Limits, head_late
from azmlinfsrv.servers.waitress_parser import Admits, Parser, Refused, not_http
from azmlinfsrv.servers.waitress_poller import Poller
from azmlinfsrv.servers.watch import SWEEP_S, Phase, Seen, Verdict, Watch, bytes_in_kernel

Begin = Callable[[dict[str, Any]], "Future[Response]"]

_log = logging.getLogger("azmlinfsrv")

_ERRORS: dict[int, RequestError] = {
    500: ScoringFailed("An unexpected internal error occurred. Check the logs for more info."),
}
# There are no descriptors, or no memory, for another connection.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# Longest that a closing connection is read from, to let the peer have its answer.
_UNREAD_PIECES = 64

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
        error = self.request.error
        known = error.request_error if isinstance(error, Refused) else None
        response = response_for(known or _ERRORS.get(error.code) or not_http())
        body = response.body
        assert isinstance(body, bytes)
        self.status = status_line(response)
        self.response_headers += [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in (*response.headers, NOSNIFF)
        ]
        self.version = "1.1"  # whatever could be read of the request's
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
        self._bodies = server.bodies
        self._new_parser = functools.partial(Parser, server.limits, server.admits)
        self.local_address: tuple[str, int] = sock.getsockname()[:2]
        self._has_ended = False
        self._begun = 0
        self._received_bytes = 0
        self._sent_bytes = 0

    def parser_class(self, adjustments: Any) -> Parser:
        """The parser of the next request."""
        return self._new_parser(self._bodies.share(), adjustments)

    def service(self) -> None:
        """Have the first answer written, in the thread that does it."""
        answering = self.server.answering
        answering.channel = self
        try:
            super().service()
        finally:
            answering.channel = None

    def begin(self) -> Future[Response] | None:
        """Hand the first request to the application; None if Waitress answers it itself."""
        self._begun += 1
        request = self.requests[0]
        if request.error is not None:
            return None
        answer: Future[Response] = self.server.begin(Task(self, request).get_environment())
        return answer

    @property
    def is_busy(self) -> bool:
        """A request is being answered, or its answer is on its way out."""
        return bool(self.requests or self.total_outbufs_len)

    def readable(self) -> bool:
        """Whether to poll for input."""
        return not (
            self._has_ended
            or self.total_outbufs_len
            or self.will_close
            or self.close_when_flushed
            or len(self.requests) > self.adj.channel_request_lookahead
        )

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
            self._received_bytes += len(data)
            self.received(data)
            return
        request = self.request
        if request is None or not request.headers_finished or self.requests:
            self.handle_close()
            return
        request.fail_body(truncated(request.body_bytes_received))
        self._answer_unfinished(request)

    def _answer_unfinished(self, request: Parser) -> None:
        """The rest of a request will not come, or nobody waits for it."""
        self._has_ended = True
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
        self.server.poller.look_at(self)
        self.server.add_task(self)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Give bytes to the kernel; how many it took."""
        count: int = super().send(data, do_close=do_close)
        self._sent_bytes += count
        return count

    def handle_close(self) -> None:
        """Close.

        A connection closed with bytes unread is reset, and the reset may take the answer
        with it (RFC 9112, 9.6): what is there already is read first.
        """
        if self.connected and self._begun:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                for _ in range(_UNREAD_PIECES):
                    if not self.socket.recv(self.adj.recv_bytes):
                        break
        super().handle_close()

    def observe(self) -> Seen:
        """What the connection waits for now."""
        unsent, taken, request = self.total_outbufs_len, 0, self.request
        if unsent:
            taken = self._sent_bytes - bytes_in_kernel(self.socket.fileno())
        phase = Phase.BUSY
        of_request: object = request
        if self.requests or self.will_close or self.close_when_flushed or self._has_ended:
            pass
        elif request is None:
            phase, of_request = (Phase.IDLE if self._begun else Phase.NEW), self._begun
        else:
            phase = Phase.BODY if request.headers_finished else Phase.HEAD
        return Seen(phase, of_request, self._received_bytes, unsent, taken)

    def obey(self, verdict: Verdict) -> None:
        """Do what the connection's watch has decided."""
        request = self.request
        if verdict is Verdict.HEAD_LATE and request is not None:
            request.refuse(head_late())
            self._answer_unfinished(request)
        elif verdict is Verdict.BODY_LATE and request is not None:
            request.fail_body(late())
            self._answer_unfinished(request)
        else:
            self.handle_close()

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
        bodies: What large bodies take.
        poller: Everything that is polled; shared by the servers of one process.
        sock: Listens already.
        limits: How long is waited for whom.
    """

    channel_class = Channel

    def __init__(
        self,
        application: Any,
        begin: Begin,
        admits: Admits,
        bodies: BodyBudget,
        *,
        poller: Poller,
        sock: socket.socket,
        dispatcher: AnswerThreads,
        adjustments: Any,
        limits: Limits,
    ) -> None:
        self.begin = begin
        self.admits = admits
        self.bodies = bodies
        self.poller = poller
        self.limits = limits
        self.answering = threading.local()  # its ``channel``, in a thread that writes an answer
        self.is_stopping = False
        self._watches: dict[Channel, Watch] = {}
        self._next_sweep_s = 0.0
        self._rests_until_s = 0.0
        super().__init__(
            application,
            poller,
            _sock=sock,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )

    def pull_trigger(self) -> None:
        """End the wait of the main thread, if there is a reason.

        Waitress calls it in a thread that writes an answer, after every change there that may
        matter; for most answers the connection waits for the next request, as before.
        """
        channel = getattr(self.answering, "channel", None)
        if channel is None or self.poller.has_changed(channel):
            super().pull_trigger()

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

    def maintenance(self, _now: float) -> None:
        """Nothing: Waitress asks for it while it makes the list of what to poll.

        What is closed then is polled all the same, and its descriptor may be another
        connection's when the answer comes, which would be closed in its place.
        """

    def sweep(self) -> None:
        """Look at every connection, and end those that take too long; once a second.

        Call between two turns of the loop.
        """
        now_s = time.monotonic()
        if now_s < self._next_sweep_s:
            return
        self._next_sweep_s = now_s + SWEEP_S
        before, self._watches = self._watches, {}
        for channel in list(self.active_channels.values()):
            watch = self._watches[channel] = before.get(channel) or Watch(self.limits, now_s)
            verdict = watch.look(channel.observe(), now_s)
            if verdict is not None:
                channel.obey(verdict)

    def readable(self) -> bool:
        """Whether to poll for connections."""
        return bool(super().readable()) and time.monotonic() >= self._rests_until_s

    def accept(self) -> Any:
        """A connection, or None; `OSError` is dealt with by Waitress."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                # It would fail again at once, and for as long as nobody closes one.
                _log.error("No connection can be taken: %s", error.strerror)
                self._rests_until_s = time.monotonic() + SWEEP_S
            raise
