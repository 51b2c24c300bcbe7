"""What clients get wrong: a 4xx each, in JSON where we answer, and a server that goes on."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Server, serving

SCRIPT = """
def init():
    pass

def run(data):
    return {"length": len(data)}
"""
LIMIT = 100_000
HEAD_LIMIT = 65_536


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("bad-input")
    (root / "score.py").write_text(SCRIPT, encoding="utf-8")
    flags = ("--max_body_bytes", str(LIMIT), "--max_header_bytes", str(HEAD_LIMIT))
    with serving(root / "score.py", *flags, root=root) as running:
        pids = {worker.pid for worker in running.workers()}
        yield running
        assert {worker.pid for worker in running.workers()} == pids, running.log()
        assert "Traceback" not in running.log()


def post(body: bytes = b"", *fields: bytes, target: bytes = b"/score") -> bytes:
    """A request with exactly these fields behind Host and Connection."""
    head = [b"POST %b HTTP/1.1" % target, b"Host: x", b"Connection: close", *fields]
    return b"\r\n".join([*head, b"", body])


def sized(body: bytes, *fields: bytes, target: bytes = b"/score") -> bytes:
    return post(body, b"Content-Length: %d" % len(body), *fields, target=target)


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(body, b"Transfer-Encoding: chunked", *fields)


def get(target: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    head = [b"GET %b HTTP/1.1" % target, b"Host: x", b"Connection: close", *fields]
    return b"\r\n".join([*head, b"", body])


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: x\r\nConnection: close\r\n\r\n"


# Bytes, and the status; several where the layer that refuses may choose.
BAD: dict[str, tuple[bytes, set[int]]] = {
    # bodies
    "not UTF-8": (sized(b"\xff\xfe"), {400}),
    "a cut UTF-8 sequence": (sized(b"\xe2\x82"), {400}),
    "a surrogate in UTF-8": (sized(b"\xed\xa0\x80"), {400}),
    "an overlong encoding": (sized(b"\xc0\xaf"), {400}),
    "UTF-16": (sized("{}".encode("utf-16")), {400}),
    "a gzip body": (sized(b"\x1f\x8b\x08\x00\x00\x00", b"Content-Encoding: gzip"), {400, 415}),
    "over the limit": (sized(b"x" * (LIMIT + 1)), {413}),
    "far over the limit, announced only": (post(b"", b"Content-Length: 99999999999"), {413}),
    "chunks over the limit": (
        chunked(4 * (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") + b"0\r\n\r\n"),
        {413},
    ),
    # lengths
    "a negative length": (post(b"", b"Content-Length: -1"), {400}),
    "a length in words": (post(b"", b"Content-Length: five"), {400}),
    "an empty length": (post(b"", b"Content-Length:"), {400}),
    "a length with a plus": (post(b"{}", b"Content-Length: +2"), {400}),
    "a length in hexadecimal": (post(b"{}", b"Content-Length: 0x2"), {400}),
    "a fractional length": (post(b"{}", b"Content-Length: 2.0"), {400}),
    "a length of many digits": (post(b"{}", b"Content-Length: " + b"9" * 40), {400, 413}),
    "two lengths that differ": (post(b"{}", b"Content-Length: 2", b"Content-Length: 3"), {400}),
    "two lengths in one": (post(b"{}", b"Content-Length: 2, 3"), {400}),
    "length and chunks": (
        post(b"2\r\n{}\r\n0\r\n\r\n", b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        {400},
    ),
    "two equal hosts": (sized(b"{}", b"Host: x"), {400}),
    # chunks
    "a chunk size in words": (chunked(b"two\r\n{}\r\n0\r\n\r\n"), {400}),
    "a negative chunk size": (chunked(b"-2\r\n{}\r\n0\r\n\r\n"), {400}),
    "a chunk longer than its size": (chunked(b"2\r\n{}{}\r\n0\r\n\r\n"), {400}),
    "a chunk size too large for a number": (chunked(b"f" * 20 + b"\r\n{}"), {400, 413}),
    "an empty chunk size": (chunked(b"\r\n{}\r\n0\r\n\r\n"), {400}),
    "an unknown transfer coding": (post(b"{}", b"Transfer-Encoding: gzip"), {400, 501}),
    "chunked, but not last": (post(b"{}", b"Transfer-Encoding: chunked, gzip"), {400, 501}),
    # heads
    "an unknown version": (line(b"GET /score HTTP/9.9"), {400, 505}),
    "not HTTP": (b"hello there\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50, {400}),
    "zero bytes": (b"\0" * 100, {400}),
    "a method in lower case": (line(b"post /score HTTP/1.1"), {405}),
    "a method with odd characters": (line(b"PO(ST /score HTTP/1.1"), {400}),
    "no target": (line(b"GET  HTTP/1.1"), {400}),
    "a blank in the target": (line(b"GET /sc ore HTTP/1.1"), {400}),
    "a control character in the target": (line(b"GET /sc\x01ore HTTP/1.1"), {400}),
    "a field without a colon": (get(b"/score", b"nonsense"), {400}),
    "a field without a name": (get(b"/score", b": value"), {400}),
    "a blank before the colon": (get(b"/score", b"Name : value"), {400}),
    "a field name with odd characters": (get(b"/score", b"N(ame: value"), {400}),
    "a control character in a value": (get(b"/score", b"Name: a\x01b"), {400}),
    "a zero byte in a value": (get(b"/score", b"Name: a\0b"), {400}),
    "a bare carriage return in a value": (get(b"/score", b"Name: a\rb"), {400}),
    # ids
    "x-request-id too long": (sized(b"{}", b"x-request-id: " + b"a" * 101), {431}),
    "x-ms-request-id too long": (sized(b"{}", b"x-ms-request-id: " + b"a" * 101), {431}),
    "x-ms-client-request-id too long": (
        sized(b"{}", b"x-ms-client-request-id: " + b"a" * 101),
        {431},
    ),
    "ids too long together": (
        sized(b"{}", b"x-request-id: " + b"a" * 60, b"x-request-id: " + b"b" * 60),
        {431},
    ),
    # methods
    "PUT": (line(b"PUT /score HTTP/1.1"), {405}),
    "DELETE": (line(b"DELETE /score HTTP/1.1"), {405}),
    "PATCH": (line(b"PATCH /score HTTP/1.1"), {405}),
    "TRACE": (line(b"TRACE /score HTTP/1.1"), {405}),
    "CONNECT": (line(b"CONNECT example.org:80 HTTP/1.1"), {404, 405, 400}),
    "a method of its own": (line(b"BREW /score HTTP/1.1"), {405}),
    "POST on the probe": (sized(b"{}", target=b"/"), {405}),
    "POST on the document": (sized(b"{}", target=b"/swagger.json"), {405}),
    # paths
    "no such path": (get(b"/nothing"), {404}),
    "a slash behind": (get(b"/score/"), {404}),
    "another case": (get(b"/Score"), {404}),
    "an encoded slash": (get(b"/score%2f"), {404}),
    "dots": (get(b"/../../etc/passwd"), {404}),
    "encoded dots": (get(b"/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "a broken escape": (get(b"/score%zz"), {404, 400}),
    "a path that is not UTF-8": (get(b"/%ff"), {404}),
    "the server itself": (line(b"OPTIONS * HTTP/1.1"), {404, 400}),
    "a long path": (get(b"/" + b"a" * 8000), {404, 414}),
    "static": (get(b"/static/x"), {404}),
    "no such document": (get(b"/swagger.json?version=9"), {404}),
    "an empty version": (get(b"/swagger.json?version="), {404}),
}
# Odd, but legal: the script's own answer.
ODD: dict[str, tuple[bytes, int]] = {
    "an empty body": (sized(b""), 0),
    "no length": (post(b""), 0),
    "an unknown content type": (sized(b"ab", b"Content-Type: nonsense"), 2),
    "a broken content type": (sized(b"ab", b'Content-Type: ;;;=""; charset'), 2),
    "an unknown charset": (sized(b"ab", b"Content-Type: text/plain; charset=klingon"), 2),
    "a form": (sized(b"a=1&b=2", b"Content-Type: application/x-www-form-urlencoded"), 7),
    "a multipart body without parts": (
        sized(b"ab", b"Content-Type: multipart/form-data; boundary=x"),
        2,
    ),
    "a byte order mark": (sized(b"\xef\xbb\xbf{}"), 3),
    "zero bytes in the text": (sized(b"a\0b"), 3),
    "as long as the limit": (sized(b"x" * LIMIT), LIMIT),
    "a duplicate content type": (
        sized(b"ab", b"Content-Type: text/plain", b"Content-Type: application/json"),
        2,
    ),
    "chunks": (chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), 3),
    "chunks with extensions and trailers": (chunked(b"2;a=b\r\nab\r\n0\r\nX: y\r\n\r\n"), 2),
    "a field name in capitals": (sized(b"ab").replace(b"Content-Length", b"CONTENT-LENGTH"), 2),
    "latin-1 in a field": (sized(b"ab", b"Name: \xe9\xff"), 2),
    "a field of 7000 bytes": (sized(b"ab", b"Name: " + b"a" * 7000), 2),
    "two hundred fields": (sized(b"ab", *(b"N%d: v" % number for number in range(200))), 2),
    "an absolute target": (sized(b"ab", target=b"http://x/score"), 2),
    "slashes in front": (sized(b"ab", target=b"//score"), 2),
    "a query on a POST": (sized(b"ab", target=b"/score?a=%zz&&=&"), 2),
    "a broken query": (get(b"/score?%zz=%ff&&=&a"), -1),
    "a body on GET": (get(b"/score?a=1", b"Content-Length: 3", body=b"\xff\xff\xff"), 8),
    "HTTP/1.0": (b"POST /score HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", 2),
    "no host": (b"POST /score HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", 2),
    "an upgrade that is not made": (
        sized(b"ab", b"Upgrade: h2c").replace(b"Connection: close", b"Connection: Upgrade, close"),
        2,
    ),
    "an empty id": (sized(b"ab", b"x-request-id:"), 2),
}


def parse(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", first)
    assert match, data
    pairs = (field.split(": ", 1) for field in fields)
    return int(match[1]), {name.lower(): value for name, value in pairs}, body


def assert_alive(server: Server) -> None:
    assert server.get("/").status == 200
    assert json.loads(server.score(b"abc").body) == {"length": 3}


@pytest.mark.parametrize(("data", "statuses"), BAD.values(), ids=list(BAD))
def test_a_mistake_is_a_4xx_in_json_and_costs_nobody_else(
    server: Server, data: bytes, statuses: set[int]
) -> None:
    received = server.exchange(data)
    status, fields, body = parse(received)

    assert status in statuses
    assert fields["content-type"] == "application/json"
    assert json.loads(body)["message"]
    assert fields["x-ms-run-function-failed"] == "False"
    assert_alive(server)


@pytest.mark.parametrize(("data", "length"), ODD.values(), ids=list(ODD))
def test_what_is_odd_but_legal_reaches_the_script(server: Server, data: bytes, length: int) -> None:
    status, _, body = parse(server.exchange(data))

    assert status == 200
    if length >= 0:
        assert json.loads(body) == {"length": length}
    assert_alive(server)


TRUNCATED = {
    "half a body": post(b"abc", b"Content-Length: 6"),
    "no body": post(b"", b"Content-Length: 6"),
    "half a chunk": chunked(b"6\r\nabc"),
    "no last chunk": chunked(b"3\r\nabc\r\n"),
}


@pytest.mark.parametrize("data", TRUNCATED.values(), ids=list(TRUNCATED))
def test_a_body_cut_short_is_refused_where_it_can_be_told(server: Server, data: bytes) -> None:
    status, fields, body = parse(server.exchange(data, half_close=True))

    assert status == 400
    assert fields["content-type"] == "application/json"
    assert "before it was complete" in json.loads(body)["message"]
    assert_alive(server)


@pytest.mark.parametrize("data", TRUNCATED.values(), ids=list(TRUNCATED))
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_body_cut_short_is_never_scored(server: Server, data: bytes, how: str) -> None:
    mark = f"{how}-{list(TRUNCATED.values()).index(data)}"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(data.replace(b"/score", b"/score?" + mark.encode()))
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    assert server.score(b"abc", {"x-request-id": mark}).status == 200
    assert server.request("POST", f"/score?after-{mark}", b"abc").status == 200
    server.wait_for_log(f"/score?after-{mark} 200")
    assert f"/score?{mark} 200" not in server.log()
    assert f"/score?{mark} 500" not in server.log()


def test_a_head_cut_short_costs_nothing(server: Server) -> None:
    for data in (b"", b"POST", b"POST /score HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n"):
        server.exchange(data, half_close=True)

    assert_alive(server)


def test_connections_that_say_nothing_hold_up_nobody(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    assert_alive(server)
    for connection in (*idle, *slow):
        connection.close()


@pytest.mark.parametrize("piece", [b"Name: %b\r\n" % (b"x" * 4000), b"x" * 4000, b"N: x\r\n" * 800])
def test_a_head_without_end_is_refused(server: Server, piece: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /score HTTP/1.1\r\nHost: x\r\nX: ")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                connection.sendall(piece)
        status, _, body = parse(connection.recv(65536))

    assert status == 431
    assert "head is over" in json.loads(body)["message"]
    assert_alive(server)


@pytest.mark.parametrize("field", [b"n" * 90_000 + b": v", b"N: " + b"v" * 90_000])
def test_a_head_over_the_limit_is_refused_however_it_comes(server: Server, field: bytes) -> None:
    """Its pieces are below the limit, and the parser says of none but the last what it is."""
    request = get(b"/score", field, b"", b"")
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        for start in range(0, len(request), 30_000):
            connection.sendall(request[start : start + 30_000])
            assert_alive(server)  # and so has read it
        status, _, body = parse(connection.recv(65536))

    assert status == 431
    assert "head is over" in json.loads(body)["message"]


UPGRADE = (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_request_that_asks_for_an_upgrade_keeps_its_body(server: Server, framing: str) -> None:
    """Java's client does so by default; the body may come behind the head."""
    request = (
        sized(b"abc", *UPGRADE)
        if framing == "length"
        else chunked(b"3\r\nabc\r\n0\r\n\r\n", *UPGRADE)
    )
    request = request.replace(b"Connection: close", b"Connection: Upgrade, HTTP2-Settings")
    head, _, body = request.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head + b"\r\n\r\n")
        connection.sendall(body[:1])
        assert_alive(server)
        connection.sendall(body[1:])
        status, _, answer = parse(connection.recv(65536))

    assert status == 200
    assert json.loads(answer) == {"length": 3}


def test_rubbish_behind_a_request_does_not_spoil_its_answer(server: Server) -> None:
    request = sized(b"abc").replace(b"Connection: close\r\n", b"")

    received = server.exchange(request + b"\0\1\2 rubbish\r\n\r\n", timeout_s=3)

    status, _, body = parse(received)
    assert status == 200
    assert body.startswith(b'{"length": 3}')
    assert_alive(server)


def test_a_large_body_that_is_refused_gets_its_answer(server: Server) -> None:
    """The client is still sending when it is refused; a reset would swallow the answer."""
    data = post(b"", b"Content-Length: 5000000") + b"x" * 5_000_000
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        try:
            connection.sendall(data)
            while chunk := connection.recv(65536):
                received += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert received.startswith(b"HTTP/1.1 413 "), "the connection was reset"
