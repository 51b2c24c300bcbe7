"""Whether one answer is like another: status, headers, and the body field by field.

Numbers have a tolerance, fields can be left out by their path, and every difference says
where it is. Nothing here opens a file or a connection.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

# A body that differs everywhere is told by its first differences and their number.
MAX_SHOWN = 10
_MAX_VALUE_CHARS = 80
_STEP = re.compile(r"\[\*\]|\*")


class AnswerLike(Protocol):
    """What can be compared; names of headers in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value, so that null can be told from nothing."""

    value: Any


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a number may be off: the larger of the two, the second a part of what is expected."""

    absolute: float = 0.0
    relative: float = 0.0

    @classmethod
    def of(cls, both: float) -> Tolerance:
        """One figure for both."""
        return cls(both, both)

    def allows(self, found: float, expected: float) -> bool:
        """Whether *found* is near enough; NaN is like NaN, an infinity like itself."""
        if found == expected:
            return True
        try:
            if math.isnan(found) and math.isnan(expected):
                return True
            return abs(found - expected) <= max(self.absolute, self.relative * abs(expected))
        except OverflowError:  # an integer beyond the range of float
            return False


EXACT = Tolerance()


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must be.

    Attributes:
        status: 0 for any below 500.
        headers: By name in any case; None as a value: the header must be absent.
        body: None for any. Bytes are compared as they are, `Json` by value.
        tolerance: Of numbers in a JSON body.
        ignore: Paths that are not compared: ``body.id``, ``body.rows[*].time``,
            ``header.date``. ``*`` stands for any one name or index.
    """

    status: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | Json | None = None
    tolerance: Tolerance = EXACT
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected.

    Attributes:
        path: ``status``, ``header.allow``, ``body``, ``body.rows[2].price``.
        text: What was found and what was expected, in words.
    """

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path} {self.text}"


def differences(
    answer: AnswerLike, expected: Expected, *, keep_order: bool = False
) -> Iterator[Difference]:
    """What is wrong with an answer; nothing if it is as expected.

    Args:
        keep_order: The keys of JSON objects must come in the expected order as well.
    """
    ignored = _Ignored(expected.ignore)
    if not expected.status and answer.status >= 500:
        yield Difference("status", f"is {answer.status}, expected any below 500")
    elif expected.status and answer.status != expected.status and "status" not in ignored:
        yield Difference("status", f"is {answer.status}, expected {expected.status}")
    for name, value in expected.headers.items():
        path = f"header.{name.lower()}"
        found = answer.headers.get(name.lower())
        if found != value and path not in ignored:
            yield Difference(path, f"is {_shown(found)}, expected {_shown(value)}")
    if "body" not in ignored:
        yield from _body_differences(answer.body, expected, ignored, keep_order)


def answer_as_expected(
    answer: AnswerLike,
    headers: Sequence[str] = (),
    tolerance: Tolerance = EXACT,
    ignore: tuple[str, ...] = (),
) -> Expected:
    """An answer as what another one must be like.

    Args:
        headers: Names of those that must be equal, absent ones included.
    """
    return Expected(
        answer.status,
        {name: answer.headers.get(name.lower()) for name in headers},
        body_as_expected(answer),
        tolerance,
        ignore,
    )


def body_as_expected(answer: AnswerLike) -> bytes | Json:
    """The body by value if it is said to be JSON and is; else as it is."""
    if "json" in answer.headers.get("content-type", ""):
        try:
            return Json(json.loads(answer.body))
        except ValueError:
            pass
    return answer.body


def value_differences(
    found: Any,
    expected: Any,
    tolerance: Tolerance = EXACT,
    path: str = "body",
    *,
    ignore: Sequence[str] = (),
    keep_order: bool = False,
) -> Iterator[Difference]:
    """How two JSON values differ, field by field."""
    return _compare(found, expected, tolerance, path, _Ignored(ignore), keep_order)


def summary(found: Sequence[Difference], limit: int = MAX_SHOWN) -> list[str]:
    """A line each, the first *limit*; the last line counts the others."""
    lines = [str(difference) for difference in found[:limit]]
    if len(found) > limit:
        lines.append(f"and {len(found) - limit} more differences")
    return lines


# --- bodies -------------------------------------------------------------------------------


def _body_differences(
    body: bytes, expected: Expected, ignored: _Ignored, keep_order: bool
) -> Iterator[Difference]:
    if isinstance(expected.body, bytes):
        if body != expected.body:
            yield Difference("body", _bytes_difference(body, expected.body))
    elif isinstance(expected.body, Json):
        try:
            value = json.loads(body)
        except ValueError:
            yield Difference("body", f"is not JSON: {_shown(body)}")
        else:
            wanted = expected.body.value
            yield from _compare(value, wanted, expected.tolerance, "body", ignored, keep_order)


def _bytes_difference(found: bytes, expected: bytes) -> str:
    """In words: whole if short, else from where they part."""
    if max(len(found), len(expected)) <= _MAX_VALUE_CHARS:
        return f"is {_shown(found)}, expected {_shown(expected)}"
    pairs = zip(found, expected, strict=False)
    at = next((i for i, (one, other) in enumerate(pairs) if one != other), None)
    if at is None:
        at = min(len(found), len(expected))
    begin = max(0, at - 10)
    return (
        f"differs from byte {at} on: {_shown(found[begin : at + 30])}, "
        f"expected {_shown(expected[begin : at + 30])} "
        f"({len(found)} bytes, expected {len(expected)})"
    )


def _compare(
    found: Any, expected: Any, tolerance: Tolerance, path: str, ignored: _Ignored, keep_order: bool
) -> Iterator[Difference]:
    if path in ignored:
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        # In the order they come: differences of sets would come in another one every time.
        for key in [key for key in expected if key not in found]:
            if (below := f"{path}.{key}") not in ignored:
                yield Difference(below, f"is missing, expected {_json_text(expected[key])}")
        for key in [key for key in found if key not in expected]:
            if (below := f"{path}.{key}") not in ignored:
                yield Difference(below, f"is {_json_text(found[key])}, expected no such key")
        common = [key for key in expected if key in found]
        if keep_order and common != [key for key in found if key in expected]:
            yield Difference(path, f"has keys {list(found)}, expected {list(expected)}")
        for key in common:
            below = f"{path}.{key}"
            yield from _compare(found[key], expected[key], tolerance, below, ignored, keep_order)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            yield Difference(path, f"has {len(found)} items, expected {len(expected)}")
        for index, (one, other) in enumerate(zip(found, expected, strict=False)):
            below = f"{path}[{index}]"
            yield from _compare(one, other, tolerance, below, ignored, keep_order)
    elif _is_number(expected) and _is_number(found):
        if not tolerance.allows(found, expected):
            yield Difference(
                path,
                f"is {_json_text(found)}, expected {_json_text(expected)}{_allowed(tolerance)}",
            )
    elif type(found) is not type(expected) or found != expected:
        yield Difference(path, f"is {_json_text(found)}, expected {_json_text(expected)}")


class _Ignored:
    """The paths that are not compared."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact = {pattern for pattern in patterns if "*" not in pattern}
        self._patterns = [_compile(pattern) for pattern in patterns if "*" in pattern]

    def __contains__(self, path: str) -> bool:
        return path in self._exact or any(it.fullmatch(path) for it in self._patterns)


def _compile(pattern: str) -> re.Pattern[str]:
    parts, end = [], 0
    for star in _STEP.finditer(pattern):
        parts += [
            re.escape(pattern[end : star.start()]),
            r"\[\d+\]" if star[0] != "*" else r"[^.\[]+",
        ]
        end = star.end()
    return re.compile("".join([*parts, re.escape(pattern[end:])]))


def _allowed(tolerance: Tolerance) -> str:
    if tolerance == EXACT:
        return ""
    return f" (tolerance {tolerance.absolute:g} absolute, {tolerance.relative:g} relative)"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: bytes | str | None) -> str:
    """A header or a body in one line of bounded length."""
    return "absent" if value is None else _cut(repr(value))


def _json_text(value: Any) -> str:
    """A JSON value in one line of bounded length."""
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    if len(text) <= _MAX_VALUE_CHARS:
        return text
    return f"{text[: _MAX_VALUE_CHARS - 3]}..."
