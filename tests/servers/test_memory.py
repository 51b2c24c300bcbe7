"""What the front end holds once a request is over: nothing, whether the collector comes or not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import Server, until

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(), reason="private memory is told by Linux"
)

SCRIPT = """
import time

def init():
    pass

def run(data):
    if data.startswith("fail"):
        raise ValueError
    if data.startswith("sleep"):
        time.sleep(0.05)
    return len(data)
"""
EACH = [("--server", "gunicorn"), ("--server", "waitress")]
LARGE = 1_000_000
TIMES = 60
# The heap has its own ways, within a few megabytes; what is held would be more than that.
LIMIT_BYTES = 4_000_000

Deed = Callable[[Server], object]


def post(body: bytes, length: int | None = None) -> bytes:
    head = "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(body) if length is None else length}\r\n\r\n".encode() + body


def front_end_of(server: Server, flags: tuple[str, ...]) -> psutil.Process:
    return psutil.Process(server.popen.pid) if "waitress" in flags else server.front_end()


def sends(data: bytes) -> Deed:
    """Send it, take one answer, and go."""

    def deed(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            with contextlib.suppress(ConnectionError):  # refused before all of it was sent
                connection.sendall(data)
            assert connection.recv(65536).startswith(b"HTTP/1.1 ")

    return deed


def leaves(data: bytes) -> Deed:
    """Send it, and go without an answer."""

    def deed(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            connection.sendall(data)

    return deed


LARGE_HEAD = b"Host: x\r\nA: %b\r\n" % (b"x" * 150_000)
# What is done many times, each with something large that must not stay.
DEEDS: dict[str, Deed] = {
    "a good call": sends(post(b"x" * LARGE)),
    "a call that fails": sends(post(b"fail" + b"x" * LARGE)),
    "a caller that leaves": leaves(post(b"sleep" + b"x" * LARGE)),
    "a body that is cut off": leaves(post(b"x" * LARGE, 2 * LARGE)),
    "a probe": sends(b"GET / HTTP/1.1\r\n%b\r\n" % LARGE_HEAD),
    "no such path": sends(b"GET /none HTTP/1.1\r\n%b\r\n" % LARGE_HEAD),
    "a body that is refused": sends(
        b"POST /score HTTP/1.1\r\n%bContent-Length: 99999999999\r\n\r\n" % LARGE_HEAD
    ),
    "no HTTP": sends(b"\0" * 100_000),
    "two hosts": sends(b"GET / HTTP/1.1\r\nHost: y\r\n%b\r\n" % LARGE_HEAD),
}


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
@pytest.mark.parametrize("what", DEEDS)
def test_what_a_connection_sent_goes_with_it(
    serve: Serve, what: str, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, "--worker_count", "1", *flags)
    front_end = front_end_of(server, flags)
    for _ in range(10):
        DEEDS[what](server)
    before = private_bytes(front_end)

    for number in range(1, TIMES + 1):
        DEEDS[what](server)
        if number % 15 == 0:
            until_released(front_end, before + LIMIT_BYTES)


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_an_idle_connection_holds_no_body(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, "--worker_count", "1", *flags)
    front_end = front_end_of(server, flags)
    sends(post(b"x" * LARGE))(server)
    before = private_bytes(front_end)

    with contextlib.ExitStack() as connections:
        for _ in range(TIMES):
            connection = connections.enter_context(
                socket.create_connection(("127.0.0.1", server.port), 30)
            )
            connection.sendall(post(b"x" * LARGE))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")

        until_released(front_end, before + LIMIT_BYTES)


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_connections_that_were_open_together_leave_nothing(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, "--worker_count", "1", *flags)
    front_end = front_end_of(server, flags)
    before = private_bytes(front_end)

    for _ in range(5):
        with contextlib.ExitStack() as connections:
            for _ in range(TIMES):
                connection = connections.enter_context(
                    socket.create_connection(("127.0.0.1", server.port), 30)
                )
                connection.sendall(b"GET / HTTP/1.1\r\n%b\r\n" % LARGE_HEAD)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")

    # All five rounds sent five times as much as one, of which the heap keeps some.
    until_released(front_end, before + 2 * TIMES * len(LARGE_HEAD))


def until_released(process: psutil.Process, limit_bytes: int) -> None:
    """What is under way is over soon; what then is held stays until the collector comes."""
    until(
        lambda: private_bytes(process) < limit_bytes,
        5,
        lambda: f"{private_bytes(process) - limit_bytes:,} bytes too much",
    )


def private_bytes(process: psutil.Process) -> int:
    return int(process.memory_full_info().uss)
