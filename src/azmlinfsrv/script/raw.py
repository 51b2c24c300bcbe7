"""Raw mode: the script sees Flask's request and answers with Flask's response.

Two doors. `is_raw` says whether a script asked for it; `call_with_request` runs a
function inside Flask's contexts, for raw scripts and for those that use ``flask.request``
(`uses_flask`). What ``run`` returned is `azmlinfsrv.script.flask_response`'s business.

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
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.script.flask_response import response_of
from azmlinfsrv.script.wsgi_environ import environ_of

if TYPE_CHECKING:
    import flask

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
        self._context = _application().request_context(environ_of(request))

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
