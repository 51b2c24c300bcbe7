"""Runs the coroutine that answers a request, without a task for most of them.

asyncio begins a task, and goes on with it, in the next turn of its loop. Each turn asks the
system anew what has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from azmlinfsrv.pool.awaited import Awaited

Done = Callable[["BaseException | None"], None]


class Answering:
    """Runs a coroutine, and goes on with it when what it waits for is there.

    If that is no `Awaited`, it goes on as a task.

    Args:
        begun: Told of that task.
        done: Called at the end, with what the coroutine raised.
    """

    __slots__ = ("_begun", "_coroutine", "_done", "_loop")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        begun: Callable[[asyncio.Task[None]], None],
        done: Done,
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._begun = begun
        self._done = done

    def step(self) -> None:
        """Run it until it waits."""
        try:
            awaited = self._coroutine.send(None)
        except StopIteration:
            self._done(None)
        except Exception as error:  # noqa: BLE001  # told to whoever began it
            self._done(error)
        else:
            if type(awaited) is Awaited:
                awaited.go_on = self.step
                return
            task = self._loop.create_task(_Rest(self._coroutine, awaited))
            task.add_done_callback(self._ended)
            self._begun(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._done(None if task.cancelled() else task.exception())


class _Rest(Coroutine[Any, Any, None]):
    """A coroutine that waits for *awaited* already, for a task to go on with."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def send(self, value: Any) -> Any:
        awaited, self._awaited = self._awaited, None
        return self._coroutine.send(value) if awaited is None else awaited

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        self._awaited = None
        return self._coroutine.throw(error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()
