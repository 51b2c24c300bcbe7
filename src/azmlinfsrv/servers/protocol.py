"""uvicorn's HTTP/1.1 protocol, with what the contract and the hot path ask beyond it."""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.parse
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from azmlinfsrv.adapters.asgi import CONNECTION, Message, Send
from azmlinfsrv.app.failures import NOSNIFF, response_for
from azmlinfsrv.errors import BadInput, HeaderTooLong, RequestError
from azmlinfsrv.messages import Buffer, Headers

# R4.5: upper-case reason phrases, as clients of the reference server see them.
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.upper().encode())
    for status in HTTPStatus
}
# Method and target of a request line (RFC 9112, 3; a method is a token, RFC 9110, 5.6.2).
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r?\n")
# Four times what Gunicorn takes in all, and no single field is limited (R4.8).
_MAX_HEAD_BYTES = 1024 * 1024
# How long a peer that was refused may go on sending before it is cut off, in seconds.
_LINGER_S = 2.0
# Up to here one copy is cheaper than a second system call.
_JOIN_BYTES = 64 * 1024


class HttpProtocol(HttpToolsProtocol):
    """httptools parses, uvicorn keeps the connection.

    Added: a truncated body is answered, and a whole response is written at once.
    """

    _connection: HttpConnection
    _data = b""
    _is_broken = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; what follows something malformed is not looked at."""
        if not self._is_broken:
            self._data = data
            super().data_received(data)
            scope: object = self.scope  # None before the first request
            if isinstance(scope, dict) and "path" in scope:
                self._head_bytes = 0
            else:
                self._head_goes_on(len(data))

    def _head_goes_on(self, count: int) -> None:
        """The parser has no limit for the head of a request."""
        self._head_bytes += count
        if self._head_bytes > _MAX_HEAD_BYTES and not self._is_broken:
            self._is_broken = True
            self._refuse(HeaderTooLong(f"The request's head is over {_MAX_HEAD_BYTES} bytes."))

    def send_400_response(self, msg: str) -> None:
        """Something malformed has arrived; called by uvicorn where it catches the parser's error.

        A request under way has the only answer there will be: if its own body is
        malformed, that answer is 400; otherwise the connection closes behind it.
        """
        self._is_broken = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._end_body(cycle)
            return
        line = _REQUEST_LINE.match(self._data)
        is_unknown_method = isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError)
        if is_unknown_method and line is not None:
            self._answer_unknown_method(line[1], line[2])
            return
        self._refuse(BadInput("The request is not valid HTTP/1.1."))

    def _refuse(self, error: RequestError) -> None:
        """Answer what never became a request."""
        response = response_for(error)
        assert isinstance(response.body, bytes)
        length = (b"Content-Length", b"%d" % len(response.body))
        parts = [_STATUS_LINES[response.status]]
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
            for name, value in self.headers
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
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        self.scope[CONNECTION] = HttpConnection(self.cycle)  # type: ignore[literal-required]  # as below
        self._start_asgi_task(self.cycle, self.app)

    def _end_body(self, cycle: RequestResponseCycle) -> None:
        """There will be no more of this request; if its body is not whole it is refused."""
        if cycle.more_body:
            self._connection.is_truncated = True
            cycle.more_body = False
            cycle.message_event.set()
        cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """The head of a request is here; its task starts in the next turn of the loop."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # an upgrade that is not made
            return
        self._connection = HttpConnection(self.cycle)
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]  # scopes are open to extension

    def linger(self) -> None:
        """Close so that the peer gets to read its answer.

        A connection closed with bytes unread is reset, and the reset takes the answer with
        it (RFC 9112, 9.6): first no more is said, and what the peer still says is dropped.
        """
        self._is_broken = True
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


class _BodyOnly:
    """What a parser tells that reads the rest of a request whose head is known."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete


class HttpConnection:
    """One request on its connection: `azmlinfsrv.adapters.asgi.Connection`."""

    __slots__ = ("_cycle", "is_truncated")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self.is_truncated = False

    @property
    def disconnected(self) -> bool:
        """The peer has closed the connection."""
        return self._cycle.disconnected

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """Write a whole response: what two ASGI messages say, in one piece."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        parts = self._head(status, reason, headers)
        transport = cycle.transport
        if cycle.scope["method"] == "HEAD" or not body:
            transport.write(b"".join(parts))
        elif len(body) <= _JOIN_BYTES:
            parts.append(bytes(body))
            transport.write(b"".join(parts))
        else:
            transport.write(b"".join(parts))
            transport.write(body)
        self._complete()

    def stream(self, reason: str) -> Send:
        """A ``send`` that writes chunks, or, to a client of HTTP/1.0, plain bytes until the end."""
        cycle = self._cycle
        is_chunked = False

        async def send(message: Message) -> None:
            nonlocal is_chunked
            if cycle.disconnected:
                return
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                has_length = any(name.lower() == b"content-length" for name, _ in headers)
                if cycle.scope["http_version"] == "1.0":
                    cycle.keep_alive = cycle.keep_alive and has_length
                elif not has_length and cycle.scope["method"] != "HEAD":
                    is_chunked = True
                    headers.append((b"Transfer-Encoding", b"chunked"))
                cycle.transport.write(b"".join(self._head(message["status"], reason, headers)))
                return
            await cycle.flow.drain()
            body, is_last = message["body"], not message.get("more_body")
            if cycle.scope["method"] != "HEAD":
                if is_chunked and body:
                    body = b"%x\r\n%b\r\n" % (len(body), body)
                if is_chunked and is_last:
                    body += b"0\r\n\r\n"
                cycle.transport.write(body)
            if is_last:
                self._complete()

        return send

    def _head(self, status: int, reason: str, headers: Headers) -> list[bytes]:
        """Status line and header fields, in pieces.

        Names and values were checked where scripts make them; the server's own are clean.
        """
        cycle = self._cycle
        line = _STATUS_LINES.get(status)
        if reason or line is None:
            line = b"HTTP/1.1 %d %b\r\n" % (status, reason.encode("latin-1", "replace"))
        parts = [line]
        for name, value in cycle.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if (b"Connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            parts.append(b"Connection: close\r\n")
        parts.append(b"\r\n")
        cycle.response_started = True
        return parts

    def _complete(self) -> None:
        cycle = self._cycle
        has_unread_body = cycle.more_body
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            protocol = cycle.transport.get_protocol()
            if has_unread_body and isinstance(protocol, HttpProtocol):
                protocol.linger()
            else:
                cycle.transport.close()
        cycle.on_response()
