from __future__ import annotations

import pytest

from benchmarks.load import Load, LoadError, parse_wrk

OUTPUT = """\
Running 2s test @ http://127.0.0.1:1/score
Requests/sec:   5500.00

BENCH {"requests": 11000, "microseconds": 2000000, "errors": 3, "p50": 10500, "p99": 90000}
"""


def test_wrk_figures_are_turned_into_seconds_and_milliseconds() -> None:
    assert parse_wrk(OUTPUT) == Load(
        requests=11000, seconds=2.0, errors=3, p50_ms=10.5, p99_ms=90.0
    )


def test_a_wrk_that_failed_is_quoted() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse_wrk("", "unable to connect to 127.0.0.1:1 Connection refused")
