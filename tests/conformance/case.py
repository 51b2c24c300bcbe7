"""What a case of the contract is: a start, a request, an answer.

Plain data: nothing here starts a server or opens a socket (`runner`, `wire`), and nothing
here knows which server is asked. A case holds what *our* server must answer; where the
decisions of contract section 0 made that differ, it also holds what the reference server
(`azureml-inference-server-http` 1.5.1) was observed to answer.

How to write an expected value:

=====================  ============================================================
``"text"``             exactly this
``like(r"...")``       a regular expression that matches all of it (``.`` crosses lines)
``Json(value)``        JSON equal to *value*; any of these forms may stand inside
``ABSENT, PRESENT``    a header that must not, or must, be there
``("a", "b")``         a header sent twice, in this order
``ANY``                anything
=====================  ============================================================

``{root}``, ``{port}`` and ``{free_port}`` in settings, files and expected text stand for the
application root and the ports of this start.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeAlias


class Sign(Enum):
    """Expected values that are not a value."""

    ANY = "anything"
    ABSENT = "absent"
    PRESENT = "present"


ANY, ABSENT, PRESENT = Sign.ANY, Sign.ABSENT, Sign.PRESENT


@dataclass(frozen=True)
class Json:
    """A body, or text in a JSON value, that parses to *value*."""

    value: Any


@dataclass(frozen=True)
class Document:
    """A Swagger document: JSON equal to *value*, every ``description`` being prose of our own."""

    value: Any


def like(pattern: str) -> re.Pattern[str]:
    """A pattern that must match the whole value."""
    return re.compile(pattern, re.DOTALL)


def script(text: str) -> str:
    """The text of a score.py as it stands in a case, without its indentation."""
    return textwrap.dedent(text).lstrip("\n")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a server is started. Equal setups share one start.

    Attributes:
        folder: A folder below ``scripts/``, copied into the application root.
        source: Text of ``score.py`` instead.
        files: More files in the root, by relative path. ``None`` makes a folder.
        arguments: The command line, without ``--port``, which is added unless `port` is off.
        environment: On top of an almost empty environment.
        working_folder: Where the server is started, relative to the root.
        as_module: Start with ``python -m azureml_inference_server_http``.
        port: Whether to add ``--port {port}``.
        ready_s: How long the first ``200`` on ``/`` may take.
    """

    folder: str = ""
    source: str = ""
    files: tuple[tuple[str, str | bytes | None], ...] = ()
    arguments: tuple[str, ...] = ("--entry_script", "score.py")
    environment: tuple[tuple[str, str], ...] = ()
    working_folder: str = "."
    as_module: bool = False
    port: bool = True
    ready_s: float = 40.0


def serve(
    source: str = "",
    *,
    folder: str = "",
    files: Mapping[str, str | bytes | None] | None = None,
    environment: Mapping[str, str] | None = None,
    **more: Any,
) -> Setup:
    """A `Setup`, written the short way."""
    return Setup(
        source=script(source),
        folder=folder,
        files=tuple(
            (name, script(text) if isinstance(text, str) else text)
            for name, text in (files or {}).items()
        ),
        environment=tuple((environment or {}).items()),
        **more,
    )


# --- requests -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One HTTP/1.1 request on a connection of its own.

    ``Host``, ``Connection: close`` and, with a body, ``Content-Length`` are added unless given.
    """

    method: str
    target: str = "/score"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Raw:
    """Bytes as they go on the wire.

    Attributes:
        data: All of it; ``{port}`` is not replaced.
        replies: The methods of the requests in *data*, which is how many answers are read.
        half_close: Stop sending after *data* (a client that went away early).
    """

    data: bytes
    replies: tuple[str, ...] = ("POST",)
    half_close: bool = False


def _request(method: str, target: str, body: str | bytes, headers: Mapping[str, str]) -> Request:
    data = body.encode() if isinstance(body, str) else body
    return Request(method, target, data, tuple(headers.items()))


def get(target: str = "/score", **headers: str) -> Request:
    """GET; a header's underscores are hyphens on the wire."""
    return _request("GET", target, b"", _names(headers))


def post(body: str | bytes = b"", *, target: str = "/score", **headers: str) -> Request:
    """POST; a header's underscores are hyphens on the wire."""
    return _request("POST", target, body, _names(headers))


def post_json(body: str | bytes, *, target: str = "/score", **headers: str) -> Request:
    """POST with ``Content-Type: application/json``."""
    return _request("POST", target, body, {"Content-Type": "application/json", **_names(headers)})


def ask(method: str, target: str, body: str | bytes = b"", **headers: str) -> Request:
    """Any method, any target."""
    return _request(method, target, body, _names(headers))


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


# --- expected -----------------------------------------------------------------------------

Value: TypeAlias = "str | bytes | re.Pattern[str] | Json | Document | Sign"
HeaderValue: TypeAlias = "str | re.Pattern[str] | Sign | tuple[str, ...]"

MS = like(r"\d+\.\d{3}")
UUID = like(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Answer:
    """One response.

    Attributes:
        status: One, or any of several.
        body: See the table above.
        headers: By lower-case name; what is not named is not looked at.
        log: Patterns found in the output, in this order, after the request was sent.
        errors: The same on standard error.
        either: Patterns found on one of the two.
        unlogged: Patterns that the output must not hold.
        chunks: The pieces of a chunked body.
        truncated: The body ends before its time, and the client can tell.
        order: Names that must come in this order, as spelt.
        reason: The reason phrase, in any case.
    """

    status: int | tuple[int, ...]
    body: Value = ANY
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()
    chunks: tuple[str, ...] | None = None
    truncated: bool = False
    order: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Answers:
    """Several responses on one connection."""

    each: tuple[Answer, ...]


@dataclass(frozen=True)
class Closed:
    """The connection is closed without an answer."""

    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Silent:
    """No answer comes within a few seconds."""


@dataclass(frozen=True)
class Started:
    """The server serves; its output so far holds these patterns, as in `Answer`."""

    log: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exit:
    """The process ends by itself.

    Attributes:
        status: Its exit status.
        log: Patterns on standard output, in this order.
        errors: The same on standard error.
        either: Patterns found on one of the two.
        unlogged: Patterns that neither may hold.
    """

    status: int
    log: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()


@dataclass(frozen=True)
class NeverReady:
    """The process lives, but nothing answers ``200`` on ``/``."""


@dataclass(frozen=True)
class Outcome:
    """What a scenario reports: facts by name."""

    facts: Mapping[str, Any]


Expected: TypeAlias = "Answer | Answers | Closed | Silent | Started | Exit | NeverReady | Outcome"


def ok(body: Value = ANY, headers: Mapping[str, HeaderValue] | None = None, **more: Any) -> Answer:
    """200 with what run() returned, as JSON (R3.26, R3.30)."""
    return Answer(
        200,
        body,
        {
            "content-type": "application/json",
            "x-ms-run-function-failed": "False",
            "x-ms-run-fn-exec-ms": MS,
            **(headers or {}),
        },
        **more,
    )


def error(
    status: int,
    message: str | re.Pattern[str],
    headers: Mapping[str, HeaderValue] | None = None,
    failed: str = "False",
    **more: Any,
) -> Answer:
    """The application's own error (R4.5, R4.7); an exact message is compared as bytes."""
    body: Value = Json({"message": message})
    if isinstance(message, str):
        body = '{"message": "' + message + '"}'
    return Answer(
        status,
        body,
        {
            "content-type": "application/json",
            "x-ms-run-function-failed": failed,
            "x-ms-run-fn-exec-ms": ABSENT,
            **(headers or {}),
        },
        **more,
    )


SCRIPT_ERROR = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL_ERROR = "An unexpected internal error occurred. Check the logs for more info."
WERKZEUG_ERROR = (
    "The server encountered an internal error and was unable to complete your request. "
    "Either the server is overloaded or there is an error in the application."
)
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually "
    "please check your spelling and try again."
)
NOT_ALLOWED = "The method is not allowed for the requested URL."
BARE_HTML = Answer(500, like("<html>.*"), {"content-type": "text/html", "x-request-id": ABSENT})


IN_SCRIPT = like(r"score\.py:\d+ in .+")


def script_error(where: str | re.Pattern[str] = IN_SCRIPT, **more: Any) -> Answer:
    """Our 500 of a failing run(): the reference server's message, and where (0:R3.36)."""
    answer = error(500, SCRIPT_ERROR, failed="True", **more)
    return _with_body(answer, Json({"message": SCRIPT_ERROR, "location": where}))


def observed_script_error(**more: Any) -> Answer:
    """The reference server's 500 of a failing run() (R3.36)."""
    return error(500, SCRIPT_ERROR, failed="True", **more)


def _with_body(answer: Answer, body: Value) -> Answer:
    return replace(answer, body=body)


# --- cases --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One claim of the contract.

    Attributes:
        name: Unique in its module; the id is ``module/name``.
        setup: How the server is started.
        request: What is asked: a request, bytes, a scenario, or None to look at the start.
        expected: What our server does.
        shows: The contract items it shows, blank-separated: ``R4.10``, ``D20``, ``X4``, and
            ``0:R3.26`` for the row of section 0 that begins with that item.
        reference: What the reference server was observed to do, where a decision differs.
        why: One line more, where request and answer do not say it.
        id: Filled in by the catalogue.
    """

    name: str
    setup: Setup
    request: Request | Raw | Callable[[Any], Mapping[str, Any]] | None
    expected: Expected
    shows: str
    reference: Expected | None = None
    why: str = ""
    id: str = ""

    @property
    def items(self) -> tuple[str, ...]:
        """The contract items, one by one."""
        return tuple(self.shows.split())

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of section 0 among them."""
        return tuple(item for item in self.items if item.startswith("0:"))
