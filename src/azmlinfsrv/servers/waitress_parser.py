"""Waitress's parser, and what it lets pass that RFC 9112 does not.

Only what Waitress is lenient about is looked at here: the form of the first line, folded
fields, repeated codings and hosts, chunks. What cannot become a request any more is
refused with the first byte that shows it, not when the time is up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.rfc7230 import CHUNK_EXT
from waitress.utilities import (
    BadRequest,
    Error,
    RequestEntityTooLarge,
    RequestHeaderFieldsTooLarge,
)

from azmlinfsrv.adapters.body import too_large
from azmlinfsrv.app.buffers import BodyShare
from azmlinfsrv.errors import BadInput, Overloaded, RequestError, Unauthorized
from azmlinfsrv.messages import Request
from azmlinfsrv.servers.head_rules import check_head
from azmlinfsrv.servers.limits import Limits

Admits = Callable[[Request], bool]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# Targets are paths, whole addresses, or `*` (RFC 9112, 3.2); nobody is connected through.
_REQUEST_LINE = re.compile(
    rb"%b+ ((?:/|\*|[Hh][Tt][Tt][Pp][Ss]?://[^/?])[\x21-\x7e]*) HTTP/(1\.[01])" % _TOKEN
)
# Empty lines may come before the first one (RFC 9112, 2.2), nothing else.
_START = re.compile(rb"(?:\r\n)*(?:\r?\Z|%b)" % _TOKEN)
_BARE_LINE_END = re.compile(rb"\0|(?<!\r)\n|\r(?=[^\n])")
_FOLDED = re.compile(rb"(?:\A|\r\n)[ \t]")
_TRAILER = re.compile(rb"(%b+):[\t\x20-\x7e\x80-\xff]*" % _TOKEN)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})" + CHUNK_EXT.encode("latin-1"))
# A trailer by one of these names means that somebody was to be led astray.
_NO_TRAILERS = frozenset((b"transfer-encoding", b"content-length"))
# Chunk extensions and trailers in all, beside what ordinary chunks need for their framing.
_CHUNK_OVERHEAD_BYTES = 16 * 1024
_CHUNK_FRAME_BYTES = 64


def not_http() -> BadInput:
    """What is no request; a new one each time, since one that is raised again grows."""
    return BadInput("The request is not valid HTTP/1.1.")


class Refused(Error):
    """What Waitress takes for an error of its own."""

    def __init__(self, request_error: RequestError) -> None:
        super().__init__(request_error.message)
        self.code = request_error.status
        self.request_error = _without_frames(request_error)


def _without_frames(error: RequestError) -> RequestError:
    """The same error, which does not hold those that are to hold it.

    In a cycle with its parser it would stay, with what was received, until the collector comes.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class Parser(HTTPRequestParser):
    """One request as it arrives."""

    error: Any = None  # what Waitress says itself, or `Refused`
    environ: dict[str, Any] | None = None
    body_error: RequestError | None = None

    def __init__(
        self, limits: Limits, admits: Admits, share: BodyShare, adjustments: Adjustments
    ) -> None:
        super().__init__(adjustments)
        self._share = share
        self._limits = limits
        self._admits: Admits | None = admits

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them were this request's."""
        try:
            count: int = self._received(data)
        except RequestError as error:
            self.refuse(error)
            return len(data)
        if self.error is not None:
            # Nobody is invited to go on sending what has been refused already.
            self.expect_continue = False
            if isinstance(self.error, RequestEntityTooLarge):
                self.fail_body(too_large(self.adj.max_request_body_size - 1))
            elif isinstance(self.error, RequestHeaderFieldsTooLarge):
                self.refuse(self._limits.head_too_long())
        elif self.completed:
            self.expect_continue = False  # there is no body to go on with
        elif self.headers_finished and self._admits is not None:
            admits, self._admits = self._admits, None  # asked once, when the head is here
            if not admits(self._head()):
                self.fail_body(Unauthorized(""))  # never seen: the body is not asked for
        if self.headers_finished and self.error is None and self.body_error is None:
            self._count_body()
        return count

    def _count_body(self) -> None:
        """A large body is counted from its announcement, one in chunks as it grows."""
        try:
            self._share.grow_to(max(self.content_length, self.body_bytes_received))
        except Overloaded as error:
            self.fail_body(error)

    def close(self) -> None:
        """The request is over, and its body not held any more."""
        super().close()
        self._share.release()

    def _head(self) -> Request:
        fields = [
            (name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in self.headers.items()
        ]
        path = self.path.encode("latin-1").decode("utf-8", "replace")
        return Request(self.command, path, headers=fields)

    def _received(self, data: bytes) -> int:
        if self.headers_finished:
            return int(super().received(data))
        before = self.header_plus
        if not before.strip(b"\r\n") and not _START.match(before + data):
            raise not_http()
        count = int(super().received(data))
        is_unfinished = not self.completed and not self.headers_finished
        if is_unfinished and _BARE_LINE_END.search(before[-2:] + data):
            raise not_http()
        return count

    def parse_header(self, header_plus: bytes) -> None:
        """Take the head.

        Raises:
            RequestError: it is over a limit, or says what it must not.
        """
        limits = self._limits
        first_line, _, block = header_plus.partition(b"\r\n")
        match = _REQUEST_LINE.fullmatch(first_line)
        if match is None or b"#" in match[1] or _FOLDED.search(block):
            raise not_http()
        if len(match[1]) > limits.target_bytes:
            raise limits.target_too_long()
        fields = [line for line in block.split(b"\r\n") if line]
        if len(fields) > limits.header_count:
            raise limits.too_many_headers()
        pairs = (field.partition(b":") for field in fields)
        headers = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
        is_chunked = check_head(headers, match[2].decode("ascii"))
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address that is none, a number of too many digits
            raise not_http() from error
        if is_chunked:
            if "CONTENT_LENGTH" in self.headers:  # RFC 9112, 6.3
                raise ParsingError("Content-Length beside Transfer-Encoding")
            buffer = OverflowableBuffer(self.adj.inbuf_overflow)
            self.body_rcv = Chunks(buffer, self.adj.max_request_body_size)

    def refuse(self, error: RequestError) -> None:
        """It is no request: answered, and nothing more is read."""
        self.error = Refused(error)
        self.expect_continue = False
        self.completed = self.headers_finished = True

    def fail_body(self, error: RequestError) -> None:
        """The head is good, the body will not come: the application answers."""
        self.error = None
        self.body_error = _without_frames(error)
        self.expect_continue = False
        self.completed = True


class Chunks(ChunkedReceiver):
    """A body in chunks (RFC 9112, 7.1), to the letter; trailers are dropped."""

    def __init__(self, buffer: OverflowableBuffer, limit_bytes: int) -> None:
        super().__init__(buffer)
        self._limit_bytes = limit_bytes
        self._line = bytearray()
        self._overhead_bytes = 0
        self._is_at_end_of_chunk = False
        self._is_in_trailers = False

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them were this body's."""
        taken = 0
        while taken < len(data) and not self.completed and self.error is None:
            if self.chunk_remainder:
                piece = data[taken : taken + self.chunk_remainder]
                self.buf.append(piece)
                taken += len(piece)
                self.chunk_remainder -= len(piece)
                self._is_at_end_of_chunk = not self.chunk_remainder
            else:
                end = data.find(b"\n", taken) + 1 or len(data)
                self._take(data[taken:end])
                taken = end
        return taken

    def _take(self, part_of_line: bytes) -> None:
        self._line += part_of_line
        self._overhead_bytes += len(part_of_line)
        if self._overhead_bytes > _CHUNK_OVERHEAD_BYTES:
            self.error = BadRequest("Too much beside the chunks")
        elif part_of_line.endswith(b"\n"):
            line = bytes(self._line)
            self._line.clear()
            if not (line.endswith(b"\r\n") and self._is_taken(line[:-2])):
                self.error = BadRequest("Invalid chunk")

    def _is_taken(self, line: bytes) -> bool:
        if self._is_at_end_of_chunk:
            self._is_at_end_of_chunk = False
            return not line
        if self._is_in_trailers:
            self.completed = not line
            match = _TRAILER.fullmatch(line)
            return not line or (match is not None and match[1].lower() not in _NO_TRAILERS)
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            return False
        self._overhead_bytes -= _CHUNK_FRAME_BYTES
        self.chunk_remainder = int(match[1], 16)
        self._is_in_trailers = not self.chunk_remainder
        if self.chunk_remainder > self._limit_bytes:
            self.error = RequestEntityTooLarge("A chunk is over the limit")
        return True
