"""uvicorn's HTTP/1.1 protocol, with what the contract and the hot path ask beyond it."""

from __future__ import annotations

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from azmlinfsrv.adapters.asgi import CONNECTION
from azmlinfsrv.messages import Buffer, Headers

# R4.5: upper-case reason phrases, as clients of the reference server see them.
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.upper().encode())
    for status in HTTPStatus
}
# Up to here one copy is cheaper than a second system call.
_JOIN_BYTES = 64 * 1024


class HttpProtocol(HttpToolsProtocol):
    """httptools parses, uvicorn keeps the connection.

    Added: a truncated body is answered, and a whole response is written at once.
    """

    _connection: HttpConnection

    def on_headers_complete(self) -> None:
        """The head of a request is here; its task starts in the next turn of the loop."""
        super().on_headers_complete()
        self._connection = HttpConnection(self.cycle)
        self.scope[CONNECTION] = self._connection  # type: ignore[literal-required]  # scopes are open to extension

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes a bool here
        """The peer sends no more.

        In the middle of a body that is a client error with an answer (D10): the
        connection stays open to be written to. Anywhere else the peer has left.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return False
        self._connection.is_truncated = True
        cycle.keep_alive = False
        cycle.more_body = False
        cycle.message_event.set()
        return True


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
        """Write a whole response: what two ASGI messages say, in one piece.

        Names and values were checked where scripts make them; the server's own are clean.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return
        line = _STATUS_LINES.get(status)
        if reason or line is None:
            line = b"HTTP/1.1 %d %s\r\n" % (status, reason.encode("latin-1", "replace"))
        parts = [line]
        for name, value in cycle.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
            if name == b"Connection" and value == b"close":
                cycle.keep_alive = False
        if not cycle.keep_alive and (b"Connection", b"close") not in headers:
            parts.append(b"Connection: close\r\n")
        parts.append(b"\r\n")
        head_only = cycle.scope["method"] == "HEAD"
        transport = cycle.transport
        if head_only or not body:
            transport.write(b"".join(parts))
        elif len(body) <= _JOIN_BYTES:
            parts.append(bytes(body))
            transport.write(b"".join(parts))
        else:
            transport.write(b"".join(parts))
            transport.write(body)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            transport.close()
        cycle.on_response()
