"""What a scoring process logs, and writes to its standard output and error."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Protocol

from azmlinfsrv.messages import Buffer
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker.frames import Record

# A longer line is cut into pieces: memory is bounded whatever a script writes.
_LINE_BYTES = 64 * 1024


class Writer(Protocol):
    """Whose lines they are."""

    @property
    def pid(self) -> int:
        """Process id."""

    def request_id(self) -> str:
        """Of the request it is computing, or empty."""


class LineReader(Protocol):
    """Reads one pipe; every line becomes a log record tagged with the request at hand.

    Attributes:
        lines: What has been read.
    """

    lines: Lines

    async def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""

    def drain(self) -> None:
        """Read what is there now: the call that wrote it is over.

        A line without an end is complete then, too.
        """

    def close(self) -> None:
        """Stop reading."""


def line_reader(logger: str, descriptor: int, writer: Writer) -> LineReader:
    """The reader for this platform."""
    if sys.platform == "win32":
        return ThreadReader(logger, descriptor, writer)
    return PipeReader(logger, descriptor, writer)


class Lines:
    """Splits what comes into lines, and logs them.

    Attributes:
        partial: What has been read that is not a whole line yet.
    """

    def __init__(self, logger: str, writer: Writer) -> None:
        self._logger = logger
        self._writer = writer
        self.partial = b""

    def take(self, data: bytes) -> None:
        """Log the lines that are whole."""
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self._log(line)
        while len(self.partial) > _LINE_BYTES:
            self._log(self.partial[:_LINE_BYTES])
            self.partial = self.partial[_LINE_BYTES:]

    def finish(self) -> None:
        """A line without an end is complete, too."""
        if self.partial:
            line, self.partial = self.partial, b""
            self._log(line)

    def _log(self, line: bytes) -> None:
        logs.captured(
            self._logger,
            line.decode("utf-8", "backslashreplace").rstrip("\r"),
            self._writer.pid,
            self._writer.request_id(),
        )


class ThreadReader:
    """Reads with a thread, where the loop cannot wait for a pipe (Windows).

    The thread is not waited for at the end of a call: what a script writes past `print`
    and `logging` may be tagged with the next request, or none.
    """

    def __init__(self, logger: str, descriptor: int, writer: Writer) -> None:
        self._descriptor = descriptor
        self.lines = Lines(logger, writer)

    async def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `LineReader`."""
        threading.Thread(target=self._read, args=(loop,), name="output", daemon=True).start()

    def drain(self) -> None:
        """See `LineReader`; what has come so far is here already."""
        self.lines.finish()

    def close(self) -> None:
        """See `LineReader`; the thread ends when nobody holds the other end any more."""

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        with open(self._descriptor, "rb", buffering=0) as pipe:
            try:
                while data := pipe.read(65536):
                    loop.call_soon_threadsafe(self.lines.take, data)
                loop.call_soon_threadsafe(self.lines.finish)
            except (OSError, RuntimeError):
                pass  # the pipe broke, or the loop is closed: the server has stopped


class PipeReader(asyncio.Protocol):
    """Reads in the event loop."""

    def __init__(self, logger: str, descriptor: int, writer: Writer) -> None:
        self._descriptor = descriptor
        self.lines = Lines(logger, writer)
        self._transport: asyncio.BaseTransport | None = None
        self._is_closed = False

    async def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        os.set_blocking(self._descriptor, False)
        pipe = os.fdopen(self._descriptor, "rb", buffering=0)
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        """Log the lines that are whole."""
        self.lines.take(data)

    def eof_received(self) -> None:
        """Nobody writes any more."""
        self.lines.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed."""
        self.lines.finish()
        self._is_closed = True

    def drain(self) -> None:
        """Read what is there now: the call that wrote it is over.

        No more than that: a process the script started may go on writing for ever. A line
        without an end is complete then, too.
        """
        left = 0 if self._is_closed else _waiting_bytes(self._descriptor)
        while left > 0:
            try:
                data = os.read(self._descriptor, left)
            except OSError:  # nothing more, for now or for ever
                break
            if not data:
                break
            left -= len(data)
            self.data_received(data)
        self.lines.finish()

    def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()


def _waiting_bytes(descriptor: int) -> int:
    import fcntl  # not there on Windows, where nothing asks
    import termios

    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
    except OSError:
        return 0


def relay(record: Record, body: Buffer, pid: int, request_id: str) -> None:
    """Write a log record that a process has sent."""
    end = max(0, len(body) - record.tail_bytes)
    logs.relay(
        record.logger,
        record.level,
        str(body[:end], "utf-8", "replace"),
        pid,
        request_id,
        record.created_s,
        str(body[end:], "utf-8", "replace"),
        record.extra,
    )
