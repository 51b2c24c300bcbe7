"""One scoring process, seen from the front end: its calls, its output, its end.

How it came into being is the spawner's business. A thread waits for its exit: that works
on every platform, and also when the script's own children keep the socket open.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

from azmlinfsrv.messages import Batch, Buffer, Response, Timings
from azmlinfsrv.pool.call import Call
from azmlinfsrv.pool.claims import Claims
from azmlinfsrv.pool.generation import Generation
from azmlinfsrv.pool.lines import LineReader, line_reader, relay
from azmlinfsrv.pool.loopback import LoopbackChild
from azmlinfsrv.pool.service_time import ServiceTime
from azmlinfsrv.pool.spawn import Child
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import (
    Answer,
    Failure,
    Formatted,
    FrameReader,
    Interrupt,
    ProtocolError,
    Ready,
    Record,
    Score,
    Skipped,
    Start,
    StartFailed,
    StreamEnd,
    StreamItem,
    StreamStart,
    ToFrontEnd,
    ToWorker,
    pack,
)
from azmlinfsrv.worker.interrupts import DOORBELL

# Between two doorbells for the same call, in seconds; one is nearly always enough.
_RING_AGAIN_S = 0.05
# How long a process may take to go once its socket has closed, in seconds.
_EXIT_S = 2.0
# How long its last words may take to arrive after it has gone, in seconds.
_LAST_WORDS_S = 0.2

_DID_NOT_STOP = "run() did not stop when it was interrupted"


class Supervisor(Protocol):
    """What a process tells the fleet."""

    def process_ready(self, process: WorkerProcess, facts: bytes) -> None:
        """``init()`` has returned."""

    def process_start_failed(self, process: WorkerProcess, report: str, level: int) -> None:
        """The script cannot be served."""

    def process_has_room(self, process: WorkerProcess) -> None:
        """A call is over; the process can take another."""

    def process_stuck(self, process: WorkerProcess) -> None:
        """One of the calls it computes side by side does not end."""

    def process_lost(self, process: WorkerProcess) -> None:
        """Its socket has closed; it takes no more calls, and will end."""

    def process_ended(self, process: WorkerProcess) -> None:
        """The process is gone, for whatever reason."""


class WorkerProcess(asyncio.BufferedProtocol):
    """Starts a scoring process, gives it calls, and hears how they ended.

    Attributes:
        generation: Those it was started with.
        is_ready: It is given calls; set by the fleet.
        is_retiring: It is given no more calls, and ends when it has finished what it has.
        is_worn: Another is being started to take its place.
        slots: How many calls it computes at once.
        batch_size: How many calls it computes together, as one.
        batch_wait_s: How long a batch may wait to be filled.
        ready_s: When it was first given calls, on the loop's clock.
        finished: How many calls it has answered.
        last_call: After how many it is worn.
        computing_since: When the call it computes became the first it has, on the loop's clock.
        unbegun: Set when it has ended: calls that were sent ahead and never begun.
        start_failed: What it said of a script that cannot be served.
    """

    def __init__(
        self, supervisor: Supervisor, generation: Generation, service: ServiceTime
    ) -> None:
        self._supervisor = supervisor
        self._service = service
        self.generation = generation
        self._reader: FrameReader[ToFrontEnd] = FrameReader(frames.to_front_end)
        self._transport: asyncio.WriteTransport | None = None
        self._child: Child | None = None
        self._lines: list[LineReader] = []
        # With the process, in the order they were sent; it computes the first.
        self._calls: deque[Call] = deque()
        self._start: Start
        self._claims: Claims | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._exit_wait: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._return_code: int | None = None
        self._is_connected = False
        self._gone = asyncio.Event()
        self._has_finished = False
        self._killed_because = ""
        self.is_ready = self.is_retiring = self.is_worn = False
        self.ready_s = 0.0
        self.slots = self.batch_size = 1
        self.batch_wait_s = 0.0
        self._batch_calls = 0  # in the batch it computes
        self._batch_begun_s = 0.0
        self.finished = 0
        self.last_call: float = math.inf
        self.computing_since = 0.0
        self.unbegun: list[Call] = []
        self.start_failed: StartFailed | None = None

    # --- life ---------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Process id, 0 before it was launched."""
        return self._child.pid if self._child is not None else 0

    @property
    def loader_pid(self) -> int:
        """The process that loaded its script: itself, or what it was forked from."""
        return self._child.loader_pid if self._child is not None else 0

    @property
    def call(self) -> Call | None:
        """The call it is computing."""
        return self._calls[0] if self._calls else None

    @property
    def calls(self) -> Sequence[Call]:
        """Every call that is with it: the one it computes, then those sent ahead."""
        return self._calls

    @property
    def has_ended(self) -> bool:
        """The process is gone."""
        return self._gone.is_set()

    @property
    def was_stopped(self) -> bool:
        """It was killed because a call did not end when it was interrupted."""
        return self._killed_because == _DID_NOT_STOP

    @property
    def computes_one(self) -> bool:
        """One call at a time, so that others can be sent ahead of their turn."""
        return self.slots == 1 and self.batch_size == 1

    @property
    def is_idle(self) -> bool:
        """It could begin another call now."""
        if self.slots > 1:
            return self.room > 0
        return not self._calls and self._return_code is None

    def is_computing(self, call: Call) -> bool:
        """Whether the call is being computed, and not only with it."""
        return call is self.call if self.computes_one else call.process is self

    @property
    def room(self) -> int:
        """How many more calls it may be sent now."""
        if not self.is_ready or self._return_code is not None or not self._is_connected:
            return 0
        if self.slots > 1:
            return self.slots - len(self._calls)
        if self.batch_size > 1:
            return 0 if self._calls else self.batch_size
        if not self._calls:
            return 1
        return self._claims.room() - len(self._calls) if self._claims is not None else 0

    def launch(self, start: Start) -> None:
        """Start the process; needs no event loop, so that it can come before one."""
        self._child = child = self.generation.spawner.spawn()
        self._lines = [
            line_reader("azmlinfsrv.print", child.output[0], self),
            line_reader("azmlinfsrv.stderr", child.output[1], self),
        ]
        self._start = start
        if not isinstance(child, LoopbackChild):
            self._claims = Claims()
            try:
                self._send_start(child.socket)
            except OSError:
                pass  # it has ended already; that is heard in its turn

    def _send_start(self, connection: socket.socket) -> None:
        first, *rest = pack(self._start)
        sent = 0
        if self._claims is not None:
            sent = socket.send_fds(connection, [first], [self._claims.read_end])
        for buffer in (memoryview(first)[sent:], *rest):
            connection.sendall(buffer)

    async def attach(self) -> None:
        """Connect the running event loop to a process that was launched."""
        child = self._child
        assert child is not None
        self._loop = asyncio.get_running_loop()
        for lines in self._lines:
            await lines.attach(self._loop)
        if isinstance(child, LoopbackChild):
            try:
                connection = await self._loop.run_in_executor(None, child.accept)
                await self._loop.run_in_executor(None, self._send_start, connection)
            except OSError:
                child.kill()  # if it lives at all; how it ended is told in any case
                self._watch_exit()
                return
        connection = child.socket
        connection.setblocking(False)
        # Takes Unix sockets as well.
        await self._loop.create_connection(lambda: self, sock=connection)
        # Last: the report of a process that has ended already is read before its end is heard.
        self._watch_exit()

    def _watch_exit(self) -> None:
        threading.Thread(target=self._wait_for_exit, name="worker exit", daemon=True).start()

    def kill(self, because: str = "") -> None:
        """End the process and everything in its session now; *because* is told with its end."""
        if self._child is not None and self._return_code is None:
            self._killed_because = self._killed_because or because
            self._child.kill()

    def close(self) -> None:
        """Ask an idle process to end: it does when its socket closes."""
        if self._transport is not None:
            self._transport.close()

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await self._gone.wait()

    @property
    def return_code(self) -> int | None:
        """Its exit status, or the number of the signal that ended it, negative; None before."""
        return self._return_code

    def how_it_ended(self) -> str:
        """``exited with status 1`` or ``was ended by signal SIGKILL``."""
        code = self._return_code
        if code is None:
            return "closed its connection"
        if code >= 0:
            return f"exited with status {code}"
        try:
            how = f"was ended by signal {signal.Signals(-code).name}"
        except ValueError:
            how = f"was ended by signal {-code}"
        return f"{how}: {self._killed_because}" if self._killed_because else how

    # --- calls --------------------------------------------------------------------------

    def dispatch(self, calls: Sequence[Call]) -> None:
        """Send it calls, no more than it has `room` for."""
        buffers: list[Buffer] = []
        ahead = 0
        begun_s = self._loop.time() if self._loop is not None else 0.0
        if not self._calls:
            self.computing_since = begun_s
        more_in_batch = 0
        if self.batch_size > 1:
            more_in_batch = len(calls) - 1
            self._batch_calls, self._batch_begun_s = len(calls), perf_counter()
        for call in calls:
            is_ahead = bool(self._calls) and self.computes_one
            ahead += is_ahead
            self._calls.append(call)
            call.process = self
            call.begun_s = begun_s
            request = call.request
            score = Score(
                call.id,
                is_ahead,
                request.method,
                request.path,
                request.query,
                request.headers,
                request.scheme,
                request.client,
                request.server,
                request.http_version,
                request.request_id,
                request.client_request_id,
                more_in_batch,
            )
            more_in_batch = 0
            buffers += pack(score, request.body)
        if ahead and self._claims is not None:
            self._claims.give(ahead)
        self._write(buffers)

    def batch_of(self, call: Call) -> Batch | None:
        """The batch that one of its calls is in; None if it is given no batches."""
        if self.batch_size == 1:
            return None
        return Batch(self._batch_calls, call.waited_s(self._batch_begun_s))

    def take_back(self) -> list[Call]:
        """The calls sent ahead that it has not begun, oldest first; they are not its any more."""
        count = self._claims.take_back() if self._claims is not None else 0
        taken = [self._calls.pop() for _ in range(count)]
        for call in taken:
            call.process = None
        return taken[::-1]

    def send(self, header: ToWorker, body: Buffer = b"") -> None:
        """Write one frame; a process that is gone is noticed elsewhere."""
        self._write(pack(header, body))

    def _write(self, buffers: list[Buffer]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if len(buffers) == 1:
            transport.write(buffers[0])
        else:
            transport.writelines(buffers)

    def interrupt(self, call: Call, reason: str, grace_s: float) -> None:
        """End a call it computes: by signal first, and if that does not help, the process.

        A batch ends when nobody waits for any of its calls. A process that computes others
        at the same time is not killed for one.
        """
        if self._loop is None or not self.is_computing(call):
            return
        if self.slots > 1:
            self.send(Interrupt(call.id, reason))
            self._loop.call_later(grace_s, self._look_whether_stuck, call, reason)
            if DOORBELL is not None:
                self._loop.call_soon(self._ring, call)
            return
        others = (one for one in self._calls if one is not call) if self.batch_size > 1 else ()
        if self._grace is not None or not all(one.is_over for one in others):
            return
        call = self._calls[0]
        self.send(Interrupt(call.id, reason))
        if DOORBELL is None:
            self.kill()
            return
        self._grace = self._loop.call_later(grace_s, self._give_up, reason)
        # Not at once: uvloop writes the frame at the end of this turn, and the signal must
        # not overtake it.
        self._loop.call_soon(self._ring, call)

    def _ring(self, call: Call) -> None:
        """Ring until it is heard: the call may still be on its way into the process."""
        is_there = call in self._calls if self.slots > 1 else self.call is call
        if not is_there or self._loop is None or self._return_code is not None:
            return
        assert DOORBELL is not None
        try:
            os.kill(self.pid, DOORBELL)
        except ProcessLookupError:
            return
        self._loop.call_later(_RING_AGAIN_S, self._ring, call)

    def _give_up(self, reason: str) -> None:
        logs.error(
            f"run() did not stop when it was interrupted ({reason}); "
            f"its process {self.pid} is being replaced.",
            self.request_id(),
        )
        self.kill(_DID_NOT_STOP)

    def _look_whether_stuck(self, call: Call, reason: str) -> None:
        """One of several calls has not ended though its time is up."""
        if call not in self._calls or self._return_code is not None:
            return
        logs.error(
            f"run() did not stop when it was interrupted ({reason}); its process {self.pid} is "
            "being replaced, and ends with the last of its other calls.",
            call.request.request_id,
        )
        self._supervisor.process_stuck(self)

    def _finish_call(self, call: Call, timings: Timings | None) -> None:
        if self._calls[0] is call:
            self._calls.popleft()
        else:
            self._calls.remove(call)
        self._has_finished = True
        self.finished += 1
        if self._loop is not None:
            now_s = self._loop.time()
            began_s = self.computing_since if self.slots == 1 else call.begun_s
            self._service.took(now_s - began_s)
            self.computing_since = now_s
        if self._claims is not None and timings is not None:
            self._claims.took(timings.parse_s + timings.run_s + timings.encode_s)
        elif self._claims is not None:
            self._claims.forget()  # what failed or streamed says nothing of how long calls take
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def request_id(self) -> str:
        """The id of the request it is computing, for the log."""
        if not self._calls or (len(self._calls) > 1 and not self.computes_one):
            return ""
        return self._calls[0].request.request_id

    def _request_id_of(self, call_id: int) -> str:
        for call in self._calls:
            if call.id == call_id:
                return call.request.request_id
        return ""

    # --- asyncio.BufferedProtocol -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected to the loop."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport
        self._is_connected = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to receive into."""
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        try:
            arrived = self._reader.received(nbytes)
            # One goes on at once; many are quicker one step of all after the other.
            is_alone = len(arrived) == 1
            for header, body in arrived:
                if type(header) is Answer:  # as nearly always
                    self._take_answer(header, body, is_alone=is_alone)
                else:
                    self._take(header, body)
            if self._has_finished:
                self._has_finished = False
                self._supervisor.process_has_room(self)
        except ProtocolError as error:
            logs.error(
                f"The scoring process {self.pid} sent {error}; it is being replaced.",
                self.request_id(),
            )
            self.kill()
            if self._transport is not None:
                self._transport.abort()  # what else it sent is rubbish too

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket has closed: the process ends, or is helped to."""
        self._is_connected = False  # it is given no more
        self._read_the_rest()
        self._supervisor.process_lost(self)
        if self._return_code is not None:
            self._end()
        elif self._loop is not None:
            self._exit_wait = self._loop.call_later(_EXIT_S, self.kill)

    def _read_the_rest(self) -> None:
        """Read what it sent before its end: answers that were given count.

        A write to a process that has gone closes the transport, whatever is still to be read.
        """
        if self._transport is None or not hasattr(os, "readv"):  # Windows
            return
        try:
            descriptor = self._transport.get_extra_info("socket").fileno()
            while count := os.readv(descriptor, [self._reader.buffer()]):
                self.buffer_updated(count)
        except OSError:
            pass  # there is no more

    # --- what the process says ----------------------------------------------------------

    def _take(self, header: ToFrontEnd, body: Buffer) -> None:
        if isinstance(header, Record):
            relay(header, body, self.pid, self._request_id_of(header.call_id))
        elif isinstance(header, Formatted):
            logs.formatted(header.descriptor, str(body, "utf-8", "replace"))
        elif isinstance(header, StreamItem):
            call = self._current(header.call_id)
            if call is not None and call.stream is not None:
                call.stream.put(body)
        elif isinstance(header, StreamStart):
            call = self._current(header.call_id)
            if call is not None:
                call.set_queue_time(header.timings)
                call.begin_stream(
                    Response(header.status, header.headers, b"", header.timings, header.reason),
                    self.send,
                )
        elif isinstance(header, StreamEnd):
            self._take_stream_end(header)
        elif isinstance(header, Failure):
            self._take_failure(header, body)
        elif isinstance(header, Skipped):
            if self._claims is not None:
                self._claims.skipped()
                self._has_finished = True
        elif isinstance(header, Ready):
            self.slots, self.batch_size = max(1, header.slots), max(1, header.batch_size)
            self.batch_wait_s = header.batch_wait_s
            if self._child is not None:
                self._child.started(header.pid)
            self._supervisor.process_ready(self, bytes(body))
        elif isinstance(header, StartFailed):
            self._drain_output()
            self.start_failed = header
            self._supervisor.process_start_failed(self, str(body, "utf-8", "replace"), header.level)

    def _current(self, call_id: int) -> Call | None:
        """The call it computes, if that is the one it speaks of."""
        call = self.call
        if call is None or call.id == call_id:
            return call
        if self.slots > 1:
            return next((call for call in self._calls if call.id == call_id), None)
        return None

    def _take_answer(self, answer: Answer, body: Buffer, *, is_alone: bool) -> None:
        calls = self._calls
        call: Call | None
        if calls and calls[0].id == answer.call_id:
            call = calls[0]
        elif (call := self._current(answer.call_id)) is None:
            return
        self._finish_output(has_more=answer.has_output)
        timings = answer.timings
        call.set_queue_time(timings)
        if self.batch_size > 1 and timings is not None:
            timings.batch = self.batch_of(call)
        self._finish_call(call, timings)
        response = Response(answer.status, answer.headers, body, timings, answer.reason)
        call.answer(response, at_once=is_alone)

    def _take_failure(self, failure: Failure, report: Buffer) -> None:
        call = self._current(failure.call_id)
        if call is None:
            return
        self._finish_output(has_more=failure.has_output)
        call.fail_with(failure.kind, failure.message, failure.location, report)
        self._finish_call(call, None)

    def _take_stream_end(self, end: StreamEnd) -> None:
        call = self._current(end.call_id)
        if call is None:
            return
        self._finish_output(has_more=end.has_output)
        if call.stream is not None:
            call.stream.end(complete=end.complete)
        self._finish_call(call, None)

    def _finish_output(self, *, has_more: bool) -> None:
        """A call is over: what it wrote is complete, the line it did not end as well."""
        for reader in self._lines:
            if has_more or reader.lines.partial:
                reader.drain()

    def _drain_output(self) -> None:
        if self._claims is not None:
            self._claims.distrust()
        for lines in self._lines:
            lines.drain()

    # --- exit ---------------------------------------------------------------------------

    def _wait_for_exit(self) -> None:
        assert self._child is not None
        assert self._loop is not None
        code = self._child.wait()
        try:
            self._loop.call_soon_threadsafe(self._exited, code)
        except RuntimeError:
            pass  # the loop is closed: the server has stopped

    def _exited(self, code: int) -> None:
        self._return_code = code
        # What the script started goes with it.
        assert self._child is not None
        self._child.sweep()
        if self._exit_wait is not None:
            self._exit_wait.cancel()
        if not self._is_connected:
            self._end()
        elif self._loop is not None:
            # What it wrote last is still to be read. Children of the script's that left
            # its session may hold the socket open; they are not waited for.
            self._supervisor.process_lost(self)
            self._exit_wait = self._loop.call_later(_LAST_WORDS_S, self._end)

    def _end(self) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        for timer in (self._grace, self._exit_wait):
            if timer is not None:
                timer.cancel()
        if self._is_connected:
            self._read_the_rest()
        if self._transport is not None:
            self._transport.close()
        self._drain_output()
        for lines in self._lines:
            lines.close()
        if self._claims is not None:
            # What it had not begun is nobody's fault.
            self.unbegun = self.take_back()
            self._claims.close()
            self._claims = None
        self._supervisor.process_ended(self)
        # They know whose they are: no cycle is left to the collector.
        self._lines = []
        self._calls.clear()
