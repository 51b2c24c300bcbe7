"""The scoring processes: how many there are, starting them, replacing them, retiring them.

Theory: processes come in generations. A generation loads what is on disk when it starts;
one is current, and only its processes are given calls. A swap starts the next generation
beside it, waits until all of its processes could serve, and then makes it the current one
in one step: the processes of the old one are retired. If one of the new cannot serve, the
new generation ends and nothing has changed.

A process that is retired is given no more calls; it finishes what it computes, and ends. A
process that is worn (it has answered enough, or grown too large) goes on until another has
taken its place, and is retired then. So neither costs a call, or delays one.

All of it runs in the event loop's thread, as the rest of the pool.
"""

from __future__ import annotations

import asyncio
import logging
import random
import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from azmlinfsrv.pool.generation import Generation
from azmlinfsrv.pool.interface import FailedReload, Readiness
from azmlinfsrv.pool.memory import pss_bytes
from azmlinfsrv.pool.process import WorkerProcess
from azmlinfsrv.pool.service_time import ServiceTime
from azmlinfsrv.pool.spawn import Spawner
from azmlinfsrv.pool.warm_up import WarmUpRequest, warm_up
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker.frames import Start, StartFailed

_log = logging.getLogger("azmlinfsrv")

# Pauses between attempts to start a process that keeps failing, in seconds.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
# A process that lives this long is no failed start, whatever ends it then, in seconds.
_PROVEN_S = 10.0
# How often the memory of processes is looked at if it is limited, in seconds. An
# allocation over the limit fails in the process itself; this is for what slips through.
_MEMORY_LOOK_S = 0.5

_SUPERSEDED = "What was being loaded has changed again."


class Dispatcher(Protocol):
    """What the fleet tells the pool."""

    def process_has_room(self, process: WorkerProcess) -> None:
        """It can take another call."""

    def process_lost(self, process: WorkerProcess) -> None:
        """It takes no more calls; those sent ahead that it has not begun wait again."""

    def process_ended(self, process: WorkerProcess) -> None:
        """It is gone; its call has to be answered."""

    def script_changed(self) -> None:
        """Calls go to another generation from now on."""


class Policy(Struct, frozen=True):
    """What the settings decide about the processes.

    Attributes:
        worker_count: How many there are.
        max_requests: Calls a process answers before it is replaced; 0 means any number.
        max_requests_jitter: At random up to so many more, so that not all are replaced at once.
        memory_bytes: What a process may use; 0 means no limit.
        warm_up: Scored by every process before it is given calls.
        is_fixed: The one process there is can be neither replaced nor joined by another.
    """

    worker_count: int
    max_requests: int = 0
    max_requests_jitter: int = 0
    memory_bytes: int = 0
    warm_up: Sequence[WarmUpRequest] = ()
    is_fixed: bool = False


class Fleet:
    """Keeps the processes that the policy asks for.

    Args:
        start: The first frame of every process.
        cannot_start: Called once, with the report, which is logged already, if the script
            cannot be served at first start; after that a process that cannot start is
            retried.
        make_spawner: Makes what makes the processes of one generation.
        service: Learns how long calls take.
    Attributes:
        worker_count: How many processes there should be.
        slots: How many calls each computes at once.
        first_ready: Set when the first process can serve, or none ever will.
        loads: How often the script has been loaded, or tried to, by a start and by swaps.
        replaced: How many processes others have taken the place of, by reason.
        failed_reload: How the last swap failed; None if it did not.
        imported_files: What the script imported when it was loaded last, well or not.
    """

    def __init__(
        self,
        *,
        start: Start,
        policy: Policy,
        make_spawner: Callable[[], Spawner],
        cannot_start: Callable[[str], None],
        dispatcher: Dispatcher,
        service: ServiceTime,
    ) -> None:
        self._start = start
        self._policy = policy
        self._make_spawner = make_spawner
        self._cannot_start = cannot_start
        self._dispatcher = dispatcher
        self._service = service
        self.worker_count = policy.worker_count
        self.slots = 1
        self.first_ready = asyncio.Event()
        self._current = Generation(1, make_spawner())
        self._next: Generation | None = None
        self._old: list[Generation] = []
        self._is_swap_asked = False
        self._swapping: asyncio.Task[None] | None = None
        self._swap_why = ""
        self._swap_asked_s = 0.0
        self.failed_reload: FailedReload | None = None
        self.loads = 1
        self.replaced = {"ended": 0, "worn": 0}
        self.imported_files: tuple[str, ...] = ()
        self._announced_pid = 0
        self._last_report = ""
        self._failed_starts = 0
        self._trouble = ""
        self._is_stopping = False
        # The loop itself holds tasks weakly only.
        self._tasks: set[asyncio.Task[None]] = set()

    # --- state --------------------------------------------------------------------------

    @property
    def processes(self) -> Iterator[WorkerProcess]:
        """Every process there is, of all generations."""
        for generation in (self._current, self._next, *self._old):
            if generation is not None:
                yield from generation.processes

    @property
    def serving(self) -> set[WorkerProcess]:
        """The processes of the current generation, those included that are still to start."""
        return self._current.processes

    @property
    def facts(self) -> ScriptFacts | None:
        """What the script that serves is like; None before the first process is ready."""
        return self._current.facts

    def readiness(self) -> Readiness:
        """Whether a call would be computed now, and what is wrong otherwise."""
        ready = sum(process.is_ready for process in self._current.processes)
        if not ready:
            if self._trouble:
                return Readiness(False, f"No scoring process is up. The last one: {self._trouble}")
            return Readiness(False, "The scoring process is starting: init() has not returned yet.")
        notes = []
        if self._trouble and ready < self.worker_count:
            notes.append(
                f"{ready} of {self.worker_count} scoring processes are up. "
                f"The last one that did not start: {self._trouble}"
            )
        if self.failed_reload is not None:
            notes.append(
                "The script was reloaded and could not be served; the one before it still is. "
                f"The new one: {self.failed_reload.reason}"
            )
        return Readiness(True, " ".join(notes))

    # --- life ---------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the processes; may be called before there is an event loop."""
        for _ in range(self.worker_count):
            self._launch(self._current)

    async def attach(self) -> None:
        """Connect what was launched to the running event loop."""
        self._current.spawner.attach()
        for process in list(self._current.processes):
            await process.attach()
        if self._policy.memory_bytes:
            self._begin(self._watch_memory())

    def stop(self) -> None:
        """Start nothing more."""
        self._is_stopping = True

    async def close(self, limit_s: float) -> None:
        """End every process; those that do not end by themselves are killed."""
        self._is_stopping = True
        processes = list(self.processes)
        for process in processes:
            process.close()
        try:
            await asyncio.wait_for(asyncio.gather(*(p.gone() for p in processes)), limit_s)
        except asyncio.TimeoutError:
            for process in processes:
                process.kill()
            await asyncio.gather(*(p.gone() for p in processes))
        for task in self._tasks:
            task.cancel()
        for generation in (self._current, self._next, *self._old):
            if generation is not None:
                await _close(generation.spawner)

    def resize(self, by: int) -> None:
        """Have so many processes more, or less; one stays."""
        if self._policy.is_fixed:
            _log.warning("The number of workers is fixed with --in_process.")
            return
        if self._is_stopping or self.worker_count + by < 1:
            return
        self.worker_count += by
        _log.info("Worker count is %d now", self.worker_count)
        self._fill()
        self._trim()

    # --- swap ---------------------------------------------------------------------------

    def swap(self, why: str = "", *, supersedes: bool = False) -> asyncio.Task[None] | None:
        """Load the script anew, beside the one that serves, and serve it if it can be.

        Asked again while it happens, it happens once more: what was loaded may be old by then.

        Args:
            why: What has changed, for the log.
            supersedes: What is being loaded is dropped: nobody waits for it any more.
        Returns:
            The task that does it; None if it cannot be done here.
        """
        if self._policy.is_fixed:
            _log.warning("The script cannot be reloaded with --in_process. Restart the server.")
            return None
        self._is_swap_asked = True
        self._swap_why = why
        self._swap_asked_s = asyncio.get_running_loop().time()
        if supersedes and self._next is not None:
            self._next.settle(_SUPERSEDED)
        if self._swapping is None or self._swapping.done():
            self._swapping = self._begin(self._swap_while_asked())
        return self._swapping

    async def _swap_while_asked(self) -> None:
        await self.first_ready.wait()
        while self._is_swap_asked and not self._is_stopping:
            self._is_swap_asked = False
            await self._swap()

    async def _swap(self) -> None:
        began_s, why = self._swap_asked_s, self._swap_why
        self.loads += 1
        if not why:
            _log.info("Reloading the script")
        generation = Generation(self._current.number + 1, self._make_spawner())
        self._next = generation
        generation.spawner.attach()
        try:
            for _ in range(self.worker_count):
                await self._launch(generation).attach()
        except OSError as error:  # no memory, no process ids, no descriptors left
            generation.settle(f"A scoring process could not be started: {error}.")
        await generation.is_settled.wait()
        self._next = None
        # They know whose they are: no cycle is left to the collector.
        loaded, generation.loaded = generation.loaded, []
        if self._is_stopping:
            self._old.append(generation)
            return
        took_s = asyncio.get_running_loop().time() - began_s
        if generation.report == _SUPERSEDED:
            self._retire_all(generation)
            return
        if generation.report:
            self._keep_old(generation, why, took_s)
            return
        self.failed_reload = None
        self._trouble = self._last_report = ""
        old, self._current = self._current, generation
        for process in loaded:
            self._open(process)
        self._dispatcher.script_changed()
        self._retire_all(old)
        # Others may have been asked for, or fewer, in the meantime.
        self._fill()
        self._trim()
        if why:
            _log.info("Reloaded in %.0f ms: %s", took_s * 1000, why)
        else:
            _log.info("The reloaded script is being served, after %.2f s", took_s)

    def _keep_old(self, generation: Generation, why: str, took_s: float) -> None:
        """The next generation cannot serve: say so, and go on with the current one."""
        failed = generation.start_failed or StartFailed()
        reason = generation.report.split("\n", 1)[0]
        self.failed_reload = FailedReload(reason, failed.location, failed.told)
        if why:
            logs.report(generation.report)
            place = f"it fails at {failed.location}" if failed.location else reason.rstrip(".")
            kept = "The script before it is still served."
            _log.error("Not reloaded after %.0f ms: %s, %s. %s", took_s * 1000, why, place, kept)
        else:
            logs.report(
                f"{generation.report}\nThe script was not reloaded; the one before it is still "
                "served. Mend it and reload again."
            )
        self._retire_all(generation)

    def _retire_all(self, generation: Generation) -> None:
        self._old.append(generation)
        for process in list(generation.processes):
            self._retire(process)
        self._close_old(generation)

    def _close_old(self, generation: Generation) -> None:
        if not generation.processes and generation in self._old:
            self._old.remove(generation)
            self._begin(_close(generation.spawner))

    # --- what processes tell ------------------------------------------------------------

    def process_ready(self, process: WorkerProcess, facts: bytes) -> None:
        """``init()`` has returned."""
        if process.is_retiring:
            process.close()
            return
        process.generation.facts = decoded = msgspec.msgpack.decode(facts, type=ScriptFacts)
        self.imported_files = tuple(decoded.files)
        if self._policy.warm_up:
            self._begin(self._warm_up(process))
        else:
            self._can_serve(process)

    async def _warm_up(self, process: WorkerProcess) -> None:
        problem = await warm_up(process, self._policy.warm_up)
        if not problem:
            self._can_serve(process)
        elif not process.has_ended:
            self.process_start_failed(process, problem, logs.ERROR)
            process.kill()

    def _can_serve(self, process: WorkerProcess) -> None:
        generation = process.generation
        if generation is self._current:
            self._open(process)
            self._retire_surplus()
        elif generation is self._next:
            generation.loaded.append(process)
            if len(generation.loaded) == len(generation.processes):
                generation.settle()

    def _open(self, process: WorkerProcess) -> None:
        """Give it calls from now on."""
        loop = asyncio.get_running_loop()
        process.is_ready = True
        self.slots = process.slots
        process.ready_s = loop.time()
        loop.call_later(_PROVEN_S, self._prove, weakref.ref(process))
        self._trouble = ""
        self._last_report = ""
        self.first_ready.set()
        self._announce(process)
        self._dispatcher.process_has_room(process)

    def _prove(self, process: weakref.ref[WorkerProcess]) -> None:
        if process() in self._current.processes:
            self._failed_starts = 0

    def _announce(self, process: WorkerProcess) -> None:
        if process.loader_pid != self._announced_pid:
            # R8.3: one line for all that are forked from one process.
            self._announced_pid = process.loader_pid
            _log.info("Worker with pid %d ready for serving traffic", process.loader_pid)
        if process.pid != process.loader_pid:
            _log.info("Scoring process %d forked from %d", process.pid, process.loader_pid)

    def process_start_failed(self, process: WorkerProcess, report: str, level: int) -> None:
        """The script cannot be served, or not any more."""
        if process.start_failed is not None and process.start_failed.files:
            self.imported_files = tuple(process.start_failed.files)
        if process.generation is self._next:
            process.generation.settle(report, process.start_failed)
            return
        if self._is_stopping or process.is_retiring:
            return  # the others fail alike, or nobody waits for it any more
        self._trouble = report.split("\n", 1)[0]
        if self._current.facts is None or not self.first_ready.is_set():
            self._give_up(report, level)  # the first of several reports; the others are the same
        elif report != self._last_report:
            # Processes fail alike, and alike again when they are retried: once is enough.
            logs.report(report, level)
        self._last_report = report

    def process_has_room(self, process: WorkerProcess) -> None:
        """A call is over; the process can take another, or is done."""
        if not process.is_ready:
            if process.is_retiring:
                self._end_if_only_stuck(process)
            return
        if process.finished >= process.last_call and not process.is_worn:
            process.is_worn = True
            self._fill()
        self._dispatcher.process_has_room(process)

    def process_stuck(self, process: WorkerProcess) -> None:
        """Have another take its place, and end it with the last call it has."""
        process.is_worn = True
        self._fill()
        self._end_if_only_stuck(process)

    def process_lost(self, process: WorkerProcess) -> None:
        """No call may go to a process that cannot hear it."""
        self._dispatcher.process_lost(process)

    def process_ended(self, process: WorkerProcess) -> None:
        """Answer the call it had, and start another in its place."""
        generation = process.generation
        generation.processes.discard(process)
        self._dispatcher.process_lost(process)
        self._dispatcher.process_ended(process)
        if self._is_stopping:
            generation.settle("The server is stopping.")
        elif generation is self._next:
            how = f"The scoring process {process.pid} {process.how_it_ended()}"
            generation.settle(f"{how} before the reloaded script could be served.")
        elif generation is not self._current:
            self._close_old(generation)
        elif not process.is_retiring:
            self._replace(process)

    # --- starting -----------------------------------------------------------------------

    def _replace(self, process: WorkerProcess) -> None:
        self.replaced["ended"] += 1
        loop = asyncio.get_running_loop()
        how = f"The scoring process {process.pid} {process.how_it_ended()}"
        pause_s = 0.0
        if process.is_ready:
            is_unproven = not process.finished and loop.time() - process.ready_s < _PROVEN_S
            if process.call is None and is_unproven:
                # No call has ended it: the next one would end as soon, and the one after it.
                pause_s = self._pause_s()
                self._trouble = f"{how} as soon as init() had returned."
                _log.error("%s as soon as init() had returned. Next in %g s.", how, pause_s)
            else:
                self._failed_starts = 0
                _log.error("%s. Another one takes its place.", how)
        else:
            if not self._trouble:
                self._trouble = f"{how} before init() returned."
            if not self.first_ready.is_set():
                self._give_up(f"{how} before init() returned.")
                return
            pause_s = self._pause_s()
            _log.error("%s before init() returned. Next attempt in %g s.", how, pause_s)
        loop.call_later(pause_s, self._fill)

    def _pause_s(self) -> float:
        """Before the next attempt; longer every time."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failed_starts, 30))
        self._failed_starts += 1
        return pause_s

    def _fill(self) -> None:
        """Start what is missing: a process for each that should serve, and for each worn one."""
        while not self._is_stopping:
            staying = [p for p in self._current.processes if not p.is_retiring]
            worn = sum(process.is_worn for process in staying)
            if len(staying) >= self.worker_count + worn:
                return
            try:
                process = self._launch(self._current)
            except OSError as error:  # no memory, no process ids, no descriptors left
                pause_s = self._pause_s()
                self._trouble = f"A scoring process could not be started: {error}."
                _log.error("%s Next attempt in %g s.", self._trouble, pause_s)
                asyncio.get_running_loop().call_later(pause_s, self._fill)
                return
            self._begin(process.attach())

    def _launch(self, generation: Generation) -> WorkerProcess:
        process = WorkerProcess(self, generation, self._service)
        policy = self._policy
        if policy.max_requests and not policy.is_fixed:
            process.last_call = policy.max_requests + random.randint(0, policy.max_requests_jitter)
        process.launch(self._start)
        generation.processes.add(process)
        return process

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _give_up(self, report: str, level: int = logs.ERROR) -> None:
        if not self._is_stopping:
            logs.report(report, level)
            self._is_stopping = True
            self.first_ready.set()
            self._cannot_start(report)

    # --- retiring -----------------------------------------------------------------------

    def _retire_surplus(self) -> None:
        """Another process is ready: of those that serve, let go of what is too many."""
        ready = [process for process in self._current.processes if process.is_ready]
        ready.sort(key=lambda process: (not process.is_worn, process.call is not None))
        for process in ready[: max(0, len(ready) - self.worker_count)]:
            self._retire(process)

    def _trim(self) -> None:
        """There should be fewer: let go of those that are still starting first."""
        staying = [p for p in self._current.processes if not p.is_retiring]
        starting = [process for process in staying if not process.is_ready]
        worn = sum(process.is_worn for process in staying)
        for process in starting[: max(0, len(staying) - self.worker_count - worn)]:
            self._retire(process)
        self._retire_surplus()

    def _retire(self, process: WorkerProcess) -> None:
        """Give it no more calls; it ends when it has finished what it has."""
        was_ready, process.is_ready, process.is_retiring = process.is_ready, False, True
        self.replaced["worn"] += process.is_worn
        self._dispatcher.process_lost(process)
        if was_ready:
            self._end_if_only_stuck(process)
        elif process.call is None:
            process.kill()  # it may be anywhere in init()

    def _end_if_only_stuck(self, process: WorkerProcess) -> None:
        """End a process that retires once nobody waits for anything of it."""
        if not process.is_retiring:
            return
        if process.call is None:
            process.close()
        elif process.slots > 1 and not any(call.is_awaited for call in process.calls):
            process.kill("its calls did not stop when they were interrupted")

    # --- memory -------------------------------------------------------------------------

    async def _watch_memory(self) -> None:
        """Replace processes that have grown over the limit; one that computes is ended."""
        limit = self._policy.memory_bytes
        while not self._is_stopping:
            await asyncio.sleep(_MEMORY_LOOK_S)
            for process in list(self.processes):
                # Not in the loop's thread: for a large process it takes milliseconds.
                used = await asyncio.to_thread(pss_bytes, process.pid)
                if used <= limit or process.has_ended:
                    continue
                why = f"it used {used >> 20} MiB, over its limit of {limit >> 20} MiB"
                if process.call is not None or not process.is_ready:
                    process.kill(why)
                elif not process.is_worn:
                    _log.warning("The scoring process %d is being replaced: %s", process.pid, why)
                    process.is_worn = True
                    self._fill()


async def _close(spawner: Spawner) -> None:
    try:
        await asyncio.to_thread(spawner.close)
    except RuntimeError:  # a host calls this when the interpreter takes no more threads
        spawner.close()
