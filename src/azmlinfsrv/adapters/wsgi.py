"""WSGI to the application and back (PEP 3333), and the Flask application around it.

Theory: a WSGI server calls in a thread of its own and expects that thread to come back
with the answer. The application lives in an event loop in another thread (`loop_thread`).
The calling thread hands the head of the request over, reads the body if the application
asks for it (``wsgi.input`` may block, and only this thread may be blocked), and waits.

A server of ours that has read the body already calls `WsgiApplication.begin` when the
request is there, and the callable only when the answer is: so waiting costs no thread.
"""

from __future__ import annotations

import asyncio
import functools
import queue
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from azmlinfsrv.adapters.body import too_large, truncated
from azmlinfsrv.adapters.loop_thread import LoopThread
from azmlinfsrv.app.application import Application
from azmlinfsrv.app.buffers import SMALL_BYTES, BodyShare
from azmlinfsrv.errors import BadInput
from azmlinfsrv.messages import BUFFERS, Buffer, Headers, Request, Response
from azmlinfsrv.pool.call import CallerLeft

if TYPE_CHECKING:
    from flask import Flask

Environ: TypeAlias = "dict[str, Any]"
StartResponse: TypeAlias = "Callable[[str, list[tuple[str, str]]], Callable[[bytes], object]]"

# What a server of ours puts into the environ: the answer that is on its way, and the error
# that the body has met already.
ANSWER = "azmlinfsrv.answer"
BODY_ERROR = "azmlinfsrv.body_error"

_BODILESS = frozenset((*range(100, 200), 204, 304))  # RFC 9110, 6.4.1
# The server writes these itself; PEP 3333 forbids an application most of them.
_OF_THE_SERVER = frozenset(
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"server",
        b"te",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    )
)
# R4.5: upper-case reason phrases, as clients of the reference server see them.
_REASONS = {status.value: status.phrase.upper() for status in HTTPStatus}


class WsgiApplication:
    """The application as a WSGI callable.

    Args:
        application: Answers the requests.
        thread: The event loop it lives in; started by whoever owns it.
    """

    def __init__(self, application: Application, thread: LoopThread) -> None:
        self._handle = application.handle
        self._thread = thread

    def begin(self, environ: Environ) -> Future[Response]:
        """Start to answer; `environ` must hold the whole body, and goes to the call later."""
        # A copy: with the answer in it, an error, its frames, the caller and it were a cycle.
        caller = BufferedCaller(environ.copy())
        answer = self._thread.submit(self._handle(request_of(environ), caller))
        environ[ANSWER] = answer
        return answer

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; blocks until the head of the answer is known."""
        answer: Future[Response] | None = environ.get(ANSWER)
        if answer is None:
            caller = BlockingCaller(environ)
            answer = self._thread.submit(self._handle(request_of(environ), caller))
            answer.add_done_callback(caller.release)
            caller.read_when_asked()
        try:
            response = answer.result()
        except CallerLeft:
            start_response("499 CLIENT CLOSED REQUEST", [])  # nobody will see it
            return []
        finally:
            del answer  # it knows the error, and the error this frame: a cycle
        return self._send(response, environ["REQUEST_METHOD"] == "HEAD", start_response)

    def _send(
        self, response: Response, head_only: bool, start_response: StartResponse
    ) -> Iterable[bytes]:
        status = status_line(response)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers
            if name.lower() not in _OF_THE_SERVER
        ]
        body = response.body
        if not isinstance(body, BUFFERS):
            items = StreamedBody(body, self._thread)  # type: ignore[arg-type]  # asynchronous on this side of the wall
            write = start_response(status, headers)
            if head_only or response.status in _BODILESS:
                items.close()
                return []
            # The head goes out now, not with the first item, which may take its time.
            write(b"")
            return items
        if response.status in _BODILESS:
            start_response(status, headers)
            return []
        headers.insert(1, ("Content-Length", str(len(body))))
        start_response(status, headers)
        return [] if head_only else [bytes(body)]


class StreamedBody:
    """The items of a streamed answer, pulled from the event loop one by one.

    Raises `azmlinfsrv.pool.call.StreamCut` if the stream ends before it is complete: the
    server then closes the connection without the last chunk, and the client can tell.
    """

    def __init__(self, items: AsyncIterator[bytes], thread: LoopThread) -> None:
        self._items = items
        self._thread = thread

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return self._thread.run(_next(self._items))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Nobody reads any more (PEP 3333): the script's generator is closed."""
        self._thread.submit(self._items.aclose())  # type: ignore[attr-defined]  # our streams have it


async def _next(items: AsyncIterator[bytes]) -> bytes:
    return await items.__anext__()


def status_line(response: Response) -> str:
    """Status and reason phrase (R4.5, R3.27)."""
    return f"{response.status} {response.reason or _REASONS.get(response.status, 'UNKNOWN')}"


def request_of(environ: Environ) -> Request:
    """The head of a request; its body is read when the application wants it."""
    headers: Headers = [
        (name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    for name, header in (("CONTENT_TYPE", b"content-type"), ("CONTENT_LENGTH", b"content-length")):
        if environ.get(name):
            headers.append((header, environ[name].encode("latin-1")))
    return Request(
        environ["REQUEST_METHOD"],
        # PEP 3333: the bytes of the path, each as one character.
        environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"),
        environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        headers,
        b"",
        environ.get("wsgi.url_scheme", "http"),
        environ.get("REMOTE_ADDR", ""),
        f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}",
        environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
    )


class _WsgiCaller:
    """The peer of one WSGI call."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ
        # Waitress tells if it reads ahead (`channel_request_lookahead`), others never do.
        self.has_left: Callable[[], bool] = environ.get("waitress.client_disconnected", _stays)

    def declared_bytes(self) -> int:
        """The length of the body; 0 if it is not said."""
        length = self._environ.get("CONTENT_LENGTH") or ""
        return int(length) if length.isascii() and length.isdigit() else 0

    def read(self, limit_bytes: int) -> Buffer:
        """The whole body; blocks. Errors as `azmlinfsrv.app.interface.Caller.read_body`."""
        environ = self._environ
        if BODY_ERROR in environ:
            raise environ.pop(BODY_ERROR)  # its frames know the environ: no cycle
        length = environ.get("CONTENT_LENGTH")
        if length:
            return self._read_length(length, limit_bytes)
        if not environ.get("wsgi.input_terminated"):
            return b""  # without a length there is no body (PEP 3333)
        body = self._read_up_to(limit_bytes + 1)
        if len(body) > limit_bytes:
            raise too_large(limit_bytes)
        return body

    def _read_length(self, length: str, limit_bytes: int) -> Buffer:
        if not (length.isascii() and length.isdigit()):
            raise BadInput("The Content-Length header is not a number.")
        if int(length) > limit_bytes:
            raise too_large(limit_bytes)
        body = self._read_up_to(int(length))
        if len(body) < int(length):
            raise truncated(len(body))
        return body

    def _read_up_to(self, count: int) -> Buffer:
        source = self._environ["wsgi.input"]
        first: bytes = source.read(count)
        if len(first) == count or not first:
            return first
        body = bytearray(first)
        while len(body) < count:
            try:
                piece = source.read(count - len(body))
            except OSError as error:  # the connection broke, or the chunks did
                raise truncated(len(body)) from error
            if not piece:
                break
            body += piece
        return body


class BufferedCaller(_WsgiCaller):
    """A peer whose body the server holds in memory."""

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `azmlinfsrv.app.interface.Caller`."""
        return self.read(limit_bytes) if self.declared_bytes() <= SMALL_BYTES else None

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        # The server has it, and has counted it.
        return await asyncio.get_running_loop().run_in_executor(None, self.read, limit_bytes)


class BlockingCaller(_WsgiCaller):
    """A peer whose body the calling thread reads, when the application wants it."""

    def __init__(self, environ: Environ) -> None:
        super().__init__(environ)
        self._orders: queue.SimpleQueue[tuple[int, asyncio.Future[Buffer]] | None] = (
            queue.SimpleQueue()
        )

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `azmlinfsrv.app.interface.Caller`; it is still to be read."""
        return None

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        # What is sent in chunks is known when it is there: it is bounded by the host's threads.
        share.grow_to(min(self.declared_bytes(), limit_bytes))
        body: asyncio.Future[Buffer] = asyncio.get_running_loop().create_future()
        self._orders.put((limit_bytes, body))
        try:
            return await body
        finally:
            del body  # it knows the error, and the error this frame: a cycle

    def release(self, _answer: object) -> None:
        """The answer is known: nothing will be read any more."""
        self._orders.put(None)

    def read_when_asked(self) -> None:
        """Read the body if it is wanted; returns once the answer is known."""
        while (order := self._orders.get()) is not None:
            limit_bytes, body = order
            settle: functools.partial[None]
            try:
                settle = functools.partial(_give, body, self.read(limit_bytes))
            except OSError:
                settle = functools.partial(_refuse, body, truncated(0))
            except Exception as error:  # noqa: BLE001  # the server's own; it must reach the waiting side
                settle = functools.partial(_refuse, body, error)
            body.get_loop().call_soon_threadsafe(settle)
            del order, body, settle  # as in `read_body`


def _give(future: asyncio.Future[Buffer], body: Buffer) -> None:
    if not future.done():
        future.set_result(body)


def _refuse(future: asyncio.Future[Buffer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _stays() -> bool:
    return False


def flask_app(wsgi: Callable[[Environ, StartResponse], Iterable[bytes]]) -> Flask:
    """A Flask application that answers with *wsgi*: to mount, wrap, or test (R8.5)."""
    from flask import Flask

    app = Flask("azmlinfsrv", static_folder=None)
    app.wsgi_app = wsgi  # type: ignore[assignment,method-assign]  # the way Flask documents
    return app
