"""How much memory a process uses."""

from __future__ import annotations


def pss_bytes(pid: int) -> int:
    """Its proportional set size: its own memory, and its share of what it shares.

    0 if there is no such process, or this platform does not say (proc(5): smaps_rollup).
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
