"""The load generator, against servers that misbehave in known ways."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import Address, Answer, BadUrl, Client, NoAnswer, parse_url
from azmlinfsrv.tools.load import Plan, send_load
from tests.conftest import Serve
from tests.harness import free_port

ECHO = """
def init():
    pass

def run(data):
    return data
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = SampleRequest(body=b"1", headers={"Content-Type": "application/json"})

Behaviour = Callable[[socket.socket, int], None]


@contextmanager
def misbehaving(behaviour: Behaviour) -> Iterator[Address]:
    """A server that treats each connection (the n-th, from 0) as *behaviour* does."""
    accepted = iter(range(10**9))
    lock = threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with lock:
                number = next(accepted)
            try:
                behaviour(self.request, number)
            except OSError:
                pass  # the client has gone

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("http", "127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def receive(connection: socket.socket) -> bytes:
    """One small request, whole."""
    data = b""
    while not data.endswith(b"\r\n\r\n1"):
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    return data


def answering(connection: socket.socket, answer: bytes = OK) -> None:
    while True:
        receive(connection)
        connection.sendall(answer)


def test_a_closed_load_keeps_every_connection_busy(shared: Serve) -> None:
    server = shared(ECHO)
    address = Address("http", "127.0.0.1", server.port)

    outcome = send_load(address, Plan([POST], duration_s=0.5, connections=4))

    assert outcome.answered == outcome.statuses[200] > 20
    assert outcome.failed == 0
    assert 0.5 <= outcome.seconds < 5
    assert outcome.latencies.percentile_s(50) <= outcome.latencies.percentile_s(99)


def test_requests_are_sent_in_turn_and_observed_with_their_answers(shared: Serve) -> None:
    server = shared(ECHO)
    address = Address("http", "127.0.0.1", server.port)
    requests = [SampleRequest(body=text) for text in (b"one", b"two", b"three")]
    seen: dict[int, Answer] = {}

    outcome = send_load(
        address, Plan(requests, 30, connections=3, count=9), observe=seen.__setitem__
    )

    assert outcome.answered == 9
    assert [json.loads(seen[n].body) for n in range(9)] == ["one", "two", "three"] * 3
    assert seen[0].headers["content-type"] == "application/json"


def test_an_open_load_keeps_its_rate() -> None:
    with misbehaving(lambda connection, _: answering(connection)) as address:
        outcome = send_load(address, Plan([POST], duration_s=1.0, connections=20, rate=100))

    assert outcome.answered == 100
    assert outcome.seconds >= 0.99


def test_a_pause_of_the_server_is_charged_to_every_request_that_was_due() -> None:
    paused = threading.Event()

    def pausing(connection: socket.socket, _: int) -> None:
        while True:
            receive(connection)
            if not paused.is_set():
                paused.set()
                time.sleep(0.5)  # what this server does: it stands still
            connection.sendall(OK)

    with misbehaving(pausing) as address:
        outcome = send_load(address, Plan([POST], duration_s=1.0, connections=1, rate=100))

    # By the time of service only one request was slow; 50 were due meanwhile.
    assert outcome.service.percentile_s(98) < 0.25
    assert outcome.latencies.percentile_s(75) > 0.1
    assert outcome.latencies.max_s >= 0.5


def closing(connection: socket.socket, _: int) -> None:
    receive(connection)


def saying_nonsense(connection: socket.socket, _: int) -> None:
    answering(connection, b"what?\r\n\r\n")


def silent(connection: socket.socket, _: int) -> None:
    receive(connection)
    connection.recv(1)


def failing(connection: socket.socket, _: int) -> None:
    answering(connection, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("behaviour", "errors", "status"),
    [
        (closing, {"closed without an answer"}, None),
        (saying_nonsense, {"not HTTP"}, None),
        (silent, {"no answer in time"}, None),
        (failing, set(), 503),
    ],
)
@pytest.mark.parametrize("rate", [None, 20.0])
def test_errors_are_counted_by_kind(
    behaviour: Behaviour, errors: set[str], status: int | None, rate: float | None
) -> None:
    with misbehaving(behaviour) as address:
        outcome = send_load(address, Plan([POST], 0.3, 10, rate, count=6, timeout_s=0.4))

    assert set(outcome.errors) == errors
    assert set(outcome.statuses) == ({status} if status else set())
    assert outcome.failed == 6


def test_a_connection_that_the_server_closes_after_an_answer_is_opened_again() -> None:
    def once(connection: socket.socket, _: int) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    with misbehaving(once) as address:
        outcome = send_load(address, Plan([POST], 30, connections=2, count=20))

    assert outcome.answered == 20
    assert outcome.failed == 0


def test_a_server_that_is_not_there_is_an_error() -> None:
    address = Address("http", "127.0.0.1", free_port())

    outcome = send_load(address, Plan([POST], 0.2, connections=2))

    assert outcome.answered == 0
    assert set(outcome.errors) == {"connection refused"}


def test_an_interim_answer_is_not_the_answer() -> None:
    def interim(connection: socket.socket, _: int) -> None:
        answering(connection, b"HTTP/1.1 100 Continue\r\n\r\n" + OK)

    with misbehaving(interim) as address:
        outcome = send_load(address, Plan([POST], 30, connections=1, count=5))

    assert outcome.statuses == {200: 5}


# --- one request at a time ----------------------------------------------------------------


def test_a_client_opens_its_connection_again() -> None:
    def first_closes(connection: socket.socket, number: int) -> None:
        receive(connection)
        if number:
            connection.sendall(OK)

    with misbehaving(first_closes) as address:
        client = Client(address)
        with pytest.raises(NoAnswer):
            client.send(POST)
        answer = client.send(POST)
        client.close()

    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.duration_s > 0


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:5001/score", Address("http", "localhost", 5001, "/score")),
        ("localhost:5001", Address("http", "localhost", 5001, "")),
        ("https://a.example/score?x=1", Address("https", "a.example", 443, "/score?x=1")),
        ("http://[::1]:80/", Address("http", "::1", 80, "/")),
    ],
)
def test_a_url_is_an_address(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize("url", ["", "ftp://a/", "http://", "http://a:b/", "http://a:99999/"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        parse_url(url)


# --- the command --------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "azmlinfsrv", "load", *arguments], capture_output=True, text=True
    )


def test_the_command_prints_json(shared: Serve) -> None:
    server = shared(ECHO)

    done = command(
        f"http://127.0.0.1:{server.port}/score",
        *("--rate", "50", "--duration", "0.5", "--data", '{"a": 1}', "--format", "json"),
    )

    outcome: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert outcome["answered"] == outcome["statuses"]["200"] == 25
    assert outcome["latency"]["p50_ms"] > 0


def test_the_command_says_what_failed(serve: Serve) -> None:
    server = serve(ECHO.replace("return data", "1 / 0"))

    done = command(f"127.0.0.1:{server.port}/score", "--duration", "0.2", "--data", "1")

    assert done.returncode == 1
    assert done.stdout.startswith("answered ")
    assert "\nstatus 500 " in done.stdout


def test_the_command_sends_samples(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    (tmp_path / "b.request.json").write_text('{"method": "PUT"}', encoding="utf-8")
    server = serve(ECHO)

    done = command(
        f"127.0.0.1:{server.port}",
        "--duration",
        "0.2",
        "--samples",
        str(tmp_path),
        "--connections=1",
    )

    assert "\nstatus 200 " in done.stdout
    assert "\nstatus 405 " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://a"], "not the URL of a server"),
        (["localhost", "--header", "nonsense"], "Name: value"),
        (["localhost", "--data", "@/nowhere"], "No such file"),
        (["localhost", "--samples", "/nowhere"], "is not a folder"),
        (["localhost", "--samples", ".", "--data", "1"], "in place of"),
        (["localhost", "--rate", "0"], "--rate"),
        ([], "URL"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], words: str) -> None:
    done = command(*arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
