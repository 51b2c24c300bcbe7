"""uvicorn's HTTP/1.1 protocol, with what the contract and the hot path ask beyond it."""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.parse
from functools import lru_cache
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from azmlinfsrv.adapters.asgi import CONNECTION
from azmlinfsrv.app.failures import NOSNIFF, response_for
from azmlinfsrv.errors import BadInput, RequestError
from azmlinfsrv.servers.connection import STATUS_LINES, HttpConnection
from azmlinfsrv.servers.head_rules import check_head
from azmlinfsrv.servers.limits import Limits, head_late
from azmlinfsrv.servers.watch import Phase, Seen, Verdict, bytes_in_kernel

# Method and target of a request line (RFC 9112, 3; a method is a token, RFC 9110, 5.6.2).
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r\n")
# Chunk extensions and trailers in all, beside what ordinary chunks need for their framing.
_CHUNK_OVERHEAD_BYTES = 16 * 1024
_CHUNK_FRAME_BYTES = 64
# How long a peer that was refused may go on sending before it is cut off, in seconds.
_LINGER_S = 2.0


class HttpProtocol(HttpToolsProtocol):
    """httptools parses, uvicorn keeps the connection.

    Added: what the parser takes and RFC 9112 does not is refused, heads have limits, a
    truncated body is answered, a whole response is written at once, and a connection can
    tell what it waits for (`observe`), so that it needs no timers.
    """

    _connection: HttpConnection
    _data = b""
    is_broken = False
    _is_held = False
    # The head that is arriving, and how much of it has come.
    _head_scope: object = None
    _head_bytes = 0
    # The body that is arriving, if it is chunked: what is not body of what has come.
    _is_chunked = False
    _chunk_overhead = 0
    _received_bytes = 0
    _body_bytes = 0
    sent_bytes = 0

    def __init__(self, limits: Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits

    # --- bytes --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; what follows something malformed is not looked at."""
        if self.is_broken:
            return
        self._data = data
        count, body_bytes, was_chunked = len(data), self._body_bytes, self._is_chunked
        self._received_bytes += count
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        scope: object = self.scope  # None before the first request
        if isinstance(scope, dict) and "path" in scope:
            self._head_bytes = 0
            if was_chunked and self._is_chunked:
                self._chunks_go_on(count - (self._body_bytes - body_bytes))
        else:
            self._head_goes_on(count)

    def _head_goes_on(self, count: int) -> None:
        """The parser has no limit for the head of a request."""
        if self._head_scope is self.scope:
            self._head_bytes += count
        else:
            # Something else may have come before it in the same piece.
            self._head_scope = self.scope
            self._head_bytes = 1 + self._parsed_head_bytes()
        if self._head_bytes > self._limits.head_bytes and not self.is_broken:
            self._refuse(self._limits.head_too_long())

    def _parsed_head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _chunks_go_on(self, overhead_bytes: int) -> None:
        """The parser has no limit for chunk extensions and trailers either."""
        self._chunk_overhead += overhead_bytes
        if self._chunk_overhead > _CHUNK_OVERHEAD_BYTES and not self.is_broken:
            self.send_400_response("")

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunk_overhead -= _CHUNK_FRAME_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if not self._connection.is_collecting:  # else nobody is woken before it is whole
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    # --- heads --------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """The head of a request is here; its task starts in the next turn of the loop."""
        limits = self._limits
        if len(self.url) > limits.target_bytes:
            raise limits.target_too_long()
        if len(self.headers) > limits.header_count:
            raise limits.too_many_headers()
        # What came in one small piece cannot be over the limit.
        if (
            len(self._data) + self._head_bytes > limits.head_bytes
            and self._parsed_head_bytes() > limits.head_bytes
        ):
            raise limits.head_too_long()
        if b"#" in self.url:
            raise BadInput("The request's target has a fragment.")  # RFC 9112, 3.2
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        self._is_chunked = check_head(self.headers, version)
        self._chunk_overhead = 0
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"], scope["raw_path"], scope["query_string"] = split_target(self.url)
        before: RequestResponseCycle | None = self.cycle
        cycle = self._begin(
            # RFC 9110, 10.1.1
            expect_100_continue=self.expect_100_continue and version == "1.1",
            keep_alive=version == "1.1" and parser.should_keep_alive(),
        )
        # Trailers come through the same door as header fields. They must not pass for
        # those (RFC 9110, 6.5.1), and nothing asks for them: they go nowhere.
        self.headers = []
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _begin(self, *, expect_100_continue: bool, keep_alive: bool) -> RequestResponseCycle:
        """A request and its answer, as uvicorn keeps them, and what is ours of it."""
        self.cycle = cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        self._connection = HttpConnection(self, cycle)
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]  # scopes are open to extension
        return cycle

    # --- refusals -----------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Something malformed has arrived; called by uvicorn where it catches the parser's error.

        A request under way has the only answer there will be: if its own body is
        malformed, that answer is 400; otherwise the connection closes behind it.
        """
        self.is_broken = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._end_body(cycle)
            return
        line = _REQUEST_LINE.match(self._data)
        error = sys.exc_info()[1]
        if isinstance(error, httptools.HttpParserInvalidMethodError) and line is not None:
            self._answer_unknown_method(line[1], line[2])
            return
        reason = error.__context__ if error is not None else None  # what a callback raised
        if not isinstance(reason, RequestError):
            reason = BadInput("The request is not valid HTTP/1.1.")
        self._refuse(reason)

    def _refuse(self, error: RequestError) -> None:
        """Answer what never became a request."""
        self.is_broken = True
        response = response_for(error)
        assert isinstance(response.body, bytes)
        length = (b"Content-Length", b"%d" % len(response.body))
        parts = [STATUS_LINES[response.status]]
        for name, value in (*response.headers, NOSNIFF, length, (b"Connection", b"close")):
            parts += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join([*parts, b"\r\n", response.body]))
        self.linger()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is asked for that is not made; called by uvicorn where the parser stops.

        It is an ordinary request then (RFC 9110, 7.8): Java's client asks for h2c with every
        first POST. The parser has skipped its body; another reads that.
        """
        error = sys.exc_info()[1]
        cycle: RequestResponseCycle = self.cycle
        cycle.keep_alive = False
        framing = [
            (name, value)
            for name, value in self.scope["headers"]
            if name in (b"content-length", b"transfer-encoding")
        ]
        if error is None or not framing:
            return
        cycle.more_body = True
        self.parser = httptools.HttpRequestParser(_BodyOnly(self))
        head = b"".join(b"%b: %b\r\n" % field for field in framing)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % head)
        if rest := self._data[error.args[0] :]:
            self.data_received(rest)

    def _answer_unknown_method(self, method: bytes, target: bytes) -> None:
        """The parser knows the registered methods only; to the application any is a method."""
        self.on_message_begin()
        self.scope["method"] = method.decode("ascii")
        path, _, query = target.partition(b"?")
        self.scope["path"] = urllib.parse.unquote(path.decode("ascii", "replace"))
        self.scope["raw_path"], self.scope["query_string"] = path, query
        cycle = self._begin(expect_100_continue=False, keep_alive=False)
        cycle.more_body = False
        self._start_asgi_task(cycle, self.app)

    def _end_body(self, cycle: RequestResponseCycle) -> None:
        """There will be no more of this request; if its body is not whole it is refused."""
        if cycle.more_body:
            self._connection.is_truncated = True
            cycle.more_body = False
            cycle.message_event.set()
        cycle.keep_alive = False

    def linger(self) -> None:
        """Close so that the peer gets to read its answer.

        A connection closed with bytes unread is reset, and the reset takes the answer with
        it (RFC 9112, 9.6): first no more is said, and what the peer still says is dropped.
        """
        self.is_broken = True
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():  # TLS cannot: there the length says where it ends
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes a bool here
        """The peer sends no more.

        In the middle of a body that is a client error with an answer (D10): the
        connection stays open to be written to. Anywhere else the peer has left.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return False
        if not self.transport.can_write_eof():
            return False  # TLS: what was said has ended, and with it the connection
        self._end_body(cycle)
        return True

    # --- what it waits for ----------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer is written: the next request, unless this one is still to be taken.

        Otherwise a peer that asks and never reads would fill our memory.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._is_held = True
            self.flow.pause_reading()
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def resume_writing(self) -> None:
        """The peer takes again what it is sent."""
        super().resume_writing()
        if self._is_held:
            self._is_held = False
            self.server_state.total_requests -= 1
            self.on_response_complete()

    def observe(self) -> Seen:
        """What the connection waits for now."""
        transport = self.transport
        cycle: RequestResponseCycle | None = self.cycle
        unsent = transport.get_write_buffer_size()
        taken = 0
        if unsent:
            descriptor = transport.get_extra_info("socket").fileno()
            taken = self.sent_bytes - unsent - bytes_in_kernel(descriptor)
        phase = Phase.BUSY
        request: object = cycle
        if self.is_broken or transport.is_closing():
            pass
        elif cycle is not None and not cycle.response_complete:
            if cycle.more_body and not self.flow.read_paused:
                phase = Phase.BODY
        elif self._head_bytes:
            phase, request = Phase.HEAD, self._head_scope
        else:
            phase = Phase.NEW if cycle is None else Phase.IDLE
        return Seen(phase, request, self._received_bytes, unsent, taken)

    def obey(self, verdict: Verdict) -> None:
        """Do what the connection's watch has decided."""
        if verdict is Verdict.CUT:
            self.transport.abort()
        elif verdict is Verdict.HEAD_LATE:
            self._refuse(head_late())
        elif verdict is Verdict.BODY_LATE:
            self.is_broken = True
            self._connection.is_late = True
            self._end_body(self.cycle)
        else:
            self.transport.close()


class _BodyOnly:
    """What a parser tells that reads the rest of a request whose head is known."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_chunk_header = protocol.on_chunk_header
        self.on_message_complete = protocol.on_message_complete


@lru_cache(maxsize=256)
def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it was sent, and query of a request target (RFC 9112, 3.2).

    Raises:
        HttpParserInvalidURLError: it is none.
    """
    parsed = httptools.parse_url(target)
    raw_path: bytes = parsed.path
    path = raw_path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, raw_path, parsed.query or b""
