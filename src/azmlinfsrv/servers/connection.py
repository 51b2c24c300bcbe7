"""One request on a connection of uvicorn's, and how its answer is written."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from azmlinfsrv.adapters.asgi import Message, Send
from azmlinfsrv.messages import Buffer, Headers

if TYPE_CHECKING:
    from azmlinfsrv.servers.protocol import HttpProtocol

# R4.5: upper-case reason phrases, as clients of the reference server see them.
STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.upper().encode())
    for status in HTTPStatus
}
# Up to here one copy is cheaper than a second system call.
_JOIN_BYTES = 64 * 1024


class HttpConnection:
    """One request on its connection: `azmlinfsrv.adapters.asgi.Connection`."""

    __slots__ = ("_cycle", "_protocol", "is_collecting", "is_late", "is_truncated")

    def __init__(self, protocol: HttpProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self.is_truncated = self.is_late = self.is_collecting = False

    @property
    def disconnected(self) -> bool:
        """The peer has closed the connection."""
        return self._cycle.disconnected

    def body_at_hand(self) -> Buffer | None:
        """See `azmlinfsrv.adapters.asgi.Connection`."""
        cycle = self._cycle
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            return None
        cycle.flow.resume_reading()
        body, cycle.body = cycle.body, bytearray()
        return body

    async def whole_body(self) -> Buffer:
        """See `azmlinfsrv.adapters.asgi.Connection`."""
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        self.is_collecting = True
        cycle.flow.resume_reading()
        while cycle.more_body and not cycle.disconnected:
            cycle.message_event.clear()
            await cycle.message_event.wait()
        self.is_collecting = False
        body, cycle.body = cycle.body, bytearray()
        return body

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """Write a whole response: what two ASGI messages say, in one piece."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        parts = self._head(status, reason, headers)
        if cycle.scope["method"] == "HEAD" or not body:
            self._write(b"".join(parts))
        elif len(body) <= _JOIN_BYTES:
            parts.append(bytes(body))
            self._write(b"".join(parts))
        else:
            self._write(b"".join(parts))
            self._write(body)
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
                self._write(b"".join(self._head(message["status"], reason, headers)))
                return
            await cycle.flow.drain()
            body, is_last = message["body"], not message.get("more_body")
            if cycle.scope["method"] != "HEAD":
                if is_chunked and body:
                    body = b"%x\r\n%b\r\n" % (len(body), body)
                if is_chunked and is_last:
                    body += b"0\r\n\r\n"
                self._write(body)
            if is_last:
                self._complete()

        return send

    def _head(self, status: int, reason: str, headers: Headers) -> list[bytes]:
        """Status line and header fields, in pieces.

        Names and values were checked where scripts make them; the server's own are clean.
        """
        cycle = self._cycle
        line = STATUS_LINES.get(status)
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

    def _write(self, data: Buffer) -> None:
        self._protocol.sent_bytes += len(data)
        self._cycle.transport.write(data)

    def _complete(self) -> None:
        cycle = self._cycle
        has_unread = cycle.more_body or self._protocol.is_broken
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            if has_unread:
                self._protocol.linger()
            else:
                cycle.transport.close()
        cycle.on_response()
