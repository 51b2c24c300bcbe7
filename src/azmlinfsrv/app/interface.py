"""What the application asks of the server that carries it."""

from __future__ import annotations

from typing import Protocol

from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.messages import Buffer


class Caller(Protocol):
    """Whoever waits for the answer to one request."""

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """The whole body, if it is here, not over *limit_bytes*, and too small to be counted.

        None means that `read_body` has to be asked; it says what that raises.
        """

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """The whole body.

        Args:
            share: Told how large the body is, or becomes, before it is held.
        Raises:
            Overloaded: there is no memory for it now; the rest was not read.
            BodyTooLarge: it is over *limit_bytes*; the rest was not read.
            BadInput: it ended before it was complete (D10).
            CallerLeft: the connection has closed.
        """

    def has_left(self) -> bool:
        """Whether the connection has closed since the body was read."""
