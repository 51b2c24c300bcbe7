from __future__ import annotations

import random

import pytest

from azmlinfsrv.tools.significance import p_greater, typical


@pytest.mark.parametrize("count", [10, 32, 128])
@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.2, 0.8])
@pytest.mark.parametrize("digits", [1, 6])
def test_it_agrees_with_scipy(count: int, shift: float, digits: int) -> None:
    drawn = random.Random(f"{count} {shift}")
    values = [it for _ in range(count) if (it := round(drawn.gauss(shift, 1), digits))]

    from scipy import stats  # here: every process of a run collects this module

    expected = stats.wilcoxon(
        values, alternative="greater", correction=True, method="asymptotic"
    ).pvalue

    assert p_greater(values) == pytest.approx(expected, rel=1e-6)


def test_a_few_wild_values_change_little() -> None:
    drawn = random.Random(3)
    values = [drawn.gauss(0.1, 0.05) for _ in range(64)]

    wild = [*values[:-2], -30.0, 40.0]

    assert p_greater(wild) < 1e-6
    assert typical(wild) == pytest.approx(typical(values), abs=0.02)


@pytest.mark.parametrize("values", [[], [0.0], [0.0] * 20])
def test_without_a_difference_there_is_no_evidence(values: list[float]) -> None:
    assert p_greater(values) == 1.0
