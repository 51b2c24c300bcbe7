"""Start a server for a group of cases, ask it, and say what differs.

One start serves every case with the same `Setup`. Each start has its own application root,
process group and port; the group is always ended. Nothing sleeps: waiting is for the
process, the socket or the deadline.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.conformance.case import (
    Answer,
    Answers,
    Case,
    Closed,
    Document,
    Exit,
    Expected,
    Json,
    NeverReady,
    Outcome,
    Raw,
    Request,
    Setup,
    Silent,
    Started,
    get,
)
from tests.conformance.compare import (
    answer_differences,
    missing_pattern,
    present_pattern,
    value_differs,
)
from tests.conformance.wire import Received, exchange

SCRIPTS = Path(__file__).parent / "scripts"
ANSWER_S = 15.0  # for one answer; nothing here computes for longer than a second or two
SILENCE_S = 3.0  # how long a server must say nothing to count as silent
LOG_S = 5.0  # for a line to arrive in the output
LOOK_S = 0.03  # between two looks at a process or its output


@dataclass(frozen=True)
class Target:
    """A server to ask.

    Attributes:
        name: Of the server, as `servers` names it.
        command: What comes before the case's arguments.
        python: The interpreter that has it installed.
        is_reference: Compare with what the reference server was observed to do.
    """

    name: str
    command: tuple[str, ...]
    python: str
    is_reference: bool = False

    def expected(self, case: Case) -> Expected:
        """What this server must do."""
        if self.is_reference and case.reference is not None:
            return case.reference
        return case.expected


class Launch:
    """One start of a server: its folder, its process, its output."""

    def __init__(self, target: Target, setup: Setup) -> None:
        self.target = target
        self.setup = setup
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="conformance-")))
        self.root = self.folder / "root"
        self.port = _free_port()
        self.free_port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._lay_out()

    def _lay_out(self) -> None:
        self.root.mkdir()
        (self.folder / "home").mkdir()
        if self.setup.folder:
            shutil.copytree(
                SCRIPTS / self.setup.folder,
                self.root,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        if self.setup.source:
            (self.root / "score.py").write_text(self.setup.source, encoding="utf-8")
        for name, content in self.setup.files:
            path = self.root / self.fill(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(parents=True)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(self.fill(content), encoding="utf-8")

    def fill(self, text: str) -> str:
        """Put this start's root and ports into *text*."""
        return (
            text.replace("{root}", str(self.root))
            .replace("{port}", str(self.port))
            .replace("{free_port}", str(self.free_port))
        )

    def command(self) -> list[str]:
        """The whole command line."""
        prefix = list(self.target.command)
        if self.setup.as_module:
            prefix = [self.target.python, "-m", "azureml_inference_server_http"]
        command = prefix + [self.fill(argument) for argument in self.setup.arguments]
        return command + (["--port", str(self.port)] if self.setup.port else [])

    def start(self) -> None:
        """Start the process, as the leader of its own group."""
        environment = {
            "PATH": os.path.dirname(self.target.python) + os.pathsep + os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment.update({name: self.fill(value) for name, value in self.setup.environment})
        working_folder = self.root / self.setup.working_folder
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            self.process = subprocess.Popen(
                self.command(),
                cwd=working_folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self.process is not None
        return self.process.pid

    def out(self) -> str:
        """Standard output so far."""
        return self._written("out")

    def err(self) -> str:
        """Standard error so far."""
        return self._written("err")

    def _written(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def until(self, is_so: Callable[[], bool], within_s: float) -> bool:
        """Wait for something to become true; False if it did not in time."""
        deadline = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > deadline:
                return False
            self.pause()
        return True

    def pause(self) -> None:
        """Let the process work for a moment; returns at once when it has ended."""
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(LOOK_S)
            threading.Event().wait(LOOK_S)  # ended: its children may still be writing

    def wait_ready(self, within_s: float | None = None) -> bool:
        """Wait until ``/`` answers 200; False if the process ends or does not answer."""
        assert self.process is not None
        deadline = time.monotonic() + (within_s or self.setup.ready_s)
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                answers = exchange(self.port, get("/"), max(0.1, deadline - time.monotonic()))
                if answers and answers[0].status == 200:
                    return True
            except OSError:
                pass  # nobody listens yet
            self.pause()
        return False

    def ask(self, request: Request | Raw, timeout_s: float = ANSWER_S) -> list[Received] | None:
        """Send one request; see `wire.exchange`."""
        return exchange(self.port, request, timeout_s)

    def one(self, request: Request | Raw, timeout_s: float = ANSWER_S) -> Received:
        """Send one request that must be answered."""
        answers = self.ask(request, timeout_s)
        if not answers:
            raise AssertionError(f"no answer to {request}")
        return answers[0]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started, not to its children."""
        os.kill(self.pid, number)

    def wait_exit(self, within_s: float = 20.0) -> int | None:
        """The exit status; None if it still runs."""
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(within_s)
        return None

    def stop(self) -> None:
        """End the process group and remove the folder.

        At once: how a server ends by itself is what scenarios look at.
        """
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # children may have outlived the leader
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def launched(target: Target, setup: Setup) -> Iterator[Launch]:
    """A folder laid out for *setup*, nothing started yet; cleaned up at the end."""
    launch = Launch(target, setup)
    try:
        yield launch
    finally:
        launch.stop()


def groups(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases that can share a start; a scenario starts its own server."""
    shared: dict[Any, list[Case]] = {}
    for case in cases:
        key = case.id if callable(case.request) else case.setup
        shared.setdefault(key, []).append(case)
    return list(shared.values())


def run_group(target: Target, cases: list[Case]) -> dict[str, list[str]]:
    """Ask one server all *cases* of a group.

    Returns:
        By case id: what differs, empty if nothing does.
    """
    first = cases[0]
    if callable(first.request):
        return {first.id: _scenario_differences(target, first)}
    with launched(target, first.setup) as launch:
        launch.start()
        is_ready = launch.wait_ready()
        return {case.id: _differences(launch, case, is_ready) for case in cases}


def _scenario_differences(target: Target, case: Case) -> list[str]:
    expected = target.expected(case)
    assert isinstance(expected, Outcome)
    assert callable(case.request)
    with launched(target, case.setup) as launch:
        try:
            facts: Mapping[str, Any] = case.request(launch)
        except Exception as error:
            return [f"scenario failed: {error!r}{_tail(launch)}"]
        differences = [
            f"{name}: expected {expected.facts.get(name)!r}, observed {facts.get(name)!r}"
            for name in {**expected.facts, **facts}
            if value_differs(expected.facts.get(name), facts.get(name))
        ]
        return differences and [*differences, _tail(launch)]


def _differences(launch: Launch, case: Case, is_ready: bool) -> list[str]:
    expected = _fill(launch, launch.target.expected(case))
    if isinstance(expected, Exit):
        return _exit_differences(launch, expected, is_ready)
    if isinstance(expected, NeverReady):
        assert launch.process is not None
        return ["serves or has ended"] if is_ready or launch.process.poll() is not None else []
    if not is_ready:
        assert launch.process is not None
        return [f"did not start, exit status {launch.process.poll()}{_tail(launch)}"]
    if isinstance(expected, Started):
        return _output_differences(launch, expected, 0, 0)
    assert isinstance(case.request, Request | Raw)
    return _answer_differences(launch, case.request, expected)


def _answer_differences(launch: Launch, request: Request | Raw, expected: Expected) -> list[str]:
    if isinstance(expected, Answer) and expected.unlogged:
        _wait_for_log(launch, len(launch.out()))  # the lines of the request before this one
    out_before, err_before = len(launch.out()), len(launch.err())
    silent = isinstance(expected, Silent)
    try:
        answers = launch.ask(request, SILENCE_S if silent else ANSWER_S)
    except OSError as problem:
        return [f"connection failed: {problem!r}{_tail(launch)}"]
    if silent or answers is None:
        return [] if silent and answers is None else [f"expected {expected}, observed {answers}"]
    if isinstance(expected, Closed):
        if answers:
            return [f"expected a closed connection, observed {answers[0]}"]
        return _output_differences(launch, Started(log=expected.log), out_before, err_before)
    each = expected.each if isinstance(expected, Answers) else (expected,)
    differences = [] if len(answers) == len(each) else [f"{len(answers)} answers, not {len(each)}"]
    for wanted, came in zip(each, answers, strict=False):
        assert isinstance(wanted, Answer)
        differences += answer_differences(wanted, came)
        output = Started(wanted.log, wanted.errors, wanted.either, wanted.unlogged)
        differences += _output_differences(launch, output, out_before, err_before)
    if differences and any(came.status >= 500 for came in answers):
        differences.append(_tail(launch))
    return differences


def _exit_differences(launch: Launch, expected: Exit, is_ready: bool) -> list[str]:
    if is_ready:
        return ["serves, instead of ending"]
    status = launch.wait_exit()
    differences = [] if status == expected.status else [f"exit status {status}"]
    out, err = launch.out(), launch.err()
    for name, patterns, text in (
        ("standard output", expected.log, out),
        ("standard error", expected.errors, err),
    ):
        if pattern := missing_pattern(patterns, text):
            differences.append(f"{name} lacks {pattern!r}")
    for pattern in expected.either:
        if missing_pattern((pattern,), out) and missing_pattern((pattern,), err):
            differences.append(f"output lacks {pattern!r}")
    if found := present_pattern(expected.unlogged, out + err):
        differences.append(f"output has {found!r}")
    return differences and [f"expected {expected.status}", *differences, _tail(launch)]


def _output_differences(
    launch: Launch, expected: Started, out_from: int, err_from: int
) -> list[str]:
    def out() -> str:
        return launch.out()[out_from:]

    def err() -> str:
        return launch.err()[err_from:]

    differences = []
    for name, patterns, text in (
        ("standard output", expected.log, out),
        ("standard error", expected.errors, err),
    ):
        if not launch.until(partial(_has, patterns, text), LOG_S):
            differences.append(
                f"{name} lacks {missing_pattern(patterns, text())!r}: {_end(text())}"
            )
    for pattern in expected.either:
        if not launch.until(partial(_has, (pattern,), lambda: f"{out()}\n{err()}"), LOG_S):
            differences.append(f"output lacks {pattern!r}: {_end(out())}\n{_end(err())}")
    if expected.unlogged:
        _wait_for_log(launch, out_from)
        if found := present_pattern(expected.unlogged, out() + err()):
            differences.append(f"output has {found!r}: {_end(out() + err())}")
    return differences


def _wait_for_log(launch: Launch, start: int) -> None:
    """Whatever was going to be written has been when the line of a later request is."""
    mark = f"version=mark-{uuid.uuid4().hex}"
    launch.ask(get(f"/swagger.json?{mark}"))
    launch.until(lambda: mark in launch.out()[start:], LOG_S)


def _has(patterns: tuple[str, ...], text: Callable[[], str]) -> bool:
    return missing_pattern(patterns, text()) is None


def _fill(launch: Launch, expected: Expected) -> Expected:
    """Put the root and the ports of this start into what is expected."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return launch.fill(value)
        if isinstance(value, tuple):
            return tuple(map(fill, value))
        if isinstance(value, Mapping):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, Json | Document):
            return type(value)(fill(value.value))
        return value

    if isinstance(expected, Answers | Silent | NeverReady | Outcome):
        return expected
    return replace(expected, **{name: fill(value) for name, value in vars(expected).items()})


def _tail(launch: Launch) -> str:
    """The end of the output, without the lines of code that tracebacks quote.

    The published package is looked at from outside only, also when it prints its inside.
    """
    return f"\n--- out\n{_end(launch.out())}\n--- err\n{_end(launch.err())}"


def _end(text: str) -> str:
    return "\n".join([line for line in text.split("\n") if line[:1].strip()][-12:])


_given_ports: set[int] = set()
_ports_lock = threading.Lock()


def _free_port() -> int:
    """A port nobody listens on; not given twice by this process."""
    with _ports_lock:
        while True:
            with socket.socket() as probe:
                probe.bind(("0.0.0.0", 0))
                port = int(probe.getsockname()[1])
            if port not in _given_ports:
                _given_ports.add(port)
                return port
