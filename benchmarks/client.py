"""A load generator that needs only Python: `python -m benchmarks.client`, a process of its own.

Reads one JSON object on stdin, writes one on stdout. Two kinds of work:

- ``load``: each of N connections sends the next request when the last answer is complete. Used
  where ``wrk`` is not installed; checks status and length of every answer.
- ``probe``: a probe every 10 ms, each on a connection of its own as Kubernetes opens them, while a
  few connections keep ``run()`` busy. A probe's time counts from the moment it was *due*, so that
  a blocked server cannot hide behind probes that were never sent.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

HOST = "127.0.0.1"
PROBE_EVERY_S = 0.01
# Longer than any budget by far; a probe without an answer by then counts as this long.
PROBE_LIMIT_S = 10.0
# Between the first long request and the first probe, so that run() is surely busy.
HEAD_START_S = 0.3


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...
    def should_keep_alive(self) -> bool: ...


@dataclass(slots=True)
class Tally:
    """What the connections of one run have seen; seconds since they sent."""

    latencies_s: list[float] = field(default_factory=list)
    errors: int = 0


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least *percent* per cent do not exceed."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def request_bytes(method: str, path: str, body: bytes = b"", *, close: bool = False) -> bytes:
    """One HTTP/1.1 request as it goes over the wire (RFC 9112, section 3)."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Exchange(asyncio.Protocol):
    """One connection that repeats one request until *end_s*, or sends it once."""

    def __init__(self, request: bytes, tally: Tally, end_s: float, body_length: int) -> None:
        from httptools import HttpResponseParser

        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._new_parser = HttpResponseParser
        self._request = request
        self._tally = tally
        self._end_s = end_s
        self._expected = body_length
        self._transport: asyncio.Transport | None = None
        self._parser: _Parser | None = None
        self._received = 0
        self._is_complete = False
        self._is_waiting = False
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the base class.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._parser = self._new_parser(self)
        self._received, self._is_complete, self._is_waiting = 0, False, True
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)

    def on_body(self, body: bytes) -> None:
        self._received += len(body)

    def on_message_complete(self) -> None:
        self._is_complete = True

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        assert self._transport is not None
        self._parser.feed_data(data)
        if not self._is_complete:
            return
        now_s = time.perf_counter()
        self._is_waiting = False
        if now_s <= self._end_s:
            self._tally.latencies_s.append(now_s - self._sent_s)
            right_length = self._expected < 0 or self._received == self._expected
            if self._parser.get_status_code() != 200 or not right_length:
                self._tally.errors += 1
        if now_s < self._end_s and self._parser.should_keep_alive():
            self._send()
        else:
            self._transport.close()

    def stop(self) -> None:
        """End here; an answer still on its way is neither counted nor missed."""
        self._is_waiting = False
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_waiting:  # the server closed before the answer was complete
            self._tally.errors += 1
        if not self.closed.done():
            self.closed.set_result(None)


async def _repeat(port: int, request: bytes, tally: Tally, end_s: float, length: int) -> None:
    loop = asyncio.get_running_loop()
    while time.perf_counter() < end_s:
        try:
            _, exchange = await loop.create_connection(
                lambda: _Exchange(request, tally, end_s, length), HOST, port
            )
        except OSError:
            tally.errors += 1
            await asyncio.sleep(0.01)
            continue
        try:
            # Not cancelled: `closed` belongs to the exchange.
            await asyncio.wait([exchange.closed], timeout=end_s - time.perf_counter())
        finally:
            exchange.stop()


async def load(
    port: int, path: str, body: bytes, connections: int, seconds: float, body_length: int = -1
) -> dict[str, Any]:
    """Closed loop of *connections*; ``body_length`` -1 accepts answers of any length."""
    tally = Tally()
    started_s = time.perf_counter()
    request = request_bytes("POST", path, body)
    await asyncio.gather(
        *(
            _repeat(port, request, tally, started_s + seconds, body_length)
            for _ in range(connections)
        )
    )
    return {
        "requests": len(tally.latencies_s),
        "seconds": seconds,
        "errors": tally.errors,
        "p50_ms": percentile(tally.latencies_s, 50) * 1000,
        "p99_ms": percentile(tally.latencies_s, 99) * 1000,
    }


async def _probe_once(port: int, request: bytes, due_s: float, tally: Tally) -> None:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()

    try:
        answer = await asyncio.wait_for(ask(), PROBE_LIMIT_S)
    except (OSError, asyncio.TimeoutError):
        tally.latencies_s.append(PROBE_LIMIT_S)
        tally.errors += 1
        return
    tally.latencies_s.append(time.perf_counter() - due_s)
    if b" 200 " not in answer[:16]:
        tally.errors += 1


async def probe(
    port: int, path: str, body: bytes, busy: int, seconds: float, health_path: str
) -> dict[str, Any]:
    """Probes for *seconds* while *busy* connections keep asking the scoring route."""
    busy_tally, tally = Tally(), Tally()
    first_s = time.perf_counter() + HEAD_START_S
    end_s = first_s + seconds
    long_request = request_bytes("POST", path, body)
    keeping_busy = [
        asyncio.create_task(_repeat(port, long_request, busy_tally, end_s, -1)) for _ in range(busy)
    ]
    short_request = request_bytes("GET", health_path, close=True)
    probes = []
    for number in range(int(seconds / PROBE_EVERY_S)):
        due_s = first_s + number * PROBE_EVERY_S
        await asyncio.sleep(due_s - time.perf_counter())
        probes.append(asyncio.create_task(_probe_once(port, short_request, due_s, tally)))
    await asyncio.gather(*probes, *keeping_busy)
    return {
        "probes": len(tally.latencies_s),
        "errors": tally.errors,
        "p50_ms": percentile(tally.latencies_s, 50) * 1000,
        "p99_ms": percentile(tally.latencies_s, 99) * 1000,
        "long_requests": len(busy_tally.latencies_s),
    }


async def _strictly(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Await *work*; then raise what went wrong in a callback, which asyncio only logs."""
    wrong: list[BaseException] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        wrong.append(context.get("exception") or RuntimeError(context["message"]))

    asyncio.get_running_loop().set_exception_handler(note)
    answer = await work
    if wrong:
        raise wrong[0]
    return answer


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    if sys.platform == "win32":
        return asyncio.run(_strictly(work))
    import uvloop

    return uvloop.run(_strictly(work))


def main() -> None:
    order = json.load(sys.stdin)
    kind = order.pop("kind")
    order["body"] = order["body"].encode()
    work = probe(**order) if kind == "probe" else load(**order)
    json.dump(_run(work), sys.stdout)


if __name__ == "__main__":
    main()
