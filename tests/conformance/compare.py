"""What differs between what was expected and what came. Pure: no server, no socket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.conformance.case import ABSENT, ANY, PRESENT, Answer, Document, HeaderValue, Json, Sign
from tests.conformance.wire import Received

SHOWN = 400  # characters of a value in a difference


def value_differs(expected: Any, observed: Any) -> bool:
    """Whether *observed* is not what the forms of `case` ask for."""
    if expected is ANY or expected is PRESENT:
        return False
    if isinstance(expected, re.Pattern):
        return not isinstance(observed, str) or expected.fullmatch(observed) is None
    if isinstance(expected, Json | Document):
        try:
            parsed = json.loads(observed)
        except ValueError:
            return True
        if isinstance(expected, Document):
            return bool(without_prose(parsed) != without_prose(expected.value))
        return value_differs(expected.value, parsed)
    if isinstance(expected, Mapping):
        return (
            not isinstance(observed, Mapping)
            or expected.keys() != observed.keys()
            or any(value_differs(value, observed[key]) for key, value in expected.items())
        )
    if isinstance(expected, list | tuple):
        return (
            not isinstance(observed, list | tuple)
            or len(expected) != len(observed)
            or any(map(value_differs, expected, observed))
        )
    return bool(type(expected) is not type(observed) or expected != observed)


def without_prose(document: Any) -> Any:
    """A Swagger document with every description struck out; the keys must still be there."""
    if isinstance(document, dict):
        return {
            key: "…" if key == "description" and isinstance(value, str) else without_prose(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [without_prose(value) for value in document]
    return document


def answer_differences(expected: Answer, observed: Received) -> list[str]:
    """One line for each part of a response that is not as expected."""
    differences: list[str] = []

    def differ(what: str, wanted: Any, came: Any) -> None:
        differences.append(f"{what}: expected {_show(wanted)}, observed {_show(came)}")

    statuses = expected.status if isinstance(expected.status, tuple) else (expected.status,)
    if observed.status not in statuses:
        differ("status", expected.status, observed.status)
    if expected.reason is not None and observed.reason.lower() != expected.reason.lower():
        differ("reason", expected.reason, observed.reason)
    if isinstance(expected.body, bytes):
        if observed.body != expected.body:
            differ("body", expected.body, observed.body)
    elif value_differs(expected.body, observed.body.decode("utf-8", "surrogateescape")):
        differ("body", expected.body, observed.body)
    for name, value in expected.headers.items():
        if _header_differs(value, observed.header(name)):
            differ(f"header {name}", value, observed.header(name))
    if expected.chunks is not None and observed.chunks != tuple(
        chunk.encode() for chunk in expected.chunks
    ):
        differ("chunks", expected.chunks, observed.chunks)
    if observed.truncated != expected.truncated:
        differ("truncated", expected.truncated, observed.truncated)
    if expected.order:
        names = [name for name, _ in observed.headers if name in expected.order]
        if names != list(expected.order):
            differ("header order", expected.order, [name for name, _ in observed.headers])
    return differences


def _header_differs(expected: HeaderValue, values: tuple[str, ...]) -> bool:
    if isinstance(expected, Sign):
        return (expected is ABSENT and bool(values)) or (expected is PRESENT and not values)
    if isinstance(expected, tuple):
        return values != expected
    return len(values) != 1 or value_differs(expected, values[0])


def missing_pattern(patterns: tuple[str, ...], text: str) -> str | None:
    """The first pattern that is not in *text* after the ones before it."""
    position = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(text, position)
        if found is None:
            return pattern
        position = found.end()
    return None


def present_pattern(patterns: tuple[str, ...], text: str) -> str | None:
    """The first pattern that is in *text* though it must not be."""
    return next((x for x in patterns if re.search(x, text, re.MULTILINE)), None)


def _show(value: Any) -> str:
    if isinstance(value, re.Pattern):
        text = f"like {value.pattern}"
    elif isinstance(value, Json | Document):
        text = json.dumps(value.value, default=_show)
    elif isinstance(value, Sign):
        text = str(value.value)
    else:
        text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
