"""One request on a connection of `azmlinfsrv.servers.protocol`, and its answer."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from azmlinfsrv.adapters.body import declares_body, late, too_large, truncated
from azmlinfsrv.adapters.peer import CLOSE
from azmlinfsrv.app.buffers import SMALL_BYTES, BodyShare
from azmlinfsrv.messages import Buffer, Headers, Request
from azmlinfsrv.pool.awaited import Awaited
from azmlinfsrv.pool.call import CallerLeft

if TYPE_CHECKING:
    from azmlinfsrv.servers.protocol import HttpProtocol

# R4.5: upper-case reason phrases, as clients of the reference server see them.
STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.upper().encode())
    for status in HTTPStatus
}
# Up to here one copy is cheaper than a second system call.
_JOIN_BYTES = 64 * 1024

_field_line = b": ".join
_lines = b"\r\n".join


class Exchange:
    """The peer of one request (`azmlinfsrv.adapters.peer.Peer`).

    Attributes:
        request: Its head.
        more_body: The body is not whole yet.
        keep_alive: The connection is for another request as well.
        disconnected: The peer has closed the connection.
        is_truncated: The peer stopped sending before the body was whole, but still reads.
        is_late: The body took too long; nobody waits for the rest of it.
        response_complete: The answer is written.
    """

    __slots__ = (
        "_awaits_continue",
        "_body",
        "_is_body_read",
        "_is_body_wanted",
        "_is_chunked",
        "_protocol",
        "_reader",
        "_reads_pieces",
        "disconnected",
        "is_late",
        "is_truncated",
        "keep_alive",
        "more_body",
        "request",
        "response_complete",
    )

    def __init__(
        self, protocol: HttpProtocol, request: Request, *, awaits_continue: bool, keep_alive: bool
    ) -> None:
        self._protocol = protocol
        self.request = request
        self.keep_alive = keep_alive
        self._awaits_continue = awaits_continue
        self._body: bytes | bytearray = b""
        self._reader: Awaited[None] | None = None
        self._is_body_wanted = self._reads_pieces = self._is_body_read = False
        self._is_chunked = False  # the answer
        self.more_body = True
        self.disconnected = self.is_late = self.is_truncated = self.response_complete = False

    # --- the body, as it comes ------------------------------------------------------------

    def put(self, piece: bytes) -> None:
        """A piece of the body has come."""
        if not self._body:
            self._body = piece  # mostly there is one
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        if self._reads_pieces and self._reader is not None:
            self._wake()
        elif not self._is_body_wanted and len(self._body) > HIGH_WATER_LIMIT:
            self._protocol.flow.pause_reading()

    def end_body(self) -> None:
        """There is no more of it."""
        self.more_body = False
        if self._reader is not None:
            self._wake()

    def leave(self) -> None:
        """The peer has closed the connection."""
        self.disconnected = True
        if self._reader is not None:
            self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():  # done if its task was cancelled
            reader.give(None)

    # --- the body, as it is read (`azmlinfsrv.app.interface.Caller`) ------------------------

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `azmlinfsrv.app.interface.Caller`."""
        body = self._body
        if self.more_body or self.disconnected or self.is_late or self.is_truncated:
            return None
        if len(body) > SMALL_BYTES or len(body) > limit_bytes:
            return None
        return self._take()

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        self._reads_pieces = True  # how much it is may be known bit by bit only
        for name, value in self.request.headers:
            if name == b"content-length":
                if int(value) > limit_bytes:
                    raise too_large(limit_bytes)
                share.grow_to(int(value))
                self._reads_pieces = False
        if self._awaits_continue and self.more_body and not self.disconnected:
            self._awaits_continue = False
            self._protocol.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._is_body_wanted = True
        self._protocol.flow.resume_reading()
        await self._whole_body(limit_bytes, share)
        self._reads_pieces = False
        if self.disconnected:
            raise CallerLeft
        if self.is_late:
            raise late()
        if self.is_truncated:
            raise truncated(len(self._body))
        if len(self._body) > limit_bytes:
            raise too_large(limit_bytes)
        return self._take()

    async def _whole_body(self, limit_bytes: int, share: BodyShare) -> None:
        """Wait until it is whole, over the limit, or will never be whole."""
        loop = asyncio.get_running_loop()
        while self.more_body and not self.disconnected and len(self._body) <= limit_bytes:
            self._reader = Awaited(loop=loop)
            await self._reader
            share.grow_to(len(self._body))

    def _take(self) -> Buffer:
        body, self._body = self._body, b""
        self._is_body_read = True
        flow = self._protocol.flow
        if flow.read_paused:
            flow.resume_reading()
        return body

    def has_left(self) -> bool:
        """See `azmlinfsrv.app.interface.Caller`."""
        return self.disconnected

    # --- the answer -------------------------------------------------------------------------

    def leaves_body(self) -> bool:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        return not self._is_body_read and declares_body(self.request.headers)

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        if self.disconnected:
            return
        head = self._head(status, reason, headers)
        if not body or self.request.method == "HEAD":
            self._protocol.write(head)
        elif len(body) <= _JOIN_BYTES:
            self._protocol.write(head + body)
        else:
            self._protocol.write(head)
            self._protocol.write(body)
        self._complete()

    async def begin(self, status: int, reason: str, headers: Headers) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`.

        In chunks, or, to a client of HTTP/1.0, as plain bytes until the end.
        """
        has_length = any(name.lower() == b"content-length" for name, _ in headers)
        if self.request.http_version == "1.0":
            self.keep_alive = self.keep_alive and has_length
        elif not has_length and self.request.method != "HEAD":
            self._is_chunked = True
            headers = [*headers, (b"Transfer-Encoding", b"chunked")]
        if not self.disconnected:
            self._protocol.write(self._head(status, reason, headers))

    async def send(self, item: bytes) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await self._protocol.flow.drain()
        if not self.disconnected and self.request.method != "HEAD" and item:
            self._protocol.write(b"%x\r\n%b\r\n" % (len(item), item) if self._is_chunked else item)

    async def end(self) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await self._protocol.flow.drain()
        if self.disconnected:
            return
        if self._is_chunked:
            self._protocol.write(b"0\r\n\r\n")
        self._complete()

    def _head(self, status: int, reason: str, headers: Headers) -> bytes:
        """Status line and header fields.

        Names and values were checked where scripts make them; the server's own are clean.
        """
        line = STATUS_LINES.get(status)
        if reason or line is None:
            line = b"HTTP/1.1 %d %b\r\n" % (status, reason.encode("latin-1", "replace"))
        if CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers = [*headers, CLOSE]
        common = self._protocol.server_state.default_headers  # the date
        return b"%b%b\r\n\r\n" % (line, _lines(map(_field_line, (*common, *headers))))

    def _complete(self) -> None:
        has_unread = self.more_body or self._protocol.is_broken
        self.response_complete = True
        if not self.keep_alive:
            if has_unread:
                self._protocol.linger()
            else:
                self._protocol.transport.close()
        self._protocol.on_response_complete()
