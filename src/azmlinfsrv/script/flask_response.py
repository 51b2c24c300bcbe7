"""What Flask's and Werkzeug's response objects say on the wire (R3.26 to R3.31)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.script.wsgi_environ import environ_of

if TYPE_CHECKING:
    import werkzeug.wrappers

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
    return environ_of(Request(method, "/score"))


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
