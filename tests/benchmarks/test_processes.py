from __future__ import annotations

import pytest

from benchmarks.processes import Process, parse_pss_kb, parse_stat, tree

# pid (comm) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt
# utime stime cutime cstime priority nice threads itrealvalue starttime ...
STAT = "42 (python) S 7 42 40 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 987654 1 2 3"


def process(pid: int, parent: int, session: int = 1) -> Process:
    return Process(pid=pid, parent=parent, session=session, ticks=0, started=0)


def test_stat_gives_ids_and_all_cpu_time_including_children_that_ended() -> None:
    parsed = parse_stat(STAT)

    assert parsed == Process(pid=42, parent=7, session=40, ticks=124, started=987654)


@pytest.mark.parametrize("name", ["a b", "a) S 9 (b", "((", ")"])
def test_stat_reads_the_same_whatever_the_program_is_called(name: str) -> None:
    assert parse_stat(STAT.replace("python", name)) == parse_stat(STAT)


def test_pss_is_the_total_not_one_of_its_parts() -> None:
    text = "5580-7fff ---p 0 00:00 0 [rollup]\nRss: 900 kB\nPss: 210 kB\nPss_Anon: 112 kB\n"

    assert parse_pss_kb(text) == 210


def test_pss_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="Pss"):
        parse_pss_kb("Rss: 900 kB\n")


def test_tree_holds_descendants_and_the_session_and_nobody_else() -> None:
    everything = [
        process(12, parent=11, session=12),  # a grandchild with a session of its own
        process(10, parent=1, session=10),
        process(11, parent=10, session=10),
        process(20, parent=1, session=10),  # a daemon: its parent has ended
        process(21, parent=20, session=21),
        process(30, parent=1, session=30),
    ]

    assert {member.pid for member in tree(everything, 10)} == {10, 11, 12, 20, 21}


def test_tree_of_a_process_that_is_gone_is_empty() -> None:
    assert tree([process(30, parent=1, session=30)], 10) == []
