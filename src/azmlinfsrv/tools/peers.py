"""Servers to send the same requests to: ours with some settings, or whatever a command starts.

Each is a process group on a free port of 127.0.0.1, and ends with its ``with`` block; on
Linux also with the thread that started it. Needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.settings import FIELDS, environment
from azmlinfsrv.tools.client import Address, Client, NoAnswer, parse_url
from azmlinfsrv.worker.parent import die_with

PORT = "{port}"  # in a command: where the number goes
START_S = 300.0
_STOP_S = 35.0  # a server of ours drains for 30 s at most
_POLL_S = 0.02
_SHOWN_LINES = 40
_OUR_LOGGER = "azmlinfsrv"
# Not to be found by a module of that name in the current directory, as with `-m`.
_OURS = "import sys; del sys.path[0]; from azmlinfsrv.__main__ import main; main()"
# A request that is sent again is not one to keep again.
_NOT_INHERITED = "AZMLINFSRV_RECORD_DIR"


class CannotStart(Exception):
    """A server ended before it was ready, or was not ready in time; the text says why.

    Args:
        status: Its exit status; None if it was ended.
    """

    def __init__(self, report: str, status: int | None) -> None:
        super().__init__(report)
        self.status = status


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server: *arguments* with `PORT` in them, or ``--port N`` is appended."""

    arguments: Sequence[str]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is ready."""

    address: Address
    log: Callable[[], str]


def our_command(flags: Mapping[str, str], variables: Mapping[str, str] | None = None) -> Command:
    """This server with some settings.

    Args:
        flags: By field name, as texts; the address is chosen by `started`.
        variables: Of the environment, besides what is inherited.
    """
    arguments = [sys.executable, "-c", _OURS, "--host", "127.0.0.1", "--port", PORT]
    environ = environment()
    environ.pop(_NOT_INHERITED, None)
    environ.update(variables or {})
    for field in FIELDS:
        text = flags.get(field.name)
        if text is None or field.name in ("host", "port"):
            continue
        setting = field.setting
        if setting.flag and setting.is_switch:
            if text != "false":
                arguments.append(setting.flag)
            elif setting.env:
                environ[setting.env[0]] = "false"
        elif setting.flag and not field.is_secret:  # everybody can see the command
            arguments.append(f"{setting.flag}={text}")
        else:
            environ[setting.env[0]] = text
    return Command(arguments, environ)


def any_command(arguments: Sequence[str]) -> Command:
    """A server that may be another's.

    Raises:
        ValueError: there is nothing to run.
    """
    if not arguments:
        raise ValueError("it is empty")
    environ = environment()
    environ.pop(_NOT_INHERITED, None)
    return Command(arguments, environ)


def server_at(url: str) -> Address:
    """The server at a URL; what comes before ``/score`` in its path is a prefix of every path.

    Raises:
        BadUrl: it is none.
    """
    address = parse_url(url)
    path = address.path.partition("?")[0].rstrip("/").removesuffix("/score")
    return replace(address, path=path)


def under_prefix(request: SampleRequest, address: Address) -> SampleRequest:
    """The request as it is sent to a server behind a prefix."""
    return replace(request, path=f"{address.path}{request.path}") if address.path else request


@contextmanager
def started(command: Command, *, timeout_s: float = START_S) -> Iterator[Peer]:
    """Start a server, and end it with the block.

    Raises:
        CannotStart: ``/`` was not answered with 200 within *timeout_s* seconds.
    """
    port = _free_port()
    arguments = [part.replace(PORT, str(port)) for part in command.arguments]
    if arguments == list(command.arguments):
        arguments += ["--port", str(port)]
    with tempfile.TemporaryFile() as log:
        try:
            popen = _start(arguments, command.environ, log)
        except OSError as error:
            raise CannotStart(
                f"{arguments[0]} cannot be started: {error.strerror}.", None
            ) from error
        address = Address("http", "127.0.0.1", port)
        try:
            _wait_until_ready(address, popen, log, timeout_s)
            yield Peer(address, partial(_text, log))
        finally:
            _end(popen)


def _start(
    arguments: list[str], environ: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    # The signal comes when the *thread* ends that asked for it.
    is_lasting = threading.current_thread() is threading.main_thread()
    has_leash = sys.platform == "linux" and is_lasting
    leash = partial(die_with, os.getpid(), gently=True) if has_leash else None
    return subprocess.Popen(
        arguments,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=leash,  # noqa: PLW1509  # it takes no lock that a thread may hold
    )


def _wait_until_ready(
    address: Address, popen: subprocess.Popen[bytes], log: IO[bytes], timeout_s: float
) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not _is_ready(address):
        status = popen.poll()
        if status is not None:
            raise CannotStart(_report(_text(log)), status)
        if time.monotonic() > deadline_s:
            text = f"It was not ready within {timeout_s:g} s.\n{_report(_text(log))}"
            raise CannotStart(text, None)
        time.sleep(_POLL_S)


def _is_ready(address: Address) -> bool:
    client = Client(address, 5.0)
    try:
        return client.send(SampleRequest("GET", "/")).status == 200
    except NoAnswer:
        return False
    finally:
        client.close()


def _end(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(_STOP_S)
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
    popen.kill()
    popen.wait()


def _text(log: IO[bytes]) -> str:
    """Everything written so far. Not by seeking: the server writes at the same position."""
    size = os.fstat(log.fileno()).st_size
    if sys.platform == "win32":
        log.seek(0)
        return log.read(size).decode(errors="replace")
    return os.pread(log.fileno(), size, 0).decode(errors="replace")


def _report(log: str) -> str:
    """Why a server ended: what ours logged as errors, of any other the last lines."""
    errors = []
    for line in log.splitlines():
        with suppress(ValueError):
            record = json.loads(line)
            is_ours = isinstance(record, dict) and str(record.get("logger")).startswith(_OUR_LOGGER)
            if is_ours and record.get("level") in ("ERROR", "CRITICAL"):
                errors.append(str(record.get("message", "")))
    return "\n".join(errors or log.splitlines()[-_SHOWN_LINES:])


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
