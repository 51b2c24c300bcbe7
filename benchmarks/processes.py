"""CPU time and memory of a server: every process it consists of, read from ``/proc``.

Parsing is pure and takes the files' text; the functions at the end read the real files and give
``None`` where there is no ``/proc`` (anything but Linux).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ``/proc/PID/stat``, as far as it is needed; CPU time in clock ticks.

    ``ticks`` includes children that have ended and were waited for (cutime, cstime), so that the
    sum over a tree never falls when a worker is replaced.
    """

    pid: int
    parent: int
    session: int
    ticks: int
    started: int


def parse_stat(text: str) -> Process:
    """Read ``/proc/PID/stat`` (proc_pid_stat(5)).

    The second field is the program's name in parentheses; it may itself hold blanks and
    parentheses, so the fields are counted from the *last* closing one.
    """
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    # fields[0] is field 3 of the manual page (state); utime is 14, starttime 22.
    return Process(
        pid=int(head.split("(", 1)[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        ticks=sum(int(field) for field in fields[11:15]),
        started=int(fields[19]),
    )


def parse_pss_kb(text: str) -> int:
    """The proportional set size in units of 1024 bytes, from ``smaps_rollup``."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("there is no Pss line")


def tree(processes: Iterable[Process], root: int) -> list[Process]:
    """*root*, its descendants, and whatever else is in the session it leads."""
    everything = list(processes)
    members = {root} | {process.pid for process in everything if process.session == root}
    grew = True
    while grew:
        more = {process.pid for process in everything if process.parent in members} - members
        members |= more
        grew = bool(more)
    return [process for process in everything if process.pid in members]


def is_supported() -> bool:
    return (PROC / "self" / "stat").exists()


def read_all() -> list[Process]:
    """Every process of the machine; those that end meanwhile are left out."""
    found = []
    for entry in PROC.iterdir() if is_supported() else ():
        if entry.name.isdigit():
            try:
                found.append(parse_stat((entry / "stat").read_text(errors="replace")))
            except OSError:
                continue
    return found


def cpu_s(root: int) -> float | None:
    """Seconds of CPU, user and system, that the tree of *root* has used so far."""
    if not is_supported():
        return None
    ticks = sum(process.ticks for process in tree(read_all(), root))
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(root: int) -> float | None:
    """Memory of the tree of *root* in MB (10**6 bytes); shared pages are counted once."""
    if not is_supported():
        return None
    total = 0
    for process in tree(read_all(), root):
        try:
            total += parse_pss_kb((PROC / str(process.pid) / "smaps_rollup").read_text())
        except (OSError, ValueError):
            continue  # it has just ended: no memory left to count
    return total * 1024 / 1e6
