"""When a connection has taken too long: decided once a second, without a timer a request.

Theory: a server knows what phase each of its connections is in. Once a second it says so
to the connection's `Watch`, which remembers since when, and tells what is to be done. So
the way of an ordinary request holds no clocks at all, and a limit is late by a second at
most, never early.

A body may pause for ``body_s`` seconds, and may take ``body_s`` in all and a second more
for each KiB that has come: a peer that sends a byte now and then does not last, and one on
a slow line does.
"""

from __future__ import annotations

import sys
from enum import Enum

from msgspec import Struct

from azmlinfsrv.servers.limits import Limits

SWEEP_S = 1.0
# The slowest body that is waited for, in bytes a second. Apache's default is 500.
_SLOWEST = 1024


class Phase(Enum):
    """What a connection is waiting for."""

    NEW = "its first byte"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    BUSY = "us"
    IDLE = "the next request"


class Verdict(Enum):
    """What is to be done with a connection."""

    CLOSE = "close it without a word"
    HEAD_LATE = "answer 408 and close it"
    BODY_LATE = "end the body; the application answers 408"
    CUT = "drop what it has not taken"


class Seen(Struct, frozen=True):
    """A connection at one moment.

    Attributes:
        phase: What it waits for.
        request: Another object, or number, means another request.
        received: Bytes that have come.
        unsent: Bytes that are waiting to be sent.
        taken: A number that changes whenever the peer takes bytes.
    """

    phase: Phase
    request: object
    received: int
    unsent: int = 0
    taken: int = 0


class Watch:
    """The memory of one connection's progress.

    Args:
        limits: How long is waited.
        now_s: The time; every other one is from the same clock.
    """

    __slots__ = ("_began_s", "_began_with", "_limits", "_moved_s", "_seen", "_taken_s")

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._seen = Seen(Phase.NEW, None, 0)
        self._began_s = self._moved_s = self._taken_s = now_s
        self._began_with = 0

    def look(self, seen: Seen, now_s: float) -> Verdict | None:
        """What is to be done now; None is nothing."""
        before, self._seen = self._seen, seen
        if seen.unsent:
            # Nothing is expected of a peer that has an answer to read.
            self._start(seen, now_s)
            if not before.unsent or before.taken != seen.taken:
                self._taken_s = now_s
            return Verdict.CUT if now_s - self._taken_s >= self._limits.write_s else None
        is_another = before.phase is not seen.phase or before.request is not seen.request
        # The head of a first request is part of what a new connection has its time for.
        if is_another and not (before.phase is Phase.NEW and seen.phase is Phase.HEAD):
            self._start(seen, now_s)
        elif before.received != seen.received:
            self._moved_s = now_s
        return self._verdict(seen, now_s)

    def _start(self, seen: Seen, now_s: float) -> None:
        self._began_s = self._moved_s = now_s
        self._began_with = seen.received

    def _verdict(self, seen: Seen, now_s: float) -> Verdict | None:
        limits, elapsed_s = self._limits, now_s - self._began_s
        if seen.phase is Phase.NEW:
            return Verdict.CLOSE if elapsed_s >= limits.header_s else None
        if seen.phase is Phase.HEAD:
            return Verdict.HEAD_LATE if elapsed_s >= limits.header_s else None
        if seen.phase is Phase.IDLE:
            return Verdict.CLOSE if elapsed_s >= limits.keep_alive_s else None
        if seen.phase is Phase.BODY:
            allowed_s = limits.body_s + (seen.received - self._began_with) / _SLOWEST
            is_late = elapsed_s >= allowed_s or now_s - self._moved_s >= limits.body_s
            return Verdict.BODY_LATE if is_late else None
        return None


def bytes_in_kernel(descriptor: int) -> int:
    """Bytes of a TCP socket that the peer has not acknowledged; 0 where it cannot be told.

    They can be megabytes: without them a slow reader would look like one that stands still.
    """
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)
