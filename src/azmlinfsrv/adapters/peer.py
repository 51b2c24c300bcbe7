"""Answering one request: what is the same whatever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from azmlinfsrv.app.interface import Caller
from azmlinfsrv.messages import BUFFERS, Buffer, Headers, Request, Response
from azmlinfsrv.pool.call import CallerLeft, StreamCut

Handle = Callable[[Request, Caller], Awaitable[Response]]

CLOSE = (b"Connection", b"close")
# Neither a body nor a Content-Length (RFC 9110, 8.6).
BODILESS = frozenset((204, 304))


class Peer(Caller, Protocol):
    """Whoever sent a request, and where its answer goes."""

    def leaves_body(self) -> bool:
        """Whether the request has a body that was not read."""

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """Send a whole response; *headers* have its length. An empty *reason* is the usual one."""

    async def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Send the head of a response whose body follows in pieces."""

    async def send(self, item: bytes) -> None:
        """Send a piece of the body; waits while the peer does not take what it was sent."""

    async def end(self) -> None:
        """The body is complete."""


async def answer(handle: Handle, request: Request, peer: Peer) -> None:
    """Answer one request with what *handle* says."""
    try:
        response = await handle(request, peer)
    except CallerLeft:
        return
    headers, body = response.headers, response.body
    if peer.leaves_body():
        # What is left of it would be taken for the next request.
        headers = [*headers, CLOSE]
    if not isinstance(body, BUFFERS):
        await _stream(response, headers, body, peer)  # type: ignore[arg-type]  # asynchronous on this side of the wall
        return
    if response.status not in BODILESS:
        headers = [*headers[:1], (b"Content-Length", b"%d" % len(body)), *headers[1:]]
    peer.respond(response.status, response.reason, headers, body)


async def _stream(
    response: Response, headers: Headers, items: AsyncIterator[bytes], peer: Peer
) -> None:
    try:
        await peer.begin(response.status, response.reason, headers)
        async for item in items:
            await peer.send(item)
            if peer.has_left():
                return
    except StreamCut:
        # The connection closes without the last chunk (RFC 9112, 7.1): that is how the
        # client can tell (R3.38).
        return
    finally:
        await items.aclose()  # type: ignore[attr-defined]  # our streams have it
    await peer.end()
