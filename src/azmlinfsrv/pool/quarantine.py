"""Requests that end their worker, and are not given to a third one.

A request is known by a fingerprint of its method, query and body. It is suspected when a
process ends while it computes it, and refused once that happens again in a later attempt.
An answer clears it: whoever kills processes from outside meets ordinary requests in them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from azmlinfsrv.messages import Request

# Fingerprints remembered, the oldest forgotten first; some 200 bytes each.
_MOST = 4096
_ENDED_OFTEN_ENOUGH = 2


class Quarantine:
    """Counts, by fingerprint, how many processes a request has ended.

    Attributes:
        lengths: Of the bodies of the requests that are suspected: one of another length needs
            no fingerprint to be told apart.
    """

    def __init__(self) -> None:
        self._ended: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # how often, when last
        self.lengths: dict[int, int] = {}

    def refuses(self, request: Request) -> bool:
        """Whether the request has ended enough processes."""
        if len(request.body) not in self.lengths:
            return False
        count, _ = self._ended.get(fingerprint(request), (0, 0.0))
        return count >= _ENDED_OFTEN_ENOUGH

    def ended_process(self, request: Request, begun_s: float, now_s: float) -> bool:
        """A process has ended while it computed *request*; whether it is refused from now on.

        Args:
            begun_s: When the process was given the request. Attempts that ran side by side
                and ended together are one: whatever ended them may have been something else.
            now_s: The same clock.
        """
        key = fingerprint(request)
        if key not in self._ended:
            self._count_length(len(request.body), 1)
        count, last_s = self._ended.pop(key, (0, -1.0))
        if count and begun_s <= last_s:
            self._ended[key] = (count, last_s)
            return False
        self._ended[key] = (count + 1, now_s)
        if len(self._ended) > _MOST:
            self._forget(next(iter(self._ended)))
        return count + 1 >= _ENDED_OFTEN_ENOUGH

    def answered(self, request: Request) -> None:
        """A process has answered *request*: it is above suspicion."""
        if len(request.body) in self.lengths:
            key = fingerprint(request)
            if key in self._ended:
                self._forget(key)

    def clear(self) -> None:
        """Forget everything: there is another script."""
        self._ended.clear()
        self.lengths.clear()

    def _forget(self, key: bytes) -> None:
        del self._ended[key]
        self._count_length(int.from_bytes(key[-8:], "big"), -1)

    def _count_length(self, length: int, by: int) -> None:
        count = self.lengths.get(length, 0) + by
        if count:
            self.lengths[length] = count
        else:
            self.lengths.pop(length, None)


def fingerprint(request: Request) -> bytes:
    """24 bytes that stand for method, query and body; the last 8 are the body's length."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (request.method.encode(), request.query):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    digest.update(request.body)
    return digest.digest() + len(request.body).to_bytes(8, "big")
