"""What a scoring process logs, and writes to its standard output and error."""

from __future__ import annotations

import asyncio
import os
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

    def drain(self) -> None:
        """Read what is there now: the call that wrote it is over.

        A line without an end is complete then, too.
        """
        while not self._is_closed:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # nothing more, for now or for ever
                break
            if not data:
                break
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
