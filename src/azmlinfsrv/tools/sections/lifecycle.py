"""Lifecycle: a killed process is replaced, and a stop under load loses nothing.

The last section: it ends the server.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from azmlinfsrv.comparison import differences, summary
from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import NoAnswer
from azmlinfsrv.tools.findings import SectionResult
from azmlinfsrv.tools.load import Outcome, Plan, send_load
from azmlinfsrv.tools.sections.repeatability import as_answered
from azmlinfsrv.tools.sections.scene import Scene
from azmlinfsrv.tools.serving import CannotServe

# Beside what init() took: for the noise of the machine, and the pauses between attempts.
_PATIENCE_S = 15.0
_GONE_S = 10.0
_BUSY = 8
_BUSY_S = 0.3
_LOAD_LIMIT_S = 120.0


def check_lifecycle(scene: Scene, result: SectionResult, init_s: float) -> None:
    """Kill a worker, then stop the server while it is busy."""
    if sys.platform == "win32":
        result.skipped = "signals are not those of POSIX here"
        return
    if _is_replaced(scene, result, init_s):
        _check_stop(scene, result)


def _is_replaced(scene: Scene, result: SectionResult, init_s: float) -> bool:
    if scene.options.is_quick:
        result.notes.append("no process was killed: --quick")
        return True
    workers = scene.server.workers()
    if not workers:
        result.notes.append("no process was killed: the script runs in the server's own")
        return True
    scene.tell("killing a worker")
    result.checks += 1
    before = {it.pid for it in workers}
    os.kill(workers[0].pid, signal.SIGKILL)
    script = scene.place("init")
    limit_s = _PATIENCE_S + 2 * init_s
    deadline = time.monotonic() + limit_s
    began_s = time.monotonic()
    while not {it.pid for it in scene.server.workers()} - before:
        if scene.server.popen.poll() is not None or time.monotonic() > deadline:
            text = f"{limit_s:.0f} s after a process was killed no other was ready."
            details = _why(scene)
            place = scene.server.place_in("\n".join(details)) or script
            result.find("lifecycle-no-recovery", text, place, details=details[:20])
            return scene.server.popen.poll() is None and scene.server.is_ready()
        time.sleep(0.02)
    result.figures["recovery_s"] = round(time.monotonic() - began_s, 3)
    try:
        scene.server.wait_until_ready(_GONE_S)
    except CannotServe as error:
        result.find(
            "lifecycle-no-recovery",
            "The server did not get ready again.",
            script,
            details=error.report.splitlines()[:20],
        )
        return False
    client = scene.client()
    steady = [it for it in scene.scored_samples() if it.name not in scene.unsteady]
    for sample in steady[:1]:
        try:
            answer, _ = scene.send(client, sample.request, "recovery")
        except NoAnswer as error:
            details = [str(error)]
        else:
            expected = as_answered(sample, scene.answers[sample.name])
            details = summary(list(differences(answer, expected)))
        if details:
            text = f"The new process answers the sample {sample.name} differently."
            result.find("lifecycle-no-recovery", text, script, sample.name, details)
    return True


def _check_stop(scene: Scene, result: SectionResult) -> None:
    """SIGTERM while every connection waits for an answer: each must get it."""
    scene.tell("stopping under load")
    result.checks += 1
    requests = [it.request for it in scene.scored_samples()] or [SampleRequest("GET", "/")]
    server = scene.server
    told_s = 0.0

    def tell(_: Outcome, seconds: float) -> bool:
        nonlocal told_s
        if seconds < _BUSY_S:
            return False
        told_s = time.monotonic()
        server.terminate()
        return True  # nothing new is sent from here on

    plan = Plan(requests, _LOAD_LIMIT_S, _BUSY, timeout_s=scene.options.call_limit_s)
    outcome = send_load(server.address, plan, tell=tell)
    script = scene.place()
    if outcome.failed:
        kinds = {f"status {it}": many for it, many in outcome.statuses.items() if it >= 500}
        kinds.update(outcome.errors)
        words = ", ".join(f"{kind}: {many}" for kind, many in kinds.items())
        text = f"{outcome.failed} requests were lost when the server was told to stop ({words})."
        result.find("lifecycle-lost", text, script)
    status = server.wait()
    if status is None:
        result.find("lifecycle-stop", "The server did not end when it was told to.", script)
        return
    result.figures["stop_s"] = round(time.monotonic() - told_s, 3)
    if status != 0:
        text = f"The server ended with status {status} when it was told to stop."
        result.find("lifecycle-stop", text, script)


def _why(scene: Scene) -> list[str]:
    """What the server logged of its attempts, the last one only."""
    failures = [it.message for it in scene.server.records() if it.level in ("ERROR", "CRITICAL")]
    return failures[-1].splitlines() if failures else []
