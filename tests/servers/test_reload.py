"""SIGHUP, SIGTTIN, SIGTTOU, limits of callers and of memory, over real sockets on every server."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.harness import Server, ask, until

pytestmark = pytest.mark.parametrize("server_flags", [(), ("--server", "waitress")], ids=str)

SCRIPT = """
import os, time

def init():
    pass

def run(data):
    if data.startswith("sleep"):
        time.sleep(float(data.split()[1]))
    return 1
"""


def rewrite(server: Server, source: str) -> None:
    (server.root / "score.py").write_text(source, encoding="utf-8")


def reload(server: Server, says: str) -> str:
    """SIGHUP, and the log once it says how that turned out."""
    before = server.log().count(says)
    server.popen.send_signal(signal.SIGHUP)
    until(lambda: server.log().count(says) > before, 20, server.log)
    return server.log()


@contextlib.contextmanager
def load(server: Server, clients: int = 8) -> Iterator[Counter[tuple[int, bytes]]]:
    """Calls on kept connections while the block runs: status and body, counted."""
    is_over = threading.Event()
    answers: Counter[tuple[int, bytes]] = Counter()

    def client() -> None:
        with contextlib.closing(server.connect()) as connection:
            while not is_over.is_set():
                answer = ask(connection, "POST", "/score", b"{}")
                answers[answer.status, answer.body] += 1

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client) for _ in range(clients)]
        try:
            until(lambda: sum(answers.values()) > 50, 20, server.log)
            yield answers
            after = sum(answers.values())
            until(lambda: sum(answers.values()) > after + 50, 20, server.log)
        finally:
            is_over.set()
        for one in running:
            one.result()


def test_a_reload_under_load_loses_nothing(serve: Serve, server_flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, *server_flags)
    rest = SCRIPT.replace("return 1", "return 2")

    with load(server) as answers:
        rewrite(server, rest)
        reload(server, "The reloaded script is being served")

    assert set(answers) == {(200, b"1"), (200, b"2")}
    assert server.score().body == b"2"


def test_a_broken_script_is_not_served_and_the_report_says_why(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *server_flags)

    with load(server) as answers:
        rewrite(server, SCRIPT.replace("    pass", "    import nothing_of_the_kind"))
        log = reload(server, "The script was not reloaded")

    assert set(answers) == {(200, b"1")}
    assert "score.py:5 in init" in log
    assert "nothing_of_the_kind" in log
    ready = server.get("/health/ready")
    assert ready.status == 200
    assert b"the one before it still is" in ready.body
    assert server.get("/").body == b"Healthy"
    rewrite(server, SCRIPT)
    reload(server, "The reloaded script is being served")
    assert server.get("/health/ready").body == b"Healthy"


def test_workers_come_and_go_by_signal(serve: Serve, server_flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, *server_flags)

    with load(server) as answers:
        server.popen.send_signal(signal.SIGTTIN)
        server.wait_for_log("Worker count is 2 now")
        until(lambda: server.log().count("ready for serving traffic") == 2, 20, server.log)
        server.popen.send_signal(signal.SIGTTOU)
        server.wait_for_log("Worker count is 1 now")

    assert set(answers) == {(200, b"1")}


@pytest.mark.parametrize(
    ("header", "value"), [("x-ms-request-timeout-ms", "300"), ("Request-Timeout", "0.3")]
)
def test_a_caller_may_allow_less_time_than_the_server(
    serve: Serve, server_flags: tuple[str, ...], header: str, value: str
) -> None:
    server = serve(SCRIPT, *server_flags)

    began_s = time.monotonic()
    late = server.score(b"sleep 20", {header: value})
    took_s = time.monotonic() - began_s
    malformed = server.score(b"x", {header: "soon"})

    assert late.status == 500
    assert json.loads(late.body)["message"] == "Scoring timeout after 300 ms"
    assert 0.3 <= took_s < 5
    assert malformed.status == 400
    assert header.lower() in json.loads(malformed.body)["message"]
    assert server.score(b"x").status == 200


def test_large_bodies_are_refused_when_there_is_no_memory_for_more(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    mib = 1024 * 1024
    server = serve(SCRIPT, *server_flags, "--max_buffered_bytes", str(5 * mib))
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (4 * mib)
    with socket.create_connection(("127.0.0.1", server.port)) as first:
        body = b"sleep 4".ljust(4 * mib)
        first.sendall(head + body)
        until(lambda: _is_refused(server, 2 * mib), 10, server.log)

        small = server.score(b"x" * mib)
        assert first.recv(12) == b"HTTP/1.1 200"

    assert small.status == 200
    until(lambda: not _is_refused(server, 2 * mib), 10, server.log)


def _is_refused(server: Server, body_bytes: int) -> bool:
    answer = server.score(b"x" * body_bytes)
    assert answer.status in (200, 429)
    if answer.status == 429:
        assert int(answer.headers["retry-after"]) >= 1
        assert "memory" in json.loads(answer.body)["message"]
    return answer.status == 429


def test_a_warm_up_folder_that_is_not_there_is_said_before_anything_starts(
    tmp_path: Path, server_flags: tuple[str, ...]
) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    server = Server(
        tmp_path / "score.py", *server_flags, "--warmup_requests", "nowhere", root=tmp_path
    )
    try:
        assert server.exit_status() == 3
        assert "nowhere is not a folder" in server.log()
        assert "Server Settings" not in server.log()
    finally:
        server.close()


def test_the_end_says_how_many_calls_had_no_answer(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT.replace("time.sleep(", "print('asleep'), time.sleep("), *server_flags)
    body = b"sleep 1"
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    first = threading.Thread(target=server.score, args=(body,))
    first.start()
    server.wait_for_log("asleep")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request % (len(body), body))
    first.join()
    assert server.score(b"x").status == 200

    assert server.terminate() == 0

    assert server.log().count("POST /score 499") == 5
    assert "5 whose caller left while waiting" in server.log()
