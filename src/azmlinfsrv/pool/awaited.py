"""A future that goes on without a task (`azmlinfsrv.servers.answering`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Awaited(asyncio.Future[T]):
    """What somebody waits for, a task or, with less ado, whoever has set `go_on`.

    Attributes:
        go_on: Called when it is there.
    """

    go_on: Callable[[], None] | None = None

    def give(self, result: T, *, at_once: bool = False) -> None:
        """Here it is; *at_once*: `go_on` is called now, and not in the next turn of the loop."""
        self.set_result(result)
        if self.go_on is None:
            return
        if at_once:
            self.go_on()
        else:
            self.get_loop().call_soon(self.go_on)

    def refuse(self, error: Exception) -> None:
        """There is none."""
        self.set_exception(error)
        if self.go_on is not None:
            self.get_loop().call_soon(self.go_on)
