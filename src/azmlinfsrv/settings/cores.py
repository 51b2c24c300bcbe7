"""How many cores this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores by affinity and by the quota of a container; at least 1.

    A quota is what a container was given with ``--cpus`` (cgroup v2: ``cpu.max``).
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()[:2]
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return max(1, cores)
