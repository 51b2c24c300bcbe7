"""Sample requests kept as files, and whether an answer is the one they expect.

The form is described in ``examples/README.md``. Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import Answer

_REQUEST = ".request.json"
_RESPONSE = ".response.json"
_BOTH = ".sample.json"
_REQUEST_KEYS = {"method", "path", "headers", "body", "body_base64", "body_file"}
_RESPONSE_KEYS = {"status", "headers", "body", "body_base64", "body_file", "tolerance"}


@dataclass(frozen=True)
class Expected:
    """What the answer must be; *body* is None if any body will do.

    Attributes:
        status: 0 for any below 500.
        headers: None as a value: the header must be absent.
        body: Bytes and text are compared as they are, ``Json`` by value.
        tolerance: Of numbers in JSON, absolute or relative, whichever is larger.
    """

    status: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | Json | None = None
    tolerance: float = 0.0


@dataclass(frozen=True)
class Json:
    """A JSON value, so that None can be told from nothing."""

    value: Any


@dataclass(frozen=True)
class Sample:
    """One request and the answer it should get."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    expected: Expected


def samples_in(folder: Path) -> list[Sample]:
    """Every sample of a folder, by name.

    Raises:
        ValueError: a file has a key that no sample has.
    """
    found = []
    for path in folder.glob(f"*{_REQUEST}"):
        name = path.name.removesuffix(_REQUEST)
        answer = folder / (name + _RESPONSE)
        response = _read(answer) if answer.exists() else None
        found.append(_sample(name, _read(path), response, folder))
    for path in folder.glob(f"*{_BOTH}"):
        both = _read(path)
        response = {**both["response"], "tolerance": both.get("tolerance", 0)}
        found.append(_sample(path.name.removesuffix(_BOTH), both["request"], response, folder))
    return sorted(found, key=lambda sample: sample.name)


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


def _sample(
    name: str, request: dict[str, Any], response: dict[str, Any] | None, folder: Path
) -> Sample:
    for given, known in ((request, _REQUEST_KEYS), (response or {}, _RESPONSE_KEYS)):
        if unknown := set(given) - known:
            raise ValueError(f"sample {name} has unknown keys: {sorted(unknown)}")
    headers = dict(request.get("headers", {}))
    body = _body(request, folder)
    if isinstance(body, Json):
        if not any(key.lower() == "content-type" for key in headers):
            headers["Content-Type"] = "application/json"
        body = json.dumps(body.value).encode()
    expected = Expected()
    if response is not None:
        expected = Expected(
            response.get("status", 200),
            response.get("headers", {}),
            _body(response, folder),
            response.get("tolerance", 0),
        )
    return Sample(
        name, request.get("method", "POST"), request.get("path", "/score"), headers, body, expected
    )


def _body(given: dict[str, Any], folder: Path) -> bytes | Json | None:
    if "body_file" in given:
        return (folder / given["body_file"]).read_bytes()
    if "body_base64" in given:
        return base64.b64decode(given["body_base64"], validate=True)
    if "body" not in given:
        return None
    body = given["body"]
    return body.encode() if isinstance(body, str) else Json(body)


def differences(answer: Answer, expected: Expected) -> Iterator[str]:
    """What is wrong with an answer, a line each; nothing if it is as expected."""
    if not expected.status and answer.status >= 500:
        yield f"status {answer.status}, expected any below 500"
    if expected.status and answer.status != expected.status:
        yield f"status {answer.status}, expected {expected.status}"
    for name, value in expected.headers.items():
        found = answer.headers.get(name.lower())
        if found != value:
            yield f"header {name} is {found!r}, expected {value!r}"
    if isinstance(expected.body, bytes) and answer.body != expected.body:
        yield f"body {answer.body!r}, expected {expected.body!r}"
    if isinstance(expected.body, Json):
        try:
            found_value = json.loads(answer.body)
        except ValueError:
            yield f"body {answer.body!r} is not JSON"
        else:
            yield from _value_differences(
                found_value, expected.body.value, expected.tolerance, "body"
            )


def _value_differences(found: Any, expected: Any, tolerance: float, place: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        if list(found) != list(expected):
            yield f"{place} has keys {list(found)}, expected {list(expected)}"
        for key in expected.keys() & found.keys():
            yield from _value_differences(found[key], expected[key], tolerance, f"{place}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            yield f"{place} has {len(found)} items, expected {len(expected)}"
        for index, (one, other) in enumerate(zip(found, expected, strict=False)):
            yield from _value_differences(one, other, tolerance, f"{place}[{index}]")
    elif _is_number(expected) and _is_number(found):
        if abs(found - expected) > tolerance * max(1.0, abs(expected)):
            yield f"{place} is {found!r}, expected {expected!r}"
    elif type(found) is not type(expected) or found != expected:
        yield f"{place} is {found!r}, expected {expected!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
