from __future__ import annotations

from pathlib import Path

from soak.ledger import Run, parse_runs, read_latest_runs, read_runs, wasted


def test_a_line_that_is_still_being_written_is_left_out() -> None:
    assert parse_runs("t1 10 1\nt2 11 1\nt3 1") == [Run("t1", 10, "1"), Run("t2", 11, "1")]
    assert parse_runs("") == []


def test_runs_whose_caller_got_nothing_are_wasted() -> None:
    runs = parse_runs("t1 10 1\nt2 11 1\nt3 11 1\n")

    assert wasted(runs, {"t1", "t9"}) == 2


def test_the_latest_runs_are_the_end_of_all(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("".join(f"t{number} 10 1\n" for number in range(5000)))

    latest = read_latest_runs(path)

    assert 100 < len(latest) < 5000
    assert latest == read_runs(path)[-len(latest) :]


def test_the_latest_runs_of_a_short_ledger_are_all(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("t1 10 1\nt2 10 1\n")

    assert read_latest_runs(path) == read_runs(path)
