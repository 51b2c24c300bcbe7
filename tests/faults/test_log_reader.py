"""Whoever reads our output stalls, or has gone: serving goes on, and the lost lines are counted."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.harness import Server, ask, free_port, until

SERVERS = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}
SCRIPT = """
import logging
import sys

LINE = "x" * 999


def init():
    print("init was called")


def run(data):
    for _ in range(40):
        print(LINE)
    logging.getLogger("of.the.script").warning(LINE)
    return len(data)
"""
CALLS = 500  # 20 MB of lines: the server holds 8 MiB for a reader that is slow
CLIENTS = 4
BODY = b"abc"

each_server = pytest.mark.parametrize("flags", SERVERS.values(), ids=SERVERS)


@dataclass
class Reader:
    """The end of a pipe that a server writes to; reads only when it is told to."""

    read_end: int
    write_end: int
    text: str = ""

    def fill(self) -> None:
        """As if somebody had written before, and nobody had read."""
        os.set_blocking(self.write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.write_end, b"." * 4095 + b"\n")
        os.set_blocking(self.write_end, True)

    def read_until(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Read on until *pattern* has come."""
        os.set_blocking(self.read_end, False)
        match = None

        def has_come() -> bool:
            nonlocal match
            with contextlib.suppress(BlockingIOError):
                while data := os.read(self.read_end, 1 << 20):
                    self.text += data.decode(errors="replace")
            match = re.search(pattern, self.text, re.MULTILINE)
            return match is not None

        until(has_come, timeout_s, lambda: f"{pattern} is not in {self.text[-3000:]}")
        assert match is not None
        return match

    def leave(self) -> None:
        """There is nobody any more."""
        os.close(self.read_end)
        self.read_end = -1


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader(*os.pipe())
    yield made
    for descriptor in (made.read_end, made.write_end):
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def starting(
    root: Path, reader: Reader, *flags: str, command: tuple[str, ...] = ()
) -> Iterator[Server]:
    """A server that writes into the pipe."""
    (root / "score.py").write_text(SCRIPT)
    server = Server(
        root / "score.py",
        *flags,
        root=root,
        output=reader.write_end,
        command=command or (sys.executable, "-m", "azmlinfsrv"),
    )
    # Only the server holds it now: when its reader leaves, the pipe is broken.
    os.close(reader.write_end)
    reader.write_end = -1
    try:
        yield server
    finally:
        server.close()


def call_many(server: Server, calls: int) -> list[int]:
    """The status of every call; several clients that keep their connections."""
    statuses: list[int] = []

    def call() -> None:
        with contextlib.closing(server.connect()) as connection:
            for _ in range(calls // CLIENTS):
                statuses.append(ask(connection, "POST", "/score", BODY).status)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(250)
    return statuses


@pytest.mark.timeout(300)  # many calls, on a machine that may be busy
@each_server
def test_a_stalled_reader_stops_nothing_and_is_told_what_it_missed(
    tmp_path: Path, reader: Reader, flags: tuple[str, ...]
) -> None:
    with starting(tmp_path, reader, *flags) as server:
        server.wait_until_ready()

        statuses = call_many(server, CALLS)
        began = time.monotonic()
        assert server.get("/").status == 200
        probe_s = time.monotonic() - began

        assert statuses == [200] * CALLS
        assert probe_s < 1.0
        told = reader.read_until(r"(\d+) log lines were dropped: the reader is slow\.")
        assert int(told[1]) > 1000
        # And from now on everything gets through again.
        server.score(b"x" * 4711)
        reader.read_until(r"POST /score 200 \S+ 4\b")
        assert "Server Settings" in reader.text


@each_server
def test_a_reader_that_has_gone_stops_nothing(
    tmp_path: Path, reader: Reader, flags: tuple[str, ...]
) -> None:
    with starting(tmp_path, reader, *flags) as server:
        server.wait_until_ready()
        reader.leave()

        assert call_many(server, CALLS) == [200] * CALLS
        assert server.terminate() == 0


@each_server
@pytest.mark.parametrize("has_gone", [False, True], ids=["stalled", "gone"])
def test_a_server_starts_and_stops_though_nobody_reads(
    tmp_path: Path, reader: Reader, flags: tuple[str, ...], has_gone: bool
) -> None:
    reader.fill()
    if has_gone:
        reader.leave()
    with starting(tmp_path, reader, *flags) as server:
        server.wait_until_ready()

        assert call_many(server, 100) == [200] * 100
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 10


@each_server
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_whose_descriptors_are_closed_serves_and_says_nothing_to_clients(
    tmp_path: Path, reader: Reader, flags: tuple[str, ...], closed: str
) -> None:
    python = shlex.join((sys.executable, "-m", "azmlinfsrv"))
    command = ("/bin/sh", "-c", f'exec {python} "$@" {closed}', "sh")
    with starting(tmp_path, reader, *flags, command=command) as server:
        server.wait_until_ready()

        assert call_many(server, 400) == [200] * 400
        with contextlib.closing(server.connect()) as connection:
            connection.request("POST", "/score", BODY)
            response = connection.getresponse()
            assert response.read() == b"3"
            assert connection.sock is not None
            connection.sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.sock.recv(1)  # nothing that was meant for the log
        assert server.terminate() == 0


@pytest.mark.parametrize("has_gone", [False, True], ids=["stalled", "gone"])
def test_what_dies_is_replaced_though_nobody_reads(
    tmp_path: Path, reader: Reader, has_gone: bool
) -> None:
    with starting(tmp_path, reader) as server:
        server.wait_until_ready()
        if has_gone:
            reader.leave()
        assert call_many(server, 400) == [200] * 400
        # More than the pipe holds: everything that is written now waits.

        for _ in range(2):
            first = server.front_end()
            first.kill()
            until(partial(_replaced, server, first), 20, lambda: "no new front end")
            server.wait_until_ready()
            (worker,) = server.workers()
            worker.kill()
            until(lambda: server.score(BODY).status == 200, 20, lambda: "no new worker")

        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 10


@each_server
def test_a_mistake_ends_the_start_with_its_status_though_nobody_reads(
    tmp_path: Path, reader: Reader, flags: tuple[str, ...]
) -> None:
    reader.fill()
    with starting(tmp_path, reader, *flags, "--port", str(free_port())) as server:
        (tmp_path / "score.py").unlink()

        assert server.exit_status() == 3


def _replaced(server: Server, first: psutil.Process) -> bool:
    try:
        return server.front_end().pid != first.pid
    except (ValueError, psutil.NoSuchProcess):  # for a moment there is none, or both
        return False
