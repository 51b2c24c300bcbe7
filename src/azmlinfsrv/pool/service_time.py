"""How long calls take lately, and how long a new one would wait."""

from __future__ import annotations

import math

# How much of the average is the last call.
_WEIGHT = 0.1
# What a client is told to wait, at least and at most, in seconds.
_SHORTEST_WAIT_S = 1
_LONGEST_WAIT_S = 120


class ServiceTime:
    """A moving average of the time a process needs for a call, in seconds.

    Attributes:
        average_s: 0.0 until the first call is over.
    """

    def __init__(self) -> None:
        self.average_s = 0.0
        self._is_known = False

    def took(self, seconds: float) -> None:
        """A process was busy with one call for this long."""
        if self._is_known:
            self.average_s += _WEIGHT * (seconds - self.average_s)
        else:
            self.average_s, self._is_known = seconds, True

    def wait_s(self, waiting: int, slots: int) -> float:
        """Seconds until a call that comes behind *waiting* others is answered."""
        return (waiting + 1) * self.average_s / max(1, slots)


def retry_after(wait_s: float) -> tuple[bytes, bytes]:
    """The header ``Retry-After`` (RFC 9110, 10.2.3): whole seconds, within reason."""
    seconds = min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, math.ceil(wait_s)))
    return (b"Retry-After", b"%d" % seconds)
