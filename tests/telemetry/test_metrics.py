"""Counting, without the library that tells it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from azmlinfsrv.messages import Timings
from azmlinfsrv.telemetry.metrics import CALLS, SECONDS, Batches, Histogram, Requests


@pytest.mark.parametrize(
    ("value", "counts"),
    [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.5, [0, 1, 0]), (2.0, [0, 1, 0]), (3.0, [0, 0, 1])],
)
def test_a_bound_belongs_to_the_interval_below_it(value: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))

    histogram.observe(value)

    assert histogram.counts == counts
    assert histogram.total == value


def test_bounds_ascend() -> None:
    for bounds in (SECONDS, CALLS):
        assert list(bounds) == sorted(set(bounds))


def test_a_batch_counts_once_and_each_of_its_calls_waits() -> None:
    batches = Batches()

    batches.begun([0.2, 0.1, 0.0])

    assert sum(batches.sizes.counts) == 1
    assert batches.sizes.total == 3
    assert sum(batches.waits.counts) == 3
    assert batches.waits.total == pytest.approx(0.3)


def test_each_part_of_a_call_is_counted_under_its_own_name() -> None:
    requests = Requests()

    requests.answered("/score", 200, 10.0, Timings(parse_s=1, run_s=2, encode_s=3, queue_s=4))

    totals = {part: histogram.total for part, histogram in requests.parts.items()}
    assert totals == {"queue": 4, "parse": 1, "run": 2, "encode": 3}
    assert requests.seconds.total == 10


def test_probes_are_counted_and_not_timed() -> None:
    requests = Requests()

    requests.answered("/", 200, 1.0, None)

    assert requests.answers == {("/", 200): 1}
    assert sum(requests.seconds.counts) == 0


def test_the_library_is_not_loaded_to_count() -> None:
    code = (
        "import sys, azmlinfsrv.servers.front_end, azmlinfsrv.telemetry.metrics\n"
        "sys.exit('prometheus_client' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
