"""A caller whose body can be looked at again when the answer is known."""

from __future__ import annotations

from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.messages import Buffer


class KeptBody:
    """Stands between the application and the `Caller` of one request.

    Attributes:
        body: What was read; empty until it was.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.body: Buffer = b""
        self.has_left = caller.has_left

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `Caller`."""
        self.body = await self._caller.read_body(limit_bytes, share)
        return self.body
