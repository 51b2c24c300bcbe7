"""Requests that end processes: when one is refused, and what is forgotten."""

from __future__ import annotations

import pytest

from azmlinfsrv.messages import Request
from azmlinfsrv.pool.quarantine import Quarantine

FATAL = Request("POST", "/score", b"a=1", body=b"fatal")


def test_a_request_is_refused_after_its_second_process() -> None:
    quarantine = Quarantine()

    assert not quarantine.ended_process(FATAL, 0.0, 1.0)
    assert not quarantine.refuses(FATAL)
    assert quarantine.ended_process(FATAL, 2.0, 3.0)
    assert quarantine.refuses(FATAL)


@pytest.mark.parametrize(
    "other",
    [
        Request("GET", "/score", b"a=1", body=b"fatal"),
        Request("POST", "/score", b"a=2", body=b"fatal"),
        Request("POST", "/score", b"a=1", body=b"fatbl"),
        Request("POST", "/score", b"a=1", body=b"fatal "),
        # The same bytes, split elsewhere.
        Request("POST", "/score", b"a=1f", body=b"atal"),
    ],
)
def test_another_request_is_not(other: Request) -> None:
    quarantine = Quarantine()
    quarantine.ended_process(FATAL, 0.0, 1.0)
    quarantine.ended_process(FATAL, 2.0, 3.0)

    assert not quarantine.refuses(other)


def test_headers_do_not_tell_requests_apart() -> None:
    quarantine = Quarantine()
    quarantine.ended_process(FATAL, 0.0, 1.0)
    quarantine.ended_process(FATAL, 2.0, 3.0)

    assert quarantine.refuses(Request("POST", "/score", b"a=1", [(b"traceparent", b"x")], b"fatal"))


def test_attempts_side_by_side_count_once() -> None:
    quarantine = Quarantine()

    quarantine.ended_process(FATAL, 0.0, 5.0)
    quarantine.ended_process(FATAL, 1.0, 5.1)

    assert not quarantine.refuses(FATAL)


def test_an_answer_clears_it() -> None:
    quarantine = Quarantine()
    quarantine.ended_process(FATAL, 0.0, 1.0)

    quarantine.answered(FATAL)
    quarantine.ended_process(FATAL, 2.0, 3.0)

    assert not quarantine.refuses(FATAL)


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    quarantine = Quarantine()
    for number in range(10_000):
        request = Request("POST", "/score", body=b"%d" % number)
        quarantine.ended_process(request, 0.0, 1.0)
        quarantine.ended_process(request, 2.0, 3.0)

    assert not quarantine.refuses(Request("POST", "/score", body=b"0"))
    assert quarantine.refuses(Request("POST", "/score", body=b"9999"))
    assert len(quarantine._ended) == 4096


def test_another_script_starts_anew() -> None:
    quarantine = Quarantine()
    quarantine.ended_process(FATAL, 0.0, 1.0)
    quarantine.ended_process(FATAL, 2.0, 3.0)

    quarantine.clear()

    assert not quarantine.lengths
    assert not quarantine.refuses(FATAL)
