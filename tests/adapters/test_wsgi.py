"""The WSGI adapter over an application with a pool that needs no process."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from azmlinfsrv.adapters.loop_thread import LoopThread
from azmlinfsrv.adapters.wsgi import WsgiApplication, flask_app
from azmlinfsrv.app.application import Application, Policy
from azmlinfsrv.errors import Unavailable
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.call import CallerLeft, StreamCut
from azmlinfsrv.pool.interface import Readiness
from azmlinfsrv.script.facts import ScriptFacts

Score = Callable[[Request], Response]


class FakePool:
    """Answers with a function, in the loop's thread."""

    def __init__(self, score: Score) -> None:
        self._score = score

    async def submit(
        self,
        request: Request,
        limit_s: float,
        has_left: Callable[[], bool],
        *,
        spent_s: float = 0.0,
        is_limit_callers: bool = False,
    ) -> Response:
        if has_left():
            raise CallerLeft
        return self._score(request)

    async def facts(self, limit_s: float) -> ScriptFacts:
        raise Unavailable("There is no script.")

    def readiness(self) -> Readiness:
        return Readiness(True)


class Items:
    """A stream of two items, or one that is cut."""

    def __init__(self, *items: bytes, cut: bool = False) -> None:
        self._items = iter(items)
        self._cut = cut
        self.pulled = 0
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for item in self._items:
            self.pulled += 1
            return item
        if self._cut:
            raise StreamCut
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop()


class Host:
    """Calls the adapter as a server would."""

    def __init__(self, thread: LoopThread, score: Score, max_body_bytes: int = 1000) -> None:
        policy = Policy(max_body_bytes=max_body_bytes, limit_s=0.0, server_version="test/1")
        self.wsgi = WsgiApplication(Application(FakePool(score), policy), thread)
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.written: list[bytes] = []

    def call(self, method: str, path: str, body: bytes = b"", **environ: Any) -> Any:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "here",
            "SERVER_PORT": "80",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)) if body else "",
            **environ,
        }
        return self.wsgi(environ, self._start_response)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]]
    ) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return self.written.append

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


def text(
    body: str, status: int = 200, reason: str = "", seen: list[Request] | None = None
) -> Score:
    def score(request: Request) -> Response:
        if seen is not None:
            seen.append(request)
        return Response(status, [(b"Content-Type", b"text/plain")], body.encode(), None, reason)

    return score


def test_the_request_is_read_from_the_environ(thread: LoopThread) -> None:
    seen: list[Request] = []

    Host(thread, text("", seen=seen)).call(
        "POST",
        "/score",
        "é".encode(),
        QUERY_STRING="a=1",
        CONTENT_TYPE="text/plain",
        HTTP_X_FORWARDED_FOR="10.0.0.1",
        REMOTE_ADDR="10.0.0.2",
        **{"wsgi.url_scheme": "https"},
    )

    (request,) = seen
    assert (request.method, request.path, request.query) == ("POST", "/score", b"a=1")
    assert bytes(request.body) == "é".encode()
    assert request.header(b"content-type") == b"text/plain"
    assert request.header(b"content-length") == b"2"
    assert request.header(b"x-forwarded-for") == b"10.0.0.1"
    assert (request.scheme, request.client, request.server) == ("https", "10.0.0.2", "here:80")
    assert request.http_version == "1.1"


def test_a_whole_answer_has_its_length_and_a_spelled_out_status(thread: LoopThread) -> None:
    host = Host(thread, text("hello", 404))

    body = b"".join(host.call("POST", "/score"))

    assert body == b"hello"
    assert host.status == "404 NOT FOUND"
    assert host.header("content-length") == ["5"]


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [(299, "", "299 UNKNOWN"), (404, "Oops", "404 Oops"), (422, "", "422 UNPROCESSABLE")],
)
def test_the_reason_phrase(thread: LoopThread, status: int, reason: str, line: str) -> None:
    host = Host(thread, text("x", status, reason))

    host.call("POST", "/score")

    assert host.status.startswith(line)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_may_not_have_a_body_has_none(thread: LoopThread, status: int) -> None:
    host = Host(thread, text("dropped", status))

    body = host.call("POST", "/score")

    assert list(body) == []
    assert host.header("content-length") == []


def test_head_has_the_length_and_no_body(thread: LoopThread) -> None:
    host = Host(thread, text(""))

    body = host.call("HEAD", "/")

    assert list(body) == []
    assert host.header("content-length") == ["7"]


def test_what_the_server_writes_is_not_taken_from_the_script(thread: LoopThread) -> None:
    names = (b"Connection", b"Transfer-Encoding", b"Date", b"Server", b"Content-Length")
    host = Host(
        thread, lambda _: Response(200, [(b"X", b"1"), *((name, b"9") for name in names)], b"ok")
    )

    host.call("POST", "/score")

    names_sent = [key for key, _ in host.headers[:4]]
    assert names_sent == ["X", "Content-Length", "X-Content-Type-Options", "x-ms-server-version"]
    assert host.header("content-length") == ["2"]


# --- bodies -----------------------------------------------------------------------------


def test_a_body_shorter_than_announced_is_400(thread: LoopThread) -> None:
    host = Host(thread, text("scored"))

    body = b"".join(host.call("POST", "/score", b"abc", CONTENT_LENGTH="10"))

    assert host.status == "400 BAD REQUEST"
    assert b"ended after 3 bytes" in body


def test_a_body_that_breaks_is_400(thread: LoopThread) -> None:
    class Broken:
        def read(self, _count: int) -> bytes:
            raise ConnectionResetError

    host = Host(thread, text("scored"))

    host.call("POST", "/score", CONTENT_LENGTH="10", **{"wsgi.input": Broken()})

    assert host.status == "400 BAD REQUEST"


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}])
def test_a_body_over_the_limit_is_413(thread: LoopThread, environ: dict[str, Any]) -> None:
    host = Host(thread, text("scored"), max_body_bytes=5)

    host.call("POST", "/score", b"123456", **environ)

    assert host.status.startswith("413 ")


def test_a_body_over_the_limit_is_refused_by_its_length_alone(thread: LoopThread) -> None:
    host = Host(thread, text("scored"), max_body_bytes=5)
    source = io.BytesIO(b"123456")

    host.call("POST", "/score", CONTENT_LENGTH="6", **{"wsgi.input": source})

    assert source.tell() == 0


def test_a_terminated_body_without_a_length_is_read_to_its_end(thread: LoopThread) -> None:
    host = Host(thread, lambda request: Response(200, [], bytes(request.body)))

    body = host.call("POST", "/score", b"abc", CONTENT_LENGTH="", **{"wsgi.input_terminated": True})

    assert b"".join(body) == b"abc"


def test_a_body_in_pieces_is_put_together(thread: LoopThread) -> None:
    class Pieces:
        def __init__(self) -> None:
            self.left = [b"ab", b"c", b"de"]

        def read(self, _count: int) -> bytes:
            return self.left.pop(0) if self.left else b""

    host = Host(thread, lambda request: Response(200, [], bytes(request.body)))

    body = host.call("POST", "/score", CONTENT_LENGTH="5", **{"wsgi.input": Pieces()})

    assert b"".join(body) == b"abcde"


@pytest.mark.parametrize("length", ["x", "-1", "1_0", "٣"])
def test_a_length_that_is_no_number_is_400(thread: LoopThread, length: str) -> None:
    host = Host(thread, text("scored"))

    if not length.isascii():
        length = length.encode().decode("latin-1")  # as a server hands it over
    host.call("POST", "/score", b"abc", CONTENT_LENGTH=length)

    assert host.status == "400 BAD REQUEST"


def test_a_body_nobody_asks_for_is_not_read(thread: LoopThread) -> None:
    host = Host(thread, text("scored"))
    source = io.BytesIO(b"abc")

    host.call("POST", "/nope", CONTENT_LENGTH="3", **{"wsgi.input": source})

    assert host.status == "404 NOT FOUND"
    assert source.tell() == 0


# --- streams ----------------------------------------------------------------------------


def test_a_stream_sends_its_head_first_and_is_pulled_item_by_item(thread: LoopThread) -> None:
    items = Items(b"a", b"b")
    host = Host(thread, lambda _: Response(200, [], items))

    body = host.call("POST", "/score")
    head_sent, pulled_before = host.written == [b""], items.pulled
    first, pulled_after = next(body), items.pulled

    assert head_sent
    assert (pulled_before, first, pulled_after) == (0, b"a", 1)
    assert list(body) == [b"b"]
    assert host.header("content-length") == []


def test_closing_a_stream_closes_it_at_its_source(thread: LoopThread) -> None:
    items = Items(b"a", b"b")
    body = Host(thread, lambda _: Response(200, [], items)).call("POST", "/score")

    next(body)
    body.close()
    thread.run(_turn())

    assert items.is_closed


async def _turn() -> None:
    """Whatever was handed in before has run."""


def test_a_stream_that_is_cut_raises_so_that_the_server_cuts_it_too(thread: LoopThread) -> None:
    body = Host(thread, lambda _: Response(200, [], Items(b"a", cut=True))).call("POST", "/score")

    assert next(body) == b"a"
    with pytest.raises(StreamCut):
        next(body)


# --- callers and Flask ------------------------------------------------------------------


def test_a_caller_that_has_left_is_not_scored(thread: LoopThread) -> None:
    scored: list[Request] = []
    host = Host(thread, text("scored", seen=scored))

    body = host.call("POST", "/score", **{"waitress.client_disconnected": lambda: True})

    assert list(body) == []
    assert scored == []


def test_the_flask_application_answers_its_test_client(thread: LoopThread) -> None:
    app = flask_app(Host(thread, text("hello")).wsgi)

    answer = app.test_client().post("/score", data=b"{}", headers={"x-request-id": "mine"})

    assert (answer.status, answer.text) == ("200 OK", "hello")
    assert answer.headers["x-request-id"] == "mine"
    assert app.test_client().get("/nope").json["message"].startswith("The requested URL")
