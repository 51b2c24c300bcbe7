"""Samples, their medians, the ratios between servers, and the budgets they are held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# Measure's key to value; None where this machine cannot tell.
Sample: TypeAlias = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of a table. ``has_ratio`` is false for counts that are mostly zero."""

    key: str
    title: str
    digits: int
    has_ratio: bool = True


MEASURES = (
    Measure("requests_per_s", "requests/s, many connections", 0),
    Measure("p50_ms", "p50 ms, many connections", 2),
    Measure("p99_ms", "p99 ms, many connections", 2),
    Measure("p50_one_ms", "p50 ms, 1 connection", 2),
    Measure("cpu_ms", "CPU ms per request", 3),
    Measure("pss_mb", "memory MB (PSS)", 1),
    Measure("start_s", "start to first answer s", 2),
    Measure("probe_p50_ms", "probe p50 ms", 2),
    Measure("probe_p99_ms", "probe p99 ms", 2),
    Measure("errors", "errors, all rounds", 0, has_ratio=False),
    Measure("loop_ms", "the machine then: ms for 10,000 additions", 2, has_ratio=False),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a server has no figures: for one job, or (``job`` is None) for all."""

    peer: str
    job: str | None
    reason: str


@dataclass(slots=True)
class Results:
    """Everything a study found."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    keeps_alive: dict[str, bool] = field(default_factory=dict)

    def add(self, peer: str, job: str, sample: Sample) -> None:
        self.samples.setdefault((peer, job), []).append(sample)

    def add_failure(self, peer: str, job: str | None, reason: str) -> None:
        self.failures.append(Failure(peer, job, reason))

    def has_failed(self, peer: str, job: str) -> bool:
        return any(failure.peer == peer and failure.job in (None, job) for failure in self.failures)

    def value(self, peer: str, job: str, key: str) -> float | None:
        """The median over the rounds; errors are added up. None if there is no figure."""
        values = [sample.get(key) for sample in self.samples.get((peer, job), [])]
        known = [value for value in values if value is not None and not math.isnan(value)]
        if not known:
            return None
        return sum(known) if key == "errors" else statistics.median(known)

    def ratio(self, peer: str, other: str, job: str, key: str) -> float | None:
        """*peer* divided by *other*; None without both figures, or if the other is zero."""
        above, below = self.value(peer, job, key), self.value(other, job, key)
        if above is None or not below:
            return None
        return above / below

    def measures(self, job: str) -> list[Measure]:
        """The rows this job has figures for, in the order of `MEASURES`."""
        keys = {
            key
            for (_, name), samples in self.samples.items()
            if name == job
            for sample in samples
            for key, value in sample.items()
            if value is not None
        }
        return [measure for measure in MEASURES if measure.key in keys]

    def as_data(self) -> dict[str, Any]:
        """Plain data for ``--json``: every sample, every median, every failure."""
        return {
            "versions": self.versions,
            "keeps_alive": self.keeps_alive,
            "failures": [
                {"server": failure.peer, "job": failure.job, "reason": failure.reason}
                for failure in self.failures
            ],
            "runs": [
                {
                    "server": peer,
                    "job": job,
                    "medians": {
                        measure.key: self.value(peer, job, measure.key)
                        for measure in self.measures(job)
                    },
                    "rounds": samples,
                }
                for (peer, job), samples in self.samples.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Budget:
    """A promise about one measure: of our own figure, or of our figure divided by another's."""

    what: str
    job: str
    key: str
    limit: str
    is_ratio: bool
    holds: Callable[[float], bool]


# Whole server, one worker, beside the published server in the same run.
BUDGETS = (
    Budget(
        "requests/s, trivial script, 64 connections",
        "j1",
        "requests_per_s",
        "≥ 10x",
        is_ratio=True,
        holds=lambda ratio: ratio >= 10,
    ),
    Budget(
        "CPU per request, trivial script",
        "j1",
        "cpu_ms",
        "≤ 0.2 ms",
        is_ratio=False,
        holds=lambda cpu_ms: cpu_ms <= 0.2,
    ),
    Budget(
        "probe p99 while run() is busy",
        "probe",
        "probe_p99_ms",
        "≤ 20 ms",
        is_ratio=False,
        holds=lambda p99_ms: p99_ms <= 20,
    ),
    Budget(
        "start to first answer, trivial script",
        "j1",
        "start_s",
        "≤ 0.6x",
        is_ratio=True,
        holds=lambda ratio: ratio <= 0.6,
    ),
    Budget(
        "memory of all processes, trivial script",
        "j1",
        "pss_mb",
        "≤ 60 MB",
        is_ratio=False,
        holds=lambda pss_mb: pss_mb <= 60,
    ),
)


def judge(budget: Budget, results: Results, base: str, other: str) -> tuple[float | None, str]:
    """The figure a budget is about, and ``met``, ``not met`` or ``not measured``."""
    if budget.is_ratio:
        figure = results.ratio(base, other, budget.job, budget.key)
    else:
        figure = results.value(base, budget.job, budget.key)
    if figure is None:
        return None, "not measured"
    return figure, "met" if budget.holds(figure) else "not met"
