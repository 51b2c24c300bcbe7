"""Bad inputs made from a good one: what clients send by mistake, and what nobody should.

Nothing here sends anything.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from azmlinfsrv.samples import SampleRequest

# Enough to be beyond what a script expects, and quick to send.
HUGE_ITEMS = 10_000
HUGE_BYTES = 200_000
MANY_ITEMS = "many items"
DEEP = 5000
# Of an object with many keys the first few are tried.
_MAX_KEYS = 12
_WRONG: tuple[tuple[str, Any], ...] = (
    ("null", None),
    ("a string", "text"),
    ("a number", 12345),
    ("a list", []),
    ("an object", {}),
)
# Fits no number's format, is longer in bytes than in characters, and holds a right-to-left mark.
UNICODE = "ünïcödé 東京 😀 \u202e"


@dataclass(frozen=True, slots=True)
class Edge:
    """One bad input.

    Attributes:
        what: What is bad about it, in words.
    """

    what: str
    request: SampleRequest

    @property
    def is_huge(self) -> bool:
        """Whether it may well take long: there is much to do."""
        return self.what.startswith(MANY_ITEMS)


def edges_of(request: SampleRequest) -> Iterator[Edge]:
    """Bad variants of a good request, each once."""
    body = request.body
    if body is None:
        return
    yield Edge("an empty body", _with(request, b""))
    yield Edge("a body that is cut off", _with(request, body[: len(body) // 2]))
    yield Edge("bytes that are no UTF-8", _with(request, b"\xff\xfe\x00\x80" * 8))
    yield Edge("another content type", _with(request, body, content_type="application/x-nothing"))
    yield Edge("no content type", _with(request, body, content_type=None))
    try:
        value = json.loads(body)
    except ValueError:
        yield Edge("a text of very many characters", _with(request, b"x" * HUGE_BYTES))
        return
    seen = {body}
    for what, text in _json_edges(value):
        data = text.encode()
        if data not in seen:
            seen.add(data)
            yield Edge(what, _with(request, data))


def _with(request: SampleRequest, body: bytes, content_type: str | None = "") -> SampleRequest:
    """*content_type*: None is none, empty is the request's own."""
    headers = dict(request.headers)
    if content_type != "":
        headers = {k: v for k, v in headers.items() if k.lower() != "content-type"}
        if content_type is not None:
            headers["Content-Type"] = content_type
    return SampleRequest(request.method, request.path, headers, body)


def _json_edges(value: Any) -> Iterator[tuple[str, str]]:
    yield "a JSON text that is not finished", "{"
    for words, wrong in _WRONG:
        if type(wrong) is not type(value):
            yield f"{words} as the body", json.dumps(wrong)
    yield "an empty body of the right type", json.dumps(type(value)())
    yield f"lists {DEEP} deep", "[" * DEEP + "]" * DEEP
    if isinstance(value, dict):
        yield "an extra key", json.dumps({**value, UNICODE: UNICODE})
        for key in list(value)[:_MAX_KEYS]:
            yield from _key_edges(value, key)
    elif isinstance(value, list):
        for what, other in _value_edges(value):
            yield what, json.dumps(other)


def _key_edges(value: dict[str, Any], key: str) -> Iterator[tuple[str, str]]:
    without = {name: it for name, it in value.items() if name != key}
    yield f"without {key!r}", json.dumps(without)
    for words, wrong in _WRONG:
        if type(wrong) is not type(value[key]):
            yield f"{words} as {key!r}", json.dumps({**value, key: wrong})
    for what, other in _value_edges(value[key]):
        yield f"{what} in {key!r}", json.dumps({**value, key: other})


def _value_edges(value: Any) -> Iterator[tuple[str, Any]]:
    """Values of the same type that a script may not expect."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield "NaN", float("nan")
        yield "Infinity", float("inf")
        yield "a number with 400 digits", 10**399
        yield "a negative number", -1
        yield "zero", 0
    elif isinstance(value, str):
        yield "an empty string", ""
        yield "unusual characters", UNICODE
        yield "a lone surrogate", "\ud800"
        yield "very many characters", "x" * HUGE_BYTES
    elif isinstance(value, list) and value:
        yield "no items", []
        yield MANY_ITEMS, (value * (HUGE_ITEMS // len(value) + 1))[: _many(value)]
        yield "null as the first item", [None, *value[1:]]
        yield "a string as the first item", ["text", *value[1:]]
        yield from _row_edges(value)
    elif isinstance(value, dict):
        yield "no keys", {}


def _row_edges(value: list[Any]) -> Iterator[tuple[str, Any]]:
    first = value[0]
    if isinstance(first, list) and first:
        yield "a row that is too short", [first[:-1], *value[1:]]
        yield "a row that is too long", [[*first, first[-1]], *value[1:]]
        yield "rows of different lengths", [first, first[:-1]]
        number = next((i for i, it in enumerate(first) if _is_number(it)), None)
        if number is not None:
            for words, wrong in (("NaN", float("nan")), ("text", "text"), ("null", None)):
                changed = copy.copy(first)
                changed[number] = wrong
                yield f"{words} in a row", [changed, *value[1:]]
    elif isinstance(first, dict) and first:
        for key in list(first)[:_MAX_KEYS]:
            short = {name: it for name, it in first.items() if name != key}
            yield f"an item without {key!r}", [short, *value[1:]]
            yield f"null as {key!r} of an item", [{**first, key: None}, *value[1:]]
            yield f"text as {key!r} of an item", [{**first, key: "text"}, *value[1:]]
    elif _is_number(first):
        yield "NaN", [float("nan"), *value[1:]]


def _many(value: list[Any]) -> int:
    """So many items that their text stays around `HUGE_BYTES`."""
    one = max(1, len(json.dumps(value)) // len(value))
    return max(len(value), min(HUGE_ITEMS, HUGE_BYTES // one))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
