"""Everything that can go wrong, and what it means to the outside.

ServerError
├── StartupError               the server cannot serve                 exit status
│   ├── SettingsError          a setting is malformed                            3
│   ├── ScriptError            the entry script is unusable                      3
│   └── AddressUnavailable     the port is taken, or not ours                    1
└── RequestError               one call cannot be answered                  status
    ├── BadInput               the request does not fit run()                  400
    ├── Unauthorized           no key, or a wrong one                          401
    ├── Forbidden              another site's page asks for what is ours       403
    ├── NotFound               no such path, or no such document               404
    ├── MethodNotAllowed       the path exists, the method does not            405
    ├── RequestTimeout         the request did not arrive in time              408
    ├── Conflict               there is a file of that name                    409
    ├── BodyTooLarge           the body is over the limit                      413
    ├── TargetTooLong          path and query are over the limit               414
    ├── UnsupportedMediaType   the media type or the coding is not taken       415
    ├── FatalRequest           it has ended its worker, and again              422
    ├── HeaderTooLong          an id, or the whole head, is over the limit     431
    ├── Overloaded             too many calls are waiting                      429
    ├── Unavailable            no worker can take the call now                 503
    └── ScoringFailed          run() raised                                    500
        ├── ScoringTimeout     run() outlived its limit                        500
        ├── EncodingFailed     what run() returned cannot be written           500
        └── ScoringProcessEnded   the process died under the call              500

A `RequestError` becomes a response in `azmlinfsrv.app.failures`, a `StartupError`
an exit status in `azmlinfsrv.__main__`; nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from azmlinfsrv.messages import Batch, Request


class ServerError(Exception):
    """Base of every error the server itself raises."""


class StartupError(ServerError):
    """The server cannot serve; the message is the report shown to the user.

    Attributes:
        log_format: How the report is to be written; set by whoever knows the settings.
    """

    exit_status: ClassVar[int] = 1
    log_format: str = "text"


class SettingsError(StartupError):
    """One or more settings are malformed.

    Args:
        problems: ``(name, what is wrong)`` for each, the name as the user wrote it.
    """

    exit_status = 3

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))
        self.problems = problems


class ScriptError(StartupError):
    """The entry script cannot be loaded, initialised or called."""

    exit_status = 3


class AddressUnavailable(StartupError):
    """The address to listen on is in use, not local, or not permitted."""


class RequestError(ServerError):
    """One call cannot be answered.

    Args:
        message: Goes to the client; carries no user data and no exception text.
        location: Where in the user's code, as ``score.py:12 in run``; empty if nowhere.
        headers: Extra response headers, such as ``Allow`` or ``Retry-After``.
    """

    status: ClassVar[int] = 500
    # The value of `x-ms-run-function-failed` (contract R4.7).
    function_failed: ClassVar[bool] = False

    # For the report of the development mode, set by whoever knows them.
    arguments: Mapping[str, object] | None = None  # what run() was called with
    hint: str = ""
    report: bytes | bytearray | memoryview = b""  # `script.report.Report`, msgpack
    request: Request | None = None
    batch: Batch | None = None  # the one it was computed in

    def __init__(
        self,
        message: str,
        *,
        location: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.headers = headers


class BadInput(RequestError):
    """The request does not fit what run() takes; the message names the place."""

    status = 400


class Unauthorized(RequestError):
    """No key, or a wrong one; `headers` carries ``WWW-Authenticate`` (RFC 9110, 15.5.2)."""

    status = 401


class Forbidden(RequestError):
    """Not for whoever asks, whatever they send (RFC 9110, 15.5.4)."""

    status = 403


class NotFound(RequestError):
    """There is nothing at this path (R4.3), or no such Swagger version (R5.2)."""

    status = 404


class MethodNotAllowed(RequestError):
    """The path exists, the method does not; `headers` carries ``Allow`` (RFC 9110, 15.5.6)."""

    status = 405


class RequestTimeout(RequestError):
    """The request was not complete in time (RFC 9110, 15.5.9)."""

    status = 408


class Conflict(RequestError):
    """What is there already would be lost (RFC 9110, 15.5.10)."""

    status = 409


class BodyTooLarge(RequestError):
    """The body is over the limit (RFC 9110, 15.5.14)."""

    status = 413


class TargetTooLong(RequestError):
    """The target of the request is over the limit (RFC 9110, 15.5.15)."""

    status = 414


class UnsupportedMediaType(RequestError):
    """The content type, or the content coding, is not one this script takes (R3.17)."""

    status = 415


class FatalRequest(RequestError):
    """It has ended the process that computed it more than once (RFC 9110, 15.5.21)."""

    status = 422


class HeaderTooLong(RequestError):
    """An identification header is over 100 characters (R4.12), or the head over a limit."""

    status = 431


class Overloaded(RequestError):
    """The queue is full (RFC 6585, section 4)."""

    status = 429


class Unavailable(RequestError):
    """No worker can take the call: none has started yet, or the server is stopping."""

    status = 503


class ScoringFailed(RequestError):
    """run() raised (R3.36)."""

    function_failed = True


class ScoringTimeout(ScoringFailed):
    """run() outlived its limit (R3.38)."""


class EncodingFailed(ScoringFailed):
    """What run() returned has no JSON form; the message names the type and its place (R3.26)."""


class ScoringProcessEnded(ScoringFailed):
    """The scoring process died while it computed this call; the message says how."""


# By name: how a failure is called when it crosses the wall between worker and front end.
REQUEST_ERRORS: dict[str, type[RequestError]] = {
    error.__name__: error
    for error in (
        BadInput,
        NotFound,
        MethodNotAllowed,
        BodyTooLarge,
        UnsupportedMediaType,
        HeaderTooLong,
        Overloaded,
        Unavailable,
        ScoringFailed,
        ScoringTimeout,
        EncodingFailed,
        ScoringProcessEnded,
    )
}


class Interruption(BaseException):
    """Raised inside user code to end a call whose time is up or whose caller has gone.

    Not an `Exception`, so that ``except Exception`` in a script does not swallow it.

    Args:
        reason: ``timeout`` or ``cancelled``.
        stack: Where the script was when it struck, as text.
    """

    arguments: Mapping[str, object] | None = None  # what run() was called with

    def __init__(self, reason: str, stack: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.stack = stack
