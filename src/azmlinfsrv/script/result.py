"""What run() returned, as a `Response` (R3.26).

==============================  ==========================================================
returned                        answered, always with status 200
==============================  ==========================================================
None                            ``{}``
bytes, bytearray, memoryview    as they are, ``application/octet-stream``
a generator                     a stream; the first item decides its type: str is text,
                                bytes are bytes, anything else is a line of JSON each
a response object               what its adapter makes of it
anything else                   the text of `json.dumps`, ``application/json``
==============================  ==========================================================

The text itself is `azmlinfsrv.script.json_text`; Flask's responses are
`azmlinfsrv.script.flask_response`; an asynchronous generator is made a plain one by the caller.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import TypeAlias

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Headers, Response
from azmlinfsrv.script import json_text
from azmlinfsrv.script.json_text import NaN

ResponseAdapter: TypeAlias = Callable[[object], "Response | None"]

_JSON = b"application/json"
_BYTES = b"application/octet-stream"
_TEXT = b"text/plain; charset=utf-8"
_JSON_LINES = b"application/x-ndjson"

# What most scripts return. Exact types: a subclass may be a response object.
_PLAIN_TYPES = frozenset({dict, list, str, int, float, bool, tuple})

_logger = logging.getLogger("azmlinfsrv.user_script")


def encode(
    value: object, *, nan: NaN = "keep", adapters: tuple[ResponseAdapter, ...] = ()
) -> Response:
    """The response to a call whose run() returned *value*.

    Args:
        nan: See `json_text.dumps`.
        adapters: Asked in turn about any value that is not plain data; the first that
            knows the value answers.
    Raises:
        EncodingFailed: the value has no JSON form.
        BaseException: whatever a generator raises before its first item.
    """
    if type(value) in _PLAIN_TYPES:
        return _response(_JSON, json_text.dumps(value, nan, warn_of_nan))
    if value is None:
        return _response(_JSON, b"{}")
    for adapter in adapters:
        response = adapter(value)
        if response is not None:
            return response
    if isinstance(value, (bytes, bytearray, memoryview)):
        # A copy: the script may go on to reuse its buffer while this one is being sent.
        return _response(_BYTES, bytes(value))
    if isinstance(value, Generator):
        return encode_stream(value, nan=nan)
    return _response(_JSON, json_text.dumps(value, nan, warn_of_nan))


def encode_stream(items: Iterator[object], *, nan: NaN = "keep") -> Response:
    """A response whose body is produced while it is sent.

    The first item is fetched here, so that what fails before it is an ordinary error. No
    item at all is an empty body of JSON lines. Closing the body closes *items*.

    Raises:
        EncodingFailed: the first item has no JSON form.
        BaseException: whatever *items* raises before its first item.
    """
    try:
        first = next(items)
    except StopIteration:
        return _response(_JSON_LINES, b"")
    content_type, write = _form_of(first, nan)
    try:
        head = write(first)
    except BaseException:
        _close(items)
        raise
    return _response(content_type, _StreamBody(head, items, write))


async def encode_async_stream(
    items: AsyncGenerator[object, None], *, nan: NaN = "keep"
) -> Response:
    """`encode_stream` for an asynchronous generator; the body is one as well, of bytes."""
    try:
        first = await items.__anext__()
    except StopAsyncIteration:
        return _response(_JSON_LINES, b"")
    content_type, write = _form_of(first, nan)
    try:
        head = write(first)
    except BaseException:
        await items.aclose()
        raise

    async def body() -> AsyncIterator[bytes]:
        try:
            yield head
            async for item in items:
                yield write(item)
        finally:
            await items.aclose()

    return _response(content_type, body())


def _form_of(first: object, nan: NaN) -> tuple[bytes, Callable[[object], bytes]]:
    """The content type of a stream, and how its items are written."""
    if isinstance(first, str):
        return _TEXT, _text_item
    if isinstance(first, (bytes, bytearray, memoryview)):
        return _BYTES, _bytes_item
    return _JSON_LINES, functools.partial(_json_line, nan)


@functools.cache  # once a process
def warn_of_nan() -> None:
    """Tell the log that clients receive NaN tokens, which are not valid JSON (D23)."""
    _logger.warning(
        "run() returned NaN or Infinity. They are sent as NaN and Infinity, which is not valid "
        "JSON and fails in most clients. Set AZMLINFSRV_NAN=null to send null, or "
        "AZMLINFSRV_NAN=error to answer with an error. This is logged once."
    )


def _response(
    content_type: bytes, body: bytes | Iterator[bytes] | AsyncIterator[bytes]
) -> Response:
    headers: Headers = [(b"Content-Type", content_type), (b"x-ms-run-function-failed", b"False")]
    return Response(200, headers, body)


class _StreamBody(Iterator[bytes]):
    """The bytes of a stream; empty items are left out, they would end a chunked body."""

    def __init__(
        self, head: bytes, items: Iterator[object], write: Callable[[object], bytes]
    ) -> None:
        self._head = head
        self._items = items
        self._write = write

    def __next__(self) -> bytes:
        chunk, self._head = self._head, b""
        while not chunk:
            chunk = self._write(next(self._items))
        return chunk

    def close(self) -> None:
        """End the script's generator at its current ``yield``; its ``finally`` runs."""
        _close(self._items)


def _close(items: Iterator[object]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()


def _text_item(item: object) -> bytes:
    if not isinstance(item, str):
        raise _mixed("str", item)
    try:
        return item.encode()
    except UnicodeEncodeError as error:
        raise EncodingFailed(
            "run() yielded text that has no UTF-8 form: a lone surrogate. "
            "Yield bytes, or text that can be encoded."
        ) from error


def _bytes_item(item: object) -> bytes:
    if not isinstance(item, (bytes, bytearray, memoryview)):
        raise _mixed("bytes", item)
    return bytes(item)


def _json_line(nan: NaN, item: object) -> bytes:
    return json_text.dumps(item, nan, warn_of_nan) + b"\n"


def _mixed(first: str, item: object) -> EncodingFailed:
    return EncodingFailed(
        f"run() yielded {first} first and {json_text.type_name(item)} later. "
        "Yield only str, only bytes, or only values for JSON."
    )
