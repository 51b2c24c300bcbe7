"""What a refused client is told to wait."""

from __future__ import annotations

import pytest

from azmlinfsrv.pool.service_time import ServiceTime, retry_after


def test_the_average_follows_what_calls_take() -> None:
    service = ServiceTime()
    service.took(1.0)
    assert service.average_s == 1.0

    for _ in range(100):
        service.took(0.2)

    assert service.average_s == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize(
    ("average_s", "waiting", "slots", "header"),
    [
        (0.0, 0, 1, b"1"),  # nothing known
        (0.001, 1000, 1, b"2"),
        (0.1, 1000, 2, b"51"),
        (0.1, 1000, 4, b"26"),
        (60.0, 1000, 1, b"120"),  # no promise for the day after tomorrow
    ],
)
def test_retry_after_is_how_long_the_queue_takes(
    average_s: float, waiting: int, slots: int, header: bytes
) -> None:
    service = ServiceTime()
    if average_s:
        service.took(average_s)

    assert retry_after(service.wait_s(waiting, slots)) == (b"Retry-After", header)
