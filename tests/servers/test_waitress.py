"""Waitress in front of the pool, through real processes, sockets and signals."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import Answer, Server, ask, until

# What the body says is done, so that one script serves many tests.
OBEDIENT = """
import json, os, sys, time

def init():
    pass

def items(count, pause_s, path):
    try:
        for index in range(count):
            yield f"item {index}\\n"
            time.sleep(pause_s)
    finally:
        if path:
            open(path, "a").write("closed")

def fails(count):
    for index in range(count):
        yield f"item {index}\\n"
    raise ValueError("patient 4711")

def big(count):
    for index in range(count):
        yield "x" * 65536

def run(data):
    order = json.loads(data)
    what = order.get("do", "echo")
    if what == "sleep":
        time.sleep(order["seconds"])
    elif what == "exit":
        os._exit(order["status"])
    elif what == "sysexit":
        sys.exit(4)
    elif what == "stream":
        return items(order["count"], order["pause_s"], order.get("path"))
    elif what == "cut":
        return fails(order["count"])
    elif what == "big":
        return big(order["count"])
    elif what == "touch":
        open(order["path"], "a").write("x")
    elif what == "length":
        return len(data)
    return {"do": what, "pid": os.getpid()}
"""

WAITRESS = ("--server", "waitress")


def order(server: Server, **content: object) -> Answer:
    return server.score(json.dumps(content).encode())


def post(**content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def workers(server: Server) -> list[psutil.Process]:
    """The front end is the process itself."""
    return psutil.Process(server.popen.pid).children()


def waiting_calls(server: Server, pool: ThreadPoolExecutor, count: int, seconds: float) -> list:  # type: ignore[type-arg]
    calls = [pool.submit(order, server, do="sleep", seconds=seconds) for _ in range(count)]
    until(lambda: connections(server) >= count, 10, server.log)
    return calls


def connections(server: Server) -> int:
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        for connection in psutil.Process(server.popen.pid).net_connections("tcp")
    )


def test_it_answers_with_the_headers_of_the_contract_and_names_no_server(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    answer = server.score(b"{}", {"x-request-id": "mine"})

    assert answer.status == 200
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" in answer.headers
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "server" not in answer.headers


def test_header_names_are_title_cased_and_sorted_as_waitress_does(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    head = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()

    names = re.findall(r"^([\w-]+): ", head, re.MULTILINE)
    assert names == sorted(names)
    assert "X-Ms-Request-Id" in names
    assert "Connection" in names


def test_many_requests_share_a_connection_and_pipelined_ones_keep_their_order(
    shared: Serve,
) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    with contextlib.closing(server.connect()) as connection:
        statuses = [ask(connection, "POST", "/score", b"{}").status for _ in range(20)]
        kept = connection.sock
    last = b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = server.exchange(post(do="sleep", seconds=0.2) + post(do="echo") + last)

    assert statuses == [200] * 20
    assert kept is not None
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200", b"404"]
    assert answers.index(b"sleep") < answers.index(b"echo")


def test_a_pipelined_request_does_not_wait_for_the_next_turn(serve: Serve) -> None:
    """No more is read than one request ahead; when one is answered, that must be noticed."""
    server = serve(OBEDIENT, *WAITRESS)
    times = []

    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            received = b""
            connection.sendall(post(do="sleep", seconds=0.2) + post(do="echo") + post(do="two"))
            connection.sendall(post(do="three") + post(do="four"))
            while b'"sleep"' not in received:
                received += connection.recv(65536)
            began = time.monotonic()
            while b'"four"' not in received:
                received += connection.recv(65536)
            times.append(time.monotonic() - began)

    # Not noticed, it would be a second each time.
    assert min(times) < 0.5


def test_idle_connections_cost_the_others_next_to_nothing(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, "--header_timeout", "100")
    front_end = psutil.Process(server.popen.pid)

    def cpu_of_requests() -> float:
        before = sum(front_end.cpu_times()[:2])
        with contextlib.closing(server.connect()) as connection:
            for _ in range(200):
                assert ask(connection, "GET", "/").status == 200
        return sum(front_end.cpu_times()[:2]) - before

    alone_s = cpu_of_requests()
    with contextlib.ExitStack() as idle:
        for _ in range(800):
            idle.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert server.get("/").status == 200  # the last of them has been taken
        beside_s = cpu_of_requests()

    # With a turn that looks at every connection it is four times as much.
    assert beside_s < 2 * alone_s + 0.05


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready"])
def test_probes_answer_at_once_while_more_calls_wait_than_there_are_threads(
    shared: Serve, path: str
) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    with ThreadPoolExecutor(61) as pool:
        long = pool.submit(order, server, do="sleep", seconds=3)
        until(lambda: connections(server) >= 1, 10, server.log)
        others = waiting_calls(server, pool, 60, 0.0)
        times = []
        with contextlib.closing(server.connect()) as connection:
            while not long.done():
                began = time.monotonic()
                assert ask(connection, "GET", path).status == 200
                times.append(time.monotonic() - began)
                time.sleep(0.005)  # leave the machine to what is measured
        statuses = {call.result().status for call in [long, *others]}

    assert statuses == {200}
    assert len(times) > 10
    assert sorted(times)[len(times) // 2] < 0.05


def test_one_call_too_many_is_429(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, "--queue_size", "2")

    with ThreadPoolExecutor(8) as pool:
        statuses = [
            answer.status
            for answer in pool.map(lambda _: order(server, do="sleep", seconds=0.5), range(8))
        ]

    assert sorted(set(statuses)) == [200, 429]


def test_a_stream_arrives_item_by_item(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    with contextlib.closing(server.connect()) as connection:
        body = json.dumps({"do": "stream", "count": 4, "pause_s": 0.2})
        connection.request("POST", "/score", body)
        response = connection.getresponse()
        arrivals = []
        while line := response.readline():
            arrivals.append((line, time.monotonic()))

    assert [line for line, _ in arrivals] == [b"item %d\n" % index for index in range(4)]
    gaps = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(arrivals)]
    assert min(gaps) > 0.1


def test_a_stream_that_fails_ends_without_its_last_chunk(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    received = server.exchange(post(do="cut", count=2))

    assert b"item 1" in received
    assert not received.endswith(b"0\r\n\r\n")
    assert b"4711" not in received
    assert order(server).status == 200


def test_a_client_that_leaves_a_stream_closes_the_generator(shared: Serve, tmp_path: Path) -> None:
    server = shared(OBEDIENT, *WAITRESS)
    marker = tmp_path / "closed"

    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(post(do="stream", count=600, pause_s=0.05, path=str(marker)))
        connection.recv(1)

    until(marker.exists, 5, server.log)
    assert order(server).status == 200


def test_streams_without_readers_do_not_stop_other_answers(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, "--worker_count", "7")
    stalled = []
    for _ in range(6):
        connection = socket.create_connection(("127.0.0.1", server.port))
        stalled.append(connection)
        connection.sendall(post(do="big", count=1000))
        assert connection.recv(1) == b"H"

    answers = [order(server).status for _ in range(5)]
    probe = server.get("/").status
    for connection in stalled:
        connection.close()

    assert answers == [200] * 5
    assert probe == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"HEAD /score HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"OPTIONS /score HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"HEAD /nope HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
    ],
)
def test_a_bodiless_answer_leaves_the_connection_usable(
    shared: Serve, request_: bytes, status: bytes
) -> None:
    server = shared(OBEDIENT, *WAITRESS)

    received = server.exchange(request_ + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    first, second = received.split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 " + status)
    assert second.startswith(b"HTTP/1.1 200 OK")


def test_head_of_a_streaming_script_sends_no_chunks(serve: Serve) -> None:
    server = serve(
        """
from azureml_inference_server_http.api.aml_request import rawhttp

def init():
    pass

@rawhttp
def run(request):
    return (part for part in ["a", "b"])
""",
        *WAITRESS,
    )

    received = server.exchange(b"HEAD /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\r\n\r\n")
    assert received.count(b"\r\n\r\n") == 1


# --- bodies -----------------------------------------------------------------------------


def test_a_chunked_body_arrives_whole(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)
    text = b'{"do": "length"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (text[:5], text[5:]))

    received = server.exchange(
        b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )

    assert received.endswith(b"\r\n\r\n%d" % len(text))


def test_a_large_body_arrives_whole(shared: Serve) -> None:
    server = shared(OBEDIENT, *WAITRESS)
    body = json.dumps({"do": "length", "filling": "x" * 9_000_000}).encode()

    assert server.score(body).body == str(len(body)).encode()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 500\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_truncated_body_is_400_and_never_scored(
    shared: Serve, tmp_path: Path, head: bytes
) -> None:
    server = shared(OBEDIENT, *WAITRESS)
    marker = tmp_path / "ran"
    part = json.dumps({"do": "touch", "path": str(marker)}).encode()

    received = server.exchange(
        b"POST /score HTTP/1.1\r\nHost: x\r\n" + head + part, half_close=True
    )

    assert received.startswith(b"HTTP/1.1 400 BAD REQUEST")
    assert b"before it was complete" in received
    assert b"X-Request-Id" in received
    assert not marker.exists()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2000\r\n\r\n",
        b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n",
    ],
    ids=["length", "expecting", "chunked"],
)
def test_a_body_over_the_limit_is_413_with_ids_and_closes(shared: Serve, head: bytes) -> None:
    server = shared(OBEDIENT, *WAITRESS, "--max_body_bytes", "1000")

    received = server.exchange(b"POST /score HTTP/1.1\r\nHost: x\r\n" + head)

    assert received.startswith(b"HTTP/1.1 413")
    assert b"over the limit of 1000 bytes" in received
    assert b"X-Request-Id" in received
    assert b"Connection: close" in received


def test_a_body_of_exactly_the_limit_is_taken(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, "--max_body_bytes", "100")
    body = b'{"do": "length"}'.ljust(100)

    assert server.score(body).body == b"100"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", b"400"),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"400"),
        (b"POST /score HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
    ],
    ids=["no-http", "bad-header", "coding", "length", "long-header"],
)
def test_a_malformed_request_is_the_clients_mistake(
    shared: Serve, request_: bytes, status: bytes
) -> None:
    server = shared(OBEDIENT, *WAITRESS, "--max_header_bytes", "65536")

    head, _, body = server.exchange(request_).partition(b"\r\n\r\n")

    assert head[9:12] == status
    assert b"application/json" in head
    assert list(json.loads(body)) == ["message"]


# --- trouble ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"do": "exit", "status": 7}, "exited with status 7"),
        ({"do": "sysexit"}, "An unexpected error occurred in scoring script."),
    ],
    ids=["os._exit", "SystemExit"],
)
def test_a_script_that_ends_its_process_is_answered(
    serve: Serve, content: dict[str, object], text: str
) -> None:
    server = serve(OBEDIENT, *WAITRESS)

    failed = order(server, **content)

    assert failed.status == 500
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert text in json.loads(failed.body)["message"]
    assert order(server).status == 200


def test_the_scoring_timeout_is_kept(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, environ={"SCORING_TIMEOUT_MS": "300"})

    began = time.monotonic()
    late = order(server, do="sleep", seconds=60)

    assert late.status == 500
    assert json.loads(late.body)["message"] == "Scoring timeout after 300 ms"
    assert time.monotonic() - began < 2


def test_a_caller_that_left_the_queue_is_never_run(shared: Serve, tmp_path: Path) -> None:
    server = shared(OBEDIENT, *WAITRESS)
    marker = tmp_path / "ran"
    with ThreadPoolExecutor(1) as pool:
        (running,) = waiting_calls(server, pool, 1, 1.0)
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(post(do="touch", path=str(marker)))
        running.result()

    assert order(server).status == 200
    assert not marker.exists()


# --- the end ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_answers_what_is_running_and_waiting_and_leaves_nothing(
    serve: Serve, number: signal.Signals
) -> None:
    server = serve(OBEDIENT, *WAITRESS)
    with ThreadPoolExecutor(3) as pool:
        calls = waiting_calls(server, pool, 3, 0.4)
        processes = server.tree()
        server.popen.send_signal(number)
        status = server.exit_status()
        statuses = [call.result().status for call in calls]

    assert status == 0
    assert statuses == [200, 200, 200]
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_the_drain_has_a_bound(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS, "--drain_timeout", "0.5")
    answers: list[Answer] = []
    thread = threading.Thread(
        target=lambda: answers.append(order(server, do="sleep", seconds=60)), daemon=True
    )
    thread.start()
    until(lambda: connections(server) >= 1, 5, server.log)
    processes = server.tree()

    began = time.monotonic()
    status = server.terminate()
    thread.join()

    assert status == 0
    assert time.monotonic() - began < 5
    assert answers[0].status == 503
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


def test_a_killed_front_end_leaves_no_orphans(serve: Serve) -> None:
    server = serve(OBEDIENT, *WAITRESS)
    children = workers(server)

    server.popen.kill()
    server.popen.wait()

    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_script_that_cannot_start_ends_the_server_with_status_3(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init():\n    raise ValueError('no model')\n")
    server = Server(tmp_path / "score.py", *WAITRESS, root=tmp_path)

    try:
        assert server.exit_status() == 3
        assert "score.py" in server.log()
    finally:
        server.close()


def test_a_port_in_use_ends_it_with_status_1(serve: Serve, tmp_path: Path) -> None:
    first = serve(OBEDIENT, *WAITRESS)
    second = Server(tmp_path / "score.py", *WAITRESS, "--port", str(first.port), root=tmp_path)

    try:
        assert second.exit_status() == 1
        assert "already in use" in second.log()
    finally:
        second.close()


def test_connections_that_are_closed_take_no_new_one_with_them(serve: Serve) -> None:
    """A descriptor that has just been closed is the next connection's."""
    server = serve(OBEDIENT, "--server", "waitress", "--header_timeout", "1")

    def wait_to_be_closed_and_come_again(_number: int) -> int:
        with socket.create_connection(("127.0.0.1", server.port), 20) as silent:
            assert silent.recv(1) == b""
        return server.score(b"{}").status

    with ThreadPoolExecutor(100) as clients:
        for _ in range(3):
            statuses = list(clients.map(wait_to_be_closed_and_come_again, range(100)))
            assert statuses == [200] * 100
