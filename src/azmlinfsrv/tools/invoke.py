"""One request, answered by a script without a server (``azmlinfsrv invoke``).

The same front end as when serving, without its socket: the application, the pool, and a
scoring process of its own. So an answer, an error, a time limit and a crash are what a
client would get, with the report of the development mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import sys
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any, BinaryIO, TextIO, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from azmlinfsrv.app.application import Application
from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.errors import ScriptError, Unavailable
from azmlinfsrv.messages import BUFFERS, Buffer, Request, Response
from azmlinfsrv.pool.call import StreamCut
from azmlinfsrv.servers.front_end import build_application, build_pool
from azmlinfsrv.settings import Loaded
from azmlinfsrv.telemetry import logs
from azmlinfsrv.telemetry.formats import formatter_for

# Exit statuses; a script that cannot be served has `ScriptError.exit_status`.
ANSWERED = 0
FAILED = 1

_SERVER_LOGGERS = frozenset(("azmlinfsrv", "azmlinfsrv.user_script", "azmlinfsrv.swagger"))


class Outcome(Struct):
    """What came of one call.

    Attributes:
        took_s: From the request to the last byte of its answer.
        is_failed: There was no answer of the script's, or one of 500 or more.
    """

    response: Response
    body: bytes
    took_s: float
    is_failed: bool


def invoke(loaded: Loaded, request: Request, repeat: int) -> int:
    """Run the script on *request*, *repeat* times one after another; the exit status.

    The first answer goes to standard output as it is, or, if the call failed, its report as
    JSON. Times, memory and the log go to standard error.
    """
    # One process, and never the one at hand: it may crash. Keys are for strangers, and what
    # is tried by hand is no traffic to record.
    settings = replace(
        loaded.settings,
        dev=True,
        worker_count=1,
        in_process=False,
        auth_keys=None,
        record_dir=None,
    )
    out, talk = sys.stdout, sys.stderr
    formatter = formatter_for(settings.log_format)

    def handler(_descriptor: int) -> logging.Handler:
        made = logging.StreamHandler(talk)
        made.setFormatter(formatter)
        made.addFilter(_is_about_the_script)
        return made

    logs.configure(handler, settings.log_level)
    # What the script's own handlers wrote to its standard output is no answer either.
    with contextlib.redirect_stdout(talk):
        return asyncio.run(
            _Invocation(replace(loaded, settings=settings), request, repeat).run(out, talk)
        )


def _is_about_the_script(record: logging.LogRecord) -> bool:
    """Not what a server says of its start and of its requests."""
    return record.levelno != logs.INFO or record.name not in _SERVER_LOGGERS


class _Caller:
    """Has its body at hand, and patience."""

    def __init__(self, body: Buffer) -> None:
        self._body = body

    def body_at_hand(self, limit_bytes: int) -> Buffer:
        return self._body

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        return self._body

    def has_left(self) -> bool:
        return False


class _Invocation:
    def __init__(self, loaded: Loaded, request: Request, repeat: int) -> None:
        self._request = replace(request, body=b"")
        self._caller = _Caller(request.body)
        self._repeat = repeat
        self._pool = build_pool(loaded, self._cannot_start)
        self._application: Application = build_application(loaded.settings, self._pool)

    async def run(self, out: TextIO, talk: TextIO) -> int:
        began = perf_counter()
        try:
            self._pool.launch()
            await self._pool.attach()
            try:
                await self._pool.facts(0.0)
            except Unavailable:
                return ScriptError.exit_status  # the report is in the log
            start_s = perf_counter() - began
            first = await self._call()
            _write(first, out)
            others = [await self._call() for _ in range(self._repeat - 1)]
        finally:
            await self._pool.close()
        print(_figures(start_s, first, others), file=talk, flush=True)
        return FAILED if any(each.is_failed for each in (first, *others)) else ANSWERED

    async def _call(self) -> Outcome:
        began = perf_counter()
        response = await self._application.handle(self._request, self._caller)
        # The application's own errors have no timings, answers of run() do.
        is_failed = response.status >= 500 or (response.status >= 400 and not response.timings)
        try:
            body = await _whole(response)
        except StreamCut:
            body, is_failed = b"", True
        return Outcome(response, body, perf_counter() - began, is_failed)

    def _cannot_start(self, _report: str) -> None:
        """It is in the log, and `facts` says so."""


async def _whole(response: Response) -> bytes:
    body = response.body
    if isinstance(body, BUFFERS):
        return bytes(body)
    return b"".join([item async for item in cast(AsyncIterator[bytes], body)])


def _write(outcome: Outcome, out: TextIO) -> None:
    body = outcome.body
    if outcome.is_failed and outcome.response.timings is None:
        body = msgspec.json.format(body, indent=2) + b"\n"  # the report, to be read
    binary: BinaryIO | Any = getattr(out, "buffer", None)
    if binary is None:  # a stand-in of a test's or a notebook's
        out.write(body.decode("utf-8", "replace"))
    else:
        out.flush()
        binary.write(body)
    if body and not body.endswith(b"\n") and out.isatty():
        out.write("\n")
    out.flush()


def _figures(start_s: float, first: Outcome, others: list[Outcome]) -> str:
    rows = [
        ("status", f"{first.response.status}", f"{len(first.body)} bytes"),
        ("start", _ms(start_s), "interpreter, imports and init()"),
        ("first", _ms(first.took_s), _parts([first])),
    ]
    if others:
        took = [each.took_s for each in others]
        spread = f"of {len(took)} more, {_ms(min(took))} to {_ms(max(took))}; {_parts(others)}"
        rows.append(("median", _ms(statistics.median(took)), spread.rstrip("; ")))
        failed = sum(each.is_failed for each in others)
        if failed:
            rows.append(("failed", f"{failed}", "of those"))
    if peak := _peak_bytes():
        rows.append(("memory", f"{peak / 1024**2:.1f} MiB", "at most, of the scoring process"))
    return "\n".join(f"{name:<7} {value:>12}  {note}".rstrip() for name, value, note in rows)


def _parts(outcomes: list[Outcome]) -> str:
    timings = [each.response.timings for each in outcomes if each.response.timings is not None]
    if not timings:
        return ""

    def median(part: str) -> str:
        return _ms(statistics.median(getattr(each, part) for each in timings))

    names = ("parse_s", "run_s", "encode_s")
    return ", ".join(f"{name.removesuffix('_s')} {median(name)}" for name in names)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f} ms"


def _peak_bytes() -> int:
    """The largest resident set of a process this one had; 0 where that is not told."""
    try:
        import resource  # POSIX only
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
