from __future__ import annotations

import pytest

from benchmarks.results import BUDGETS, Budget, Results, judge


def results(**figures: tuple[float | None, ...]) -> Results:
    """One measure, ``requests_per_s`` of job j1, for each server named."""
    made = Results()
    for peer, values in figures.items():
        for value in values:
            made.add(peer, "j1", {"requests_per_s": value, "errors": 1})
    return made


def budget(key: str) -> Budget:
    [found] = [each for each in BUDGETS if each.key == key]
    return found


def test_a_value_is_the_median_of_the_rounds() -> None:
    assert results(ours=(900.0, 100.0, 300.0)).value("ours", "j1", "requests_per_s") == 300.0


def test_rounds_without_a_figure_do_not_count() -> None:
    found = results(ours=(None, float("nan"), 300.0))

    assert found.value("ours", "j1", "requests_per_s") == 300.0


def test_errors_are_added_up_over_the_rounds() -> None:
    assert results(ours=(1.0, 1.0, 1.0)).value("ours", "j1", "errors") == 3


@pytest.mark.parametrize(
    ("ours", "other", "expected"),
    [((100.0,), (50.0,), 2.0), ((100.0,), (), None), ((), (50.0,), None), ((1.0,), (0.0,), None)],
)
def test_a_ratio_needs_both_figures(
    ours: tuple[float, ...], other: tuple[float, ...], expected: float | None
) -> None:
    found = results(ours=ours, other=other)

    assert found.ratio("ours", "other", "j1", "requests_per_s") == expected


def test_a_server_that_did_not_install_has_failed_every_job() -> None:
    found = Results()
    found.add_failure("kserve", None, "did not install")
    found.add_failure("mosec", "j2", "wrong answer")

    assert found.has_failed("kserve", "j1")
    assert found.has_failed("mosec", "j2")
    assert not found.has_failed("mosec", "j1")


@pytest.mark.parametrize(
    ("ours", "verdict"), [(9999.0, "met"), (1000.0, "met"), (999.0, "not met")]
)
def test_a_budget_on_a_ratio_looks_at_both_servers(ours: float, verdict: str) -> None:
    found = results(ours=(ours,), reference=(100.0,))

    assert judge(budget("requests_per_s"), found, "ours", "reference")[1] == verdict


def test_a_budget_without_figures_is_not_measured() -> None:
    assert judge(budget("pss_mb"), Results(), "ours", "reference") == (None, "not measured")
