"""Many requests at once: a load, and how it was answered.

Two kinds of load. *Closed*: each connection sends its next request when the answer to the
last is there, so a slow server is asked less. *Open*: requests are due at a fixed rate
whatever the server does, as users are; a request that has to wait for a free connection
waits, and its latency counts from the moment it was due. Else a server that stands still
for a second would be charged for one slow request instead of for all that should have been
sent meanwhile ("coordinated omission").

HTTP is parsed by httptools, which the server itself brings along. A request costs this
client about 50 µs of CPU, httpx about 800 and http.client about 300 on the same machine; a
generator that is slower than the server measures itself.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import Address, Answer
from azmlinfsrv.tools.histogram import Histogram

# How often waiting requests are looked at for their time limit, and progress is told.
_TICK_S = 0.1
# Between two attempts to connect to a server that refuses.
_RETRY_S = 0.02
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent.

    Attributes:
        requests: Sent in turn.
        duration_s: How long requests are sent; answers are waited for longer.
        connections: In a closed load that many at once; in an open one no more than that many.
        rate: Requests per second of an open load; None is a closed one.
        count: Stop after that many requests, if that comes first.
        timeout_s: A request without an answer for so long has failed.
    """

    requests: Sequence[SampleRequest]
    duration_s: float
    connections: int = 1
    rate: float | None = None
    count: int | None = None
    timeout_s: float = 30.0


@dataclass(slots=True)
class Outcome:
    """How a load was answered.

    Attributes:
        latencies: Of all answers; in an open load from when the request was due.
        service: Of all answers, from when the request was sent.
        statuses: Answers by status.
        errors: Requests without an answer, by kind.
        seconds: From the first request until the last answer.
        unsent: Requests of an open load that were due and never sent.
    """

    latencies: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    unsent: int = 0

    @property
    def answered(self) -> int:
        return self.latencies.count

    @property
    def failed(self) -> int:
        """Requests without an answer, and answers from 500 on."""
        return (
            sum(self.errors.values())
            + sum(count for status, count in self.statuses.items() if status >= 500)
            + self.unsent
        )

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seconds": round(self.seconds, 3),
            "answered": self.answered,
            "failed": self.failed,
            "per_second": round(self.per_second, 1),
            "latency": self.latencies.as_data(),
            "service": self.service.as_data(),
            "statuses": {str(status): self.statuses[status] for status in sorted(self.statuses)},
            "errors": {**self.errors, **({"never sent": self.unsent} if self.unsent else {})},
        }


Observe = Callable[[int, Answer], None]
Tell = Callable[[Outcome, float], object]


def send_load(
    address: Address, plan: Plan, *, tell: Tell | None = None, observe: Observe | None = None
) -> Outcome:
    """Send *plan* and return how it was answered.

    Args:
        tell: Called now and then with what there is so far and the seconds since the start;
            if it returns True, nothing more is sent.
        observe: Called with the number of each request (from 0) and its answer, body included.
    """
    return run_loop(_Load(address, plan, tell, observe).run())


async def send_load_async(address: Address, plan: Plan) -> Outcome:
    """The same, inside an event loop."""
    return await _Load(address, plan, None, None).run()


def run_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run *work* in the quickest event loop there is."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run(work)
    return uvloop.run(work)


def request_bytes(address: Address, request: SampleRequest) -> bytes:
    """One HTTP/1.1 request as it goes over the wire (RFC 9112, section 3)."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {host}:{address.port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(request.body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (request.body or b"")


@dataclass(slots=True)
class _Call:
    """One request under way: when it was due and when it was sent."""

    number: int
    due_s: float
    sent_s: float = 0.0


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...
    def should_keep_alive(self) -> bool: ...


class _Connection(asyncio.Protocol):
    """One connection: carries a call at a time and says what became of it."""

    def __init__(self, load: _Load) -> None:
        from httptools import HttpParserError, HttpResponseParser

        self._load = load
        self._malformed = HttpParserError
        self._parser: _Parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.call: _Call | None = None
        self._is_complete = False
        self._keep = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, call: _Call, data: bytes) -> None:
        assert self._transport is not None
        self.call = call
        self._is_complete = False
        self._headers, self._body = {}, []
        call.sent_s = time.perf_counter()
        self._transport.write(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._load.observe is not None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if self._load.observe is not None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        # An interim answer (100) is followed by the real one (RFC 9110, 15.2).
        self._status = self._parser.get_status_code()
        self._is_complete = self._status >= 200
        self._keep = self._parser.should_keep_alive()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except self._malformed:
            self.give_up("not HTTP")
            return
        if not self._is_complete or self.call is None:
            return
        call, self.call = self.call, None
        status, keep = self._status, self._keep
        answer = None
        if self._load.observe is not None:
            answer = Answer(status, self._headers, b"".join(self._body))
        if not keep:
            self._close()
        self._load.answered(self, call, status, answer, is_open=keep)

    def give_up(self, kind: str) -> None:
        """End the connection; its call, if any, has failed."""
        call, self.call = self.call, None
        self._close()
        self._load.lost(self, call, kind)

    def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:  # we closed it
            return
        self._transport = None
        call, self.call = self.call, None
        kind = "connection reset" if exc is not None else "closed without an answer"
        self._load.lost(self, call, kind)


class _Load:
    """One load while it runs. All of it in the event loop's thread."""

    def __init__(
        self, address: Address, plan: Plan, tell: Tell | None, observe: Observe | None
    ) -> None:
        self.observe = observe
        self.outcome = Outcome()
        self._address = address
        self._plan = plan
        self._tell = tell
        self._data = [request_bytes(address, request) for request in plan.requests]
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._opening = 0
        self._waiting: deque[_Call] = deque()
        self._sent = 0
        self._is_over = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()
        self._ssl = ssl.create_default_context() if address.scheme == "https" else None

    async def run(self) -> Outcome:
        plan = self._plan
        begin_s = self._begin_s = time.perf_counter()
        self._end_s = begin_s + plan.duration_s
        ticking = asyncio.create_task(self._tick())
        try:
            if plan.rate is None:
                for _ in range(plan.connections):
                    self._next_of_closed()
                while not self._is_over and time.perf_counter() < self._end_s:
                    await asyncio.sleep(min(_TICK_S, max(0, self._end_s - time.perf_counter())))
            else:
                await self._schedule(begin_s, plan.rate)
            self._is_over = True
            self._check_finished()
            await self._finished.wait()
        finally:
            ticking.cancel()
            for task in tuple(self._tasks):
                task.cancel()
            for connection in tuple(self._open):
                connection.call = None
                connection.give_up("")
        self.outcome.seconds = time.perf_counter() - begin_s
        return self.outcome

    # --- what is sent -------------------------------------------------------------------

    async def _schedule(self, begin_s: float, rate: float) -> None:
        """Make requests due at the rate, catching up after a late awakening."""
        number = 0
        total = max(1, int(self._plan.duration_s * rate))
        total = min(total, self._plan.count or total)
        while number < total and not self._is_over:
            now_s = time.perf_counter()
            while number < total and begin_s + number / rate <= now_s:
                self._start(_Call(number, begin_s + number / rate))
                number += 1
            if number < total:
                await asyncio.sleep(max(0.0, begin_s + number / rate - time.perf_counter()))

    def _next_of_closed(self) -> None:
        if self._is_over or time.perf_counter() >= self._end_s:
            return
        if self._plan.count is not None and self._sent >= self._plan.count:
            self._is_over = True
            return
        self._sent += 1
        self._start(_Call(self._sent - 1, time.perf_counter()))

    def _start(self, call: _Call) -> None:
        if self._idle:
            self._send(self._idle.pop(), call)
            return
        self._waiting.append(call)
        if len(self._open) + self._opening < self._plan.connections:
            self._opening += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _send(self, connection: _Connection, call: _Call) -> None:
        connection.send(call, self._data[call.number % len(self._data)])

    async def _connect(self) -> None:
        """Open one connection; if it cannot be, one waiting call has failed."""
        loop = asyncio.get_running_loop()
        try:
            _, connection = await asyncio.wait_for(
                loop.create_connection(
                    lambda: _Connection(self),
                    self._address.host,
                    self._address.port,
                    ssl=self._ssl,
                ),
                self._plan.timeout_s,
            )
        except (OSError, TimeoutError, asyncio.TimeoutError) as error:
            await asyncio.sleep(_RETRY_S)  # nobody is there: do not spin
            self._opening -= 1
            call = self._waiting.popleft() if self._waiting else None
            self._failed(call, _connect_error(error))
            return
        self._opening -= 1
        self._open.add(connection)
        self._give_work(connection)

    def _give_work(self, connection: _Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    # --- what comes back ----------------------------------------------------------------

    def answered(
        self,
        connection: _Connection,
        call: _Call,
        status: int,
        answer: Answer | None,
        *,
        is_open: bool,
    ) -> None:
        now_s = time.perf_counter()
        outcome = self.outcome
        outcome.latencies.record(now_s - call.due_s)
        outcome.service.record(now_s - call.sent_s)
        outcome.statuses[status] += 1
        if self.observe is not None and answer is not None:
            self.observe(call.number, answer)
        if is_open:
            self._give_work(connection)
        else:
            self._open.discard(connection)
            self._reopen()
        self._after_call()

    def lost(self, connection: _Connection, call: _Call | None, kind: str) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if call is not None:
            self._failed(call, kind)
        self._reopen()

    def _failed(self, call: _Call | None, kind: str) -> None:
        if call is not None:
            self.outcome.errors[kind] += 1
            self._after_call()
        self._reopen()

    def _reopen(self) -> None:
        """Another connection for calls that wait, now that one is gone."""
        if self._waiting and not self._finished.is_set():
            self._start(self._waiting.pop())

    def _after_call(self) -> None:
        if self._plan.rate is None:
            self._next_of_closed()
        self._check_finished()

    def _check_finished(self) -> None:
        if not self._is_over and not (
            self._plan.rate is None and time.perf_counter() >= self._end_s
        ):
            return
        if not self._waiting and all(connection.call is None for connection in self._open):
            self._finished.set()

    async def _tick(self) -> None:
        """Time limits and progress."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.perf_counter()
            for connection in tuple(self._open):
                call = connection.call
                if call is not None and now_s - call.sent_s > self._plan.timeout_s:
                    connection.give_up("no answer in time")
            while self._waiting and now_s - self._waiting[0].due_s > self._plan.timeout_s:
                self._waiting.popleft()
                self.outcome.unsent += 1
            self._check_finished()
            if self._tell is None or self._is_over:
                continue
            if self._tell(self.outcome, now_s - self._begin_s) is True:
                self._is_over = True
                self._check_finished()


def _connect_error(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no connection in time"
    return "cannot connect"
