"""What a request means, in memory: a fake pool, a fake caller, no process, no socket."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator

import pytest

from azmlinfsrv.app.application import Application, Policy
from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.errors import (
    BadInput,
    BodyTooLarge,
    EncodingFailed,
    Overloaded,
    RequestError,
    ScoringFailed,
    ScoringProcessEnded,
    ScoringTimeout,
    Unavailable,
    UnsupportedMediaType,
)
from azmlinfsrv.messages import BUFFERS, Buffer, Headers, Request, Response, Timings
from azmlinfsrv.pool.call import CallerLeft
from azmlinfsrv.pool.interface import Readiness
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.script.swagger import build_documents

SCORED = Response(
    200,
    [(b"Content-Type", b"application/json"), (b"x-ms-run-function-failed", b"False")],
    b'{"a": 1}',
    Timings(0.001, 0.0123456, 0.002, queue_s=0.25),
)


class FakePool:
    """Answers with what it is given, and keeps what it was asked."""

    def __init__(self, answer: Response | BaseException = SCORED, *, is_raw: bool = False) -> None:
        self.answer = answer
        self.is_raw = is_raw
        self.asked: list[tuple[Request, float]] = []
        self.state = Readiness(True)

    async def submit(
        self,
        request: Request,
        limit_s: float,
        has_left: Callable[[], bool],
        *,
        spent_s: float = 0.0,
        is_limit_callers: bool = False,
    ) -> Response:
        self.asked.append((request, limit_s))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def facts(self, limit_s: float) -> ScriptFacts:
        documents = build_documents(
            None,
            service_name="ML service",
            service_version="1.0",
            service_path_prefix="",
            app_root="/nowhere",
        )
        return ScriptFacts(is_raw=self.is_raw, documents=documents)

    def readiness(self) -> Readiness:
        return self.state


class FakeCaller:
    def __init__(self, body: Buffer | BaseException = b"") -> None:
        self.body = body
        self.limit_bytes = 0

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        return None

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        self.limit_bytes = limit_bytes
        if isinstance(self.body, BaseException):
            raise self.body
        return self.body

    def has_left(self) -> bool:
        return False


POLICY = Policy(max_body_bytes=1000, limit_s=5.0, server_version="azmlinfsrv/2.0.0")


def handle(
    method: str = "POST",
    path: str = "/score",
    headers: Headers | None = None,
    *,
    pool: FakePool | None = None,
    caller: FakeCaller | None = None,
    policy: Policy = POLICY,
    query: bytes = b"",
) -> Response:
    request = Request(method, path, query, headers or [])
    application = Application(pool or FakePool(), policy)
    return asyncio.run(application.handle(request, caller or FakeCaller()))


def field(response: Response, name: str) -> str | None:
    """The one value of a header; None if absent."""
    values = [value for key, value in response.headers if key.lower() == name.encode()]
    assert len(values) <= 1, values
    return values[0].decode("latin-1") if values else None


def body_of(response: Response) -> bytes:
    assert isinstance(response.body, BUFFERS)
    return bytes(response.body)


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    logger = logging.getLogger("azmlinfsrv")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [Keep()], False
    logger.setLevel(logging.INFO)
    yield found
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


# --- ids ----------------------------------------------------------------------------------

# R4.10: given R, L, C; then out x-request-id, x-ms-request-id, x-ms-client-request-id, and
# the two ids the script's side sees. "u" is a new one.
IDS = [
    ("", "", "", "u", "u", None, "u", ""),
    ("A", "", "", "A", "A", None, "A", ""),
    ("", "B", "", "u", "B", "B", "u", "B"),
    ("", "", "C", "u", "C", "C", "u", "C"),
    ("A", "B", "", "A", "B", "B", "A", "B"),
    ("", "B", "C", "u", "B", "C", "u", "C"),
    ("A", "", "C", "A", "C", "C", "A", "C"),
    ("A", "B", "C", "A", "B", "C", "A", "C"),
]
NAMES = (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id")


@pytest.mark.parametrize(
    ("r", "l_", "c", "out_r", "out_l", "out_c", "request_id", "client_id"),
    IDS,
    ids=["".join(row[:3]) or "none" for row in IDS],
)
@pytest.mark.parametrize("absent", ["absent", "empty", "blank"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/score"), ("GET", "/")])
def test_ids(
    r: str, l_: str, c: str, out_r: str, out_l: str, out_c: str | None,
    request_id: str, client_id: str, absent: str, method: str, path: str,
) -> None:  # fmt: skip
    blank = {"absent": None, "empty": b"", "blank": b"  "}[absent]
    given = [(name, value.encode() or blank) for name, value in zip(NAMES, (r, l_, c), strict=True)]
    pool = FakePool()

    response = handle(method, path, [it for it in given if it[1] is not None], pool=pool)  # type: ignore[misc]

    new = field(response, "x-request-id") if out_r == "u" else "u"
    assert new is not None
    if out_r == "u":
        assert str(uuid.UUID(new, version=4)) == new
    expected = [new if value == "u" else value for value in (out_r, out_l, out_c)]
    assert [field(response, name.decode()) for name in NAMES] == expected
    if pool.asked:
        ((request, _),) = pool.asked
        assert request.request_id == (new if request_id == "u" else request_id)
        assert request.client_request_id == client_id


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ([b"a", b"b"], "a,b"),
        ([b" padded\t"], "padded"),
        ([b"caf\xe9 \xff!"], "café ÿ!"),
        ([b"x" * 100], "x" * 100),
    ],
    ids=["repeated", "blanks", "latin-1", "100 characters"],
)
@pytest.mark.parametrize("name", NAMES)
def test_an_id_is_echoed(name: bytes, given: list[bytes], out: str) -> None:
    response = handle(headers=[(name, value) for value in given])

    assert field(response, name.decode()) == out


def test_new_ids_differ() -> None:
    assert len({field(handle(), "x-request-id") for _ in range(50)}) == 50


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/score"), ("GET", "/"), ("GET", "/swagger.json")]
)
def test_an_id_that_is_too_long_is_431_and_run_is_not_called(
    name: bytes, method: str, path: str
) -> None:
    pool = FakePool()

    response = handle(method, path, [(name, b"x" * 101), (b"traceid", b"t")], pool=pool)

    assert response.status == 431
    assert pool.asked == []
    if name == b"x-request-id":
        text = "x-request-id must not exceed 100 characters"
        assert field(response, "x-request-id") is None
    else:
        text = "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
        assert field(response, "x-request-id")
    assert json.loads(body_of(response)) == {"message": text}
    assert field(response, "x-ms-request-id") is None
    assert field(response, "x-ms-client-request-id") is None
    assert field(response, "x-ms-server-version") == "azmlinfsrv/2.0.0"
    assert field(response, "traceid") == "t"


def test_a_given_request_id_stands_beside_a_client_id_that_is_too_long() -> None:
    response = handle(headers=[(NAMES[0], b"A"), (NAMES[2], b"x" * 101)])

    assert field(response, "x-request-id") == "A"


@pytest.mark.parametrize("value", [b"t", b"t" * 5000, b""])
def test_a_trace_id_is_echoed_whatever_its_length(value: bytes) -> None:
    assert field(handle(headers=[(b"traceid", value)]), "traceid") == value.decode()


def test_another_spelling_is_no_trace_id() -> None:
    assert field(handle(headers=[(b"trace-id", b"t")]), "trace-id") is None


def test_the_deprecated_id_is_warned_of_once_a_request(log: list[logging.LogRecord]) -> None:
    handle(headers=[(b"x-ms-request-id", b"B")])

    (warning,) = [it for it in log if it.levelno == logging.WARNING]
    assert warning.getMessage() == (
        "x-ms-request-id header has been deprecated and will be removed from future versions "
        "of the server. Please use x-ms-client-request-id."
    )


# --- routes -------------------------------------------------------------------------------

HTML = "text/html; charset=utf-8"
JSON = "application/json"
GENERAL_405 = {"message": "The method is not allowed for the requested URL."}
HEALTH_METHODS, SCORE_METHODS = "GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "body"),
    [
        ("GET", "/", 200, HTML, b"Healthy"),
        ("HEAD", "/", 200, HTML, b"Healthy"),
        ("OPTIONS", "/", 200, HTML, b""),
        ("GET", "//", 200, HTML, b"Healthy"),
        ("GET", "/health/live", 200, HTML, b"Healthy"),
        ("GET", "/health/ready", 200, HTML, b"Healthy"),
        ("GET", "/score", 200, JSON, b'{"a": 1}'),
        ("POST", "/score", 200, JSON, b'{"a": 1}'),
        ("POST", "//score", 200, JSON, b'{"a": 1}'),
        ("POST", "///score", 200, JSON, b'{"a": 1}'),
        ("OPTIONS", "/score", 200, HTML, b""),
        ("OPTIONS", "/swagger.json", 200, HTML, b""),
    ],
)
def test_routes(method: str, path: str, status: int, kind: str, body: bytes) -> None:
    response = handle(method, path)

    assert (response.status, body_of(response)) == (status, body)
    assert field(response, "content-type") == kind


@pytest.mark.parametrize(("method", "is_run"), [("OPTIONS", False), ("HEAD", False)])
def test_options_and_head_call_run_for_raw_scripts_only(method: str, is_run: bool) -> None:
    plain, raw = FakePool(), FakePool(is_raw=True)

    refused = handle(method, pool=plain)
    answered = handle(method, pool=raw)

    assert len(plain.asked) == is_run
    assert len(raw.asked) == 1
    assert answered.status == 200
    if method == "HEAD":
        assert refused.status == 405
        assert json.loads(body_of(refused)) == {"message": "Method not allowed"}
        assert len(body_of(refused)) == 33
        assert field(refused, "allow") == "GET, OPTIONS, POST"
    else:
        assert field(refused, "x-ms-run-function-failed") == "False"
        assert field(refused, "allow") is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW", "get"])
@pytest.mark.parametrize(
    ("path", "allow"),
    [("/", HEALTH_METHODS), ("/score", SCORE_METHODS), ("/swagger.json", HEALTH_METHODS)],
)
def test_other_methods_are_405_with_allow(method: str, path: str, allow: str) -> None:
    response = handle(method, path)

    assert response.status == 405
    assert json.loads(body_of(response)) == GENERAL_405
    assert field(response, "allow") == allow
    assert field(response, "x-ms-run-function-failed") == "False"
    assert field(response, "x-request-id")
    assert field(response, "x-ms-server-version") == "azmlinfsrv/2.0.0"


@pytest.mark.parametrize(
    "path",
    ["/score/", "/Score", "/SCORE", "/score/x", "/x", "/static/x", "", "*", "/health", "//x", "/."],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_other_paths_are_404(method: str, path: str) -> None:
    response = handle(method, path)

    assert response.status == 404
    assert json.loads(body_of(response)) == {
        "message": "The requested URL was not found on the server. If you entered the URL "
        "manually please check your spelling and try again."
    }
    assert field(response, "content-type") == JSON
    assert field(response, "x-ms-run-function-failed") == "False"
    assert field(response, "x-request-id")


@pytest.mark.parametrize(
    ("path", "status"), [("/", 503), ("/health/ready", 503), ("/health/live", 200)]
)
def test_probes_tell_that_no_process_is_up(path: str, status: int) -> None:
    pool = FakePool()
    pool.state = Readiness(False, "init() has not returned yet.")

    response = handle("GET", path, pool=pool)

    assert response.status == status
    if status == 503:
        assert b"init() has not returned yet." in body_of(response)
        assert field(response, "retry-after") == "1"


def test_probes_do_not_read_a_body_or_ask_the_pool() -> None:
    pool, caller = FakePool(), FakeCaller(AssertionError("read"))

    assert handle("GET", "/", pool=pool, caller=caller).status == 200
    assert pool.asked == []


# --- scoring ------------------------------------------------------------------------------


def test_a_call_reaches_the_pool_with_body_limit_and_ids() -> None:
    pool, caller = FakePool(), FakeCaller(b"body")

    handle("POST", "/score", [(b"x-request-id", b"A")], pool=pool, caller=caller, query=b"a=1")

    ((request, limit_s),) = pool.asked
    assert (request.method, request.path, request.query) == ("POST", "/score", b"a=1")
    assert (bytes(request.body), request.request_id) == (b"body", "A")
    assert (limit_s, caller.limit_bytes) == (5.0, 1000)


def test_headers_of_a_success_are_in_order() -> None:
    response = handle(headers=[(b"x-ms-client-request-id", b"C"), (b"traceid", b"t")])

    assert [name.decode() for name, _ in response.headers] == [
        "Content-Type",
        "x-ms-run-function-failed",
        "x-ms-run-fn-exec-ms",
        "Server-Timing",
        "X-Content-Type-Options",
        "x-ms-server-version",
        "x-request-id",
        "x-ms-request-id",
        "x-ms-client-request-id",
        "TraceId",
    ]
    assert field(response, "x-ms-run-fn-exec-ms") == "12.346"


def test_server_timing_divides_the_time_in_milliseconds() -> None:
    assert field(handle(), "server-timing") == (
        "queue;dur=250.000, parse;dur=1.000, run;dur=12.346, encode;dur=2.000"
    )


def test_no_version_header_without_a_version() -> None:
    policy = Policy(max_body_bytes=1000, limit_s=5.0, server_version="")

    assert field(handle(policy=policy), "x-ms-server-version") is None


def test_the_servers_ids_stand_whatever_the_script_says() -> None:
    mine = [*SCORED.headers, (b"X-Request-Id", b"mine"), (b"x-other", b"kept")]
    pool = FakePool(Response(200, mine, b"", Timings()))

    response = handle(headers=[(b"x-request-id", b"A")], pool=pool)

    assert field(response, "x-request-id") == "A"
    assert field(response, "x-other") == "kept"


ERRORS: list[tuple[RequestError, int, str]] = [
    (BadInput("m"), 400, "False"),
    (BodyTooLarge("m"), 413, "False"),
    (UnsupportedMediaType("m"), 415, "False"),
    (Overloaded("m", headers=((b"Retry-After", b"1"),)), 429, "False"),
    (Unavailable("m"), 503, "False"),
    (ScoringFailed("m"), 500, "True"),
    (ScoringTimeout("m"), 500, "True"),
    (EncodingFailed("m"), 500, "True"),
    (ScoringProcessEnded("m"), 500, "True"),
]


@pytest.mark.parametrize(
    ("error", "status", "failed"), ERRORS, ids=[type(row[0]).__name__ for row in ERRORS]
)
def test_an_error_is_json_with_ids_and_no_timing(
    error: RequestError, status: int, failed: str
) -> None:
    response = handle(pool=FakePool(error), headers=[(b"x-request-id", b"A")])

    assert response.status == status
    assert body_of(response) == b'{"message": "m"}'
    assert field(response, "content-type") == JSON
    assert field(response, "x-ms-run-function-failed") == failed
    assert field(response, "x-ms-run-fn-exec-ms") is None
    assert field(response, "server-timing") is None
    assert field(response, "x-request-id") == "A"
    assert field(response, "retry-after") == ("1" if status == 429 else None)


def test_an_error_in_the_users_code_tells_where() -> None:
    response = handle(pool=FakePool(ScoringFailed("é", location="score.py:3 in run")))

    assert body_of(response) == b'{"message": "\\u00e9", "location": "score.py:3 in run"}'


def test_a_fault_of_ours_is_500_without_a_word_of_it(log: list[logging.LogRecord]) -> None:
    response = handle(pool=FakePool(KeyError("secret 4711")))

    assert response.status == 500
    assert json.loads(body_of(response)) == {
        "message": "An unexpected internal error occurred. Check the logs for more info."
    }
    assert any("4711" in str(record.exc_info) for record in log)


@pytest.mark.parametrize("where", ["reading", "waiting"])
def test_a_caller_that_left_gets_no_answer_and_no_blame(
    log: list[logging.LogRecord], where: str
) -> None:
    pool = FakePool(CallerLeft() if where == "waiting" else SCORED)
    caller = FakeCaller(CallerLeft() if where == "reading" else b"")

    with pytest.raises(CallerLeft):
        handle(pool=pool, caller=caller)

    (line,) = log
    assert line.levelname == "INFO"
    assert re.fullmatch(r"POST /score 499 \d+\.\d{3}ms 0", line.getMessage())


# --- the line in the log ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query", "line"),
    [
        ("POST", "/score", b"", r"POST /score 200 \d+\.\d{3}ms 8"),
        ("GET", "/score", b"a=1&b", r"GET /score\?a=1&b 200 \d+\.\d{3}ms 8"),
        ("HEAD", "/score", b"", r"HEAD /score 405 \d+\.\d{3}ms 33"),
        ("OPTIONS", "/score", b"", r"OPTIONS /score 200 \d+\.\d{3}ms 0"),
        ("GET", "/swagger.json", b"", r"GET /swagger\.json 200 \d+\.\d{3}ms \d+"),
        ("GET", "/", b"", None),
        ("GET", "/health/ready", b"", None),
        ("PUT", "/score", b"", None),
        ("GET", "/nothing", b"", None),
    ],
)
def test_one_line_a_request(
    log: list[logging.LogRecord], method: str, path: str, query: bytes, line: str | None
) -> None:
    handle(method, path, query=query)

    texts = [record.getMessage() for record in log if record.name == "azmlinfsrv"]
    assert len(texts) == (line is not None)
    if line is not None:
        assert re.fullmatch(line, texts[0]), texts


def test_a_header_that_is_too_long_makes_no_line(log: list[logging.LogRecord]) -> None:
    handle(headers=[(b"x-request-id", b"x" * 101)])

    assert log == []


def test_the_length_of_a_stream_is_not_known(log: list[logging.LogRecord]) -> None:
    async def items() -> None:
        yield b"item"

    handle(pool=FakePool(Response(200, SCORED.headers, items(), Timings())))  # type: ignore[arg-type]

    (record,) = log
    assert re.fullmatch(r"POST /score 200 \d+\.\d{3}ms N/A", record.getMessage())
