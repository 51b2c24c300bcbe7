"""What passes between the pieces: HTTP-shaped values that know no framework.

They are msgspec structs rather than dataclasses: one is made for every call, and a
struct is built in a tenth of the time of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

from msgspec import Struct

# Pairs in the order of the wire; names of a request are in lower case.
Headers: TypeAlias = "list[tuple[bytes, bytes]]"
Buffer: TypeAlias = "bytes | bytearray | memoryview"
BUFFERS = (bytes, bytearray, memoryview)  # for isinstance: a body that is whole


class Request(Struct, frozen=True, gc=False):
    """One HTTP request.

    Attributes:
        method: As on the wire; methods are case-sensitive (RFC 9110, 9.1).
        path: Percent-decoded, without the query.
        query: Raw, without the ``?``.
        headers: Lower-case names; a repeated header is a repeated pair.
        body: Whole. Empty until the application has decided to read it.
        scheme: ``http`` or ``https``.
        client: Address of the peer, empty if unknown.
        server: ``host:port`` the request came in on, empty if unknown.
        http_version: ``1.0`` or ``1.1``.
        request_id: What ``x-request-id`` answers (R4.10).
        client_request_id: The client's own id, empty if it sent none.
    """

    method: str
    path: str
    query: bytes = b""
    headers: Headers = []  # msgspec copies an empty default list
    body: Buffer = b""
    scheme: str = "http"
    client: str = ""
    server: str = ""
    http_version: str = "1.1"
    request_id: str = ""
    client_request_id: str = ""

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, repeated ones joined with a comma; None if absent."""
        values = [value for key, value in self.headers if key == name]
        return b",".join(values) if values else None


class Batch(Struct, frozen=True, gc=False):
    """Calls that were computed together, seen from one of them.

    Attributes:
        size: How many there were, this one included.
        wait_s: Seconds this one waited until they were sent to a worker.
    """

    size: int
    wait_s: float


class Timings(Struct, omit_defaults=True, gc=False):
    """Where the time of one scored call went, in seconds.

    Attributes:
        queue_s: From the arrival of the call to its answer, without the other three: the
            wait for a worker, and the way there and back. The pool sets it, for which the
            struct is not frozen: another one a call would cost more than its header.
        batch: Set by the pool if the script is one that is given calls together.
    """

    parse_s: float = 0.0
    run_s: float = 0.0
    encode_s: float = 0.0
    queue_s: float = 0.0
    batch: Batch | None = None


class Response(Struct, frozen=True):
    """One HTTP response.

    Attributes:
        status: 200 to 599.
        headers: As they go on the wire, without Content-Length, Date and Connection.
        body: Bytes, or an iterator of bytes for a stream: a plain one where the script
            runs, an asynchronous one in the front end.
        timings: Set if run() returned normally.
        reason: A reason phrase of the script's own; empty means the standard one.
    """

    status: int
    headers: Headers
    body: Buffer | Iterator[bytes] | AsyncIterator[bytes] = b""
    timings: Timings | None = None
    reason: str = ""
