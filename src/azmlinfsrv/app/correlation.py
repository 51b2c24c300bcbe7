"""Identification headers: which ids a request has, and which its response carries (R4.10-R4.13)."""

from __future__ import annotations

import logging
from random import Random

from msgspec import Struct

from azmlinfsrv.app.content_coding import CONTENT_ENCODING
from azmlinfsrv.app.deadline import TIMEOUTS
from azmlinfsrv.errors import HeaderTooLong
from azmlinfsrv.messages import Headers

_log = logging.getLogger("azmlinfsrv")

MAX_ID_CHARACTERS = 100  # R4.12
_DEPRECATED = (
    "x-ms-request-id header has been deprecated and will be removed from future versions of "
    "the server. Please use x-ms-client-request-id."
)
_NAMES = frozenset(
    (
        b"x-request-id",
        b"x-ms-request-id",
        b"x-ms-client-request-id",
        b"traceid",
        CONTENT_ENCODING,
        *TIMEOUTS,
    )
)

# Ids need to be unique, not secret; the operating system is asked for a seed once.
_random = Random()


class Correlation(Struct, frozen=True, gc=False):
    """The ids of one request.

    Attributes:
        request_id: Given in ``x-request-id``, or new.
        client_request_id: The client's own; empty if it sent none.
        headers: What the response carries, in the order of R4.6.
        error: Set if an id is too long; the response carries only what R4.12 leaves.
        is_plain: No header has an id, a limit, or a coding: there is nothing more to look for.
    """

    request_id: str
    client_request_id: str
    headers: Headers
    error: HeaderTooLong | None = None
    is_plain: bool = False


def correlate(headers: Headers) -> Correlation:
    """Read the identification headers of a request (the table of R4.10)."""
    given: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _NAMES:
            given[name] = given[name] + b"," + value if name in given else value
    if not given:  # as nearly always
        new = new_id()
        ours = new.encode()
        ids = [(b"x-request-id", ours), (b"x-ms-request-id", ours)]
        return Correlation(new, "", ids, None, is_plain=True)
    trace = given.pop(b"traceid", None)
    tail = [] if trace is None else [(b"TraceId", trace)]
    # R4.11, with the decision: an empty id counts as absent, whichever it is.
    request = given.get(b"x-request-id", b"").strip()
    legacy = given.get(b"x-ms-request-id", b"").strip()
    client = given.get(b"x-ms-client-request-id", b"").strip()
    if legacy:
        _log.warning(_DEPRECATED)
    if len(request) > MAX_ID_CHARACTERS:
        return Correlation(
            "", "", tail, HeaderTooLong("x-request-id must not exceed 100 characters")
        )
    ours = request or new_id().encode()
    if len(legacy) > MAX_ID_CHARACTERS or len(client) > MAX_ID_CHARACTERS:
        return Correlation(
            ours.decode("latin-1"),
            "",
            [(b"x-request-id", ours), *tail],
            HeaderTooLong(
                "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
            ),
        )
    out = [(b"x-request-id", ours), (b"x-ms-request-id", legacy or client or ours)]
    if client or legacy:
        out.append((b"x-ms-client-request-id", client or legacy))
    return Correlation(ours.decode("latin-1"), (client or legacy).decode("latin-1"), [*out, *tail])


def new_id() -> str:
    """A random UUID of version 4, lower-case and hyphenated (RFC 9562, 5.4)."""
    bits = _random.getrandbits(128)
    bits = bits & ~(0xF000 << 64) | (4 << 76)
    bits = bits & ~(0xC000 << 48) | (0x8000 << 48)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def reseed() -> None:
    """Start a sequence of one's own; call after a fork."""
    _random.seed()
