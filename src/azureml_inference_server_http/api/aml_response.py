"""`AMLResponse`: a script's own status, headers and body (R3.27).

Importing this module imports Flask. How a response becomes bytes is
`azmlinfsrv.script.flask_response.response_of`'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import flask

__all__ = ["AMLResponse"]

# One value of these may hold a comma: a date (RFC 9110, 5.6.7), a cookie (RFC 6265, 4.1),
# a challenge (RFC 9110, 11.6.1), an address or a media type. The reference server (1.5.1)
# splits them as well, which breaks them (D8).
_WHOLE = frozenset(
    {
        "content-location",
        "content-type",
        "date",
        "expires",
        "last-modified",
        "location",
        "proxy-authenticate",
        "retry-after",
        "set-cookie",
        "sunset",
        "www-authenticate",
    }
)
# A quoted string (RFC 9110, 5.6.4), or a comma outside one. A quote that is never closed
# is an ordinary character, and commas after it count.
_QUOTED_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,')


class AMLResponse(flask.Response):
    """What ``run`` returns to choose status, headers and body.

    Args:
        message: The body: text, bytes, or an iterable of them, which is streamed.
            None answers ``{}`` as JSON. Any JSON value if *json_str*.
        status_code: A number, or a number and a reason phrase: ``"404 Oops"``.
        response_headers: Added to the response. A value with commas becomes one header a
            piece, except where commas belong to the value: dates, cookies, quoted strings.
            ``Content-Type`` replaces the default, unless the body is JSON.
        json_str: Send *message* as JSON.
        run_function_failed: The value of ``x-ms-run-function-failed``; with a status of
            500 or more the server sends ``True`` whatever is said here (R3.28).
    Raises:
        TypeError: *message* has no JSON form, or a header is not text.
        ValueError: the status is empty, or a header value holds a line break.
    """

    def __init__(
        self,
        message: Any,
        status_code: Any,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: Any = False,
    ) -> None:
        is_json = json_str or message is None
        if is_json:
            body: Any = "{}" if message is None else json.dumps(message)
        else:
            body = bytes(message) if isinstance(message, (bytearray, memoryview)) else message
        mimetype = "application/json" if is_json else None
        super().__init__(body, status=status_code, mimetype=mimetype)
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in (response_headers or {}).items():
            self._add_header(name, value, is_json)

    def _add_header(self, name: Any, value: Any, is_json: bool) -> None:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(
                f"response_headers holds {type(name).__name__}: {type(value).__name__}; "
                "names and values of headers are str."
            )
        folded = name.lower()
        if folded == "content-type":
            if not is_json:  # the reference server sends both (D8); a type is one
                del self.headers["Content-Type"]
                self.headers.add(name, value.strip())
        elif folded == "content-length":
            self.headers["Content-Length"] = value
        else:
            for piece in _pieces(folded, value):
                self.headers.add(name, piece)


def _pieces(folded_name: str, value: str) -> list[str]:
    if "," not in value or folded_name in _WHOLE or folded_name.startswith("if-"):
        return [value.strip()]
    pieces = []
    start = 0
    for match in _QUOTED_OR_COMMA.finditer(value):
        if match.group() == ",":
            pieces.append(value[start : match.start()].strip())
            start = match.end()
    pieces.append(value[start:].strip())
    return pieces
