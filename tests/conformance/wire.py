"""HTTP/1.1 from the client's side, byte by byte.

A library client hides what the contract is about: the spelling and order of headers,
repeated headers, chunks, truncated bodies. This one shows them and nothing more.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.case import Raw, Request


class Incomplete(Exception):
    """More bytes are needed."""


@dataclass(frozen=True)
class Received:
    """One response as it came."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunks: tuple[bytes, ...] | None
    truncated: bool

    def header(self, name: str) -> tuple[str, ...]:
        """The values of a header, in order; the name in lower case."""
        return tuple(value for key, value in self.headers if key.lower() == name)


def encode(request: Request) -> bytes:
    """The bytes of a request; header values are latin-1."""
    given = {name.lower() for name, _ in request.headers}
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    if "host" not in given:
        lines.append("Host: localhost")
    if "connection" not in given:
        lines.append("Connection: close")
    has_length = "content-length" in given or "transfer-encoding" in given
    if not has_length and (request.body or request.method in ("POST", "PUT", "PATCH")):
        lines.append(f"Content-Length: {len(request.body)}")
    lines += [f"{name}: {value}" for name, value in request.headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body


def exchange(port: int, request: Request | Raw, timeout_s: float) -> list[Received] | None:
    """Send, and read as many answers as there are requests.

    Returns:
        The answers, fewer if the connection was closed before; None if nothing came in time.
    """
    raw = request if isinstance(request, Raw) else Raw(encode(request), (request.method,))
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            connection.sendall(raw.data)
            if raw.half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server may answer and close before it has read everything
        return read(connection, raw.replies, timeout_s)


def read(
    connection: socket.socket,
    methods: tuple[str, ...],
    timeout_s: float,
    stop: Callable[[bytes], bool] = lambda data: False,
) -> list[Received] | None:
    """Read the answers to requests of these *methods*."""
    deadline = time.monotonic() + timeout_s
    data = b""
    while True:
        answers, missing = _parse_all(data, methods, ended=False)
        if not missing or stop(data):
            return answers
        left = deadline - time.monotonic()
        if left <= 0:
            return answers or None
        connection.settimeout(left)
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            return answers or None
        except ConnectionError:
            piece = b""
        if not piece:
            return _parse_all(data, methods, ended=True)[0]
        data += piece


def _parse_all(data: bytes, methods: tuple[str, ...], *, ended: bool) -> tuple[list[Received], int]:
    answers: list[Received] = []
    try:
        for method in methods:
            answer, data = _parse(data, method, ended)
            answers.append(answer)
    except Incomplete:
        pass
    return answers, len(methods) - len(answers)


def _parse(data: bytes, method: str, ended: bool) -> tuple[Received, bytes]:
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        raise Incomplete
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status_text, reason = (first + "  ").split(" ", 2)
    status = int(status_text)
    if 100 <= status < 200 and status != 101:
        return _parse(rest, method, ended)  # 100 Continue
    headers = tuple((name, value.strip()) for name, _, value in (x.partition(":") for x in lines))
    fields = {name.lower(): value for name, value in headers}

    def received(
        body: bytes, chunks: tuple[bytes, ...] | None = None, truncated: bool = False
    ) -> Received:
        return Received(status, reason.strip(), headers, body, chunks, truncated)

    if method == "HEAD" or status in (204, 304):
        return received(b""), rest
    if fields.get("transfer-encoding", "").lower() == "chunked":
        chunks, rest, whole = _chunks(rest)
        if not whole and not ended:
            raise Incomplete
        return received(b"".join(chunks), tuple(chunks), not whole), rest
    if "content-length" in fields:
        length = int(fields["content-length"])
        if len(rest) < length:
            if not ended:
                raise Incomplete
            return received(rest, truncated=True), b""
        return received(rest[:length]), rest[length:]
    if not ended:
        raise Incomplete
    return received(rest), b""


def _chunks(data: bytes) -> tuple[list[bytes], bytes, bool]:
    chunks: list[bytes] = []
    while True:
        size_line, separator, rest = data.partition(b"\r\n")
        if not separator:
            return chunks, data, False
        size = int(size_line.split(b";")[0], 16)
        if size == 0:
            return chunks, rest[2:], rest.startswith(b"\r\n")
        if len(rest) < size + 2:
            return chunks, data, False
        chunks.append(rest[:size])
        data = rest[size + 2 :]
