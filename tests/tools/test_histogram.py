from __future__ import annotations

import math
import random

import pytest

from azmlinfsrv.tools.histogram import Histogram


def histogram(*durations_s: float) -> Histogram:
    made = Histogram()
    for duration_s in durations_s:
        made.record(duration_s)
    return made


@pytest.mark.parametrize("percent", [0, 1, 50, 90, 99, 99.9, 100])
@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1.0, 1000.0])
def test_a_percentile_is_wrong_by_less_than_a_hundredth(percent: float, scale: float) -> None:
    drawn = random.Random(7)
    values = sorted(drawn.lognormvariate(0, 1.5) * scale for _ in range(5000))

    found = histogram(*values).percentile_s(percent)

    exact = values[max(1, math.ceil(len(values) * percent / 100)) - 1]
    assert found == pytest.approx(exact, rel=0.01, abs=1e-6)  # a microsecond is the unit


def test_ends_are_exact() -> None:
    made = histogram(0.0123456, 0.5, 7.654321)

    assert (made.min_s, made.max_s, made.percentile_s(100)) == (0.0123456, 7.654321, 7.654321)
    assert made.mean_s == pytest.approx((0.0123456 + 0.5 + 7.654321) / 3)


@pytest.mark.parametrize("duration_s", [0.0, 1e-9, -0.001])
def test_what_is_too_short_to_measure_is_counted(duration_s: float) -> None:
    made = histogram(duration_s)

    assert made.count == 1
    assert made.percentile_s(50) <= 1e-6


def test_two_become_one() -> None:
    both = histogram(*[0.001] * 50)
    both.add(histogram(*[0.1] * 50))

    assert both.count == 100
    assert both.percentile_s(50) == pytest.approx(0.001, rel=0.01)
    assert both.percentile_s(51) == pytest.approx(0.1, rel=0.01)


def test_without_a_duration_there_is_no_figure() -> None:
    assert math.isnan(Histogram().percentile_s(50))
    assert math.isnan(Histogram().mean_s)
    assert Histogram().as_data() == {}


def test_data_is_in_milliseconds() -> None:
    data = histogram(*[0.002] * 10).as_data()

    assert data["count"] == 10
    assert data["p99_ms"] == data["max_ms"] == 2.0
