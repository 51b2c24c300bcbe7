"""What goes over one connection: several requests, unfinished ones, expectations, upgrades."""

from __future__ import annotations

from tests.hostile.case import (
    ONE_CHUNK,
    SMUGGLED,
    TOKEN,
    Case,
    Table,
    chunked,
    get,
    lines,
    post,
    refused,
    scored,
    sized,
)

TEXT = b"hello" * 3
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQA")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def good_then(data: bytes, answers: int = 2) -> Case:
    """The first request is answered; what follows is not, or refused."""
    return Case(sized() + data, frozenset((200,)), answers=answers, runs=1)


PIPELINES: Table = {
    "two requests": scored(sized() + sized(), 2),
    "twenty requests": scored(sized() * 20, 20),
    "chunks, then a length": scored(chunked(ONE_CHUNK) + sized(), 2),
    "a length, then chunks": scored(sized() + chunked(ONE_CHUNK), 2),
    "empty lines between requests": scored(sized() + b"\r\n\r\n" + sized(), 2),
    "a request behind the last one": Case(
        sized(TOKEN, b"Connection: close") + SMUGGLED, frozenset((200,)), runs=1
    ),
    "a request behind one of HTTP/1.0": Case(
        lines(b"POST /score HTTP/1.0", b"Content-Length: 8") + TOKEN + SMUGGLED,
        frozenset((200,)),
        runs=1,
    ),
    "rubbish behind a request": good_then(b"\0\1\2 rubbish\r\n\r\n"),
    "TLS behind a request": good_then(b"\x16\x03\x01\x02\x00\x01\x00" + b"\0" * 40 + b"\r\n\r\n"),
    "a smuggler behind a request": good_then(
        post(ONE_CHUNK + SMUGGLED, b"Content-Length: 8", b"Transfer-Encoding: chunked")
    ),
    "a bad length behind a request": good_then(post(TOKEN, b"Content-Length: +8")),
    "a bad host behind a request": good_then(get(b"Host: y")),
    "a bad chunk behind a request": good_then(chunked(b"-8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a bare line feed behind a request": good_then(b"GET /score?" + TOKEN + b" HTTP/1.1\nX: y\n\n"),
    "a large body behind a request": good_then(post(b"", b"Content-Length: 100001")),
    "a request behind a smuggler": refused(
        post(ONE_CHUNK, b"Content-Length: 8", b"Transfer-Encoding: chunked") + sized()
    ),
    "a request behind a bad head": refused(get(b"nonsense") + sized()),
    "a request behind a bad chunk": refused(
        chunked(b"-8\r\n" + TOKEN + b"\r\n0\r\n\r\n") + sized()
    ),
    "a request behind a large body": refused(
        post(b"x" * 100_001, b"Content-Length: 100001") + sized(), 413
    ),
    "a request behind one that is not taken": Case(
        lines(b"PUT /score HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        frozenset((405,)),
    ),
    "a request behind an unknown method": refused(
        lines(b"BREW /score HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(SMUGGLED))
        + SMUGGLED,
        405,
    ),
    "a request behind an unknown path": Case(
        post(SMUGGLED, b"Content-Length: %d" % len(SMUGGLED), target=b"/nowhere"), frozenset((404,))
    ),
    "more than the length": good_then(SMUGGLED[:20] + b"\r\n\r\n"),
    "a body without a length": Case(
        post(b"rubbish " + TOKEN + b"\r\n\r\n", target=b"/nowhere"), frozenset((404,)), answers=2
    ),
    "a body on the probe": Case(
        lines(b"GET / HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        frozenset((200,)),
    ),
    "HEAD with a body": refused(
        lines(b"HEAD /score HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(SMUGGLED))
        + SMUGGLED,
        405,
    ),
}

OPTIONS: Table = {
    "100-continue": scored(sized(TOKEN, b"Expect: 100-continue"), continues=1),
    "100-continue in capitals": scored(sized(TOKEN, b"EXPECT: 100-CONTINUE"), continues=1),
    "100-continue with chunks": scored(chunked(ONE_CHUNK, b"Expect: 100-continue"), continues=1),
    "100-continue without a body": scored(get(b"Expect: 100-continue"), continues=1),
    "100-continue in HTTP/1.0": scored(
        lines(b"POST /score HTTP/1.0", b"Content-Length: 8", b"Expect: 100-continue") + TOKEN
    ),
    "100-continue and a large body": refused(
        post(b"", b"Content-Length: 100001", b"Expect: 100-continue"), 413
    ),
    "100-continue and a bad length": refused(
        post(b"", b"Content-Length: +8", b"Expect: 100-continue")
    ),
    "100-continue and an unknown path": Case(
        post(b"", b"Content-Length: 8", b"Expect: 100-continue", target=b"/nowhere"),
        frozenset((404,)),
        continues=1,
    ),
    "100-continue, and nothing": Case(
        post(b"", b"Content-Length: 8", b"Expect: 100-continue"), frozenset((408,)), continues=1
    ),
    "an unknown expectation": scored(sized(TOKEN, b"Expect: a-miracle")),
    "two expectations": scored(sized(TOKEN, b"Expect: 100-continue, a-miracle"), continues=1),
    "an empty expectation": scored(sized(TOKEN, b"Expect:")),
    "HTTP/1.0, kept open": scored(
        lines(b"POST /score HTTP/1.0", b"Content-Length: 8", b"Connection: keep-alive") + TOKEN
    ),
    "close": scored(sized(TOKEN, b"Connection: close")),
    "close and keep-alive": scored(sized(TOKEN, b"Connection: close, keep-alive")),
    "an unknown connection option": scored(sized(TOKEN, b"Connection: x, y, z")),
    "an upgrade to h2c": scored(sized(TOKEN, *H2C)),
    "an upgrade to h2c with chunks": scored(chunked(ONE_CHUNK, *H2C)),
    "an upgrade to h2c and a smuggler": refused(
        post(ONE_CHUNK, b"Content-Length: 8", b"Transfer-Encoding: chunked", *H2C)
    ),
    "an upgrade to h2c and a bad coding": refused(
        post(ONE_CHUNK, b"Transfer-Encoding: gzip, chunked", *H2C)
    ),
    "an upgrade to h2c and a bad chunk": refused(
        chunked(b"-8\r\n" + TOKEN + b"\r\n0\r\n\r\n", *H2C)
    ),
    "an upgrade to h2c and a request behind": Case(
        sized(TOKEN, *H2C) + get(), frozenset((200,)), answers=2, runs=None
    ),
    "an upgrade to h2c over the limit": refused(
        post(b"x" * 100_001, b"Content-Length: 100001", *H2C), 413
    ),
    "an upgrade to WebSocket": scored(get(*WEBSOCKET)),
    "an upgrade to WebSocket and its frames": Case(
        get(*WEBSOCKET) + b"\x81\x85\0\0\0\0hello", frozenset((200,)), answers=2, runs=1
    ),
    "an upgrade to TLS": scored(sized(TOKEN, b"Connection: Upgrade", b"Upgrade: TLS/1.0")),
    "an upgrade without a connection option": scored(sized(TOKEN, b"Upgrade: websocket")),
}

UNFINISHED: Table = {
    "one byte": refused(b"P", 408),
    "half a method": refused(b"POS", 408),
    "half a request line": refused(b"POST /score?" + TOKEN, 408),
    "half a head": refused(b"POST /score HTTP/1.1\r\nHost: x\r\n", 408),
    "half a line end": refused(b"POST /score HTTP/1.1\r\nHost: x\r\n\r", 408),
    "empty lines": refused(b"\r\n\r\n\r\n", 408, 0),
    "no body": refused(post(b"", b"Content-Length: 8"), 408),
    "half a body": refused(post(TOKEN, b"Content-Length: 16"), 408),
    "a large body that stops": refused(post(b"x" * 90_000, b"Content-Length: 99999"), 408),
    "no chunk": refused(chunked(b""), 408),
    "half a chunk size": refused(chunked(b"8"), 408),
    "half a chunk": refused(chunked(b"10\r\n" + TOKEN), 408),
    "no last chunk": refused(chunked(b"8\r\n" + TOKEN + b"\r\n"), 408),
    "half a trailer": refused(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nX: y\r\n"), 408),
    "a body that stops behind a request": good_then(post(TOKEN, b"Content-Length: 16")),
    "a head that stops behind a request": good_then(b"POST /score HTTP/1.1\r\nHost"),
    "a body that stops on an upgrade": refused(post(b"abc", b"Content-Length: 8", *H2C), 408),
    "nothing": refused(b"", 0),
}
