"""Compressed request bodies: undone here, so that a script never sees one (RFC 9110, 8.4).

The limit on a body holds for what comes out, and inflating stops where it is passed: a
few KiB that would become gigabytes cost no more than a body of the allowed size.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from azmlinfsrv.errors import BadInput, BodyTooLarge, UnsupportedMediaType
from azmlinfsrv.messages import Buffer, Headers

CONTENT_ENCODING = b"content-encoding"
_ACCEPTED = (b"Accept-Encoding", b"gzip, deflate")
# More than one is legal and unheard of; many would be a way to make us work.
_MOST_CODINGS = 2
# A body up to this size inflates to 1 MiB at most, in about a millisecond: not worth a
# thread. Beyond, the event loop goes on with probes meanwhile; zlib lets go of the GIL.
_SMALL_BYTES = 1024
_PIECE_BYTES = 1024 * 1024

_GZIP = zlib.MAX_WBITS | 16
_RAW = -zlib.MAX_WBITS


def codings_of(headers: Headers) -> list[str]:
    """The codings to undo, in the order in which they were applied; mostly none.

    Raises:
        UnsupportedMediaType: there is another one than gzip and deflate (RFC 9110, 15.5.16).
    """
    codings: list[str] = []
    for name, value in headers:
        if name == CONTENT_ENCODING:
            codings += [part.strip().lower() for part in value.decode("latin-1").split(",")]
    if codings:
        codings = [coding for coding in codings if coding not in ("", "identity")]
        if len(codings) > _MOST_CODINGS or not _INFLATERS.keys() >= set(codings):
            raise UnsupportedMediaType(
                "The content coding of the request is not supported. Use gzip, deflate or none.",
                headers=(_ACCEPTED,),
            )
    return codings


async def decode(
    codings: list[str], headers: Headers, body: Buffer, limit_bytes: int
) -> tuple[Headers, Buffer]:
    """The headers and the body as if it had never been coded; no body stays none.

    Raises:
        BadInput: it is corrupt, or ends early.
        BodyTooLarge: it would be over *limit_bytes*.
    """
    if not body:
        return headers, body
    # Where no event loop runs (a script in the process of its test) nobody else waits.
    if len(body) <= _SMALL_BYTES or asyncio._get_running_loop() is None:
        plain = _inflate_all(codings, body, limit_bytes)
    else:
        plain = await asyncio.to_thread(_inflate_all, codings, body, limit_bytes)
    length = (b"content-length", b"%d" % len(plain))
    headers = [
        length if name == b"content-length" else (name, value)
        for name, value in headers
        if name != CONTENT_ENCODING
    ]
    return headers, plain


def _inflate_all(codings: list[str], body: Buffer, limit_bytes: int) -> Buffer:
    try:
        for coding in reversed(codings):
            body = _INFLATERS[coding](body, limit_bytes)
    except zlib.error as error:
        raise BadInput("The request body is not what its Content-Encoding says.") from error
    return body


def _gunzip(data: Buffer, limit_bytes: int) -> bytearray:
    """The members of a gzip file, joined (RFC 1952, 2.2)."""
    plain = bytearray()
    rest = data
    while rest:
        rest = _inflate(_GZIP, rest, plain, limit_bytes)
    return plain


def _undeflate(data: Buffer, limit_bytes: int) -> bytearray:
    """The zlib format; without its header, too, as some clients send it (RFC 9110, 8.4.1.2)."""
    start = bytes(data[:2])
    has_header = len(start) == 2 and start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0
    plain = bytearray()
    if _inflate(zlib.MAX_WBITS if has_header else _RAW, data, plain, limit_bytes):
        raise BadInput("The request body goes on behind its compressed content.")
    return plain


def _inflate(window_bits: int, data: Buffer, plain: bytearray, limit_bytes: int) -> bytes:
    """Append one stream's content to *plain*; what comes behind the stream."""
    inflater = zlib.decompressobj(window_bits)
    while not inflater.eof:
        room = limit_bytes + 1 - len(plain)
        piece = inflater.decompress(data, min(room, _PIECE_BYTES))
        plain += piece
        data = inflater.unconsumed_tail
        if len(plain) > limit_bytes:
            raise BodyTooLarge(
                f"The request body, uncompressed, is over the limit of {limit_bytes} bytes."
            )
        if not piece and not data and not inflater.eof:
            raise BadInput("The compressed request body ended before it was complete.")
    return inflater.unused_data


_INFLATERS: dict[str, Callable[[Buffer, int], bytearray]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,  # the same (RFC 9110, 8.4.1.3)
    "deflate": _undeflate,
}
