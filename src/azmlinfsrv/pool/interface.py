"""What the application sees of a pool, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from azmlinfsrv.messages import Request, Response
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.telemetry.metrics import Batches


class Readiness(Struct, frozen=True):
    """Whether a call would be computed now, and if not, why (X11).

    `reason` may also say what is wrong while calls are computed.
    """

    is_ready: bool
    reason: str = ""


class FailedReload(Struct, frozen=True):
    """The script on disk cannot be served; the one before it still is.

    Attributes:
        reason: What failed, a line.
        location: The user's line, as ``score.py:12 in init``; empty if none was involved.
        told: `azmlinfsrv.script.report.Report`, msgpack, as its process sent it; empty but
            in development mode.
    """

    reason: str
    location: str = ""
    told: bytes = b""


class Figures(Struct, frozen=True):
    """How the pool is doing, for ``GET /metrics``.

    Attributes:
        waiting: Calls that no worker computes.
        running: Calls that one computes.
        queue_size: How many may wait.
        workers_ready: How many workers are given calls.
        workers_wanted: How many there should be.
        workers_replaced: By reason: they had ended, or were worn.
        loads: How often the script was loaded, by a start and by reloads.
        unanswered: Calls that got no answer of the script's, by reason.
        batches: Those that were sent to workers; None if they are not counted.
    """

    waiting: int = 0
    running: int = 0
    queue_size: int = 0
    workers_ready: int = 1
    workers_wanted: int = 1
    workers_replaced: dict[str, int] = {}
    loads: int = 1
    unanswered: dict[str, int] = {}
    batches: Batches | None = None


class Pool(Protocol):
    """Decides where and when the script is asked."""

    async def submit(
        self,
        request: Request,
        limit_s: float,
        has_left: Callable[[], bool],
        *,
        spent_s: float = 0.0,
        is_limit_callers: bool = False,
    ) -> Response:
        """Have the request scored.

        Args:
            limit_s: Seconds from the request's arrival to the answer; 0.0 means no limit.
            has_left: Whether the caller has gone; asked before run() is called.
            spent_s: Seconds since it arrived.
            is_limit_callers: The limit is the caller's own, less than the server allows.
        Raises:
            RequestError: there is no answer; the error says why.
            CallerLeft: the caller had gone before its turn came.
        """

    async def facts(self, limit_s: float) -> ScriptFacts:
        """What the script is like; waits for the first ``init()``.

        Raises:
            Unavailable: it did not come within *limit_s* seconds (0.0: no limit).
        """

    def readiness(self) -> Readiness:
        """The state right now."""

    def failed_reload(self) -> FailedReload | None:
        """How the last reload failed; None if it did not."""

    def figures(self) -> Figures:
        """The numbers right now."""
