"""A worker that cannot start again: the others serve, it is tried again, and it is told."""

from __future__ import annotations

import re

from tests.conftest import Serve
from tests.faults.watch import holds_the_same, order, scoring_processes, settled, watching
from tests.harness import until

SCRIPT = """
import json, os

def init():
    if os.path.exists("broken"):
        raise ValueError("the model is gone")

def run(data):
    return {"pid": os.getpid(), "token": json.loads(data).get("token")}
"""


def test_one_worker_that_cannot_start_again_costs_no_call_and_readiness_tells(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *flags, "--worker_count", "2")
    before = settled(server, 2)
    broken = server.root / "broken"

    with watching(server) as watch:
        broken.touch()
        scoring_processes(server)[0].kill()
        server.wait_for_log("Next attempt in 0.4 s")
        ready = server.get("/health/ready")
        served = watch.answered
        until(lambda: watch.answered > served, 10, server.log)
        broken.unlink()
        until(lambda: len(scoring_processes(server)) == 2, 20, server.log)
        until(lambda: b"1 of 2" not in server.get("/health/ready").body, 20, server.log)

    assert ready.status == 200
    assert b"1 of 2 scoring processes are up" in ready.body
    assert b"the model is gone" not in ready.body
    # One at most: the call that the killed worker was computing.
    assert len(watch.failed) <= 1
    assert watch.failed_probes == []
    pauses = [float(found) for found in re.findall(r"Next attempt in ([\d.]+) s", server.log())]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert server.get("/health/ready").body == b"Healthy"
    settled(server, 2)
    holds_the_same(server, before)


def test_when_no_worker_can_start_again_readiness_fails_and_says_why(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *flags)
    before = settled(server, 1)
    (server.root / "broken").touch()

    scoring_processes(server)[0].kill()
    server.wait_for_log("Next attempt in")
    until(lambda: server.get("/health/ready").status == 503, 10, server.log)
    told = server.get("/health/ready")
    live = server.get("/health/live")
    (server.root / "broken").unlink()
    server.wait_until_ready()

    assert b"No scoring process is up" in told.body
    assert b"the model is gone" not in told.body
    assert live.status == 200
    assert order(server).status == 200
    settled(server, 1)
    holds_the_same(server, before)
