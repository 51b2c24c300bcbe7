"""What a scoring process writes to its standard output and error, a line at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from typing import Protocol

from azmlinfsrv.telemetry import logs

# A longer line is cut into pieces: memory is bounded whatever a script writes.
_LINE_BYTES = 64 * 1024


class Writer(Protocol):
    """Whose lines they are."""

    @property
    def pid(self) -> int:
        """Process id."""

    def request_id(self) -> str:
        """Of the request it is computing, or empty."""


class LineReader(asyncio.Protocol):
    """Reads one pipe; every line becomes a log record tagged with the request at hand."""

    def __init__(self, logger: str, descriptor: int, writer: Writer) -> None:
        self._logger = logger
        self._descriptor = descriptor
        self._writer = writer
        self._partial = b""
        self._transport: asyncio.BaseTransport | None = None
        self._is_closed = False

    async def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        os.set_blocking(self._descriptor, False)
        pipe = os.fdopen(self._descriptor, "rb", buffering=0)
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        """Log the lines that are whole."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._log(line)
        while len(self._partial) > _LINE_BYTES:
            self._log(self._partial[:_LINE_BYTES])
            self._partial = self._partial[_LINE_BYTES:]

    def eof_received(self) -> None:
        """Nobody writes any more."""
        self._finish_line()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed."""
        self._finish_line()
        self._is_closed = True

    @property
    def is_partial(self) -> bool:
        """Something has been read that is not a whole line yet."""
        return bool(self._partial)

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
        self._finish_line()

    def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()

    def _finish_line(self) -> None:
        if self._partial:
            line, self._partial = self._partial, b""
            self._log(line)

    def _log(self, line: bytes) -> None:
        logs.captured(
            self._logger,
            line.decode("utf-8", "backslashreplace").rstrip("\r"),
            self._writer.pid,
            self._writer.request_id(),
        )


def _waiting_bytes(descriptor: int) -> int:
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
    except OSError:
        return 0
