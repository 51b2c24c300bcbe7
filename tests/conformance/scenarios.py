"""What one request and one answer cannot show: signals, stuck clients, two things at once.

A scenario gets a `Launch` with its folder laid out and nothing started, and returns facts
by name. It waits for what it needs, never for an amount of time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.conformance.case import Request, get, post
from tests.conformance.runner import Launch
from tests.conformance.wire import Received, encode, read

Facts = Mapping[str, Any]
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def _connect(launch: Launch, timeout_s: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", launch.port), timeout=timeout_s)


def _serving(launch: Launch) -> None:
    launch.start()
    if not launch.wait_ready():
        raise AssertionError("did not start")


class _InFlight:
    """A request that is being answered while something else happens."""

    def __init__(self, launch: Launch, request: Request, timeout_s: float = 15.0) -> None:
        self._connection = _connect(launch, timeout_s)
        self._timeout_s = timeout_s
        self._method = request.method
        self._connection.sendall(encode(request))

    def answer(self) -> Received | None:
        """The answer; None if the connection ends without one."""
        with self._connection:
            answers = read(self._connection, (self._method,), self._timeout_s)
        return answers[0] if answers else None


def first_chunk_arrives_early(launch: Launch) -> Facts:
    """The first item of a stream is here while the script still makes the others."""
    _serving(launch)
    with _connect(launch) as connection:
        started = time.monotonic()
        connection.sendall(encode(post("slow")))
        seen = b""
        read(connection, ("POST",), 10.0, stop=lambda data: b"first," in data)
        seen = b"first,"
        return {"first": seen.decode(), "early": time.monotonic() - started < 3.0}


def _while_running(launch: Launch, act: Callable[[], Any]) -> tuple[Received | None, Any]:
    """Do *act* once run() has said that it is running; answer and result of both."""
    _serving(launch)
    in_flight = _InFlight(launch, post("slow"))
    if not launch.until(lambda: "run has begun" in launch.out(), 10.0):
        raise AssertionError("run() was not called")
    done = act()
    return in_flight.answer(), done


def end_by(number: signal.Signals) -> Callable[[Launch], Facts]:
    """The exit status after a signal to an idle server."""

    def scenario(launch: Launch) -> Facts:
        _serving(launch)
        launch.signal(number)
        return {"exit": launch.wait_exit()}

    scenario.__doc__ = f"{number.name} to an idle server."
    return scenario


def term_lets_a_request_finish(launch: Launch) -> Facts:
    """SIGTERM while run() computes."""
    answer, _ = _while_running(launch, lambda: launch.signal(signal.SIGTERM))
    return {"answered": answer.status if answer else None, "exit": launch.wait_exit()}


def hup_reloads_the_script(launch: Launch) -> Facts:
    """SIGHUP after score.py was changed on disk."""
    _serving(launch)
    before = launch.one(post("x")).body.decode()
    script = launch.root / "score.py"
    script.write_text(script.read_text().replace("before", "after"))
    launch.signal(signal.SIGHUP)

    def is_new() -> bool:
        try:
            return b"after" in launch.one(post("x"), 5.0).body
        except (OSError, AssertionError):
            return False

    changed = launch.until(is_new, 15.0)
    return {"before": before, "changed": changed, "lives": launch.wait_exit(0.0) is None}


def probe_while_scoring(launch: Launch) -> Facts:
    """GET / while the only worker computes."""

    def probe() -> bool:
        answers = launch.ask(get("/"), 1.0) or []
        return [answer.status for answer in answers] == [200]

    answer, probed = _while_running(launch, probe)
    return {"scored": answer.status if answer else None, "probe_answered_meanwhile": probed}


def idle_connection(launch: Launch) -> Facts:
    """A client that connects and says nothing, and another one."""
    _serving(launch)
    with _connect(launch):
        answers = launch.ask(get("/"), 2.0)
        return {"other_client": answers[0].status if answers else None}


def slow_header(launch: Launch) -> Facts:
    """A client that sends half a request line, and another one."""
    _serving(launch)
    with _connect(launch) as slow:
        slow.sendall(b"GET / HT")
        answers = launch.ask(get("/"), 2.0)
        return {"other_client": answers[0].status if answers else None}


def keep_alive(launch: Launch) -> Facts:
    """Two requests, one after the other, on one connection."""
    _serving(launch)
    request = Request("POST", "/score", b"x", (("Connection", "keep-alive"),))
    statuses = []
    with _connect(launch, 3.0) as connection:
        for _ in range(2):
            try:
                connection.sendall(encode(request))
                answers = read(connection, ("POST",), 3.0)
            except OSError:
                answers = []
            statuses.append(answers[0].status if answers else None)
    return {"statuses": statuses}


def expect_continue(launch: Launch) -> Facts:
    """``Expect: 100-continue``: the body is sent after the interim answer."""
    _serving(launch)
    with _connect(launch) as connection:
        connection.sendall(
            b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        )
        interim = connection.recv(4096).split(b"\r\n")[0].decode()
        connection.sendall(b"x")
        answers = read(connection, ("POST",), 5.0)
    return {"interim": interim[:12], "status": answers[0].status if answers else None}


def truncated_body(launch: Launch) -> Facts:
    """A client that promises ten bytes, sends three and goes."""
    _serving(launch)
    with _connect(launch) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        answers = read(connection, ("POST",), 5.0)
    launch.one(get("/swagger.json?version=marker"))
    launch.until(lambda: "version=marker" in launch.out(), 5.0)
    return {
        "scored": "run was called" in launch.out(),
        "status": answers[0].status if answers else None,
    }


def other_loopback(launch: Launch) -> Facts:
    """Whether it answers on an address of this machine that is not 127.0.0.1."""
    launch.start()
    if not launch.wait_ready():
        return {"exit": launch.wait_exit(0.0)}
    try:
        with socket.create_connection(("127.0.0.2", launch.port), timeout=5.0):
            return {"127.0.0.2": True}
    except OSError:
        return {"127.0.0.2": False}


def port_in_use(launch: Launch) -> Facts:
    """Somebody else listens on the port."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", launch.port))
        taken.listen()
        launch.start()
        return {"exit": launch.wait_exit(20.0)}


def health_port_while_scoring(launch: Launch) -> Facts:
    """The dedicated health port while the only worker computes, and what else it serves."""

    def ask_health(request: Request, timeout_s: float) -> int | None:
        with socket.create_connection(("127.0.0.1", launch.free_port), timeout=timeout_s) as c:
            c.sendall(encode(request))
            answers = read(c, (request.method,), timeout_s)
            return answers[0].status if answers else None

    _, health = _while_running(launch, lambda: ask_health(get("/"), 1.0))
    return {
        "health_meanwhile": health,
        "health_idle": ask_health(get("/"), 5.0),
        "score": ask_health(post("quick"), 5.0),
    }


def probes_during_init(launch: Launch) -> Facts:
    """The first init() waits for a file; what do the probes say, and what happens to a call?"""
    launch.start()
    if not launch.until(lambda: (launch.root / "init-runs").exists(), 20.0):
        raise AssertionError("init() was not called")

    def status(path: str) -> int | None:
        try:
            answers = launch.ask(get(path), 1.5)
        except OSError:
            return None
        return answers[0].status if answers else None

    facts: dict[str, Any] = {path: status(path) for path in ("/", "/health/live", "/health/ready")}
    call = _InFlight(launch, post("x"))
    (launch.root / "go").touch()
    answer = call.answer()
    facts["call"] = answer.status if answer else None
    facts["ready_after"] = launch.wait_ready() and status("/health/ready")
    return facts


def debugger_listens(launch: Launch) -> Facts:
    """An editor waits for the server's debugger on the port it was told."""
    with socket.socket() as editor:
        editor.bind(("127.0.0.1", launch.free_port))
        editor.listen()
        editor.settimeout(20.0)
        launch.start()
        connection, _ = editor.accept()
        connection.close()
        return {"connected": True}


def respawn_after_crash(launch: Launch) -> Facts:
    """A run() that ends its process: what its caller sees, and the next one."""
    _serving(launch)
    answers = launch.ask(post("die"))
    answer = answers[0] if answers else None
    after = launch.until(lambda: _status(launch, post("x")) == 200, 15.0)
    return {
        "caller": answer.status if answer else "closed",
        "is_json": answer is not None and answer.header("content-type") == ("application/json",),
        "next": after,
    }


def _status(launch: Launch, request: Request) -> int | None:
    try:
        answers = launch.ask(request, 5.0)
    except OSError:
        return None
    return answers[0].status if answers else None


def banner_count(launch: Launch) -> Facts:
    """How often the banner is printed when standard output is a file."""
    _serving(launch)
    launch.one(post("x"))
    launch.signal(signal.SIGTERM)
    launch.wait_exit()
    return {"banners": launch.out().count("Server Settings")}


def preload_inits(launch: Launch) -> Facts:
    """How often init() ran, once every worker serves."""
    _serving(launch)
    launch.one(post("x"))
    launch.until(lambda: "ready for serving traffic" in launch.out(), 5.0)
    launch.until(lambda: launch.out().count("init was called") >= 2, 2.0)
    out = launch.out()
    return {
        "inits": out.count("init was called"),
        "ready_is_logged": "ready for serving traffic" in out,
    }


def wsgi_app(launch: Launch) -> Facts:
    """The Flask app as another WSGI server imports it, asked through its test client."""
    code = (
        "from azureml_inference_server_http.server.entry import app\n"
        "client = app.test_client()\n"
        "score = client.post('/score', data='x')\n"
        "import sys\n"
        "print(client.get('/').status_code, score.status_code, score.text, file=sys.__stderr__)\n"
        "sys.__stderr__.flush()\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [launch.target.python, "-c", code],
        cwd=launch.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(launch.folder),
            "AML_APP_ROOT": str(launch.root),
            "AZUREML_ENTRY_SCRIPT": "score.py",
        },
    )
    return {"exit": done.returncode, "out": done.stderr.strip().split("\n")[-1]}


def import_in_a_client(code: str) -> Callable[[Launch], Facts]:
    """Run *code* in the server's own interpreter, without a server."""

    def scenario(launch: Launch) -> Facts:
        done = subprocess.run(
            [launch.target.python, "-c", code],
            cwd=launch.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(launch.folder)},
        )
        return {"exit": done.returncode, "out": done.stdout.strip()}

    scenario.__doc__ = "Code in an interpreter of its own."
    return scenario


def calls_at_once(launch: Launch) -> Facts:
    """Four calls at the same time, one worker: all are answered."""
    _serving(launch)
    results: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: results.append(_status(launch, post("x"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"statuses": sorted(x or 0 for x in results)}
