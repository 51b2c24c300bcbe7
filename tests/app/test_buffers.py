"""How much memory large bodies may take together."""

from __future__ import annotations

import pytest

from azmlinfsrv.app.buffers import SMALL_BYTES, BodyBudget
from azmlinfsrv.errors import Overloaded

MIB = 1024 * 1024


def test_small_bodies_are_not_counted() -> None:
    budget = BodyBudget(MIB)

    for _ in range(100):
        budget.share().grow_to(SMALL_BYTES)

    assert budget.held_bytes == 0


def test_a_large_body_is_held_until_it_is_released() -> None:
    budget = BodyBudget(10 * MIB)
    share = budget.share()

    share.grow_to(2 * MIB)
    share.grow_to(5 * MIB)
    assert budget.held_bytes == 5 * MIB
    share.release()
    share.release()

    assert budget.held_bytes == 0


def test_one_that_does_not_fit_is_refused_and_holds_what_it_held() -> None:
    budget = BodyBudget(10 * MIB)
    early = budget.share()
    early.grow_to(6 * MIB)
    late = budget.share()
    late.grow_to(3 * MIB)

    with pytest.raises(Overloaded) as caught:
        late.grow_to(5 * MIB)

    assert dict(caught.value.headers)[b"Retry-After"] == b"1"
    assert budget.held_bytes == 9 * MIB
    late.release()
    assert budget.held_bytes == 6 * MIB
    early.release()
    assert budget.held_bytes == 0


def test_a_share_that_nobody_holds_is_given_back() -> None:
    budget = BodyBudget(10 * MIB)
    share = budget.share()
    share.grow_to(6 * MIB)

    del share

    assert budget.held_bytes == 0
