from __future__ import annotations

import math

from soak.sampling import Sample, floor_growth, growth, lasting_mb


def sample(**pss_of_mb: float) -> Sample:
    return Sample(0.0, {int(pid[1:]): mb for pid, mb in pss_of_mb.items()}, 0, len(pss_of_mb))


def test_growth_is_seen_through_outliers() -> None:
    flat = [10.0] * 40
    flat[3] = flat[38] = 99.0
    rising = [10.0 + index / 10 for index in range(40)]

    assert growth(flat) == 0
    assert growth(rising) > 3


def test_what_comes_and_goes_above_a_floor_is_no_growth_of_it() -> None:
    assert floor_growth([70, 80, 75, 71, 85, 90, 70, 83, 91]) == 0
    assert floor_growth([70, 80, 75, 75, 85, 90, 78, 83, 91]) == 8


def test_a_few_values_say_nothing() -> None:
    assert math.isnan(growth([1, 2, 3]))
    assert math.isnan(floor_growth([1, 2, 3]))


def test_only_processes_that_were_never_replaced_count_as_lasting() -> None:
    samples = [sample(p1=20, p2=30, p3=10), sample(p1=21, p2=30, p4=11)]

    assert lasting_mb(samples) == [50, 51]
