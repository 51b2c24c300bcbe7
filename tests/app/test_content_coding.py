"""Compressed bodies: undone within the limit, and refused as the client's mistake."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import pytest

from azmlinfsrv.app.content_coding import codings_of, decode
from azmlinfsrv.errors import BadInput, BodyTooLarge, UnsupportedMediaType
from azmlinfsrv.messages import Headers

LIMIT = 1_000_000
PLAIN = b'{"data": [' + b"1, " * 50_000 + b"1]}"


def raw(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def undo(body: bytes, *values: str, limit: int = LIMIT) -> tuple[Headers, bytes]:
    headers: Headers = [
        (b"content-length", b"%d" % len(body)),
        *((b"content-encoding", value.encode()) for value in values),
        (b"content-type", b"application/json"),
    ]
    headers, plain = asyncio.run(decode(codings_of(headers), headers, body, limit))
    return headers, bytes(plain)


GOOD = {
    "gzip": (gzip.compress(PLAIN), ("gzip",)),
    "gzip in capitals": (gzip.compress(PLAIN), ("GZip",)),
    "its old name": (gzip.compress(PLAIN), ("x-gzip",)),
    "gzip in members": (gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]), ("gzip",)),
    "gzip without compression": (gzip.compress(PLAIN, 0), ("gzip",)),
    "deflate": (zlib.compress(PLAIN), ("deflate",)),
    "deflate without its header": (raw(PLAIN), ("deflate",)),
    "deflate, then gzip": (gzip.compress(zlib.compress(PLAIN)), ("deflate, gzip",)),
    "two fields": (gzip.compress(zlib.compress(PLAIN)), ("deflate", "gzip")),
    "identity and gzip": (gzip.compress(PLAIN), ("identity, gzip",)),
    "empty members of the list": (gzip.compress(PLAIN), (", gzip,",)),
}


@pytest.mark.parametrize(("body", "values"), GOOD.values(), ids=list(GOOD))
def test_the_plain_body_comes_out_with_its_length(body: bytes, values: tuple[str, ...]) -> None:
    headers, plain = undo(body, *values)

    assert plain == PLAIN
    assert headers == [
        (b"content-length", b"%d" % len(PLAIN)),
        (b"content-type", b"application/json"),
    ]


@pytest.mark.parametrize("value", ["identity", "", "identity, identity", "IDENTITY"])
def test_no_coding_is_nothing_to_undo(value: str) -> None:
    assert codings_of([(b"content-encoding", value.encode())]) == []


def test_no_body_stays_none() -> None:
    assert undo(b"", "gzip")[1] == b""


BOMB = gzip.compress(b"\0" * 50_000_000)
TOO_LARGE = {
    "a gzip bomb": (BOMB, "gzip"),
    "a deflate bomb": (zlib.compress(b"\0" * 50_000_000), "deflate"),
    "a bomb in a bomb": (gzip.compress(BOMB), "gzip, gzip"),
    "a bomb in members": (gzip.compress(b"\0" * 600_000) * 2, "gzip"),
    "one byte too many": (gzip.compress(b"\0" * (LIMIT + 1)), "gzip"),
    "a small bomb": (gzip.compress(b"\0" * 1_000_001)[:1024], "gzip"),
}


@pytest.mark.parametrize(("body", "value"), TOO_LARGE.values(), ids=list(TOO_LARGE))
def test_inflating_stops_at_the_limit(body: bytes, value: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            undo(body, value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 6 * LIMIT


def test_the_limit_itself_is_taken() -> None:
    assert len(undo(gzip.compress(b"\0" * LIMIT), "gzip")[1]) == LIMIT


CORRUPT = {
    "not compressed": (PLAIN, "gzip"),
    "gzip cut short": (gzip.compress(PLAIN)[:-9], "gzip"),
    "gzip without its end": (gzip.compress(PLAIN)[:-1], "gzip"),
    "the first byte of gzip": (b"\x1f", "gzip"),
    "gzip with a wrong sum": (gzip.compress(PLAIN)[:-8] + b"\0" * 8, "gzip"),
    "gzip with a byte turned": (b"\x1f\x8b\x08\x00" + b"\xff" * 50, "gzip"),
    "rubbish behind gzip": (gzip.compress(PLAIN) + b"rubbish", "gzip"),
    "deflate cut short": (zlib.compress(PLAIN)[:-1], "deflate"),
    "deflate without a header cut short": (raw(PLAIN)[:-1], "deflate"),
    "deflate with a wrong sum": (zlib.compress(PLAIN)[:-4] + b"\0\0\0\0", "deflate"),
    "rubbish behind deflate": (zlib.compress(PLAIN) + b"rubbish", "deflate"),
    "gzip called deflate": (gzip.compress(PLAIN), "deflate"),
    "deflate called gzip": (zlib.compress(PLAIN), "gzip"),
    "one coding less than said": (gzip.compress(PLAIN), "gzip, gzip"),
}


@pytest.mark.parametrize(("body", "value"), CORRUPT.values(), ids=list(CORRUPT))
def test_a_corrupt_body_is_bad_input(body: bytes, value: str) -> None:
    with pytest.raises(BadInput):
        undo(body, value)


@pytest.mark.parametrize(
    "value",
    ["br", "zstd", "compress", "gzip, br", "gzip;q=1", "gzip, gzip, gzip", "aes128gcm", "*"],
)
def test_another_coding_is_415_and_says_which_there_are(value: str) -> None:
    with pytest.raises(UnsupportedMediaType) as refusal:
        undo(gzip.compress(PLAIN), value)

    assert (b"Accept-Encoding", b"gzip, deflate") in refusal.value.headers
