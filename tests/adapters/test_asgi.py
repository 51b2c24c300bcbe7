"""ASGI messages in and out, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from azmlinfsrv.adapters.asgi import AsgiApplication, Message
from azmlinfsrv.app.buffers import BodyBudget
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.errors import BodyTooLarge, RequestError
from azmlinfsrv.messages import Buffer, Request, Response
from azmlinfsrv.pool.call import CallerLeft, StreamCut

TEXT = (b"Content-Type", b"text/plain")
LIMIT = 10


class Handler:
    """Stands for the application: reads the body, then gives *response*."""

    def __init__(self, response: Response | None = None, *, reads: bool = True) -> None:
        self.response = response
        self.reads = reads
        self.request: Request | None = None
        self.body: Buffer | None = None
        self.error: Exception | None = None
        self.left = False

    async def handle(self, request: Request, caller: Caller) -> Response:
        self.request = request
        try:
            if self.reads:
                self.body = await caller.read_body(LIMIT, BodyBudget(LIMIT).share())
            self.left = caller.has_left()
        except RequestError as error:
            self.error = error
            return Response(error.status, [TEXT], b"refused")
        except CallerLeft as error:
            self.error = error
            raise
        return self.response or Response(200, [TEXT], b"answer")


def scope(*headers: tuple[bytes, bytes], method: str = "POST", **more: Any) -> Message:
    return {
        "type": "http",
        "method": method,
        "path": "/score",
        "query_string": b"a=1",
        "headers": list(headers),
        "scheme": "https",
        "client": ("10.0.0.1", 1234),
        "server": ("host", 443),
        "http_version": "1.1",
        **more,
    }


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


def call(handler: Handler, scope: Message, *received: Message) -> list[Message]:
    """What the application sends."""
    waiting = list(received)
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def nothing() -> None:
        pass

    asyncio.run(AsgiApplication(handler, nothing, nothing)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def test_a_request_is_translated_whole() -> None:
    handler = Handler()

    call(handler, scope((b"host", b"x"), (b"host", b"y")), part(b"body"))

    request = handler.request
    assert request is not None
    assert (request.method, request.path, request.query) == ("POST", "/score", b"a=1")
    assert (request.client, request.server) == ("10.0.0.1", "host:443")
    assert (request.scheme, request.http_version) == ("https", "1.1")
    assert request.header(b"host") == b"x,y"
    assert handler.body == b"body"


def test_addresses_that_are_not_known_are_empty() -> None:
    handler = Handler()

    call(handler, scope(client=None, server=None), part(b""))

    assert handler.request is not None
    assert (handler.request.client, handler.request.server) == ("", "")


@pytest.mark.parametrize(
    "parts",
    [
        [part(b"0123456789")],
        [part(b"01234", more=True), part(b"56789")],
        [part(b"", more=True), part(b"0123456789", more=True), part(b"")],
        [{"type": "http.request", "body": b"0123456789"}],
    ],
    ids=["at once", "in two", "with empty ones", "defaults"],
)
def test_a_body_is_put_together(parts: list[Message]) -> None:
    handler = Handler()

    call(handler, scope(), *parts)

    assert handler.body == b"0123456789"


@pytest.mark.parametrize(
    ("headers", "parts"),
    [
        ([(b"content-length", b"11")], []),
        ([(b"transfer-encoding", b"chunked")], [part(b"0123456789", more=True), part(b"x")]),
        ([], [part(b"0123456789x")]),
        ([], [part(b"0123456789x", more=True)]),
    ],
    ids=["announced", "in chunks", "at once", "the rest is not waited for"],
)
def test_a_body_over_the_limit_is_refused_and_the_connection_closed(
    headers: list[tuple[bytes, bytes]], parts: list[Message]
) -> None:
    handler = Handler()

    start, _ = call(handler, scope(*headers), *parts)

    assert isinstance(handler.error, BodyTooLarge)
    assert start["status"] == 413
    if headers:
        assert (b"Connection", b"close") in start["headers"]


def test_a_client_that_leaves_in_its_body_gets_nothing() -> None:
    handler = Handler()

    sent = call(handler, scope(), part(b"01", more=True), GONE)

    assert isinstance(handler.error, CallerLeft)
    assert sent == []


@pytest.mark.parametrize(("last", "left"), [([], False), ([GONE], True)])
def test_whether_the_caller_has_left_is_known_without_waiting(
    last: list[Message], left: bool
) -> None:
    handler = Handler()

    call(handler, scope(), part(b""), *last)

    assert handler.left is left


@pytest.mark.parametrize(
    ("status", "body", "length"),
    [(200, b"answer", b"6"), (404, b"", b"0"), (200, bytearray(b"ab"), b"2"), (204, b"", None)],
)
def test_a_whole_response_has_its_length(status: int, body: Buffer, length: bytes | None) -> None:
    start, last = call(Handler(Response(status, [TEXT], body)), scope(), part(b""))

    assert start["status"] == status
    assert dict(start["headers"]).get(b"Content-Length") == length
    assert start["headers"][0] == TEXT
    assert last == {"type": "http.response.body", "body": body}


@pytest.mark.parametrize(
    ("headers", "closes"),
    [
        ([(b"content-length", b"5")], True),
        ([(b"transfer-encoding", b"chunked")], True),
        ([(b"content-length", b"0")], False),
        ([], False),
    ],
)
def test_a_body_that_was_not_read_closes_the_connection(
    headers: list[tuple[bytes, bytes]], closes: bool
) -> None:
    start, _ = call(Handler(reads=False), scope(*headers))

    assert ((b"Connection", b"close") in start["headers"]) is closes


class Items:
    """An asynchronous stream that notes whether it was closed."""

    def __init__(self, *items: bytes, error: Exception | None = None) -> None:
        self._items = list(items)
        self._error = error
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._items:
            return self._items.pop(0)
        raise self._error or StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


def test_a_stream_is_sent_item_by_item() -> None:
    items = Items(b"a", b"b")

    start, *rest = call(Handler(Response(200, [TEXT], items)), scope(), part(b""))

    assert (b"Content-Length", b"2") not in start["headers"]
    assert [(message["body"], message.get("more_body", False)) for message in rest] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    assert items.is_closed


def test_a_stream_that_is_cut_is_not_completed() -> None:
    items = Items(b"a", error=StreamCut())

    sent = call(Handler(Response(200, [TEXT], items)), scope(), part(b""))

    assert [message.get("more_body") for message in sent] == [None, True]
    assert items.is_closed


def test_a_stream_whose_reader_leaves_is_closed() -> None:
    items = Items(b"a", b"b", b"c")
    handler = Handler(Response(200, [TEXT], items))
    handler.reads = False

    # The first to ask is the handler; the reader leaves after the first item.
    sent = call(handler, scope(), part(b""), GONE)

    assert len(sent) < 4
    assert items.is_closed


def test_a_stream_whose_head_cannot_be_sent_is_closed() -> None:
    items = Items(b"a")
    handler = Handler(Response(200, [TEXT], items))

    async def receive() -> Message:
        return part(b"")

    async def send(_message: Message) -> None:
        raise OSError

    async def nothing() -> None:
        pass

    application = AsgiApplication(handler, nothing, nothing)  # type: ignore[arg-type]
    with pytest.raises(OSError):  # noqa: PT011
        asyncio.run(application(scope(), receive, send))

    assert items.is_closed


def test_lifespan_starts_and_stops() -> None:
    order: list[str] = []

    async def startup() -> None:
        order.append("startup")

    async def shutdown() -> None:
        order.append("shutdown")

    async def receive() -> Message:
        return {"type": "lifespan"}

    async def send(message: Message) -> None:
        order.append(message["type"])

    application = AsgiApplication(Handler(), startup, shutdown)  # type: ignore[arg-type]
    asyncio.run(application({"type": "lifespan"}, receive, send))

    assert order == [
        "startup",
        "lifespan.startup.complete",
        "shutdown",
        "lifespan.shutdown.complete",
    ]
