"""One queue, many scoring processes.

Theory: everything here runs in the event loop's thread, so there are no locks. A call is
in exactly one place: in the queue, with one process, or over. A process is idle (in
`_idle`), busy (it has a call), starting, or ending. Whenever a process becomes idle the
oldest waiting call is given to it; calls that are over by then (deadline) or whose
caller has gone are dropped without costing anything. A process that answers very quickly
is sent calls ahead of time; they are taken back if it turns out slow (`claims`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable

import msgspec

from azmlinfsrv.errors import Overloaded, ScoringProcessEnded, ScoringTimeout, Unavailable
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.call import Call, CallerLeft
from azmlinfsrv.pool.interface import Readiness
from azmlinfsrv.pool.process import WorkerProcess
from azmlinfsrv.pool.spawn import Spawner
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker.frames import Start

_log = logging.getLogger("azmlinfsrv")

# Pauses between attempts to start a process that keeps failing, in seconds.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0

# How long a call may take before those sent ahead behind it are taken back, in seconds.
_REVIEW_S = 0.005

# A full queue is searched for callers that have left no more often than this, in seconds.
_LOOK_AGAIN_S = 0.05

# What a client is told to wait when nothing better is known, in seconds.
_RETRY_AFTER = (b"Retry-After", b"1")


class ProcessPool:
    """Keeps *worker_count* scoring processes and feeds them from one queue.

    Args:
        start: The first frame of every process.
        worker_count: How many processes.
        queue_size: How many calls may wait.
        grace_s: How long an interrupted run() has before its process is replaced.
        cannot_start: Called once, with the report, which is logged already, if the script
            cannot be served at first start; after that a process that cannot start is
            retried.
        spawner: Makes the processes.
    """

    def __init__(
        self,
        *,
        start: Start,
        worker_count: int,
        queue_size: int,
        grace_s: float,
        cannot_start: Callable[[str], None],
        spawner: Spawner,
    ) -> None:
        self._start = start
        self._worker_count = worker_count
        self._queue_size = queue_size
        self._grace_s = grace_s
        self._cannot_start = cannot_start
        self._spawner = spawner
        self._processes: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._waiting: deque[Call] = deque()
        self._feed_is_due = False
        self._review_is_due = False
        self._next_look_s = 0.0
        self._last_id = 0
        self._facts: ScriptFacts | None = None
        self._first_ready = asyncio.Event()
        self._announced_pid = 0
        self._last_report = ""
        self._failed_starts = 0
        self._trouble = ""
        self._is_stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_deadline = math.inf
        self._is_drained = asyncio.Event()
        # The loop itself holds tasks weakly only.
        self._attaching: set[asyncio.Task[None]] = set()

    # --- life ---------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the processes; may be called before there is an event loop."""
        for _ in range(self._worker_count):
            self._launch_one()

    async def attach(self) -> None:
        """Connect what was launched to the running event loop."""
        self._spawner.attach()
        for process in list(self._processes):
            await process.attach()

    async def drain(self, limit_s: float) -> None:
        """Answer what is running and waiting; what is left after *limit_s* is refused."""
        self._is_stopping = True
        if self._is_busy():
            try:
                await asyncio.wait_for(self._is_drained.wait(), limit_s)
            except asyncio.TimeoutError:
                self._refuse_the_rest()

    async def close(self, limit_s: float = 2.0) -> None:
        """End every process; those that do not end by themselves are killed."""
        self._is_stopping = True
        self._refuse_the_rest()
        processes = list(self._processes)
        for process in processes:
            process.close()
        try:
            await asyncio.wait_for(asyncio.gather(*(p.gone() for p in processes)), limit_s)
        except asyncio.TimeoutError:
            for process in processes:
                process.kill()
            await asyncio.gather(*(p.gone() for p in processes))
        try:
            await asyncio.to_thread(self._spawner.close)
        except RuntimeError:  # a host calls this when the interpreter takes no more threads
            self._spawner.close()

    # --- the interface ------------------------------------------------------------------

    async def submit(
        self, request: Request, limit_s: float, has_left: Callable[[], bool]
    ) -> Response:
        """See `Pool.submit`."""
        if self._is_stopping and not self._is_busy():
            raise Unavailable("The server is stopping.", headers=(_RETRY_AFTER,))
        loop = asyncio.get_running_loop()
        self._last_id += 1
        deadline = loop.time() + limit_s if limit_s else math.inf
        call = Call(self._last_id, request, loop.create_future(), has_left, limit_s, deadline)
        if self._idle:
            self._idle.pop().dispatch([call])
        elif len(self._waiting) < self._queue_size or self._has_made_room(loop.time()):
            self._waiting.append(call)
            if not self._feed_is_due:
                # Once for all requests of this turn of the loop: they go in one write.
                self._feed_is_due = True
                loop.call_soon(self._feed_all)
        else:
            raise Overloaded(
                f"{self._queue_size} calls are waiting already. Try again later.",
                headers=(_RETRY_AFTER,),
            )
        if deadline < self._next_deadline:
            self._watch(deadline)
        return await call.answered

    def _has_made_room(self, now_s: float) -> bool:
        """Whether a full queue is not full any more without those who have left it."""
        if now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + _LOOK_AGAIN_S
        for call in self._waiting:
            if not call.is_over and call.has_left():
                call.fail(CallerLeft())
        self._waiting = deque(call for call in self._waiting if not call.is_over)
        return len(self._waiting) < self._queue_size

    async def facts(self, limit_s: float) -> ScriptFacts:
        """See `Pool.facts`."""
        if self._facts is None:
            try:
                await asyncio.wait_for(self._first_ready.wait(), limit_s or None)
            except asyncio.TimeoutError:
                pass
        if self._facts is None:
            raise Unavailable(self.readiness().reason, headers=(_RETRY_AFTER,))
        return self._facts

    def readiness(self) -> Readiness:
        """See `Pool.readiness`."""
        if self._is_stopping:
            return Readiness(False, "The server is stopping.")
        if any(process.is_ready for process in self._processes):
            return Readiness(True)
        if self._trouble:
            return Readiness(False, f"No scoring process is up. The last one: {self._trouble}")
        return Readiness(False, "The scoring process is starting: init() has not returned yet.")

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
        for call in [*self._waiting, *(call for p in self._processes for call in p.calls)]:
            if call.deadline > now:
                earliest = min(earliest, call.deadline)
            elif not call.is_over or call.stream is not None:
                self._expire(call)
        self._waiting = deque(call for call in self._waiting if not call.is_over)
        if earliest < math.inf:
            self._watch(earliest)

    def _expire(self, call: Call) -> None:
        limit_ms = f"{call.limit_s * 1000:.15g}"
        process = call.process
        if process is None or process.call is not call:
            call.fail(
                Unavailable(
                    f"No scoring process was free within {limit_ms} ms.", headers=(_RETRY_AFTER,)
                )
            )
            return
        call.fail(ScoringTimeout(f"Scoring timeout after {limit_ms} ms"))
        process.interrupt("timeout", self._grace_s)

    # --- supervision (what processes tell) ----------------------------------------------

    def process_ready(self, process: WorkerProcess, facts: bytes) -> None:
        """``init()`` has returned."""
        self._facts = msgspec.msgpack.decode(facts, type=ScriptFacts)
        self._failed_starts = 0
        self._trouble = ""
        self._first_ready.set()
        self._last_report = ""
        self._announce(process)
        self.process_has_room(process)

    def _announce(self, process: WorkerProcess) -> None:
        if process.loader_pid != self._announced_pid:
            # R8.3: one line for all that are forked from one process.
            self._announced_pid = process.loader_pid
            _log.info("Worker with pid %d ready for serving traffic", process.loader_pid)
        if process.pid != process.loader_pid:
            _log.info("Scoring process %d forked from %d", process.pid, process.loader_pid)

    def process_start_failed(self, process: WorkerProcess, report: str, level: int) -> None:
        """The script cannot be served, or not any more."""
        self._trouble = report.split("\n", 1)[0]
        if self._is_stopping:
            return  # the others fail alike, or nobody waits for it any more
        if self._facts is None:
            self._give_up(report, level)  # the first of several reports; the others are the same
        elif report != self._last_report:
            # Processes fail alike, and alike again when they are retried: once is enough.
            logs.report(report, level)
        self._last_report = report

    def process_has_room(self, process: WorkerProcess) -> None:
        """Give it the oldest calls that somebody still waits for."""
        self._feed(process)
        if process.call is None and process not in self._idle:
            self._idle.append(process)
        if self._is_stopping and not self._is_busy():
            self._is_drained.set()

    def process_lost(self, process: WorkerProcess) -> None:
        """No call may go to a process that cannot hear it."""
        if process in self._idle:
            self._idle.remove(process)

    def process_ended(self, process: WorkerProcess) -> None:
        """Answer the call it had, and start another in its place."""
        self._processes.discard(process)
        self.process_lost(process)
        call = process.call
        if call is not None:
            call.fail(
                ScoringProcessEnded(
                    f"The scoring process {process.how_it_ended()} while it computed this "
                    "request. Another one takes its place."
                )
            )
        self._wait_again(process.unbegun)
        if self._is_stopping:
            if not self._processes:
                self._refuse_the_rest()
            if not self._is_busy():
                self._is_drained.set()
            return
        self._replace(process)

    # --- the queue ----------------------------------------------------------------------

    def _feed(self, process: WorkerProcess) -> None:
        """Send it the calls it has room for, and no more than its share of the queue."""
        waiting = self._waiting
        room = process.room
        if not waiting or room <= 0:
            return
        share = -(-len(waiting) // len(self._processes))
        calls: list[Call] = []
        while waiting and len(calls) < min(room, share):
            call = waiting.popleft()
            if call.is_over:
                continue
            if call.has_left():
                call.fail(CallerLeft())
                continue
            calls.append(call)
        if not calls:
            return
        process.dispatch(calls)
        if len(process.calls) > 1 and not self._review_is_due:
            self._review_is_due = True
            asyncio.get_running_loop().call_later(_REVIEW_S, self._review)

    def _feed_all(self) -> None:
        self._feed_is_due = False
        for process in self._processes:
            self._feed(process)
        self._idle = [process for process in self._idle if process.call is None]

    def _review(self) -> None:
        """Take back what was sent ahead to a process whose call takes unusually long."""
        self._review_is_due = False
        slow_since = asyncio.get_running_loop().time() - _REVIEW_S
        is_ahead = False
        for process in self._processes:
            if len(process.calls) > 1:
                if process.computing_since < slow_since:
                    self._wait_again(process.take_back())
                is_ahead = is_ahead or len(process.calls) > 1
        if is_ahead:
            self._review_is_due = True
            asyncio.get_running_loop().call_later(_REVIEW_S, self._review)

    def _wait_again(self, calls: list[Call]) -> None:
        """Put calls back where they came from, the head of the queue."""
        if calls:
            self._waiting.extendleft(reversed(calls))
            self._feed_all()

    # --- starting -----------------------------------------------------------------------

    def _replace(self, process: WorkerProcess) -> None:
        how = f"The scoring process {process.pid} {process.how_it_ended()}"
        if process.is_ready:
            _log.error("%s. Another one takes its place.", how)
            pause_s = 0.0
        else:
            if not self._trouble:
                self._trouble = f"{how} before init() returned."
            if self._facts is None:
                self._give_up(f"{how} before init() returned.")
                return
            pause_s = self._pause_s()
            _log.error("%s before init() returned. Next attempt in %g s.", how, pause_s)
        asyncio.get_running_loop().call_later(pause_s, self._start_one)

    def _pause_s(self) -> float:
        """Before the next attempt; longer every time."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failed_starts, 30))
        self._failed_starts += 1
        return pause_s

    def _start_one(self) -> None:
        if self._is_stopping:
            return
        try:
            process = self._launch_one()
        except OSError as error:  # no memory, no process ids, no descriptors left
            pause_s = self._pause_s()
            self._trouble = f"A scoring process could not be started: {error}."
            _log.error("%s Next attempt in %g s.", self._trouble, pause_s)
            asyncio.get_running_loop().call_later(pause_s, self._start_one)
            return
        task = asyncio.get_running_loop().create_task(process.attach())
        self._attaching.add(task)
        task.add_done_callback(self._attaching.discard)

    def _launch_one(self) -> WorkerProcess:
        process = WorkerProcess(self, self._spawner)
        process.launch(self._start)
        self._processes.add(process)
        return process

    def _give_up(self, report: str, level: int = logs.ERROR) -> None:
        if not self._is_stopping:
            logs.report(report, level)
            self._is_stopping = True
            self._first_ready.set()
            self._refuse_the_rest()
            self._cannot_start(report)

    # --- stopping -----------------------------------------------------------------------

    def _is_busy(self) -> bool:
        return bool(self._waiting) or any(p.call is not None for p in self._processes)

    def _refuse_the_rest(self) -> None:
        error = Unavailable("The server is stopping.", headers=(_RETRY_AFTER,))
        while self._waiting:
            self._waiting.popleft().fail(error)
        for process in self._processes:
            for call in process.calls:
                call.fail(error)
            if process.call is not None:
                process.kill()
