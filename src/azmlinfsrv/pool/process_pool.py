"""One queue, many scoring processes.

Theory: everything here runs in the event loop's thread, so there are no locks. A call is
in exactly one place: in the queue (`waiting`), with one process, or over. A process is
idle (in `_idle`), busy (it has a call), starting, or ending. Whenever a process becomes
idle the next waiting call is given to it; calls that are over by then (deadline) or whose
caller has gone are dropped without costing anything. A process that answers very quickly
is sent calls ahead of time; they are taken back if it turns out slow (`claims`). Which
processes there are is the business of the `fleet`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from time import perf_counter

from msgspec import Struct

from azmlinfsrv.errors import (
    FatalRequest,
    Overloaded,
    ScoringProcessEnded,
    ScoringTimeout,
    Unavailable,
)
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.awaited import Awaited
from azmlinfsrv.pool.call import Call, CallerLeft, Stream
from azmlinfsrv.pool.counts import Counts
from azmlinfsrv.pool.endings import hint_for_end
from azmlinfsrv.pool.fleet import Fleet
from azmlinfsrv.pool.fleet import Policy as FleetPolicy
from azmlinfsrv.pool.interface import FailedReload, Figures, Readiness
from azmlinfsrv.pool.process import WorkerProcess
from azmlinfsrv.pool.quarantine import Quarantine
from azmlinfsrv.pool.reloader import Reloader
from azmlinfsrv.pool.service_time import ServiceTime, retry_after
from azmlinfsrv.pool.spawn import Spawner
from azmlinfsrv.pool.waiting import LOOK_S, WaitingCalls
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.telemetry import logs
from azmlinfsrv.telemetry.metrics import Batches
from azmlinfsrv.worker.frames import Start

_log = logging.getLogger("azmlinfsrv")

# How long a call may take before those sent ahead behind it are taken back, in seconds.
_REVIEW_S = 0.005

# A full queue is searched for callers that have left no more often than this, in seconds.
_LOOK_AGAIN_S = 0.05

# How often it is looked whether callers of running calls have left, in seconds.
_CANCEL_LOOK_S = 0.05

# How long a report may be under way from an interrupted process, in seconds.
_REPORT_S = 1.0

# Calls further apart than this, in seconds, are sent on one by one: the first of several that
# come together need not wait for the last. That costs more than sending them together.
_SELDOM_S = 0.0002

_STOPPING = "The server is stopping."


class Policy(Struct, frozen=True):
    """What the settings decide about calls.

    Attributes:
        queue_size: How many calls may wait.
        max_concurrency: How many may be waiting and computed together; 0 means any number.
        grace_s: How long an interrupted run() has before its process is replaced.
        cancel_running: A call whose caller has left is interrupted.
        has_quarantine: A request that has ended its process twice is refused.
        waits_for_reports: A call whose time is up is answered when its process has said
            where it was, rather than on time; for the development mode.
    """

    queue_size: int
    max_concurrency: int = 0
    grace_s: float = 1.0
    cancel_running: bool = False
    has_quarantine: bool = True
    waits_for_reports: bool = False


class ProcessPool:
    """Feeds a fleet of scoring processes from one queue.

    Args:
        start: The first frame of every process.
        policy: What the settings decide about calls.
        fleet_policy: What they decide about processes.
        cannot_start: See `azmlinfsrv.pool.fleet.Fleet`.
        make_spawner: See there.
        reloader: Has the script loaded anew when it changes.
        batches: Told of every batch.
    """

    def __init__(
        self,
        *,
        start: Start,
        policy: Policy,
        fleet_policy: FleetPolicy,
        cannot_start: Callable[[str], None],
        make_spawner: Callable[[], Spawner],
        reloader: Reloader | None = None,
        batches: Batches | None = None,
    ) -> None:
        self._policy = policy
        self._given_up = cannot_start
        self._reloader = reloader
        self._batches = batches
        self._service = ServiceTime()
        self.fleet = Fleet(
            start=start,
            policy=fleet_policy,
            make_spawner=make_spawner,
            cannot_start=self._cannot_start,
            dispatcher=self,
            service=self._service,
        )
        self._idle: list[WorkerProcess] = []
        self._waiting = WaitingCalls(self._has_left_waiting)
        self._quarantine = Quarantine()
        self.counts = Counts()
        self._feed_is_due = False
        self._batch_is_due = False
        self._review_is_due = False
        self._look_is_due = False
        self._cancel_look_is_due = False
        self._next_look_s = 0.0
        self._last_id = 0
        self._is_stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_deadline = math.inf
        self._is_drained = asyncio.Event()

    # --- life ---------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the processes; may be called before there is an event loop."""
        self.fleet.launch()

    async def attach(self) -> None:
        """Connect what was launched to the running event loop."""
        await self.fleet.attach()
        if self._reloader is not None and not self._is_stopping:
            self._reloader.start(self.fleet)

    async def drain(self, limit_s: float) -> None:
        """Answer what is running and waiting; what is left after *limit_s* is refused."""
        self._stop()
        if self._is_busy():
            try:
                await asyncio.wait_for(self._is_drained.wait(), limit_s)
            except asyncio.TimeoutError:
                self._refuse_the_rest()

    async def close(self, limit_s: float = 2.0) -> None:
        """End every process; those that do not end by themselves are killed."""
        self._stop()
        self._refuse_the_rest()
        await self.fleet.close(limit_s)
        if counts := str(self.counts):
            _log.info("Calls without an answer of the script's: %s", counts)

    def swap(self) -> None:
        """Load the script anew, and serve it if it can be (`Fleet.swap`)."""
        self.fleet.swap()

    def resize(self, by: int) -> None:
        """Have so many processes more, or less (`Fleet.resize`)."""
        self.fleet.resize(by)

    def _stop(self) -> None:
        self._is_stopping = True
        if self._reloader is not None:
            self._reloader.stop()
        self.fleet.stop()

    def _cannot_start(self, report: str) -> None:
        self._is_stopping = True
        self._refuse_the_rest()
        self._given_up(report)

    # --- the interface ------------------------------------------------------------------

    async def submit(
        self,
        request: Request,
        limit_s: float,
        has_left: Callable[[], bool],
        *,
        spent_s: float = 0.0,
        is_limit_callers: bool = False,
    ) -> Response:
        """See `Pool.submit`."""
        if self._is_stopping and not self._is_busy():
            raise Unavailable(_STOPPING, headers=(self._retry_after(),))
        loop = asyncio.get_running_loop()
        if self._quarantine.lengths and self._quarantine.refuses(request):
            self._refuse_fatal(request)
        now_s = loop.time()
        self._last_id += 1
        call = Call(
            self._last_id,
            request,
            Awaited(loop=loop),
            has_left,
            limit_s,
            now_s + limit_s - spent_s if limit_s else math.inf,
            now_s - spent_s,
            is_limit_callers=is_limit_callers,
        )
        if self._policy.max_concurrency and self._in_flight() >= self._policy.max_concurrency:
            self._refuse(f"{self._policy.max_concurrency} calls are being scored or wait already.")
        process = self._idle_process()
        if process is not None:
            process.dispatch([call])
            if not process.is_idle:
                self._idle.remove(process)
        elif len(self._waiting) < self._policy.queue_size or self._has_made_room(now_s):
            self._waiting.append(call)
            if not self._feed_is_due:
                # Once for all requests of this turn of the loop: they go in one write.
                self._feed_is_due = True
                loop.call_soon(self._feed_all)
            if not self._look_is_due:
                self._look_is_due = True
                loop.call_later(LOOK_S, self._look)
        else:
            self._refuse(f"{self._policy.queue_size} calls are waiting already.")
        if call.deadline < self._next_deadline:
            self._watch(call.deadline)
        if self._policy.cancel_running and not self._cancel_look_is_due:
            self._cancel_look_is_due = True
            loop.call_later(_CANCEL_LOOK_S, self._look_at_running)
        try:
            response = await call.answered
        finally:
            # An error knows this frame by its traceback, and the call knows the error: in that
            # cycle the body would stay until the collector comes.
            del call
        if self._quarantine.lengths and not isinstance(response.body, Stream):
            self._quarantine.answered(request)
        if has_left():
            self.counts.left_running += 1
            logs.note("The caller had left before run() was done.", request.request_id)
        return response

    def _idle_process(self) -> WorkerProcess | None:
        """Where a call is begun at once; batches go by way of the queue."""
        if not self._idle:
            return None
        process = self._idle[-1]
        if process.batch_size > 1:
            return None
        if process.slots > 1 and len(self._idle) > 1:
            return min(self._idle, key=lambda one: len(one.calls))
        return process

    def _in_flight(self) -> int:
        return len(self._waiting) + sum(len(process.calls) for process in self.fleet.processes)

    def _refuse(self, why: str) -> None:
        self.counts.refused += 1
        raise Overloaded(f"{why} Try again later.", headers=(self._retry_after(),))

    def _retry_after(self) -> tuple[bytes, bytes]:
        """What a client is told to wait: until what waits now is computed."""
        slots = self.fleet.worker_count * self.fleet.slots
        return retry_after(self._service.wait_s(len(self._waiting), slots))

    async def facts(self, limit_s: float) -> ScriptFacts:
        """See `Pool.facts`."""
        if self.fleet.facts is None:
            try:
                await asyncio.wait_for(self.fleet.first_ready.wait(), limit_s or None)
            except asyncio.TimeoutError:
                pass
        if self.fleet.facts is None:
            raise Unavailable(self.readiness().reason, headers=(self._retry_after(),))
        return self.fleet.facts

    @property
    def sends_at_once(self) -> bool:
        """A process would begin a call at once, and calls come so seldom that it should."""
        if not self._idle:
            return False
        if self._idle[-1].slots == 1:
            return True
        return self._service.average_s > _SELDOM_S * self._in_flight()

    def readiness(self) -> Readiness:
        """See `Pool.readiness`."""
        return Readiness(False, _STOPPING) if self._is_stopping else self.fleet.readiness()

    def failed_reload(self) -> FailedReload | None:
        """See `Pool.failed_reload`."""
        return self.fleet.failed_reload

    def figures(self) -> Figures:
        """See `Pool.figures`."""
        processes = list(self.fleet.processes)
        running = sum(one.is_computing(call) for one in processes for call in one.calls)
        return Figures(
            waiting=self._in_flight() - running,
            running=running,
            queue_size=self._policy.queue_size,
            workers_ready=sum(process.is_ready for process in self.fleet.serving),
            workers_wanted=self.fleet.worker_count,
            workers_replaced=self.fleet.replaced,
            loads=self.fleet.loads,
            unanswered=self.counts.by_reason(),
            batches=self._batches,
        )

    # --- deadlines ----------------------------------------------------------------------

    def _watch(self, deadline: float) -> None:
        """One timer for all calls: set to the earliest deadline, never moved later.

        A timer a call would be a tenth of what the whole call costs here.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._next_deadline = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        self._next_deadline = math.inf
        earliest = math.inf
        running = [call for process in self.fleet.processes for call in process.calls]
        for call in [*self._waiting, *running]:
            if call.deadline > now:
                earliest = min(earliest, call.deadline)
            elif call.late is None and (not call.is_over or call.stream is not None):
                self._expire(call)
        self._waiting.drop_over()
        if earliest < math.inf:
            self._watch(earliest)

    def _expire(self, call: Call) -> None:
        limit_ms = f"{call.limit_s * 1000:.15g}"
        process = call.process
        if process is None or not process.is_computing(call):
            self.counts.expired_waiting += 1
            call.fail(
                Unavailable(
                    f"No scoring process was free within {limit_ms} ms.",
                    headers=(self._retry_after(),),
                )
            )
            return
        self.counts.expired_running += 1
        late = ScoringTimeout(f"Scoring timeout after {limit_ms} ms")
        if self._policy.waits_for_reports and call.stream is None:
            # Answered when the process has said where it was, or has not been heard of.
            call.late = late
            loop = asyncio.get_running_loop()
            loop.call_later(self._policy.grace_s + _REPORT_S, call.fail, late)
        else:
            call.fail(late)
        process.interrupt(call, "timeout", self._policy.grace_s)

    # --- callers that leave -------------------------------------------------------------

    def _has_left_waiting(self, _call: Call) -> None:
        self.counts.left_waiting += 1

    def _look(self) -> None:
        """Drop the calls whose callers have left; what they leave is learnt from."""
        self._look_is_due = False
        loop = asyncio.get_running_loop()
        self._waiting.look(loop.time())
        if self._waiting:
            self._look_is_due = True
            loop.call_later(LOOK_S, self._look)

    def _has_made_room(self, now_s: float) -> bool:
        """Whether a full queue is not full any more without those who have left it."""
        if now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + _LOOK_AGAIN_S
        self._waiting.look(now_s)
        return len(self._waiting) < self._policy.queue_size

    def _look_at_running(self) -> None:
        """Interrupt the calls whose callers have left (``--cancel_running``)."""
        self._cancel_look_is_due = False
        for process in self.fleet.processes:
            for call in process.calls:
                self._cancel_look_is_due = True
                if process.is_computing(call) and call.is_awaited and call.has_left():
                    self.counts.cancelled += 1
                    logs.note("The caller has left: run() is interrupted.", call.request.request_id)
                    call.fail(CallerLeft())
                    process.interrupt(call, "cancelled", self._policy.grace_s)
        if self._cancel_look_is_due:
            asyncio.get_running_loop().call_later(_CANCEL_LOOK_S, self._look_at_running)

    # --- requests that end processes ----------------------------------------------------

    def _refuse_fatal(self, request: Request) -> None:
        self.counts.quarantined += 1
        logs.note("Refused: this request has ended its scoring process twice.", request.request_id)
        raise FatalRequest(
            "This request has ended its scoring process twice, and is not tried again."
        )

    def _suspect(self, call: Call, process: WorkerProcess) -> None:
        """A process has ended while it computed *call*."""
        if not self._policy.has_quarantine or not process.is_ready:
            return
        if process.was_stopped and (call.is_limit_callers or self._policy.cancel_running):
            return  # it may just have been given too little time
        now_s = asyncio.get_running_loop().time()
        if self._quarantine.ended_process(call.request, process.computing_since, now_s):
            logs.error(
                "This request has ended its scoring process twice. It is refused from now on "
                "(422); --quarantine false would let it through.",
                call.request.request_id,
            )

    # --- what the fleet tells -----------------------------------------------------------

    def process_has_room(self, process: WorkerProcess) -> None:
        """Give it the next calls that somebody still waits for."""
        self._feed(process)
        if process.is_idle and process not in self._idle:
            self._idle.append(process)
        if self._is_stopping and not self._is_busy():
            self._is_drained.set()

    def process_lost(self, process: WorkerProcess) -> None:
        """No call may go to it any more."""
        if process in self._idle:
            self._idle.remove(process)
        self._wait_again(process.take_back())

    def process_ended(self, process: WorkerProcess) -> None:
        """Answer the call it had."""
        for call in process.calls:
            if len(process.calls) == 1:  # of several, which one it was is not known
                self._suspect(call, process)
            if not call.is_over:
                self.counts.lost += 1
            ended = ScoringProcessEnded(
                f"The scoring process {process.how_it_ended()} while it computed this "
                "request. Another one takes its place."
            )
            ended.hint = hint_for_end(process.return_code)
            call.fail(ended)
        self._wait_again(process.unbegun)
        if self._is_stopping:
            if not any(self.fleet.processes):
                self._refuse_the_rest()
            if not self._is_busy():
                self._is_drained.set()

    def script_changed(self) -> None:
        """What the old script could not bear, the new one may."""
        self._quarantine.clear()

    # --- the queue ----------------------------------------------------------------------

    def _feed(self, process: WorkerProcess) -> None:
        """Send it the calls it has room for, and no more than its share of the queue."""
        waiting = self._waiting
        room = process.room
        if not waiting or room <= 0:
            return
        now_s = asyncio.get_running_loop().time()
        if process.batch_size > 1:
            if self._waits_for_more(process, now_s):
                return
            others = sum(one.is_idle and one.is_ready for one in self.fleet.serving)
        else:
            others = len(self.fleet.serving)
        most = min(room, -(-len(waiting) // max(1, others)))
        calls: list[Call] = []
        while len(calls) < most:
            call = waiting.pop(now_s, self._service.average_s)
            if call is None:
                break
            calls.append(call)
        if not calls:
            return
        process.dispatch(calls)
        if self._batches is not None and process.batch_size > 1:
            begun_s = perf_counter()
            self._batches.begun([call.waited_s(begun_s) for call in calls])
        if len(process.calls) > 1 and process.computes_one and not self._review_is_due:
            self._review_is_due = True
            asyncio.get_running_loop().call_later(_REVIEW_S, self._review)

    def _feed_all(self) -> None:
        self._feed_is_due = False
        for process in self.fleet.serving:
            self._feed(process)
        self._idle = [process for process in self._idle if process.is_idle]

    def _waits_for_more(self, process: WorkerProcess, now_s: float) -> bool:
        """Whether a batch is still to be filled; then it is looked at again when it is due."""
        oldest = next(iter(self._waiting))
        left_s = oldest.arrived_s + process.batch_wait_s - now_s
        if left_s <= 0 or len(self._waiting) >= process.batch_size:
            return False
        if not self._batch_is_due:
            self._batch_is_due = True
            asyncio.get_running_loop().call_later(left_s, self._feed_batch)
        return True

    def _feed_batch(self) -> None:
        self._batch_is_due = False
        self._feed_all()

    def _review(self) -> None:
        """Take back what was sent ahead to a process whose call takes unusually long."""
        self._review_is_due = False
        slow_since = asyncio.get_running_loop().time() - _REVIEW_S
        is_ahead = False
        for process in self.fleet.serving:
            if len(process.calls) > 1 and process.computes_one:
                if process.computing_since < slow_since:
                    self._wait_again(process.take_back())
                is_ahead = is_ahead or len(process.calls) > 1
        if is_ahead:
            self._review_is_due = True
            asyncio.get_running_loop().call_later(_REVIEW_S, self._review)

    def _wait_again(self, calls: list[Call]) -> None:
        """Put calls back where they came from, the head of the queue."""
        if calls:
            self._waiting.put_back(calls)
            self._feed_all()

    # --- stopping -----------------------------------------------------------------------

    def _is_busy(self) -> bool:
        return bool(self._waiting) or any(
            call.is_awaited for process in self.fleet.processes for call in process.calls
        )

    def _refuse_the_rest(self) -> None:
        retry_after = self._retry_after()
        for call in self._waiting:
            call.fail(Unavailable(_STOPPING, headers=(retry_after,)))
        self._waiting.drop_over()
        for process in list(self.fleet.processes):
            for call in process.calls:
                call.fail(Unavailable(_STOPPING, headers=(retry_after,)))
            if process.call is not None:
                process.kill()
