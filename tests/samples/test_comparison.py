from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from azmlinfsrv.comparison import (
    Expected,
    Json,
    Tolerance,
    answer_as_expected,
    differences,
    summary,
    value_differences,
)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def texts(found: Any, expected: Any, **options: Any) -> list[str]:
    return [str(it) for it in value_differences(found, expected, **options)]


@pytest.mark.parametrize(
    ("expected", "answer", "text"),
    [
        (Expected(), Answer(500), "status is 500, expected any below 500"),
        (Expected(200), Answer(404), "status is 404, expected 200"),
        (
            Expected(headers={"Allow": "GET"}),
            Answer(),
            "header.allow is absent, expected 'GET'",
        ),
        (
            Expected(headers={"Allow": None}),
            Answer(headers={"allow": "GET"}),
            "header.allow is 'GET', expected absent",
        ),
        (Expected(body=b"a"), Answer(body=b"b"), "body is b'b', expected b'a'"),
        (Expected(body=Json([1])), Answer(body=b"?"), "body is not JSON: b'?'"),
        (
            Expected(body=b"x" * 100 + b"yz"),
            Answer(body=b"x" * 100 + b"az"),
            "body differs from byte 100 on: b'xxxxxxxxxxaz', expected b'xxxxxxxxxxyz' "
            "(102 bytes, expected 102)",
        ),
    ],
)
def test_a_difference_says_where_and_what(expected: Expected, answer: Answer, text: str) -> None:
    assert [str(it) for it in differences(answer, expected)] == [text]


@pytest.mark.parametrize(
    ("found", "expected", "text"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "body.a[1] is 2, expected 3"),
        ({"a": [1]}, {"a": [1, 2]}, "body.a has 1 items, expected 2"),
        ({}, {"a": 1}, "body.a is missing, expected 1"),
        ({"b": 1}, {}, "body.b is 1, expected no such key"),
        (1, True, "body is 1, expected true"),
        (None, 0, "body is null, expected 0"),
        ("1", 1, 'body is "1", expected 1'),
        ([], {}, "body is [], expected {}"),
        ({"a": {"b": [{"c": 1.5}]}}, {"a": {"b": [{"c": 2}]}}, "body.a.b[0].c is 1.5, expected 2"),
    ],
)
def test_json_is_compared_field_by_field(found: Any, expected: Any, text: str) -> None:
    assert texts(found, expected) == [text]


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "is_equal"),
    [
        (1.0, 1, Tolerance(), True),
        (1.05, 1.0, Tolerance(absolute=0.1), True),
        (1.2, 1.0, Tolerance(absolute=0.1), False),
        (110, 100, Tolerance(relative=0.1), True),
        (111, 100, Tolerance(relative=0.1), False),
        (0.001, 0.0, Tolerance(relative=0.5), False),
        (0.05, 0.0, Tolerance.of(0.1), True),
        (float("nan"), float("nan"), Tolerance(), True),
        (float("nan"), 1.0, Tolerance.of(10), False),
        (float("inf"), float("inf"), Tolerance(), True),
        (float("inf"), 1.0, Tolerance.of(10), False),
        (10**400, 1.5, Tolerance.of(0.1), False),
        (10**400, 10**400, Tolerance(), True),
    ],
)
def test_numbers_have_a_tolerance(
    found: Any, expected: Any, tolerance: Tolerance, is_equal: bool
) -> None:
    assert (not texts(found, expected, tolerance=tolerance)) is is_equal


def test_order_of_keys_counts_only_when_asked() -> None:
    assert texts({"b": 1, "a": 2}, {"a": 2, "b": 1}) == []
    assert texts({"b": 1, "a": 2}, {"a": 2, "b": 1}, keep_order=True) == [
        "body has keys ['b', 'a'], expected ['a', 'b']"
    ]


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["body.id"], ["body.rows[0].t", "body.rows[1].t"]),
        (["body.rows[1].t"], ["body.id", "body.rows[0].t"]),
        (["body.rows[*].t", "body.id"], []),
        (["body.rows"], ["body.id"]),
        (["body.*"], []),
        (["body"], []),
        (["body.rows[*]"], ["body.id"]),
    ],
)
def test_paths_can_be_left_out(ignore: list[str], left: list[str]) -> None:
    found = {"id": 1, "rows": [{"t": 1}, {"t": 2}]}
    expected = {"id": 2, "rows": [{"t": 3}, {"t": 4}]}

    paths = [it.path for it in value_differences(found, expected, ignore=ignore)]

    assert sorted(paths) == left


def test_an_answer_is_like_itself_and_unlike_another() -> None:
    answer = Answer(200, {"content-type": "application/json", "date": "today"}, b'{"a": 1.0}')
    expected = answer_as_expected(answer, ["Content-Type", "Allow"], Tolerance.of(0.1))

    assert list(differences(answer, expected)) == []
    other = Answer(200, {"content-type": "application/json", "allow": "GET"}, b'{"a": 1.05}')
    assert [it.path for it in differences(other, expected)] == ["header.allow"]


def test_many_differences_are_told_by_the_first_and_their_number() -> None:
    found = list(value_differences([0] * 50, [1] * 50))

    lines = summary(found, 3)

    assert lines == [*(str(it) for it in found[:3]), "and 47 more differences"]


def test_keys_that_are_missing_or_too_many_are_told_in_their_order() -> None:
    names = [f"field {number}" for number in range(20, 0, -1)]

    missing = list(value_differences({}, dict.fromkeys(names, 1)))
    too_many = list(value_differences(dict.fromkeys(names, 1), {}))

    paths = [f"body.{name}" for name in names]
    assert [each.path for each in missing] == paths
    assert [each.path for each in too_many] == paths
