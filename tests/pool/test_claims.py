"""How far ahead a process is sent calls, and what both sides read from one pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from azmlinfsrv.pool.claims import Claims


@pytest.fixture
def claims() -> Iterator[Claims]:
    made = Claims()
    yield made
    made.close()


def answer_quickly(claims: Claims, times: int) -> None:
    for _ in range(times):
        claims.took(0.00001)


def test_a_new_process_is_sent_one_call_at_a_time(claims: Claims) -> None:
    assert claims.room() == 1


def test_a_process_that_has_been_quick_is_sent_calls_ahead(claims: Claims) -> None:
    answer_quickly(claims, 200)

    assert claims.room() > 10


@pytest.mark.parametrize("spoil", [lambda c: c.took(0.5), lambda c: c.forget()])
def test_one_call_of_another_kind_ends_that_until_it_has_been_quick_again(
    claims: Claims, spoil: object
) -> None:
    answer_quickly(claims, 200)
    spoil(claims)  # type: ignore[operator]
    at_once = claims.room()
    answer_quickly(claims, 200)

    assert at_once == 1
    assert claims.room() > 10


def test_every_claim_is_had_by_one_side_only(claims: Claims) -> None:
    claims.give(5)
    by_the_process = os.read(claims.read_end, 2)

    assert len(by_the_process) == 2
    assert claims.take_back() == 3
    assert claims.take_back() == 0


def test_nothing_is_sent_ahead_until_what_was_taken_back_has_been_passed(claims: Claims) -> None:
    claims.give(2)
    claims.take_back()
    answer_quickly(claims, 200)
    before = claims.room()
    claims.skipped()
    claims.skipped()

    assert before == 1
    assert claims.room() > 10


def test_output_that_cannot_be_told_apart_ends_it_for_good(claims: Claims) -> None:
    answer_quickly(claims, 200)
    claims.distrust()
    answer_quickly(claims, 200)

    assert claims.room() == 1
