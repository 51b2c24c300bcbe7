from __future__ import annotations

import math

import pytest

from benchmarks.client import percentile, request_bytes


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 101)], 100, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 50))


def test_a_post_carries_its_length_and_type() -> None:
    head, _, body = request_bytes("POST", "/score", b"{}").partition(b"\r\n\r\n")

    assert head.split(b"\r\n")[0] == b"POST /score HTTP/1.1"
    assert b"Content-Length: 2" in head
    assert b"Content-Type: application/json" in head
    assert body == b"{}"


def test_a_probe_asks_for_the_connection_to_be_closed() -> None:
    assert request_bytes("GET", "/", close=True).endswith(b"\r\nConnection: close\r\n\r\n")
