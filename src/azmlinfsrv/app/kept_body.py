"""A caller whose body can be looked at again when the answer is known."""

from __future__ import annotations

from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.messages import Buffer, Headers


class KeptBody:
    """Stands between the application and the `Caller` of one request.

    Attributes:
        body: What was read; empty until it was. Of a coded one what was coded, if it could
            be undone.
        headers: As the body has no coding any more; None if it had none.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.body: Buffer = b""
        self.headers: Headers | None = None
        self.has_left = caller.has_left

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `Caller`."""
        body = self._caller.body_at_hand(limit_bytes)
        self.body = body or b""
        return body

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `Caller`."""
        self.body = await self._caller.read_body(limit_bytes, share)
        return self.body
