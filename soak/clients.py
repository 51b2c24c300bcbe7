"""Clients of every kind, on plain asyncio streams: a good one, and those that are not.

A good client checks what it gets: the answer is one, whole, and carries the token it sent.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
# Larger than any head; a body is read by its length.
_READ_BYTES = 1 << 20

_numbers: Iterator[int] = itertools.count(1)


class NoAnswer(Exception):
    """The connection ended before the answer was whole, or could not be made."""


class TwoAnswers(Exception):
    """More came than one answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The JSON object of the body; empty if it is not one."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def token(self) -> str:
        return str(self.content.get("token", ""))


def new_token() -> str:
    """Different for every request of this process."""
    return f"t{next(_numbers)}"


def order(token: str, **content: Any) -> bytes:
    """A scoring request that tells the script what to do."""
    return request("POST", "/score", json.dumps({"token": token, **content}).encode())


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    """One HTTP/1.1 request as it goes over the wire (RFC 9112, 3)."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", *headers]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection that is kept alive as long as the server allows."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, data: bytes, limit_s: float = 60.0) -> Answer:
        """Send *data*, one request; its answer.

        Raises:
            NoAnswer: none came, or not all of it, within *limit_s*.
            TwoAnswers: more had come on this connection than was asked for.
        """
        try:
            return await asyncio.wait_for(self._ask(data), limit_s)
        except asyncio.TimeoutError:
            await self.close()
            raise NoAnswer(f"no answer within {limit_s:g} s") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            await self.close()
            raise NoAnswer(type(error).__name__) from error
        except BaseException:
            await self.close()
            raise

    async def _ask(self, data: bytes) -> Answer:
        if self._reader is not None and self._reader.at_eof():
            await self.close()  # an idle connection that the server has closed
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                HOST, self._port, limit=_READ_BYTES
            )
        # What a second answer has left there (StreamReader has no public way to look).
        if self._reader._buffer:  # type: ignore[attr-defined]
            raise TwoAnswers
        self._writer.write(data)
        await self._writer.drain()
        answer = await read_answer(self._reader)
        if answer.headers.get("connection", "").lower() == "close":
            with suppress(OSError, asyncio.TimeoutError):
                if await asyncio.wait_for(self._reader.read(1), 5):
                    raise TwoAnswers
            await self.close()
        return answer

    async def close(self) -> None:
        """Leave, whatever is under way."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            # At once: waiting for what is still to be sent would be waiting for the server.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def dismiss(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks* until they have ended.

    More than once: `asyncio.wait_for` of Python 3.11 and before can lose a cancellation.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=0.2)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One response, by its framing (RFC 9112, 6.3).

    Raises:
        asyncio.IncompleteReadError: it ended before it was whole.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {}
    for field in fields:
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Answer(int(line.split(" ")[1]), headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


async def ask_once(port: int, data: bytes, limit_s: float = 60.0) -> Answer:
    """One request on a connection of its own; see `Connection.ask`."""
    connection = Connection(port)
    try:
        return await connection.ask(data, limit_s)
    finally:
        await connection.close()


# --- clients that are not good ------------------------------------------------------------


async def send_and_leave(port: int, data: bytes, stay_s: float) -> None:
    """Send a request, wait a little, leave without the answer."""
    with suppress(OSError):
        _reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(data)
        await asyncio.sleep(stay_s)
        writer.transport.abort()


async def send_slowly(port: int, data: bytes, piece_bytes: int, pause_s: float) -> Answer:
    """A whole request, a few bytes at a time; its answer.

    Raises:
        NoAnswer: the connection ended first.
    """
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            for start in range(0, len(data), piece_bytes):
                writer.write(data[start : start + piece_bytes])
                await asyncio.sleep(pause_s)
            return await asyncio.wait_for(read_answer(reader), 60)
        finally:
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        raise NoAnswer(type(error).__name__) from error


async def read_slowly(port: int, data: bytes, piece_bytes: int, pause_s: float) -> int:
    """Ask for something large and take it a piece at a time; how many bytes came in all."""
    count = 0
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, port, limit=piece_bytes)
        try:
            writer.write(data)
            while True:
                piece = await asyncio.wait_for(reader.read(piece_bytes), 60)
                count += len(piece)
                if not piece or piece.endswith(b"}"):
                    break
                await asyncio.sleep(pause_s)
        except asyncio.TimeoutError:
            pass
        finally:
            writer.transport.abort()
    return count


async def say(port: int, data: bytes, stay_s: float) -> list[int]:
    """Send bytes that are no whole request, or no request at all; the statuses that came back."""
    received = b""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(data)
            end_s = time.monotonic() + stay_s
            while piece := await asyncio.wait_for(reader.read(65536), end_s - time.monotonic()):
                received += piece
        except asyncio.TimeoutError:
            pass
        finally:
            writer.transport.abort()
    return statuses(received)


def statuses(received: bytes) -> list[int]:
    """The status of every response in *received*."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
