"""Baseline: is the candidate slower than the script it replaces?

Both are served at the same time and asked in turn, a few dozen milliseconds each, in the
order A B B A: what disturbs the machine for longer disturbs both alike. From each round comes
one ratio of CPU time a request and one of latency. Whether the ratios are beyond what is
allowed is asked of Wilcoxon's test, first after a few rounds and then after more, as long as
it is not clear. CPU time is that of the process that runs the script and what it started:
other programs hardly change it. Latency catches what waits instead of computing.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.baseline import BaselineError, read_baseline, unpacked
from azmlinfsrv.tools.client import Client, NoAnswer
from azmlinfsrv.tools.findings import SectionResult
from azmlinfsrv.tools.sections.scene import Options, Scene
from azmlinfsrv.tools.serving import CannotServe, ScriptServer, cpu_s_of, serving
from azmlinfsrv.tools.significance import p_greater, typical

# Looked at after so many rounds, until it is clear.
LOOKS = (16, 32, 64, 128)
# Of a script that is slower by exactly what is allowed, 2 * 4 * 0.003 = 2.4 % of the checks go
# wrong at most. Tried on two cores with two to six times the work they could do: of 20 checks
# each, all reported a copy that was 20 % slower, none an identical one. With 0.0001 and 64
# rounds, 4 of 18 slower copies had stayed undecided.
P_REGRESSION = 0.003
P_CLEAR = 0.01
_BLOCK_S = 0.06
_MAX_BLOCK = 200
_WARM_UP_S = 0.5


@dataclass(slots=True)
class Ratios:
    """Logarithms of candidate over baseline, one for each round."""

    name: str
    words: str
    logs: list[float] = field(default_factory=list)

    def is_regression(self, allowed: float) -> bool:
        return p_greater([it - math.log1p(allowed) for it in self.logs]) < P_REGRESSION

    def is_clear(self, allowed: float) -> bool:
        """Whether it is surely not a regression."""
        return p_greater([math.log1p(allowed) - it for it in self.logs]) < P_CLEAR

    @property
    def percent(self) -> float:
        """How much more the candidate takes, typically."""
        return math.expm1(typical(self.logs)) * 100


def check_regression(scene: Scene, result: SectionResult) -> None:
    """Measure the candidate beside the baseline."""
    options = scene.options
    assert options.baseline is not None
    requests = [it.request for it in scene.scored_samples()]
    if not requests:
        result.skipped = "no sample is answered below 400"
        return
    script = scene.place()
    try:
        baseline = read_baseline(options.baseline)
        result.notes.append(f"baseline {baseline.digest[:12]}, {len(baseline.sources)} files")
        with (
            unpacked(baseline, options.script) as old_script,
            serving(
                _flags_for(options, str(old_script)),
                old_script.parent,
                options.environ,
                timeout_s=options.start_limit_s,
            ) as old,
        ):
            _measure(scene, old, requests, result)
    except CannotServe as error:
        text = "The script of the baseline cannot be served."
        result.find("baseline-unusable", text, script, details=error.report.splitlines()[:20])
    except BaselineError as error:
        result.find("baseline-unusable", str(error), script)


def compare(
    old: ScriptServer,
    new: ScriptServer,
    requests: list[SampleRequest],
    allowed: float,
    scene: Scene | None = None,
) -> tuple[Ratios, Ratios, str]:
    """The ratios of CPU time and of latency, and the verdict.

    Returns:
        The verdict is ``slower``, ``clear`` or ``undecided``.
    Raises:
        NoAnswer: a request failed.
    """
    cpu = Ratios("cpu", "CPU time a request")
    latency = Ratios("latency", "latency")
    sides = [_Side(server, requests) for server in (old, new)]
    sides[0].warm_up()
    sides[1].warm_up()
    size = sides[0].block_size()
    verdict = "undecided"
    for look in LOOKS:
        while len(latency.logs) < look:
            if scene is not None:
                scene.tell(f"round {len(latency.logs) + 1} of {LOOKS[-1]} at most")
            first = [sides[0].block(size), sides[1].block(size)]
            second = [sides[1].block(size), sides[0].block(size)]
            old_cpu, new_cpu = first[0][0] + second[1][0], first[1][0] + second[0][0]
            if old_cpu > 0 and new_cpu > 0:
                cpu.logs.append(math.log(new_cpu / old_cpu))
            old_s = first[0][1] + second[1][1]
            new_s = first[1][1] + second[0][1]
            latency.logs.append(math.log(new_s / old_s))
        if any(it.is_regression(allowed) for it in (cpu, latency)):
            verdict = "slower"
            break
        if all(it.is_clear(allowed) for it in (cpu, latency)):
            verdict = "clear"
            break
    return cpu, latency, verdict


def _measure(
    scene: Scene, old: ScriptServer, requests: list[SampleRequest], result: SectionResult
) -> None:
    allowed = scene.options.max_regression
    script = scene.place()
    try:
        cpu, latency, verdict = compare(old, scene.server, requests, allowed, scene)
    except NoAnswer as error:
        result.find("baseline-unusable", f"A sample got no answer: {error}.", script)
        return
    result.checks = len(latency.logs)
    result.figures["rounds"] = len(latency.logs)
    for ratios in (cpu, latency):
        if ratios.logs:
            result.figures[f"{ratios.name}_change_percent"] = round(ratios.percent, 1)
    if verdict == "slower":
        for ratios in (cpu, latency):
            if ratios.is_regression(allowed):
                text = (
                    f"The {ratios.words} is {ratios.percent:.0f} % more than the baseline's, "
                    f"{allowed * 100:g} % is allowed ({len(ratios.logs)} rounds, "
                    f"p < {P_REGRESSION:g})."
                )
                result.find("baseline-regression", text, script)
    elif verdict == "undecided" and max(cpu.percent, latency.percent) > allowed * 100:
        text = (
            f"After {len(latency.logs)} rounds it is not clear: CPU time {cpu.percent:+.0f} %, "
            f"latency {latency.percent:+.0f} %."
        )
        result.find("baseline-undecided", text, script)


class _Side:
    """One of the two servers while it is measured."""

    def __init__(self, server: ScriptServer, requests: list[SampleRequest]) -> None:
        self._client: Client = server.client()
        self._requests = requests
        self._workers = server.workers() or [server._process()]
        self._next = 0

    def warm_up(self) -> None:
        """Until caches are filled and what is imported late is there."""
        deadline = time.perf_counter() + _WARM_UP_S
        for _ in range(3 * len(self._requests)):
            self._send()
        while time.perf_counter() < deadline:
            self._send()

    def block_size(self) -> int:
        """Requests that take about the time of a block; a whole number of turns."""
        turn = len(self._requests)
        began_s = time.perf_counter()
        for _ in range(3 * turn):
            self._send()
        one_s = (time.perf_counter() - began_s) / (3 * turn)
        size = max(1, min(_MAX_BLOCK, round(_BLOCK_S / one_s)))
        return max(turn, size - size % turn)

    def block(self, size: int) -> tuple[float, float]:
        """Seconds of CPU, and the sum of the quicker half of the latencies."""
        before_s = cpu_s_of(self._workers)
        durations = sorted(self._send() for _ in range(size))
        used_s = cpu_s_of(self._workers) - before_s
        return used_s, sum(durations[: max(1, len(durations) // 2)])

    def _send(self) -> float:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        return self._client.send(request).duration_s


def _flags_for(options: Options, script: str) -> tuple[str, ...]:
    """The candidate's flags with another script."""
    return (*options.flags, "--entry_script", script)
