"""ASGI 3 to the application and back (the ASGI specification, HTTP and Lifespan).

For servers of others. Ours need no ASGI between their parser and the application
(`azmlinfsrv.servers.exchange`), only its lifespan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from azmlinfsrv.adapters.body import declares_body, too_large
from azmlinfsrv.adapters.peer import answer
from azmlinfsrv.app.application import Application
from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.errors import StartupError
from azmlinfsrv.messages import Buffer, Headers, Request
from azmlinfsrv.pool.call import CallerLeft

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiApplication:
    """The application as an ASGI callable.

    Args:
        application: Answers the requests.
        startup: Awaited when the server starts.
        shutdown: Awaited when it has stopped taking requests.
    Attributes:
        handle: The application's, for a server that needs no ASGI.
    """

    def __init__(
        self,
        application: Application,
        startup: Callable[[], Awaitable[None]],
        shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        self.handle = application.handle
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection scope."""
        if scope["type"] == "lifespan":
            await live(receive, send, self._startup, self._shutdown)
        elif scope["type"] == "http":
            peer = AsgiPeer(scope, receive, send)
            await answer(self.handle, request_of(scope), peer)
            for message in peer.whole:
                await send(message)


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


class AsgiPeer:
    """The peer of one ASGI scope (`azmlinfsrv.adapters.peer.Peer`).

    Attributes:
        whole: The messages of a response that is complete, still to be sent.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self._headers: Headers = scope["headers"]
        self._receive = receive
        self._send = send
        self._is_body_read = False
        self.whole: list[Message] = []

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `azmlinfsrv.app.interface.Caller`; ASGI gives none without waiting."""
        return None

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        for name, value in self._headers:
            if name == b"content-length":
                if int(value) > limit_bytes:
                    raise too_large(limit_bytes)
                share.grow_to(int(value))
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
        self._is_body_read = True
        return body

    def has_left(self) -> bool:
        """See `azmlinfsrv.app.interface.Caller`.

        ``receive`` is asked once without waiting: it is a coroutine that either has the
        message ``http.disconnect`` ready or would wait for it. A task that waits beside
        every call would cost as much as the call.
        """
        waiting = self._receive()
        try:
            waiting.send(None)  # type: ignore[attr-defined]  # a coroutine in every ASGI server
        except StopIteration as stop:
            return bool(stop.value["type"] == "http.disconnect")
        waiting.close()  # type: ignore[attr-defined]  # as above
        return False

    def leaves_body(self) -> bool:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        return not self._is_body_read and declares_body(self._headers)

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`; ASGI has no reason phrases."""
        self.whole = [
            {"type": "http.response.start", "status": status, "headers": headers},
            {"type": "http.response.body", "body": body},
        ]

    async def begin(self, status: int, reason: str, headers: Headers) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, item: bytes) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await self._send({"type": "http.response.body", "body": item, "more_body": True})

    async def end(self) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await self._send({"type": "http.response.body", "body": b""})
