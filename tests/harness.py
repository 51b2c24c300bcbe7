"""Starts the real server for tests: a process of its own, a free port, always cleaned up."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

START_S = 30.0
STOP_S = 40.0


@dataclass(frozen=True)
class Answer:
    """One HTTP response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running server and what it wrote."""

    def __init__(
        self,
        script: str | Path | None,
        *flags: str,
        root: Path,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "azmlinfsrv"),
        output: int | None = None,
    ) -> None:
        self.port = free_port()
        self.root = root
        self._output = tempfile.TemporaryFile("w+b", buffering=0)
        argv = [*command, "--port", str(self.port), *flags]
        if script is not None:
            argv += ["--entry_script", str(script)]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("AZ", "AML_", "WORKER_", "SCORING_"))
        }
        self.popen = subprocess.Popen(
            argv,
            cwd=root,
            env={**inherited, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output if output is None else output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    # --- state --------------------------------------------------------------------------

    def log(self) -> str:
        """Everything written so far, stdout and stderr as they came."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def wait_for_log(self, text: str, timeout_s: float = 10.0) -> str:
        """The log, once *text* is in it."""
        until(lambda: text in self.log(), timeout_s, lambda: f"{text!r} is not in:\n{self.log()}")
        return self.log()

    def wait_until_ready(self) -> None:
        """Return when ``/`` answers 200."""

        def is_ready() -> bool:
            if self.popen.poll() is not None:
                raise AssertionError(f"exited with {self.popen.returncode}:\n{self.log()}")
            try:
                return self.get("/").status == 200
            except OSError:
                return False

        until(is_ready, START_S, lambda: f"not ready:\n{self.log()}")

    def exit_status(self, timeout_s: float = STOP_S) -> int:
        """Wait for the end."""
        return self.popen.wait(timeout_s)

    def front_end(self) -> psutil.Process:
        """The process that speaks HTTP; the arbiter adopts processes of other sessions."""
        (front_end,) = (
            child
            for child in psutil.Process(self.popen.pid).children()
            if os.getsid(child.pid) == os.getsid(self.popen.pid)
        )
        return front_end

    def workers(self) -> list[psutil.Process]:
        """The scoring processes that live."""
        return [
            child for child in self.front_end().children() if child.status() != psutil.STATUS_ZOMBIE
        ]

    def tree(self) -> list[psutil.Process]:
        """Every process of the server."""
        arbiter = psutil.Process(self.popen.pid)
        return [arbiter, *arbiter.children(recursive=True)]

    # --- requests -----------------------------------------------------------------------

    def connect(self, timeout_s: float = 30.0) -> http.client.HTTPConnection:
        """A connection of one's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One request on a new connection."""
        with contextlib.closing(self.connect(timeout_s)) as connection:
            return ask(connection, method, target, body, headers)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return self.request("GET", target, headers=headers)

    def score(
        self, body: bytes = b"{}", headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Answer:
        """POST /score."""
        return self.request("POST", "/score", body, headers, timeout_s)

    def exchange(self, data: bytes, timeout_s: float = 10.0, *, half_close: bool = False) -> bytes:
        """Send raw bytes; everything that comes back until the server closes or pauses."""
        with socket.create_connection(("127.0.0.1", self.port), timeout_s) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return received

    # --- end ----------------------------------------------------------------------------

    def terminate(self) -> int:
        """SIGTERM to the server; its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.exit_status()

    def close(self) -> None:
        """End every process, at once and whatever state they are in.

        How a server ends by itself is for tests to look at, which call `terminate`. Parents
        come first, so that none of them starts another child.
        """
        try:
            processes = self.tree()
        except psutil.NoSuchProcess:
            processes = []
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait(5)
        self._output.close()


@contextlib.contextmanager
def serving(
    script: str | Path | None,
    *flags: str,
    root: Path,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server that is ready, for the time of a ``with`` block."""
    server = Server(script, *flags, root=root, environ=environ)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.close()


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection that stays open."""
    connection.request(method, target, body, dict(headers or {}))
    response = connection.getresponse()
    content = response.read()
    return Answer(
        response.status, {name.lower(): value for name, value in response.getheaders()}, content
    )


def until(condition: object, timeout_s: float, explain: object) -> None:
    """Poll *condition* (a callable) until it holds; a deadline, not a pause."""
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise AssertionError(explain())  # type: ignore[operator]
        time.sleep(0.01)
