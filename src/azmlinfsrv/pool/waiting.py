"""Calls that wait for a process, and which of them is next.

Theory: the oldest is next, as everywhere. That is right as long as callers wait. When more
is asked than can be computed, callers give up, and the oldest call is the one whose caller
is about to: computing it helps nobody, the caller comes again, and a server that is busy
to its limit answers nothing. So it is learnt how long callers wait before they leave. While
callers leave, calls that would be answered later than that are passed over, for the oldest
of those that would not; every now and then one of them is taken all the same, for a caller
that is more patient than the others. While nobody leaves nothing is learnt, and the oldest
is next again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from statistics import median

from azmlinfsrv.pool.call import Call, CallerLeft

# How many of those who left last are remembered, and for how long, in seconds.
_REMEMBERED = 64
_REMEMBERED_S = 30.0
# Fewer than this many are an accident.
_ENOUGH = 8
# One in so many goes to a call that was passed over: 3 % of the work at most is in vain.
_PATIENT_ONE_IN = 32
# How long before the moment callers leave an answer has to be there: that many times what
# a call takes, and the seconds until the next look who has left.
_SERVICE_TIMES = 2.0
LOOK_S = 0.1


class WaitingCalls:
    """The queue: calls in the order they came; no clock of its own.

    Args:
        on_left: Told of each call whose caller has left.
    """

    def __init__(self, on_left: Callable[[Call], None]) -> None:
        self._on_left = on_left
        self._calls: deque[Call] = deque()
        self._passed_over: deque[Call] = deque()  # older than every one in `_calls`
        self._leavers: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # when, waited
        self._patience_s: float | None = None
        self._picked = 0

    def __len__(self) -> int:
        return len(self._calls) + len(self._passed_over)

    def __iter__(self) -> Iterator[Call]:
        yield from self._passed_over
        yield from self._calls

    @property
    def patience_s(self) -> float | None:
        """How long callers wait before they leave, in seconds; None while they do not."""
        return self._patience_s

    def append(self, call: Call) -> None:
        """A call has come."""
        self._calls.append(call)

    def put_back(self, calls: Iterable[Call]) -> None:
        """Calls that were next, oldest first, are to be next again."""
        self._passed_over.extendleft(reversed(list(calls)))

    def pop(self, now_s: float, service_s: float) -> Call | None:
        """The next call whose caller is still there; the others end on the way.

        Args:
            now_s: On the loop's clock.
            service_s: How long a call takes.
        """
        while (call := self._next(now_s, service_s)) is not None:
            if call.is_over:
                continue
            if not call.has_left():
                return call
            self._has_left(call, now_s)
        return None

    def look(self, now_s: float) -> None:
        """End the calls whose callers have left, and learn from them; drop what is over."""
        for call in self:
            if not call.is_over and call.has_left():
                self._has_left(call, now_s)
        self.drop_over()
        self._learn(now_s)

    def drop_over(self) -> None:
        """Forget the calls that have their answer."""
        self._calls = deque(call for call in self._calls if not call.is_over)
        self._passed_over = deque(call for call in self._passed_over if not call.is_over)

    def _next(self, now_s: float, service_s: float) -> Call | None:
        calls, passed_over = self._calls, self._passed_over
        if self._patience_s is not None:
            in_time_s = now_s - self._patience_s + _SERVICE_TIMES * service_s + LOOK_S
            while calls and calls[0].arrived_s < in_time_s:
                passed_over.append(calls.popleft())
            self._picked += 1
            if calls and self._picked % _PATIENT_ONE_IN:
                return calls.popleft()
        if passed_over:
            return passed_over.popleft()
        return calls.popleft() if calls else None

    def _has_left(self, call: Call, now_s: float) -> None:
        self._leavers.append((now_s, now_s - call.arrived_s))
        call.fail(CallerLeft())
        self._on_left(call)

    def _learn(self, now_s: float) -> None:
        leavers = self._leavers
        while leavers and leavers[0][0] < now_s - _REMEMBERED_S:
            leavers.popleft()
        # The median: one who leaves at once, for reasons of their own, says nothing of others.
        has_enough = len(leavers) >= _ENOUGH
        self._patience_s = median(waited_s for _, waited_s in leavers) if has_enough else None
