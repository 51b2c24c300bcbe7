"""Connections that take their time: they are ended, and cost nobody else anything."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import Server, ask, until

SCRIPT = """
import json, time

def init():
    pass

def run(data):
    if data == "large":
        return "x" * 8_000_000
    if data == "stream":
        return ("x" * 60_000 for _ in range(1000))
    return {"length": len(data)}
"""
SERVERS = {"gunicorn": (), "waitress": ("--server", "waitress")}
SHORT = ("--header_timeout", "1", "--body_timeout", "1", "--write_timeout", "1")
# A sweep of connections, the closing of one, and a busy machine.
SLACK_S = 6.0


@pytest.fixture(params=SERVERS)
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return SERVERS[request.param]


@contextlib.contextmanager
def connected(server: Server, data: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), SLACK_S) as connection:
        connection.sendall(data)
        yield connection


def post(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, body)


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


@contextlib.contextmanager
def dribbling(connection: socket.socket, piece: bytes) -> Iterator[None]:
    """Send *piece* again and again, well within every pause that is allowed."""
    stop = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.2):
                connection.sendall(piece)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


CHUNKED = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = {
    "a head": (b"POST /score HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
    "a request line": (b"POST /score?", b"a"),
    "many fields": (b"POST /score HTTP/1.1\r\n", b"N: v\r\n"),
    "a body": (post(b"", 1000), b"a"),
    "chunks": (CHUNKED, b"1\r\na\r\n"),
    "a chunk": (CHUNKED + b"400\r\n", b"a"),
    "a chunk extension": (CHUNKED + b"1;a=", b"a"),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\n", b"N: v\r\n"),
}


@pytest.mark.parametrize(("start", "piece"), SLOW.values(), ids=list(SLOW))
def test_what_comes_byte_by_byte_is_ended_with_408(
    shared: Serve, flags: tuple[str, ...], start: bytes, piece: bytes
) -> None:
    server = shared(SCRIPT, *SHORT, *flags)

    with connected(server, start) as connection, dribbling(connection, piece):
        received = rest_of(connection)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 REQUEST TIMEOUT")
    assert b"\r\nconnection: close" in head.lower()
    assert "not complete in time" in json.loads(body)["message"]
    assert server.score(b"abc").body == b'{"length": 3}'
    assert "Traceback" not in server.log()


def test_a_connection_that_says_nothing_is_closed_without_a_word(
    shared: Serve, flags: tuple[str, ...]
) -> None:
    server = shared(SCRIPT, *SHORT, *flags)

    with connected(server) as connection:
        assert rest_of(connection) == b""


def test_between_requests_the_longer_patience_holds(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, *SHORT, "--keep_alive", "4", *flags)

    with connected(server, post(b"abc")) as connection:
        answer = b""
        while not answer.endswith(b'{"length": 3}'):
            answer += connection.recv(65536)
        began = time.monotonic()
        assert rest_of(connection) == b""
        waited_s = time.monotonic() - began

    assert waited_s > 3.5


def test_a_large_body_may_take_its_time_as_long_as_it_comes(
    shared: Serve, flags: tuple[str, ...]
) -> None:
    server = shared(SCRIPT, *SHORT, *flags)
    body = b"x" * 60_000

    with connected(server, post(b"", len(body))) as connection:
        pause = threading.Event()
        for start in range(0, len(body), 4000):  # 2.4 s in all
            connection.sendall(body[start : start + 4000])
            pause.wait(0.16)
        answer = connection.recv(65536)

    assert b'{"length": 60000}' in answer


@pytest.mark.parametrize("what", ["large", "stream"])
def test_a_client_that_takes_nothing_is_cut(
    serve: Serve, flags: tuple[str, ...], what: str
) -> None:
    server = serve(SCRIPT, *SHORT, *flags)
    pid = server.popen.pid if flags else server.front_end().pid

    def open_connections() -> int:
        found = psutil.Process(pid).net_connections("tcp")
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in found)

    before = open_connections()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(post(what.encode()))
        connection.recv(100, socket.MSG_PEEK)  # the answer has begun

        until(lambda: open_connections() <= before, 2 * SLACK_S, server.log)

    assert server.score(b"abc").status == 200


def test_a_client_that_reads_slowly_gets_everything(shared: Serve, flags: tuple[str, ...]) -> None:
    server = shared(SCRIPT, *SHORT, *flags)
    received, pause = 0, threading.Event()

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(SLACK_S)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(post(b"large").replace(b"Host: x", b"Host: x\r\nConnection: close"))
        while piece := connection.recv(200_000):
            received += len(piece)
            pause.wait(0.02)

    assert received > 8_000_000


def test_a_client_that_asks_and_never_reads_is_not_served_on(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    """Answers nobody takes would fill our memory."""
    server = serve(SCRIPT, "--write_timeout", "30", *flags)
    front_end = psutil.Process(server.popen.pid) if flags else server.front_end()
    before = front_end.memory_info().rss

    with connected(server) as connection:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                connection.sendall(post(b"large"))
        for _ in range(20):
            assert server.score(b"abc").status == 200
        grown = front_end.memory_info().rss - before

    assert grown < 100_000_000


def start_slow(server: Server, kind: str, close: Callable[[socket.socket], object]) -> None:
    connection = socket.socket()
    close(connection)
    if kind == "reader":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    starts = {
        "silent": b"",
        "head": b"POST /score HTTP/1.1\r\nHost: x\r\nX: ",
        "body": post(b"", 1000),
        "chunks": CHUNKED + b"1\r\na\r\n",
        "reader": post(b"large"),
    }
    connection.sendall(starts[kind])


@pytest.mark.parametrize(
    ("kinds", "count"),
    [(("silent", "head", "body", "chunks", "reader"), 200), (("silent",), 1000)],
    ids=["200 slow", "1000 idle"],
)
def test_good_requests_are_served_beside_them(
    serve: Serve, flags: tuple[str, ...], kinds: tuple[str, ...], count: int
) -> None:
    server = serve(SCRIPT, "--header_timeout", "60", "--body_timeout", "60", *flags)
    wanted = min(count + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, limits[0]), limits[1]))
    with contextlib.ExitStack() as stack:
        for number in range(count):
            start_slow(server, kinds[number % len(kinds)], stack.enter_context)

        with contextlib.closing(server.connect()) as kept:
            statuses = [ask(kept, "POST", "/score", b"abc").status for _ in range(100)]
        statuses += [server.score(b"abc").status for _ in range(20)]

    assert statuses == [200] * 120


def limited(serve_as: tuple[str, ...], root: Path, script: str, ulimit: str) -> Server:
    (root / "score.py").write_text(script, encoding="utf-8")
    shell = ("sh", "-c", f'{ulimit}; exec "$0" "$@"', sys.executable, "-m", "azmlinfsrv")
    return Server(root / "score.py", *serve_as, root=root, command=shell)


def test_a_low_soft_limit_on_descriptors_is_raised(tmp_path: Path, flags: tuple[str, ...]) -> None:
    server = limited(flags, tmp_path, SCRIPT, "ulimit -S -n 64")
    try:
        server.wait_until_ready()
        with contextlib.ExitStack() as stack:
            for _ in range(150):
                stack.enter_context(connected(server))
            assert server.score(b"abc").status == 200
    finally:
        server.close()


def test_running_out_of_descriptors_neither_spins_nor_ends_it(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = limited(flags, tmp_path, SCRIPT, "ulimit -n 64")
    try:
        server.wait_until_ready()
        front_end = psutil.Process(server.popen.pid) if flags else server.front_end()
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(connected(server))
            before = sum(front_end.cpu_times()[:2])
            threading.Event().wait(2.0)  # what is measured: how much it does in a time
            spent_s = sum(front_end.cpu_times()[:2]) - before
        assert spent_s < 1.0
        until(lambda: is_served(server), 10, server.log)
        assert server.popen.poll() is None
        assert len(re.findall("Traceback", server.log())) == 0, server.log()
    finally:
        server.close()


def is_served(server: Server) -> bool:
    try:
        return server.score(b"abc", timeout_s=2).status == 200
    except OSError:
        return False


def test_compressed_bodies_are_undone(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, "--max_body_bytes", "100000", *flags)
    coded = {"content-encoding": "gzip"}

    plain = server.score(gzip.compress(b"abc" * 1000), coded)
    bomb = server.score(gzip.compress(b"\0" * 20_000_000), coded)
    corrupt = server.score(b"abc", coded)
    other = server.score(b"abc", {"content-encoding": "br"})

    assert json.loads(plain.body) == {"length": 3000}
    assert (bomb.status, corrupt.status, other.status) == (413, 400, 415)
    assert other.headers["accept-encoding"] == "gzip, deflate"
