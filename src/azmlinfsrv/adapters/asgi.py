"""ASGI 3 to the application and back (the ASGI specification, HTTP and Lifespan)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from azmlinfsrv.adapters.body import late, too_large, truncated
from azmlinfsrv.app.application import Application
from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.errors import StartupError
from azmlinfsrv.messages import BUFFERS, Buffer, Headers, Request, Response
from azmlinfsrv.pool.call import CallerLeft, StreamCut

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A server of ours puts the `Connection` of a request into its scope under this name: what
# ASGI cannot say, or can only say slowly.
CONNECTION = "azmlinfsrv.connection"


class Connection(Protocol):
    """What a server of ours knows of one request beyond ASGI.

    Attributes:
        disconnected: The peer has closed the connection.
        is_truncated: The peer stopped sending before the body was whole, but still reads.
        is_late: The body took too long; nobody waits for the rest of it.
    """

    disconnected: bool
    is_truncated: bool
    is_late: bool

    def body_at_hand(self) -> Buffer | None:
        """The whole body, if it is there and nobody has begun to take it; None if not."""

    async def whole_body(self) -> Buffer:
        """The whole body, in the one buffer it was received into; as much as came, if it broke."""

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """Write a whole response at once."""

    def stream(self, reason: str) -> Send:
        """ASGI's ``send`` for a response in pieces, with a reason phrase."""


# From here on a body is worth a way of its own: ASGI's copies each piece twice.
_LARGE_BYTES = 256 * 1024

_BODILESS = frozenset((204, 304))  # no Content-Length either (RFC 9110, 8.6)


class AsgiApplication:
    """The application as an ASGI callable.

    Args:
        application: Answers the requests.
        startup: Awaited when the server starts.
        shutdown: Awaited when it has stopped taking requests.
    """

    def __init__(
        self,
        application: Application,
        startup: Callable[[], Awaitable[None]],
        shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        self._handle = application.handle
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection scope."""
        if scope["type"] == "lifespan":
            await live(receive, send, self._startup, self._shutdown)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        caller = AsgiCaller(scope, receive)
        try:
            response = await self._handle(request_of(scope), caller)
        except CallerLeft:
            return
        headers, body = response.headers, response.body
        if not caller.is_body_read and caller.declares_body():
            # What is left of the body would be taken for the next request.
            headers = [*headers, (b"Connection", b"close")]
        if not isinstance(body, BUFFERS):
            await self._stream(response, headers, body, caller, send)  # type: ignore[arg-type]  # asynchronous on this side of the wall
            return
        if response.status not in _BODILESS:
            headers = [
                *headers[:1],
                (b"Content-Length", b"%d" % len(body)),
                *headers[1:],
            ]
        if caller.connection is not None:
            caller.connection.respond(response.status, response.reason, headers, body)
            return
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(
        self,
        response: Response,
        headers: list[tuple[bytes, bytes]],
        items: AsyncIterator[bytes],
        caller: AsgiCaller,
        send: Send,
    ) -> None:
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        if caller.connection is not None:
            send = caller.connection.stream(response.reason)
        try:
            await send(start)
            async for item in items:
                await send({"type": "http.response.body", "body": item, "more_body": True})
                if caller.has_left():
                    return
        except StreamCut:
            # The server closes the connection without the last chunk (RFC 9112, 7.1):
            # that is how the client can tell (R3.38).
            return
        finally:
            await items.aclose()  # type: ignore[attr-defined]  # our streams have it
        await send({"type": "http.response.body", "body": b""})


async def live(
    receive: Receive,
    send: Send,
    startup: Callable[[], Awaitable[None]],
    shutdown: Callable[[], Awaitable[None]],
) -> None:
    """Follow the lifespan of the server."""
    await receive()
    try:
        await startup()
    except StartupError as error:
        # Said, not raised: servers take an exception for "knows no lifespan".
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await shutdown()
    await send({"type": "lifespan.shutdown.complete"})


def request_of(scope: Message) -> Request:
    """The head of a request; its body is read when the application wants it."""
    client, server = scope.get("client"), scope.get("server")
    return Request(
        scope["method"],
        scope["path"],
        scope["query_string"],
        scope["headers"],
        b"",
        scope["scheme"],
        client[0] if client else "",
        f"{server[0]}:{server[1]}" if server else "",
        scope["http_version"],
    )


class AsgiCaller:
    """The peer of one ASGI scope."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self._headers: Headers = scope["headers"]
        self._receive = receive
        # Taken out: scope, connection and the server's own objects would form a cycle.
        self.connection: Connection | None = scope.pop(CONNECTION, None)
        self.is_body_read = False

    def declares_body(self) -> bool:
        """Whether the head of the request announces a body (RFC 9112, 6.3)."""
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self._headers
        )

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        for name, value in self._headers:
            if name == b"content-length":
                if int(value) > limit_bytes:
                    raise too_large(limit_bytes)
                share.grow_to(int(value))
                if self.connection is not None and int(value) >= _LARGE_BYTES:
                    return self._checked(await self.connection.whole_body())
        if self.connection is not None:
            at_hand = self.connection.body_at_hand()
            if at_hand is not None:
                if len(at_hand) > limit_bytes:  # sent in chunks
                    raise too_large(limit_bytes)
                return self._checked(at_hand)
        message = await self._receive()
        body: Buffer = message.get("body", b"")
        if message.get("more_body"):
            parts = bytearray(body)
            while message.get("more_body") and len(parts) <= limit_bytes:
                message = await self._receive()
                parts += message.get("body", b"")
                share.grow_to(len(parts))
            body = parts
        if len(body) > limit_bytes:  # sent in chunks: only now is it known
            raise too_large(limit_bytes)
        if message["type"] == "http.disconnect":
            raise CallerLeft
        return self._checked(body)

    def _checked(self, body: Buffer) -> Buffer:
        """The body, if there is nothing wrong with how it came."""
        if self.connection is not None:
            if self.connection.disconnected:
                raise CallerLeft
            if self.connection.is_late:
                raise late()
            if self.connection.is_truncated:
                raise truncated(len(body))
        self.is_body_read = True
        return body

    def has_left(self) -> bool:
        """See `azmlinfsrv.app.interface.Caller`.

        Under another's server ``receive`` is asked once without waiting: it is a coroutine
        that either has the message ``http.disconnect`` ready or would wait for it. A task
        that waits beside every call would cost as much as the call.
        """
        if self.connection is not None:
            return self.connection.disconnected
        waiting = self._receive()
        try:
            waiting.send(None)  # type: ignore[attr-defined]  # a coroutine in every ASGI server
        except StopIteration as stop:
            return bool(stop.value["type"] == "http.disconnect")
        waiting.close()  # type: ignore[attr-defined]  # as above
        return False
