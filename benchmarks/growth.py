"""How the cost of a call grows: with its body, with connections, with workers. One server.

A point is one load. As in `benchmarks.study` every run starts its server afresh, and the points
take turns, so that a machine that grows slower slows all of them alike.
"""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.environments import Environment, InstallError, install
from benchmarks.jobs import JOBS, Job
from benchmarks.load import Generator, LoadError
from benchmarks.peers import Peer
from benchmarks.report import Table, figure
from benchmarks.results import MEASURES, Results
from benchmarks.server import ServerError, Task, prepare, running
from benchmarks.study import load

KIB = 1024
MIB = 1024 * KIB
BODIES = (KIB, 16 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB)
CONNECTIONS = (1, 4, 16, 64, 128, 256)
WORKERS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Point:
    """One load: a job with its connections, and so many workers."""

    axis: str
    label: str
    job: Job
    workers: int = 1


def _body(size: int) -> Callable[[], bytes]:
    return lambda: b'"' + b"a" * (size - 2) + b'"'


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


def _points() -> list[Point]:
    found = []
    for size in BODIES:
        job = Job(
            name=f"body-{size}",
            title=f"a body of {_size(size)}",
            script="length.py",
            body=_body(size),
            connections=1,
        )
        found.append(Point("body", _size(size), job))
    for count in CONNECTIONS:
        job = dataclasses.replace(JOBS["j1"], name=f"connections-{count}", connections=count)
        found.append(Point("connections", str(count), job))
    for count in WORKERS:
        job = dataclasses.replace(JOBS["j2"], name=f"workers-{count}")
        found.append(Point("workers", str(count), job, workers=count))
    return found


POINTS = _points()
# What the tables show, in the order of `MEASURES`, and the titles of it.
COLUMNS = {
    "requests_per_s": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "cpu_ms": "CPU ms per request",
    "pss_mb": "memory MB (PSS)",
}
TITLES = {
    "body": "A longer body, one connection, one worker; the script returns its length",
    "connections": "More connections, trivial script, one worker",
    "workers": "More workers, scikit-learn pipeline, 64 connections",
}


@dataclass(slots=True)
class Growth:
    """Carries out the points; ``results`` holds what is known so far."""

    peer: Peer
    rounds: int
    seconds: int
    generator: Generator
    results: Results
    points: Sequence[Point] = field(default_factory=lambda: POINTS)

    @property
    def steps(self) -> int:
        """How much `run` yields."""
        return 1 + self.rounds * len(self.points)

    def run(self) -> Iterator[str]:
        """Carry the points out; yields what comes next, before each step."""
        yield f"install {self.peer.name}"
        try:
            environment = install(self.peer)
        except InstallError as error:
            self.results.add_failure(self.peer.name, None, f"did not install: {error}")
            return
        self.results.versions[self.peer.name] = environment.version
        for turn in range(1, self.rounds + 1):
            for point in self.points:
                yield f"round {turn}: {point.axis} {point.label}"
                self._measure(point, environment)

    def _measure(self, point: Point, environment: Environment) -> None:
        name = point.job.name
        if self.results.has_failed(self.peer.name, name):
            return
        try:
            task: Task = prepare(self.peer, point.job, environment)
            with running(task, point.workers) as server:
                sample = load(server, self.generator, self.seconds, point.job.connections)
        except (ServerError, LoadError, OSError, subprocess.SubprocessError) as error:
            self.results.add_failure(self.peer.name, name, str(error))
        else:
            self.results.add(self.peer.name, name, sample)


def tables(results: Results, peer: str, points: Sequence[Point] = POINTS) -> list[Table]:
    """One table an axis, one row a point."""
    found = []
    for axis, title in TITLES.items():
        rows = []
        for point in points:
            if point.axis == axis:
                cells = [
                    figure(results.value(peer, point.job.name, measure.key), measure)
                    for measure in MEASURES
                    if measure.key in COLUMNS
                ]
                rows.append((point.label, *cells))
        if rows:
            header = (axis, *COLUMNS.values())
            found.append(Table(title, header, tuple(rows)))
    return found
