"""Raw mode: the script sees Flask's request and answers with Flask's response.

Three doors. `is_raw` says whether a script asked for it; `call_with_request` runs a
function inside Flask's contexts, for raw scripts and for those that use ``flask.request``
(`uses_flask`); `response_of` turns what ``run`` returned into a `Response`.

Flask is imported when the first context is made, never before. Which arguments ``run``
takes, and how plain values are encoded, is decided elsewhere.

Contexts and streams: Flask keeps its contexts in context variables and takes them back
with the token it was given, which works only in the `contextvars.Context` that set them.
So every call gets a copy of its own, in which also its stream is advanced and closed:
``stream_with_context`` works whichever thread reads the stream, and a stream that is
dropped half way leaves nothing behind for the next call.
"""

from __future__ import annotations

import contextvars
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from types import CodeType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Request, Response

if TYPE_CHECKING:
    import flask
    import werkzeug.wrappers

    from azureml_inference_server_http.api.aml_request import AMLRequest

T = TypeVar("T")

_MARK = "__azmlinfsrv_raw__"
# Marked callables that take no attributes (built-in ones): kept whole, or ids would be reused.
_marked: list[Any] = []


def mark_raw(function: Any) -> None:
    """Remember that *function* takes the HTTP request itself."""
    target = getattr(function, "__func__", function)  # a method keeps its marks in its function
    try:
        setattr(target, _MARK, True)
    except (AttributeError, TypeError):
        _marked.append(target)


def is_raw(run: Any, module: ModuleType) -> bool:
    """Whether *run* is to be called with the HTTP request (R3.12, D26).

    It is if `mark_raw` was applied to *run*, to anything *run* wraps (``__wrapped__``,
    a partial, a method, ``__call__``, a decorator's closure), or to a function or method
    defined in *module*. Marked functions the script merely imported do not count.
    """
    return _wraps_marked(run, set()) or any(_has_mark(value) for value in _definitions(module))


def _definitions(module: ModuleType) -> Iterator[Any]:
    """What *module* defines, and what its classes do."""
    values = list(vars(module).values())
    classes: list[type] = []  # a class may hold itself
    while values:
        value = values.pop()
        if getattr(value, "__module__", None) != module.__name__:
            continue
        yield value
        if isinstance(value, type) and value not in classes:
            classes.append(value)
            values += vars(value).values()


def _has_mark(function: Any) -> bool:
    target = getattr(function, "__func__", function)
    # Not getattr: an object may answer to every name.
    return _MARK in getattr(target, "__dict__", ()) or any(target is one for one in _marked)


def _wraps_marked(function: Any, seen: set[int]) -> bool:
    # A function may hold itself in its closure (D27), and a proxy invent a new one each time.
    if id(function) in seen or len(seen) > 100:
        return False
    seen.add(id(function))
    return _has_mark(function) or any(_wraps_marked(inner, seen) for inner in _wrapped_by(function))


def _wrapped_by(function: Any) -> Iterator[Any]:
    yield getattr(function, "__wrapped__", None)
    if isinstance(function, partial):
        yield function.func
    elif isinstance(function, MethodType):
        yield function.__func__
    elif isinstance(function, FunctionType):
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if callable(held) and not isinstance(held, type):
                yield held
    else:
        yield getattr(type(function), "__call__", None)  # noqa: B004  # the function itself


def uses_flask(module: ModuleType) -> bool:
    """Whether the functions of *module*, in text or schema mode, may look at ``flask.request``.

    True once anything has imported Flask, or if a function of the script does so itself.
    Otherwise `call_with_request` can be spared, and Flask need not be imported.
    """
    return "flask" in sys.modules or any(
        isinstance(value, FunctionType) and _imports_flask(value.__code__)
        for value in _definitions(module)
    )


def _imports_flask(code: CodeType) -> bool:
    return any(name.partition(".")[0] == "flask" for name in code.co_names) or any(
        isinstance(constant, CodeType) and _imports_flask(constant) for constant in code.co_consts
    )


class RawContext:
    """Flask's contexts around one call: ``with`` it where ``run`` is called.

    `call_with_request` is the usual door; this one is for callers that await ``run`` in a
    task of their own, whose context variables are theirs already.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._context = _application().request_context(_environ_of(request))

    def __enter__(self) -> AMLRequest:
        """What raw scripts receive, and ``flask.request`` stands for; also fills ``flask.g``."""
        import flask

        self._context.push()
        flask.g.request_id = self._request.request_id
        flask.g.client_request_id = self._request.client_request_id
        request: AMLRequest = self._context.request  # type: ignore[assignment]  # our request_class
        return request

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.pop(error)

    def finish(self, response: Response) -> Response:
        """*response* after the functions given to ``flask.after_this_request``; call it inside."""
        # The list has had this name since Flask 0.9; Flask offers no other way to apply it.
        functions = getattr(self._context, "_after_request_functions", None)
        if not functions:
            return response
        import flask

        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
        ]
        status = f"{response.status} {response.reason}" if response.reason else response.status
        answer = flask.Response(response.body, status=status, headers=headers)  # type: ignore[arg-type]  # a stream of ours is a plain iterator
        while functions:
            answer = functions.pop(0)(answer)
        finished = response_of(answer, self._request.method)
        if finished is None:
            raise EncodingFailed(
                "A function given to after_this_request() returned no response. "
                "It has to return the response it was given, or another one."
            )
        return replace(finished, timings=response.timings)


def call_with_request(request: Request, function: Callable[[AMLRequest], T]) -> T:
    """Call *function* with Flask's view of *request*, inside Flask's contexts.

    While it runs, ``flask.request``, ``flask.g`` (``request_id``, ``client_request_id``)
    and ``flask.current_app`` work (R8.8). What it gets is the request itself, not the
    proxy: it stays readable in other threads and while a stream is sent, when
    ``flask.request`` is gone (R3.33).

    Args:
        request: Its body is whole.
        function: Calls ``run`` and encodes the result. If it returns a `Response`, that is
            passed through ``after_this_request`` functions, and a body that is an iterator
            is advanced and closed in the context variables of this call.
    """
    variables = contextvars.copy_context()
    result = variables.run(_call, request, function)
    if isinstance(result, Response) and isinstance(result.body, Iterator):
        return replace(result, body=_InVariables(result.body, variables))
    return result


def _call(request: Request, function: Callable[[AMLRequest], T]) -> T:
    context = RawContext(request)
    with context as flask_request:
        result = function(flask_request)
        if isinstance(result, Response):
            return context.finish(result)  # type: ignore[return-value]  # T is Response here
        return result


@lru_cache(maxsize=1)
def _application() -> flask.Flask:
    import flask

    from azureml_inference_server_http.api.aml_request import AMLRequest

    # Relative files and templates are the script's, so they start at the working folder;
    # the name makes `current_app.logger` one of ours.
    root = os.getcwd()
    application = flask.Flask(
        "azmlinfsrv.script", root_path=root, instance_path=root, static_folder=None
    )
    application.request_class = AMLRequest
    # Endpoint names as the reference server (1.5.1) has them: scripts read them from
    # `request.endpoint` and give them to `url_for`. Nothing is dispatched here.
    methods = ("GET", "POST", "OPTIONS")
    application.add_url_rule("/score", "main.handle_score", methods=methods)
    application.add_url_rule("/", "main.health_probe", methods=["GET"])
    application.add_url_rule("/swagger.json", "main.get_swagger_specification", methods=["GET"])
    return application


def _environ_of(request: Request) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of *request*."""
    server, _, port = request.server.rpartition(":")
    query = request.query.decode("latin-1")
    target = "/score" if request.path == "/score" else quote(request.path)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # WSGI's text is bytes in disguise (PEP 3333, "Unicode issues").
        "PATH_INFO": request.path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{target}?{query}" if query else target,
        "SERVER_NAME": server.strip("[]") or "localhost",
        "SERVER_PORT": port or ("443" if request.scheme == "https" else "80"),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "SERVER_SOFTWARE": "azmlinfsrv",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(request.body),  # shares the memory of bytes
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if request.client:
        environ["REMOTE_ADDR"] = request.client
    for raw_name, raw_value in request.headers:
        key = _environ_key(raw_name)
        if not key:
            continue
        value = raw_value.decode("latin-1")
        if key not in environ:
            environ[key] = value
        elif key != "CONTENT_LENGTH" and key != "CONTENT_TYPE":
            # RFC 9110, 5.3; cookies have a separator of their own (RFC 6265, 4.2.1).
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value
    if request.body and "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    return environ


@lru_cache(maxsize=512)
def _environ_key(name: bytes) -> str:
    """The WSGI name of a header; empty for ``a_b``, which would pass for ``a-b`` (R3.11)."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What the HTTP layer writes itself (R3.27), or what ends with this connection (RFC 9110, 7.6.1).
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SINGLE = ("content-type", "content-length")  # the last one stands
_FUNCTION_FAILED = b"x-ms-run-function-failed"


def response_of(value: Any, method: str) -> Response | None:
    """The response *value* stands for; None if it is no Flask or Werkzeug response.

    Headers keep their order and spelling (R3.26), without those of the HTTP layer. A body
    that can only be iterated over stays a stream, of which the first item has been
    fetched: until then an error is an ordinary one (R3.34). To HEAD a body is kept, for
    its length; a stream is closed unread.

    Args:
        value: What ``run`` returned.
        method: Of the request.
    Raises:
        EncodingFailed: the response cannot be sent; the message names what is wrong (R3.29).
        Exception: whatever the script's own iterator raises for its first item.
    """
    werkzeug_wrappers = sys.modules.get("werkzeug.wrappers")
    if werkzeug_wrappers is None or not isinstance(value, werkzeug_wrappers.Response):
        return None
    answer: werkzeug.wrappers.Response = value
    status = answer.status_code
    if not 200 <= status <= 599:
        answer.close()
        raise EncodingFailed(f"run() returned a response with status {status}; use 200 to 599.")
    try:
        reason = _reason_of(answer)
        body = b"" if status in (204, 304) else _body_of(answer)
        headers = _headers_of(answer, method, is_stream=isinstance(body, _Stream))
    except BaseException:
        answer.close()
        raise
    if not isinstance(body, _Stream):
        answer.close()
    elif method == "HEAD":
        body.close()
    else:
        body.fetch_first()
    return Response(status, headers, body, None, reason)


def _reason_of(answer: werkzeug.wrappers.Response) -> str:
    from werkzeug.http import HTTP_STATUS_CODES

    reason = answer.status.partition(" ")[2]
    if reason == HTTP_STATUS_CODES.get(answer.status_code, "").upper():
        return ""
    if _CONTROL.search(reason) or not _is_latin_1(reason):
        raise EncodingFailed(
            "run() returned a response with a reason phrase that is no line of Latin-1 text."
        )
    return reason


def _body_of(answer: werkzeug.wrappers.Response) -> bytes | _Stream:
    body: Any = answer.response
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, Iterable):
        raise EncodingFailed(
            f"run() returned a response whose body is of type {type(body).__name__}; "
            "a body is text, bytes, or an iterable of them."
        )
    # What knows its length is there as a whole; anything else may take its time.
    if not hasattr(body, "__len__"):
        return _Stream(answer, iter(body))
    items = [_bytes_of(item) for item in body]
    return items[0] if len(items) == 1 else b"".join(items)


def _bytes_of(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, (bytearray, memoryview)):
        return bytes(item)
    if not isinstance(item, str):
        raise EncodingFailed(
            f"The body of the response run() returned yields an item of type "
            f"{type(item).__name__}; items are text or bytes."
        )
    try:
        return item.encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodingFailed(
            "The body of the response run() returned holds text with a lone surrogate, "
            "which has no UTF-8 form."
        ) from error


def _headers_of(
    answer: werkzeug.wrappers.Response, method: str, *, is_stream: bool
) -> list[tuple[bytes, bytes]]:
    for name, value in answer.headers:
        _check_header(name, value)
    headers: list[tuple[bytes, bytes]] = []
    places: dict[str, int] = {}
    for name, value in answer.get_wsgi_headers(_environ_around(method)):
        folded = name.lower()
        # A stream has the length its maker says: `send_file` knows its file's.
        if folded in _OURS and not (is_stream and folded == "content-length" and value.isdigit()):
            continue
        pair = (name.encode("latin-1"), value.strip(" \t").encode("latin-1"))
        if folded in _SINGLE and folded in places:
            headers[places[folded]] = pair
        else:
            places.setdefault(folded, len(headers))
            headers.append(pair)
    if answer.status_code >= 500:  # R3.28
        place = places.get("x-ms-run-function-failed", len(headers))
        others = [each for each in headers[place:] if each[0].lower() != _FUNCTION_FAILED]
        headers[place:] = [(_FUNCTION_FAILED, b"True"), *others]
    return headers


def _environ_around(method: str) -> dict[str, Any]:
    # Werkzeug looks at it only to make a redirect's address absolute, if asked to.
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        environ: dict[str, Any] = flask.request.environ
        return environ
    return _environ_of(Request(method, "/score"))


def _check_header(name: Any, value: Any) -> None:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise EncodingFailed(
            f"run() returned a response with a header named {ascii(name)[:60]}, "
            "which is no header name (RFC 9110, 5.1)."
        )
    if not isinstance(value, str) or _CONTROL.search(value) or not _is_latin_1(value):
        # Werkzeug turns an address into ASCII itself.
        if isinstance(value, str) and name.lower() == "location" and not _CONTROL.search(value):
            return
        raise EncodingFailed(
            f"run() returned a response whose header {name!r} has a value that is no line of "
            "Latin-1 text. Encode it, for example with urllib.parse.quote()."
        )


def _is_latin_1(text: str) -> bool:
    return text.isascii() or all(character <= "\xff" for character in text)


class _Stream(Iterator[bytes]):
    """The items of a body as they come; empty ones are left out.

    Whoever drops it half way calls `close`, so that the script can clean up.
    """

    def __init__(self, answer: werkzeug.wrappers.Response, items: Iterator[Any]) -> None:
        self._answer = answer
        self._items = items
        self._first: bytes = b""
        self._is_open = True

    def fetch_first(self) -> None:
        """Take the first item now, so that its failure can still be told in the status."""
        self._first = self._fetch()

    def __next__(self) -> bytes:
        item, self._first = self._first, b""
        while not item:
            if not self._is_open:
                raise StopIteration
            item = self._fetch()
        return item

    def _fetch(self) -> bytes:
        """The next item, or nothing after the last."""
        try:
            return _bytes_of(next(self._items))
        except StopIteration:
            self.close()
            return b""
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the script's iterator, then call what ``call_on_close`` was given; once."""
        if self._is_open:
            self._is_open = False
            self._first = b""
            try:
                if self._items is not self._answer.response and hasattr(self._items, "close"):
                    self._items.close()
            finally:
                self._answer.close()


class _InVariables(Iterator[bytes]):
    """A stream, advanced and closed in the context variables of its call."""

    def __init__(self, items: Iterator[bytes], variables: contextvars.Context) -> None:
        self._items = items
        self._variables = variables

    def __next__(self) -> bytes:
        return self._variables.run(next, self._items)

    def close(self) -> None:
        """End the stream."""
        close = getattr(self._items, "close", None)
        if close is not None:
            self._variables.run(close)
