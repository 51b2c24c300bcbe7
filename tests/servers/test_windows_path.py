"""What runs on Windows, on a POSIX machine from which the POSIX parts are taken away.

`tests/windows/sitecustomize.py` says what such a test can show and what not.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.harness import Answer, Server, serving, until

MASK = Path(__file__).parents[1] / "windows"

OBEDIENT = """
import json, os, sys, time

def init():
    pass

def items():
    for index in range(3):
        yield f"item {index}\\n"

def run(data):
    order = json.loads(data)
    what = order.get("do", "echo")
    if what == "sleep":
        time.sleep(order["seconds"])
    elif what == "spin":
        while True:
            pass
    elif what == "exit":
        os._exit(order["status"])
    elif what == "sysexit":
        sys.exit(4)
    elif what == "stream":
        return items()
    elif what == "write":
        sys.stdout.write("written past print\\n")
        print("printed")
        os.system("echo from a child")
    elif what == "stdin":
        return sys.stdin.read()
    return {"pid": os.getpid(), "platform": sys.platform, "length": len(data)}
"""

Windows = Callable[..., Server]


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[Windows]:
    with contextlib.ExitStack() as stack:

        def start(*flags: str, environ: dict[str, str] | None = None) -> Server:
            script = tmp_path / "score.py"
            script.write_text(OBEDIENT, encoding="utf-8")
            return stack.enter_context(
                serving(
                    script,
                    *flags,
                    root=tmp_path,
                    environ={"PYTHONPATH": str(MASK), **(environ or {})},
                )
            )

        yield start


def order(server: Server, **content: object) -> Answer:
    return server.score(json.dumps(content).encode())


def workers(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.popen.pid).children()


def test_the_default_server_is_waitress_and_it_scores(windows: Windows) -> None:
    server = windows()

    answer = order(server)

    assert answer.status == 200
    assert json.loads(answer.body)["platform"] == "win32"
    assert [worker.pid for worker in workers(server)] == [json.loads(answer.body)["pid"]]


def test_a_large_body_and_a_stream_cross_the_wall(windows: Windows) -> None:
    server = windows()

    large = order(server, filling="x" * 3_000_000)
    stream = order(server, do="stream")

    assert json.loads(large.body)["length"] > 3_000_000
    assert stream.body == b"item 0\nitem 1\nitem 2\n"


def test_one_queue_feeds_two_workers(windows: Windows) -> None:
    server = windows("--worker_count", "2")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: order(server, do="sleep", seconds=0.3), range(4)))

    assert {answer.status for answer in answers} == {200}
    assert len({json.loads(answer.body)["pid"] for answer in answers}) == 2


def test_gunicorn_is_refused(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(OBEDIENT)
    server = Server(
        tmp_path / "score.py",
        "--server",
        "gunicorn",
        root=tmp_path,
        environ={"PYTHONPATH": str(MASK)},
    )

    try:
        assert server.exit_status() in (2, 3)
        assert "Gunicorn does not run on Windows" in server.log()
    finally:
        server.close()


@pytest.mark.parametrize("how", ["sleep", "spin"])
def test_a_call_over_its_time_is_answered_on_time_and_its_process_replaced(
    windows: Windows, how: str
) -> None:
    # Long enough for a process to be replaced within the limit of the next call.
    server = windows(environ={"SCORING_TIMEOUT_MS": "2500"})
    (before,) = workers(server)

    began = time.monotonic()
    late = order(server, do=how, seconds=60)
    took_s = time.monotonic() - began
    next_ = order(server)

    assert late.status == 500
    assert json.loads(late.body)["message"] == "Scoring timeout after 2500 ms"
    assert 2.5 <= took_s < 3.5
    assert next_.status == 200
    assert json.loads(next_.body)["pid"] != before.pid


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"do": "exit", "status": 7}, "exited with status 7"),
        ({"do": "sysexit"}, "An unexpected error occurred in scoring script."),
    ],
    ids=["os._exit", "SystemExit"],
)
def test_a_script_that_ends_its_process_is_answered(
    windows: Windows, content: dict[str, object], text: str
) -> None:
    server = windows()

    failed = order(server, **content)

    assert failed.status == 500
    assert text in json.loads(failed.body)["message"]
    assert order(server).status == 200


def test_the_probe_answers_while_a_process_is_being_replaced(windows: Windows) -> None:
    server = windows()
    order(server, do="exit", status=7)

    times = []
    for _ in range(20):
        began = time.monotonic()
        assert server.get("/health/live").status == 200
        times.append(time.monotonic() - began)

    assert sorted(times)[10] < 0.05


def test_everything_a_script_writes_is_logged_and_its_stdin_is_empty(windows: Windows) -> None:
    server = windows()

    order(server, do="write")
    empty = order(server, do="stdin")

    assert empty.body == b'""'
    server.wait_for_log("azmlinfsrv.print - printed")
    server.wait_for_log("azmlinfsrv.print - written past print")
    server.wait_for_log("azmlinfsrv.print - from a child")


def test_a_script_that_cannot_start_ends_the_server_with_status_3(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(
        "def init():\n    raise ValueError('no model')\ndef run(data): ...\n"
    )
    server = Server(tmp_path / "score.py", root=tmp_path, environ={"PYTHONPATH": str(MASK)})

    try:
        assert server.exit_status() == 3
        assert "no model" in server.log()
    finally:
        server.close()


def test_a_script_that_ends_the_first_process_ends_the_server_with_status_3(
    tmp_path: Path,
) -> None:
    (tmp_path / "score.py").write_text("import os\nos._exit(5)\n")
    server = Server(tmp_path / "score.py", root=tmp_path, environ={"PYTHONPATH": str(MASK)})

    try:
        assert server.exit_status() == 3
        assert "exited with status 5" in server.log()
    finally:
        server.close()


def test_asked_to_stop_it_answers_what_it_has_and_leaves_nothing(windows: Windows) -> None:
    server = windows()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(order, server, do="sleep", seconds=0.5) for _ in range(2)]
        until(lambda: _connections(server) >= 2, 10, server.log)
        processes = server.tree()
        status = server.terminate()
        statuses = [call.result().status for call in calls]

    assert status == 0
    assert statuses == [200, 200]
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


def _connections(server: Server) -> int:
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == server.port
        for connection in psutil.Process(server.popen.pid).net_connections("tcp")
    )


def test_a_killed_front_end_takes_a_busy_process_with_it(windows: Windows) -> None:
    server = windows()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(order, server, do="spin")
        until(lambda: _connections(server) >= 1, 10, server.log)
        children = workers(server)
        server.popen.kill()
        server.popen.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        failure = call.exception()

    assert alive == []
    assert isinstance(failure, OSError)


def test_a_stranger_cannot_take_the_place_of_a_process() -> None:
    from azmlinfsrv.pool.loopback import LoopbackInterpreters

    child = LoopbackInterpreters().spawn()
    port = child.socket.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"x" * 32)
        connection = child.accept()
        refused = stranger.recv(1)
    connection.close()

    assert refused == b""
    assert connection is child.socket
    child.kill()
    child.wait()
    for descriptor in child.output:
        os.close(descriptor)


# What only POSIX has, and may be imported or named only where it is asked for.
_POSIX_ONLY = ("fcntl", "termios", "pwd", "grp", "resource", "uvloop", "gunicorn")
_PORTABLE = (
    "azmlinfsrv.cli.commands",
    "azmlinfsrv.servers",
    "azmlinfsrv.servers.front_end",
    "azmlinfsrv.servers.hosted",
    "azmlinfsrv.servers.waitress",
    "azmlinfsrv.wsgi",
    "azmlinfsrv.asgi",
    "azmlinfsrv.worker.main",
    "azmlinfsrv.worker.loopback",
    "azmlinfsrv.pool.process_pool",
    "azureml_inference_server_http.server.entry",
)


@pytest.mark.parametrize("module", _PORTABLE)
def test_a_portable_module_can_be_imported(module: str) -> None:
    code = f"import sys, {module}; assert sys.platform == 'win32'; print(sorted(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(MASK)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert not set(_POSIX_ONLY) & set(json.loads(done.stdout.replace("'", '"')))
