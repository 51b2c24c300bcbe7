"""A hostile case: bytes, and what may come back. Data; `run.py` does the rest."""

from __future__ import annotations

from dataclasses import dataclass

# Eight bytes that become another text in every run, so that a call of run() can be told.
TOKEN = b"@@TOKEN@"
# The server that the cases are meant for.
TARGET_BYTES = 8192
HEAD_BYTES = 65_536
HEADER_COUNT = 200
BODY_BYTES = 100_000
FLAGS = (
    *("--max_request_line_bytes", str(TARGET_BYTES)),
    *("--max_header_bytes", str(HEAD_BYTES)),
    *("--max_header_count", str(HEADER_COUNT)),
    *("--max_body_bytes", str(BODY_BYTES)),
    *("--header_timeout", "1", "--body_timeout", "1"),
)

CLOSED = 0  # among the statuses: closed without an answer


@dataclass(frozen=True)
class Case:
    """Bytes on a connection of their own.

    Attributes:
        data: What is sent, in one piece.
        statuses: What the first answer may be; `CLOSED` for none.
        answers: How many there may be.
        runs: How often run() is called, exactly; None for once for each 200.
        continues: How many ``100 Continue`` there may be.
    """

    data: bytes
    statuses: frozenset[int]
    answers: int = 1
    runs: int | None = 0
    continues: int = 0


Table = dict[str, Case]


def refused(data: bytes, *statuses: int) -> Case:
    """Malformed or ambiguous: never run."""
    return Case(data, frozenset(statuses or (400,)))


def tolerated(data: bytes, *statuses: int) -> Case:
    """Odd, and a recipient may do either: refuse it, or take it for the one thing it can mean."""
    return Case(data, frozenset((200, 400, *statuses)), runs=None)


def scored(data: bytes, times: int = 1, *, continues: int = 0) -> Case:
    """Odd, but without doubt: run, and answered 200."""
    return Case(data, frozenset((200,)), answers=times, runs=times, continues=continues)


def lines(*parts: bytes) -> bytes:
    """A head: lines, each ended, and the empty one."""
    return b"".join(part + b"\r\n" for part in (*parts, b""))


def get(*fields: bytes, target: bytes = b"/score?" + TOKEN + b"=1") -> bytes:
    """GET, with exactly these fields behind Host."""
    return lines(b"GET %b HTTP/1.1" % target, b"Host: x", *fields)


def post(body: bytes, *fields: bytes, target: bytes = b"/score") -> bytes:
    """POST, with exactly these fields behind Host."""
    return lines(b"POST %b HTTP/1.1" % target, b"Host: x", *fields) + body


def sized(body: bytes = TOKEN, *fields: bytes) -> bytes:
    """POST with the right length."""
    return post(body, b"Content-Length: %d" % len(body), *fields)


def chunked(body: bytes, *fields: bytes) -> bytes:
    """POST in chunks, which are given."""
    return post(body, b"Transfer-Encoding: chunked", *fields)


# What a smuggler would have run.
SMUGGLED = get(target=b"/score?smuggled=" + TOKEN)
ONE_CHUNK = b"8\r\n" + TOKEN + b"\r\n0\r\n\r\n"
