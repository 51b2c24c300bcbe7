from __future__ import annotations

from pathlib import Path

import pytest

from azmlinfsrv.tools.budget import LIMITS, Budget, BudgetError, excesses, read_budget


def test_flags_come_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "budget.toml"
    file.write_text("p99_ms = 50\nmemory_mb = 100\nrate = 5\n", encoding="utf-8")

    budget = read_budget(file, ["p99_ms=70", "init_s=2"])

    assert budget.limits == {"p99_ms": 70, "init_s": 2, "memory_mb": 100}
    assert budget.rate == 5


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("p99 = 1", [], "p99"),
        ("p99_ms = 'fast'", [], "p99_ms"),
        ("p99_ms = ", [], "is not TOML"),
        ("", ["p99_ms"], "NAME=NUMBER"),
        ("", ["p99_ms=fast"], "NAME=NUMBER"),
        ("", ["speed=1"], "speed"),
        ("duration_s = 0", [], "more than 0"),
    ],
)
def test_a_malformed_budget_is_refused(
    text: str, given: list[str], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "budget.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(BudgetError, match=words):
        read_budget(file, given)


def test_a_limit_is_kept_or_exceeded() -> None:
    budget = Budget(p50_ms=10, requests_per_second=100, memory_mb=50)

    found = excesses({"p50_ms": 10.0, "requests_per_second": 99.0, "init_s": 9.0}, budget)

    assert [str(it) for it in found] == [
        "the highest throughput is 99 requests a second, under its budget of 100"
    ]


def test_every_limit_is_a_field() -> None:
    assert LIMITS.keys() < set(Budget.__struct_fields__)
