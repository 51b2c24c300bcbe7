"""What run() returns, and the response it becomes."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Response
from azmlinfsrv.script import result
from azmlinfsrv.script.result import encode, encode_stream

JSON = b"application/json"
BYTES = b"application/octet-stream"
TEXT = b"text/plain; charset=utf-8"
LINES = b"application/x-ndjson"


def drain(response: Response) -> list[bytes]:
    assert isinstance(response.body, Iterator)
    return list(response.body)


@pytest.mark.parametrize(
    ("value", "content_type", "body"),
    [
        (None, JSON, b"{}"),
        (True, JSON, b"true"),
        (5, JSON, b"5"),
        (1.5, JSON, b"1.5"),
        ('é"x', JSON, b'"\\u00e9\\"x"'),
        ("", JSON, b'""'),
        ('{"a": 1}', JSON, b'"{\\"a\\": 1}"'),
        ({"a": [1, 2]}, JSON, b'{"a": [1, 2]}'),
        (({"a": 1}, 201, {"h": "v"}), JSON, b'[{"a": 1}, 201, {"h": "v"}]'),
        ([math.nan], JSON, b"[NaN]"),
        ({1, 2}, JSON, b"[1, 2]"),
        (b"\x89PNG", BYTES, b"\x89PNG"),
        (b"", BYTES, b""),
        (bytearray(b"ab"), BYTES, b"ab"),
        (memoryview(b"abcd")[::2], BYTES, b"ac"),
        (memoryview(b"abcdefgh").cast("I"), BYTES, b"abcdefgh"),
    ],
    ids=lambda _: "",
)
def test_a_value_becomes_a_whole_body(value: object, content_type: bytes, body: bytes) -> None:
    response = encode(value)

    assert response.status == 200
    assert response.headers == [
        (b"Content-Type", content_type),
        (b"x-ms-run-function-failed", b"False"),
    ]
    assert response.body == body


def test_a_buffer_the_script_reuses_is_copied() -> None:
    buffer = bytearray(b"first")

    response = encode(buffer)
    buffer[:] = b"other"

    assert response.body == b"first"


@pytest.mark.parametrize(
    ("items", "content_type", "chunks"),
    [
        (["a", "é", ""], TEXT, [b"a", "é".encode()]),
        (["", "a"], TEXT, [b"a"]),
        ([b"a", bytearray(b"b"), memoryview(b"c")], BYTES, [b"a", b"b", b"c"]),
        ([{"a": 1}, "b", None, [2]], LINES, [b'{"a": 1}\n', b'"b"\n', b"null\n", b"[2]\n"]),
        ([None], LINES, [b"null\n"]),
    ],
    ids=lambda _: "",
)
def test_the_first_item_decides_the_type_of_a_stream(
    items: list[object], content_type: bytes, chunks: list[bytes]
) -> None:
    response = encode(item for item in items)

    assert response.status == 200
    assert response.headers == [
        (b"Content-Type", content_type),
        (b"x-ms-run-function-failed", b"False"),
    ]
    assert drain(response) == chunks


def test_a_generator_without_items_is_an_empty_body() -> None:
    response = encode(item for item in ())

    assert (response.status, response.body) == (200, b"")


def test_a_stream_is_produced_as_it_is_read() -> None:
    counter = itertools.count()

    response = encode_stream(f"{n}" for n in counter)

    assert next(counter) == 1
    assert isinstance(response.body, Iterator)
    assert [next(response.body), next(response.body)] == [b"0", b"2"]


def test_a_failure_before_the_first_item_is_raised_at_once() -> None:
    def run() -> Iterator[str]:
        raise KeyError("early")
        yield ""

    with pytest.raises(KeyError):
        encode(run())


def test_a_first_item_without_a_form_closes_the_generator() -> None:
    ended: list[str] = []

    def run() -> Iterator[object]:
        try:
            yield 1j
        finally:
            ended.append("finally")

    with pytest.raises(EncodingFailed, match="complex"):
        encode(run())

    assert ended == ["finally"]


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_closing_the_body_ends_the_generator(taken: int) -> None:
    ended: list[str] = []

    def run() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
            yield "c"
        finally:
            ended.append("finally")

    body: Any = encode(run()).body
    for _ in range(taken):
        next(body)
    body.close()

    assert ended == ["finally"]


@pytest.mark.parametrize(
    "items", [["a", b"b"], ["a", {"b": 1}], [b"a", "b"], [{"a": 1}, b"b"], ["a", "\ud800"]]
)
def test_a_later_item_that_does_not_fit_ends_the_stream(items: list[object]) -> None:
    response = encode(item for item in items)

    with pytest.raises(EncodingFailed):
        drain(response)


@pytest.mark.parametrize("value", [range(3), iter([1]), map(str, [1]), object(), 1j, {b"k": 1}])
def test_other_values_are_errors_that_name_the_type(value: object) -> None:
    with pytest.raises(EncodingFailed, match="run\\(\\) returned a value that cannot") as caught:
        encode(value)

    assert caught.value.function_failed
    assert caught.value.status == 500


def test_a_response_object_is_its_adapters_business() -> None:
    own = SimpleNamespace(status=418)

    def adapter(value: object) -> Response | None:
        return Response(value.status, []) if isinstance(value, SimpleNamespace) else None

    assert encode(own, adapters=(lambda _: None, adapter)).status == 418
    assert encode({"a": 1}, adapters=(adapter,)).status == 200
    assert encode(b"a", adapters=(adapter,)).body == b"a"


@pytest.fixture
def fresh_warning() -> Iterator[None]:
    result.warn_of_nan.cache_clear()
    yield
    result.warn_of_nan.cache_clear()


@pytest.mark.usefixtures("fresh_warning")
def test_kept_nan_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "azmlinfsrv.user_script"):
        encode([math.nan], nan="null")
        encode(["NaN"])
        assert caplog.records == []

        encode([math.nan])
        encode({"a": math.inf})

    assert [record.name for record in caplog.records] == ["azmlinfsrv.user_script"]
    assert "AZMLINFSRV_NAN" in caplog.text


def test_the_choice_for_nan_reaches_streams_too() -> None:
    assert drain(encode(iter_of([math.nan], [1]), nan="null")) == [b"[null]\n", b"[1]\n"]

    with pytest.raises(EncodingFailed, match="AZMLINFSRV_NAN"):
        encode(iter_of([math.nan]), nan="error")


def iter_of(*items: object) -> Iterator[object]:
    yield from items
