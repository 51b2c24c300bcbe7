from __future__ import annotations

from soak.ledger import Run, parse_runs, wasted


def test_a_line_that_is_still_being_written_is_left_out() -> None:
    assert parse_runs("t1 10 1\nt2 11 1\nt3 1") == [Run("t1", 10, "1"), Run("t2", 11, "1")]
    assert parse_runs("") == []


def test_runs_whose_caller_got_nothing_are_wasted() -> None:
    runs = parse_runs("t1 10 1\nt2 11 1\nt3 11 1\n")

    assert wasted(runs, {"t1", "t9"}) == 2
