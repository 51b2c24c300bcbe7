"""The real server as a process of its own, for tools that try a script.

It listens on a free port of 127.0.0.1, logs JSON into a file, and leads a process group.
It ends with the ``with`` block, and on Linux with this process, however that ends.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import Address, Client, NoAnswer
from azmlinfsrv.tools.findings import Place
from azmlinfsrv.worker.parent import die_with

if TYPE_CHECKING:
    import psutil

STOP_S = 45.0
_POLL_S = 0.02
# How long words of the log may come after the answer they belong to.
_LOG_S = 2.0
_FRAME = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)
# Literal text of the log (R6.5).
_READY_WORDS = "ready for serving traffic"
_READY = re.compile(rf"Worker with pid (\d+) {_READY_WORDS}")
_AT = re.compile(r"^At (.+):(\d+)(?: in .+)?:$", re.MULTILINE)


class CannotServe(Exception):
    """The server ended before it was ready, or did not become ready in time.

    Args:
        report: What it logged as errors.
        status: Its exit status; None if it had to be ended.
        place: The user's line that is named in the report.
    """

    def __init__(self, report: str, status: int | None, place: Place | None = None) -> None:
        super().__init__(report)
        self.report = report
        self.status = status
        self.place = place


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the server's log."""

    level: str
    logger: str
    message: str
    time: str = ""
    request_id: str = ""
    exception: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used.

    Attributes:
        cpu_s: Seconds of CPU so far, user and system.
        memory_bytes: Memory that is theirs alone (USS) if the system tells, else resident.
    """

    cpu_s: float
    memory_bytes: int


@dataclass(slots=True)
class ScriptServer:
    """A running server; made by `serving`.

    Attributes:
        folder: Of the script: places in it are the user's.
        start_s: From the start of the process until it was ready; 0 until then.
    """

    popen: subprocess.Popen[bytes]
    address: Address
    folder: Path
    _log: Any
    start_s: float = 0.0
    _clients: list[Client] = field(default_factory=list)

    # --- what it says -------------------------------------------------------------------

    def log(self) -> str:
        """Everything written so far."""
        self._log.seek(0)
        return bytes(self._log.read()).decode(errors="replace")

    def records(self) -> list[Record]:
        """The log so far; a line that is no record has no level."""
        return [_record(line) for line in self.log().splitlines()]

    def failure_of(self, request_id: str) -> tuple[str, Place | None]:
        """What the script raised for a request, in a line, and the line it came from.

        The log is written beside the answers, so its words may come a moment later.
        """
        deadline = time.monotonic() + _LOG_S
        while True:
            for record in reversed(self.records()):
                if record.request_id == request_id and record.exception:
                    last = record.exception.rstrip().rpartition("\n")[2]
                    return last, self.place_in(record.exception)
            if time.monotonic() > deadline:
                return "", None
            time.sleep(_POLL_S)

    def wait_for_log(self, words: str) -> bool:
        """Whether *words* are in the log, now or in a moment."""
        deadline = time.monotonic() + _LOG_S
        while words not in self.log():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def place_in(self, traceback: str) -> Place | None:
        """The innermost line of the user's own code in a traceback."""
        frames = [(Path(file), int(line)) for file, line in _FRAME.findall(traceback)]
        folder = self.folder.resolve()
        for file, line in reversed(frames):
            parts = file.parts
            if "site-packages" not in parts and folder in file.resolve().parents:
                return Place(file, line)
        return None

    def errors(self) -> str:
        """What was logged as an error, without the words of the HTTP server."""
        records = self.records()
        found = [it.message for it in records if it.level in ("ERROR", "CRITICAL")]
        own = [
            it.message
            for it in records
            if it.level in ("ERROR", "CRITICAL") and it.logger.startswith("azmlinfsrv")
        ]
        return "\n".join(own or found or [it.message for it in records[-20:]])

    # --- its processes ------------------------------------------------------------------

    def workers(self) -> list[psutil.Process]:
        """The processes that run the script; empty if it runs in the server's own."""
        import psutil

        found = []
        # R6.5 has the words; they come once a process can take calls.
        for pid in dict.fromkeys(int(it) for it in _READY.findall(self.log())):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if pid != self.popen.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def worker_usage(self) -> Usage:
        """Of the processes that run the script and of all they started."""
        return usage_of(self.workers() or [self._process()])

    def _process(self) -> psutil.Process:
        import psutil

        return psutil.Process(self.popen.pid)

    # --- requests -----------------------------------------------------------------------

    def client(self, timeout_s: float = 60.0) -> Client:
        """A connection that is closed with the server."""
        made = Client(self.address, timeout_s)
        self._clients.append(made)
        return made

    def is_ready(self) -> bool:
        """Whether a process can take a call now."""
        client = Client(self.address, 5.0)
        try:
            return client.send(SampleRequest("GET", "/health/ready")).status == 200
        except NoAnswer:
            return False
        finally:
            client.close()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return once it is.

        Raises:
            CannotServe: it ended, or the time is up.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            status = self.popen.poll()
            if status is not None:
                report = self.errors()
                raise CannotServe(report, status, self._place_of(report))
            if time.monotonic() > deadline:
                raise CannotServe(
                    f"init() did not return within {timeout_s:g} s.\n{self.errors()}", None
                )
            time.sleep(_POLL_S)

    def _place_of(self, report: str) -> Place | None:
        if named := _AT.search(report):
            return Place((self.folder / named[1]).resolve(), int(named[2]))
        return self.place_in(report)

    # --- its end ------------------------------------------------------------------------

    def terminate(self) -> None:
        """Tell it to stop; it answers what it has taken first."""
        self.popen.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_S) -> int | None:
        """Its exit status; None if it does not end in time."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End every process of it, whatever state they are in."""
        import psutil

        for client in self._clients:
            client.close()
        try:
            tree = [self._process(), *self._process().children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            self.wait(5.0)
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self._log.close()


@contextmanager
def serving(
    flags: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    *,
    timeout_s: float = 300.0,
    extra: Mapping[str, str] | None = None,
) -> Iterator[ScriptServer]:
    """A server that is ready.

    Args:
        flags: As on the command line; port, host and log are added.
        folder: Of the script.
        environ: The environment it inherits.
        timeout_s: How long ``init()`` may take.
        extra: Variables besides.
    Raises:
        CannotServe: it is not.
    """
    port, health_port = free_ports(2)
    address = Address("http", "127.0.0.1", port)
    log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by close()
    argv = [sys.executable, "-m", "azmlinfsrv", *flags]
    argv += ["--host", address.host, "--port", str(port), "--health_port", str(health_port)]
    argv += ["--log_format", "json", "--log_level", "INFO"]
    on_linux = sys.platform == "linux"
    end_with_us = partial(die_with, os.getpid(), gently=True) if on_linux else None
    began_s = time.monotonic()
    popen = subprocess.Popen(
        argv,
        env={**environ, **(extra or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Called in the child between fork and exec; this process has one thread.
        preexec_fn=end_with_us,  # noqa: PLW1509
    )
    server = ScriptServer(popen, address, folder, log)
    try:
        server.wait_until_ready(timeout_s)
        server.start_s = time.monotonic() - began_s
        # Who the workers are stands in the log, which is written beside the answers.
        server.wait_for_log(_READY_WORDS)
        yield server
    finally:
        server.close()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def usage_of(processes: Sequence[psutil.Process]) -> Usage:
    """Of these processes and everything below them; those that end meanwhile are left out."""
    import psutil

    members: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for member in (process, *process.children(recursive=True)):
                members[member.pid] = member
    cpu_s, memory_bytes = 0.0, 0
    for member in members.values():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            cpu_s += _cpu_s(member)
            full = member.memory_full_info()
            memory_bytes += int(getattr(full, "uss", full.rss))
    return Usage(cpu_s, memory_bytes)


def cpu_s_of(processes: Sequence[psutil.Process]) -> float:
    """Seconds of CPU so far, of these processes alone; quick enough for many a second."""
    return sum(_cpu_s(process) for process in processes)


def _cpu_s(process: psutil.Process) -> float:
    """To the nanosecond where Linux tells it, else to the system's tick."""
    try:
        tasks = os.listdir(f"/proc/{process.pid}/task")
        total = 0
        for task in tasks:
            # A thread may end between the two.
            with suppress(FileNotFoundError, ProcessLookupError):
                schedstat = Path(f"/proc/{process.pid}/task/{task}/schedstat").read_bytes()
                total += int(schedstat.split()[0])
        if total:
            return total / 1e9
    except (OSError, ValueError, IndexError):
        pass
    times = process.cpu_times()
    return float(times.user + times.system)


def _record(line: str) -> Record:
    try:
        found = json.loads(line)
    except ValueError:
        return Record("", "", line)
    if not isinstance(found, dict):
        return Record("", "", line)
    return Record(
        str(found.get("level", "")),
        str(found.get("logger", "")),
        str(found.get("message", "")),
        str(found.get("time", "")),
        str(found.get("request_id", "")),
        str(found.get("exception", "")),
    )
