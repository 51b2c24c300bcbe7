"""How much memory request bodies may take, all of them together.

A small body is bounded by the number of calls that may wait; a large one is counted here
for as long as it is held, from its first byte over the bound.
"""

from __future__ import annotations

import threading

from azmlinfsrv.errors import Overloaded

# Bodies up to this size are not counted.
SMALL_BYTES = 1024 * 1024
_RETRY_AFTER = (b"Retry-After", b"1")


class BodyBudget:
    """Bytes of large bodies that may be held at once.

    Args:
        limit_bytes: For all of them together.
    Attributes:
        limit_bytes: The same.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held_bytes = 0
        self._lock = threading.Lock()  # under Waitress two threads count

    @property
    def held_bytes(self) -> int:
        """Held now."""
        return self._held_bytes

    def share(self) -> BodyShare:
        """What one request holds: nothing yet."""
        return BodyShare(self)

    def take(self, more_bytes: int) -> None:
        """Hold so many more.

        Raises:
            Overloaded: that would be too many.
        """
        with self._lock:
            if self._held_bytes + more_bytes <= self.limit_bytes:
                self._held_bytes += more_bytes
                return
        raise Overloaded(
            "The bodies of other requests take all the memory there is for them. Try again later.",
            headers=(_RETRY_AFTER,),
        )

    def give_back(self, less_bytes: int) -> None:
        """Hold so many less."""
        with self._lock:
            self._held_bytes -= less_bytes


class BodyShare:
    """One request's part of the budget."""

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def grow_to(self, body_bytes: int) -> None:
        """The body has, or will have, so many bytes.

        Raises:
            Overloaded: there is no room for them.
        """
        if body_bytes > SMALL_BYTES and body_bytes > self._bytes:
            self._budget.take(body_bytes - self._bytes)
            self._bytes = body_bytes

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """The body is not held any more; so it is if nobody holds its share."""
        if self._bytes:
            self._budget.give_back(self._bytes)
            self._bytes = 0
