"""The whole server through real processes, sockets and signals."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.conftest import Serve
from tests.harness import Answer, Server, ask, until

HELLO = """
def init():
    pass

def run(data):
    return {"message": "Hello, World!"}
"""

# What the body says is done, so that one script serves many tests.
OBEDIENT = """
import json, os, signal, sys, time

def init():
    pass

def run(data):
    order = json.loads(data)
    what = order.get("do", "echo")
    if what == "echo":
        return {"pid": os.getpid(), "token": order.get("token")}
    if what == "sleep":
        time.sleep(order["seconds"])
    elif what == "spin":
        while True:
            pass
    elif what == "swallow":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    elif what == "exit":
        os._exit(order["status"])
    elif what == "signal":
        os.kill(os.getpid(), order["number"])
        time.sleep(60)
    elif what == "touch":
        open(order["path"], "a").write("x")
    return what
"""


def order(server: Server, timeout_s: float = 30.0, **content: object) -> Answer:
    return server.score(json.dumps(content).encode(), timeout_s=timeout_s)


def in_background(server: Server, **content: object) -> tuple[threading.Thread, list[Answer]]:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(order(server, **content)))
    thread.start()
    return thread, answers


def busy_workers(server: Server, count: int) -> None:
    """Return once *count* scoring processes are computing."""
    until(
        lambda: server.log().count("started waiting") >= count,
        10,
        lambda: server.log(),
    )


def test_a_killed_worker_costs_exactly_the_call_it_was_computing(serve: Serve) -> None:
    server = serve(OBEDIENT, "--worker_count", "2")
    stop = threading.Event()
    killed = threading.Event()

    def ask_until_stopped() -> list[int]:
        statuses: list[int] = []
        with contextlib.closing(server.connect()) as connection:
            after = 0
            while after < 50:
                statuses.append(ask(connection, "POST", "/score", b"{}").status)
                after += killed.is_set()
            return statuses

    with ThreadPoolExecutor(9) as clients:
        others = [clients.submit(ask_until_stopped) for _ in range(8)]
        victim = clients.submit(order, server, do="sleep", seconds=30)
        worker = _computing(server)
        worker.kill()
        failed = victim.result()
        killed.set()
        statuses = [status for other in others for status in other.result()]
    stop.set()

    assert failed.status == 500
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert "was ended by signal SIGKILL" in json.loads(failed.body)["message"]
    assert set(statuses) == {200}
    until(lambda: len(server.workers()) == 2, 10, server.log)


def _computing(server: Server) -> psutil.Process:
    """The one worker that never finishes a call: the others' CPU time grows."""
    workers = server.workers()
    assert len(workers) == 2
    before = {worker.pid: sum(worker.cpu_times()[:2]) for worker in workers}
    grown: dict[int, float] = {}

    def others_have_worked() -> bool:
        grown.update({w.pid: sum(w.cpu_times()[:2]) - before[w.pid] for w in workers})
        return max(grown.values()) > 0.2

    until(others_have_worked, 20, server.log)
    return min(workers, key=lambda worker: grown[worker.pid])


def _score_until_answered(server: Server) -> Answer:
    """While a stuck worker is being replaced a call may run into the same short limit."""
    answers: list[Answer] = []

    def is_answered() -> bool:
        answers.append(order(server, token="after"))
        return answers[-1].status == 200

    until(is_answered, 10, server.log)
    return answers[-1]


def test_an_interrupted_run_leaves_its_worker_alive_and_the_log_shows_where_it_was(
    serve: Serve,
) -> None:
    server = serve(OBEDIENT, environ={"SCORING_TIMEOUT_MS": "300"})
    (before,) = server.workers()

    order(server, do="sleep", seconds=60)
    log = server.wait_for_log("run() was interrupted (timeout)")

    assert _score_until_answered(server).status == 200
    assert [worker.pid for worker in server.workers()] == [before.pid]
    assert 'time.sleep(order["seconds"])' in log


def test_the_probe_answers_while_every_worker_is_busy(serve: Serve) -> None:
    server = serve(OBEDIENT)
    thread, answers = in_background(server, do="sleep", seconds=1.5)

    times = []
    with contextlib.closing(server.connect()) as connection:
        while thread.is_alive():
            began = time.monotonic()
            assert ask(connection, "GET", "/").status == 200
            times.append(time.monotonic() - began)
    thread.join()

    assert answers[0].status == 200
    assert len(times) > 20


def test_ten_thousand_calls_on_32_connections_have_no_error(serve: Serve) -> None:
    server = serve(OBEDIENT, "--worker_count", "2")

    def client(number: int) -> int:
        wrong = 0
        with contextlib.closing(server.connect()) as connection:
            for index in range(313):
                token = f"{number}-{index}"
                answer = ask(connection, "POST", "/score", json.dumps({"token": token}).encode())
                wrong += answer.status != 200 or json.loads(answer.body)["token"] != token
        return wrong

    with ThreadPoolExecutor(32) as clients:
        wrong = sum(clients.map(client, range(32)))

    assert wrong == 0


def test_a_caller_that_left_the_queue_is_never_run(serve: Serve, tmp_path: Path) -> None:
    server = serve(OBEDIENT)
    marker = tmp_path / "ran"
    thread, _ = in_background(server, do="sleep", seconds=1)
    until(lambda: server.workers()[0].num_threads() > 0, 5, server.log)
    body = json.dumps({"do": "touch", "path": str(marker)}).encode()
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)

    thread.join()
    last = order(server, do="echo")

    assert last.status == 200
    assert not marker.exists()


def test_sigterm_answers_what_is_running_and_waiting_and_leaves_nothing(serve: Serve) -> None:
    server = serve(OBEDIENT)
    running = [in_background(server, do="sleep", seconds=0.7) for _ in range(3)]
    # All three are in the server once a later probe has been answered on its own.
    until(lambda: _connections(server) >= 3, 5, server.log)
    processes = server.tree()

    status = server.terminate()
    for thread, _ in running:
        thread.join()

    assert status == 0
    assert [answers[0].status for _, answers in running] == [200, 200, 200]
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def _connections(server: Server) -> int:
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        for connection in server.front_end().net_connections("tcp")
    )


def test_sigint_ends_it_with_status_0(serve: Serve) -> None:
    server = serve(HELLO)
    processes = server.tree()

    server.popen.send_signal(signal.SIGINT)

    assert server.exit_status() == 0
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


def test_a_killed_front_end_leaves_no_orphans_and_the_server_comes_back(serve: Serve) -> None:
    server = serve(OBEDIENT, "--worker_count", "2")
    front_end, workers = server.front_end(), server.workers()

    front_end.kill()
    psutil.wait_procs(workers, timeout=10)

    assert not any(worker.is_running() for worker in workers)
    server.wait_until_ready()
    assert order(server, token="after").status == 200


def test_a_killed_arbiter_takes_everything_with_it(serve: Serve) -> None:
    server = serve(HELLO)
    processes = server.tree()

    server.popen.kill()
    server.popen.wait()
    _, alive = psutil.wait_procs(processes, timeout=60)

    assert alive == []


def test_children_of_a_script_end_with_it(serve: Serve) -> None:
    server = serve(
        """
import subprocess

def init():
    global child
    child = subprocess.Popen(["sleep", "600"])

def run(data):
    return child.pid
"""
    )
    child = psutil.Process(int(server.score().body))

    server.terminate()

    child.wait(5)
    assert not child.is_running()
