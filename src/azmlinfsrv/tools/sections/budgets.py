"""Budgets: what a request costs, under an open load, held against the limits.

Other programs on the machine can only make a script look slower than it is. So a figure
beyond its limit is measured again, and the best of three counts.
"""

from __future__ import annotations

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.budget import LIMITS, Budget, excesses
from azmlinfsrv.tools.findings import SectionResult
from azmlinfsrv.tools.load import Outcome, Plan, send_load
from azmlinfsrv.tools.sections.scene import Scene

_ATTEMPTS = 3
_WARM_UP = 20
# Without a budget: figures for the report, measured quickly.
_QUICK = Budget(rate=50.0, duration_s=0.5)
_THROUGHPUT_S = 2.0
# Memory settles while caches fill; growth is counted after so many requests, over as many more.
_SETTLE = 300
_GROWTH_REQUESTS = 1000
_GROWTH_LIMIT_S = 60.0

Figures = dict[str, float]


def check_budgets(scene: Scene, result: SectionResult, started: Figures) -> None:
    """Measure, and find what is over its limit.

    Args:
        started: Figures of the start, which have limits as well.
    """
    budget = scene.options.budget
    requests = [it.request for it in scene.scored_samples()]
    limits = set(budget.limits)
    figures = {name: value for name, value in started.items() if name in LIMITS}
    if not requests:
        result.notes.append("no load was sent: no sample is answered below 400")
    else:
        _send(scene, Plan(requests, 30.0, 1, count=_WARM_UP))
        needs_load = limits - figures.keys()
        measured = budget if needs_load else _QUICK
        for attempt in range(_ATTEMPTS):
            scene.tell(f"load of {measured.rate:g} requests a second")
            _keep_best(figures, _measure(scene, requests, measured, limits, result))
            if result.findings or not excesses(figures, budget):
                break
            if attempt + 1 < _ATTEMPTS:
                result.notes.append("over budget; measured again")
    result.figures.update({name: round(value, 4) for name, value in figures.items()})
    result.checks = max(1, len(limits))
    for excess in excesses(figures, budget):
        text = str(excess)
        function = "init" if excess.name in started else "run"
        result.find("budget-exceeded", f"{text[0].upper()}{text[1:]}.", scene.place(function))


def _measure(
    scene: Scene,
    requests: list[SampleRequest],
    budget: Budget,
    limits: set[str],
    result: SectionResult,
) -> Figures:
    timeout_s = scene.options.call_limit_s
    before = scene.server.worker_usage()
    open_load = Plan(requests, budget.duration_s, 100, budget.rate, timeout_s=timeout_s)
    outcome = _send(scene, open_load)
    after = scene.server.worker_usage()
    if outcome.failed:
        _find_failures(scene, outcome, result)
    figures: Figures = {}
    if outcome.answered:
        for name, percent in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)):
            figures[name] = outcome.latencies.percentile_s(percent) * 1000
        figures["cpu_ms_per_request"] = (after.cpu_s - before.cpu_s) / outcome.answered * 1000
    if "requests_per_second" in limits:
        scene.tell("highest throughput")
        plan = Plan(requests, _THROUGHPUT_S, budget.connections, timeout_s=timeout_s)
        figures["requests_per_second"] = _send(scene, plan).per_second
    if "growth_mb_per_1000_requests" in limits:
        figures["growth_mb_per_1000_requests"] = _growth(scene, requests)
    return figures


def _growth(scene: Scene, requests: list[SampleRequest]) -> float:
    """MB that 1,000 requests add to the memory of the worker, once it has settled."""
    scene.tell("memory over many requests")
    _send(scene, Plan(requests, _GROWTH_LIMIT_S, 4, count=_SETTLE))
    before = scene.server.worker_usage().memory_bytes
    outcome = _send(scene, Plan(requests, _GROWTH_LIMIT_S, 4, count=_GROWTH_REQUESTS))
    after = scene.server.worker_usage().memory_bytes
    return max(0.0, (after - before) / 1e6 * 1000 / max(1, outcome.answered))


def _send(scene: Scene, plan: Plan) -> Outcome:
    return send_load(scene.server.address, plan)


def _keep_best(figures: Figures, new: Figures) -> None:
    for name, value in new.items():
        best = max if LIMITS[name].is_minimum else min
        figures[name] = best(figures.get(name, value), value)


def _find_failures(scene: Scene, outcome: Outcome, result: SectionResult) -> None:
    kinds = {f"status {it}": many for it, many in outcome.statuses.items() if it >= 500}
    kinds.update(outcome.errors)
    if outcome.unsent:
        kinds["never sent"] = outcome.unsent
    words = ", ".join(f"{kind}: {many}" for kind, many in kinds.items())
    total = outcome.answered + sum(outcome.errors.values()) + outcome.unsent
    text = f"{outcome.failed} of {total} requests failed under load ({words})."
    result.find("budget-failures", text, scene.place())
