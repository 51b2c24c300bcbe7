"""One server under test: written to its folder, started, asked, stopped.

Each server leads a session of its own. However the benchmark ends, every process of that session
and every descendant is ended with it.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.environments import HOME, Environment
from benchmarks.jobs import Job
from benchmarks.peers import Peer, Start

FIRST_ANSWER_S = 90.0
STOP_S = 10.0
HOST = "127.0.0.1"

# Linear algebra on one thread in every server: threads of two servers' libraries would otherwise
# fight over the cores, and the figures would be about that.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Variables that would change what a server or its Python does.
FOREIGN = (
    "AZUREML_",
    "AML_",
    "AZMLINFSRV_",
    "WORKER_",
    "SERVER_",
    "GUNICORN_",
    "UVICORN_",
    "PYTHON",
)


class ServerError(Exception):
    """A server did not start, answered wrongly, or ended; the message says which."""


@dataclass(frozen=True, slots=True)
class Task:
    """One job, written to a folder for one peer, with the request and the answer expected."""

    peer: Peer
    job: Job
    environment: Environment
    folder: Path
    body: bytes
    expected: Any


@dataclass(frozen=True, slots=True)
class Server:
    """A server that has answered correctly at least once."""

    task: Task
    pid: int
    port: int
    start_s: float
    keeps_alive: bool


def prepare(peer: Peer, job: Job, environment: Environment, home: Path = HOME) -> Task:
    """Write the script, train its model, and compute the right answer without any server.

    Both happen in the peer's own environment: a pickled model belongs to the version of
    scikit-learn that wrote it.

    Raises:
        ServerError: the script cannot be run in this environment.
    """
    folder = home / "work" / peer.name / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(job.source, folder / "score.py")
    body = job.body()
    (folder / "body.json").write_bytes(body)
    code = (
        "import asyncio, json, score; score.init(); "
        "found = score.predict(json.load(open('body.json', encoding='utf-8'))); "
        "found = asyncio.run(found) if asyncio.iscoroutine(found) else found; "
        "print(json.dumps(found))"
    )
    try:
        if job.trains:
            _python(environment, folder, "score.py")
        expected = json.loads(_python(environment, folder, "-c", code))
    except subprocess.CalledProcessError as error:
        raise ServerError(f"{job.name} cannot run here: {_last_line(error.stderr)}") from error
    return Task(peer, job, environment, folder, peer.wrap(job, body), expected)


@contextmanager
def running(task: Task, workers: int) -> Iterator[Server]:
    """Start the server of *task*, hand it over after its first right answer, end it after.

    Raises:
        ServerError: no right answer within `FIRST_ANSWER_S`; the message ends with the last line
            of the server's log.
    """
    port, *spare = free_ports(3)
    start = Start(task.job, task.environment.bin, port, workers, tuple(spare))
    for name, text in task.peer.files(start).items():
        (task.folder / name).write_text(text, encoding="utf-8")
    log = task.folder / "server.log"
    with log.open("wb") as output:
        started_s = time.perf_counter()
        process = subprocess.Popen(
            task.peer.command(start),
            cwd=task.folder,
            env=_environment(task),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        try:
            keeps_alive = _first_answer(task, port, process)
        except ServerError as error:
            last = _last_line(log.read_text(encoding="utf-8", errors="replace"))
            raise ServerError(f"{error}; its log ends: {last}") from error
        start_s = time.perf_counter() - started_s
        yield Server(task, process.pid, port, start_s, keeps_alive)
    finally:
        stop(process)


def verify(server: Server) -> None:
    """Ask once more and compare.

    Raises:
        ServerError: the status is not 200 or the answer is not the expected one.
    """
    status, content, _ = _ask(server.task, server.port)
    problem = find_problem(server.task, status, content)
    if problem:
        raise ServerError(problem)


def find_problem(task: Task, status: int, content: bytes) -> str:
    """What is wrong with an answer, in words; empty if it is right."""
    if status != 200:
        return f"{task.job.name} got status {status}"
    try:
        answer = task.peer.unwrap(json.loads(content))
    except (ValueError, KeyError, IndexError, TypeError):
        return f"{task.job.name} got an answer that cannot be read"
    return "" if same(answer, task.expected) else f"{task.job.name} got a wrong answer"


def same(answer: Any, expected: Any) -> bool:
    """Equal, with floats equal to six digits: summation order differs between CPUs."""
    if isinstance(expected, float):
        return isinstance(answer, int | float) and math.isclose(
            answer, expected, rel_tol=1e-6, abs_tol=1e-6
        )
    if isinstance(expected, list):
        return (
            isinstance(answer, list)
            and len(answer) == len(expected)
            and all(map(same, answer, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and answer.keys() == expected.keys()
            and all(same(answer[key], expected[key]) for key in expected)
        )
    return bool(answer == expected)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server's process group to end; whatever of its tree is left after that is killed."""
    members = {
        member.pid: member.started for member in processes.tree(processes.read_all(), process.pid)
    }
    try:
        _signal_group(process.pid, signal.SIGTERM)
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:  # a second Ctrl-C lands here as well
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        for left in processes.read_all():
            if members.get(left.pid) == left.started:
                _signal(left.pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; held together while choosing, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _first_answer(task: Task, port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the first right answer; returns whether the server keeps the connection open."""
    end_s = time.perf_counter() + FIRST_ANSWER_S
    problem = "it never listened"
    while time.perf_counter() < end_s:
        if process.poll() is not None:
            raise ServerError(f"it ended with status {process.returncode}")
        try:
            status, content, keeps_alive = _ask(task, port)
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
            continue
        problem = find_problem(task, status, content)
        if not problem:
            return keeps_alive
        time.sleep(0.005)
    raise ServerError(f"no right answer within {FIRST_ANSWER_S:.0f} s: {problem}")


def _ask(task: Task, port: int) -> tuple[int, bytes, bool]:
    # One long wait, not many short ones: a socket often listens before its worker is ready, and
    # abandoned connections would be the first thing that worker has to deal with.
    connection = http.client.HTTPConnection(HOST, port, timeout=FIRST_ANSWER_S)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", task.peer.score_path, task.body, headers)
        response = connection.getresponse()
        keeps_alive = not response.will_close
        return response.status, response.read(), keeps_alive
    finally:
        connection.close()


def _environment(task: Task) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    kept.pop("VIRTUAL_ENV", None)
    kept["PATH"] = os.pathsep.join([str(task.environment.bin), kept.get("PATH", os.defpath)])
    return {**kept, **ONE_THREAD, **task.peer.environment}


def _python(environment: Environment, folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [str(environment.python), *arguments],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(empty)"


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
