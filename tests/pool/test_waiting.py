"""Which waiting call is next: a queue with no clock and no processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.awaited import Awaited
from azmlinfsrv.pool.call import Call
from azmlinfsrv.pool.waiting import WaitingCalls


class Callers:
    """Calls by number, and the queue they wait in; *patience_s* says when callers leave."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now_s = 0.0
        self.left: list[int] = []
        self.leaves_s: dict[int, float] = {}
        self.queue = WaitingCalls(self._has_left)
        self._loop = loop

    def _has_left(self, call: Call) -> None:
        call.answered.exception()  # taken note of, as `submit` does
        self.left.append(call.id)

    def passes(self, seconds: float) -> None:
        """Time passes, and it is looked who has left."""
        for _ in range(round(seconds / 0.1)):
            self.now_s += 0.1
            self.queue.look(self.now_s)

    def comes(self, number: int, patience_s: float = float("inf")) -> Call:
        """A call has come now."""
        answered: Awaited[Response] = Awaited(loop=self._loop)
        self.leaves_s[number] = leaves_s = self.now_s + patience_s
        call = Call(
            number,
            Request("POST", "/score"),
            answered,
            lambda: self.now_s >= leaves_s,
            0.0,
            float("inf"),
            self.now_s,
        )
        self.queue.append(call)
        return call

    def next(self, service_s: float = 0.1) -> int | None:
        """The number of the next call."""
        call = self.queue.pop(self.now_s, service_s)
        return call.id if call is not None else None


@pytest.fixture
def callers() -> Iterator[Callers]:
    loop = asyncio.new_event_loop()
    yield Callers(loop)
    loop.close()


def test_the_oldest_is_next(callers: Callers) -> None:
    for number in range(5):
        callers.comes(number)
        callers.now_s += 1

    assert [callers.next() for _ in range(6)] == [0, 1, 2, 3, 4, None]


def test_what_is_put_back_is_next_in_its_old_order(callers: Callers) -> None:
    calls = [callers.comes(number) for number in range(3)]
    taken = [callers.queue.pop(0.0, 0.1) for _ in range(2)]
    assert taken == calls[:2]

    callers.queue.put_back(calls[:2])

    assert [callers.next() for _ in range(3)] == [0, 1, 2]


def test_a_call_whose_caller_has_left_or_that_is_over_is_never_next(callers: Callers) -> None:
    callers.comes(1, patience_s=1)
    over = callers.comes(2)
    callers.comes(3)
    over.fail(RuntimeError())
    over.answered.exception()
    callers.now_s = 2

    assert callers.next() == 3
    assert callers.left == [1]


def test_a_look_drops_those_who_have_left(callers: Callers) -> None:
    for number in range(10):
        callers.comes(number, patience_s=1 if number % 2 else 5)
    callers.now_s = 2

    callers.queue.look(callers.now_s)

    assert len(callers.queue) == 5
    assert callers.left == [1, 3, 5, 7, 9]


def overload(callers: Callers, seconds: float) -> dict[str, int]:
    """Ten calls a second can be computed, fifty come, and callers leave after 5 s."""
    outcome = {"useful": 0, "in vain": 0}
    end_s = callers.now_s + seconds
    number = max(callers.leaves_s, default=0)
    while callers.now_s < end_s:
        for _ in range(5):
            number += 1
            callers.comes(number, 5.0)
        picked = callers.next(0.1)
        callers.passes(0.1)
        if picked is not None:
            outcome["useful" if callers.leaves_s[picked] > callers.now_s else "in vain"] += 1
    return outcome


def test_under_overload_calls_are_answered_before_their_callers_leave(callers: Callers) -> None:
    overload(callers, 10)  # learn

    outcome = overload(callers, 100)

    assert callers.queue.patience_s == pytest.approx(5.0, abs=0.2)
    assert outcome["in vain"] <= 0.05 * sum(outcome.values())
    assert outcome["useful"] >= 0.9 * 1000


def test_a_patient_caller_among_impatient_ones_is_answered_at_last(callers: Callers) -> None:
    overload(callers, 10)
    callers.comes(-1)
    answered = set()

    for _ in range(3000):
        callers.comes(0, 5.0)
        answered.add(callers.next(0.1))
        callers.passes(0.1)
        if -1 in answered:
            break

    assert -1 in answered


def test_the_oldest_is_next_again_when_nobody_leaves_any_more(callers: Callers) -> None:
    overload(callers, 10)
    callers.passes(60)
    assert callers.queue.patience_s is None

    for number in (10_001, 10_002, 10_003):
        callers.comes(number)
        callers.now_s += 10

    assert [callers.next() for _ in range(3)] == [10_001, 10_002, 10_003]


def test_a_few_who_leave_at_once_say_nothing_of_the_others(callers: Callers) -> None:
    for number in range(7):
        callers.comes(number, patience_s=0.01)
    callers.comes(8)
    callers.comes(9)
    callers.now_s = 1
    callers.queue.look(callers.now_s)

    assert callers.queue.patience_s is None
    assert [callers.next(), callers.next()] == [8, 9]
