"""The order of runs: which server is measured when, and what one run consists of.

Servers alternate (A B A B), so that a machine that grows slower during the study slows all of them
alike. Each run starts its server afresh. A server that cannot be installed, started or trusted is
recorded with the reason and costs nobody else anything.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import processes
from benchmarks.environments import Environment, InstallError, install
from benchmarks.jobs import PROBE, Job
from benchmarks.load import Generator, LoadError, probe
from benchmarks.peers import Peer
from benchmarks.results import Results, Sample
from benchmarks.server import Server, ServerError, Task, prepare, running, verify

WARM_UP_S = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; ``seconds`` is the length of each single load."""

    jobs: Sequence[Job]
    peers: Sequence[Peer]
    rounds: int
    seconds: int
    workers: int
    probes: bool = True

    @property
    def all_jobs(self) -> list[Job]:
        return [*self.jobs, *([PROBE] if self.probes else [])]


@dataclass(slots=True)
class Study:
    """Carries out a plan. ``results`` holds what is known so far, also after an interruption."""

    plan: Plan
    generator: Generator
    results: Results
    _environments: dict[str, Environment] = field(default_factory=dict)
    _tasks: dict[tuple[str, str], Task] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How much `run` yields: installations, and then runs."""
        return len(self.plan.peers) * (1 + self.plan.rounds * len(self.plan.all_jobs))

    def run(self) -> Iterator[str]:
        """Carry out the plan; yields what comes next, before each step."""
        for peer in self.plan.peers:
            yield f"install {peer.name}"
            self._install(peer)
        for number in range(1, self.plan.rounds + 1):
            for job in self.plan.all_jobs:
                for peer in self.plan.peers:
                    yield f"round {number}: {job.name} on {peer.name}"
                    if not self.results.has_failed(peer.name, job.name):
                        self._measure(peer, job)

    def _install(self, peer: Peer) -> None:
        try:
            environment = install(peer)
        except InstallError as error:
            self.results.add_failure(peer.name, None, f"did not install: {error}")
            return
        self._environments[peer.name] = environment
        self.results.versions[peer.name] = environment.version

    def _measure(self, peer: Peer, job: Job) -> None:
        if job.awaits and not peer.awaits:
            self.results.add_failure(peer.name, job.name, "not asked: the job is for coroutines")
            return
        try:
            task = self._tasks.get((peer.name, job.name))
            if task is None:
                task = prepare(peer, job, self._environments[peer.name])
                self._tasks[peer.name, job.name] = task
            sample = self._probe(task) if job is PROBE else self._load(task)
        except (ServerError, LoadError, OSError, subprocess.SubprocessError) as error:
            self.results.add_failure(peer.name, job.name, str(error))
        else:
            self.results.add(peer.name, job.name, sample)

    def _load(self, task: Task) -> Sample:
        with running(task, self.plan.workers) as server:
            self.results.keeps_alive[task.peer.name] = server.keeps_alive
            return load(server, self.generator, self.plan.seconds, task.job.connections, one=True)

    def _probe(self, task: Task) -> Sample:
        with running(task, self.plan.workers) as server:
            # One more than there are workers: the next call waits when one ends.
            seen = probe(server, self.plan.workers + 1, self.plan.seconds)
        return {"probe_p50_ms": seen.p50_ms, "probe_p99_ms": seen.p99_ms, "errors": seen.errors}


def load(
    server: Server, generator: Generator, seconds: int, connections: int, *, one: bool = False
) -> Sample:
    """Warm the server up, and measure it with *connections*; before that with one, if *one*.

    Raises:
        LoadError: no request was answered.
        ServerError: it answers wrongly after the load.
    """
    loop_ms = _loop_ms()
    generator(server, connections, WARM_UP_S)
    # A generator leaves when its time is up; the server may still have its calls waiting.
    # The answer to one more call comes when those are done with.
    verify(server)
    single = generator(server, 1, seconds) if one else None
    before_s = processes.cpu_s(server.pid)
    many = generator(server, connections, seconds)
    after_s = processes.cpu_s(server.pid)
    pss_mb = processes.pss_mb(server.pid)
    verify(server)
    if not many.requests or (single and not single.requests):
        raise LoadError("no request was answered under load")
    cpu_ms = None
    if before_s is not None and after_s is not None:
        cpu_ms = (after_s - before_s) * 1000 / many.requests
    return {
        "requests_per_s": many.requests / many.seconds,
        "p50_ms": many.p50_ms,
        "p99_ms": many.p99_ms,
        "p50_one_ms": single.p50_ms if single else None,
        "cpu_ms": cpu_ms,
        "pss_mb": pss_mb,
        "start_s": server.start_s,
        "errors": many.errors + (single.errors if single else 0),
        "loop_ms": loop_ms,
    }


def _loop_ms() -> float:
    """How fast the machine is at the moment: what a loop in Python takes, the median of 25."""
    taken_s = []
    for _ in range(25):
        began_s = time.perf_counter()
        sum(range(10_000))
        taken_s.append(time.perf_counter() - began_s)
    return statistics.median(taken_s) * 1000
