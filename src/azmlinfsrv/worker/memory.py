"""How much memory this process may take: an allocation over the limit fails (``MemoryError``)."""

from __future__ import annotations

import sys

# What is left to a process that is at its limit already, to say so.
_LEAST_BYTES = 16 * 1024 * 1024


def limit_memory(limit_bytes: int) -> None:
    """Let this process grow until it uses *limit_bytes*, from what it uses now.

    By RLIMIT_DATA, which counts private writable mappings (getrlimit(2), Linux 4.7): what
    is mapped but not used, as thread stacks and arenas are, does not count as used. So the
    limit is what is mapped now, and what may still be used. Linux only.
    """
    if sys.platform != "linux":
        return
    import resource

    mapped, used = _kib("/proc/self/status", "VmData:"), _kib("/proc/self/smaps_rollup", "Pss:")
    if not mapped or not used:
        return
    may_grow = max(_LEAST_BYTES, limit_bytes - used * 1024)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = mapped * 1024 + may_grow
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _kib(path: str, name: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
    except (OSError, ValueError, IndexError):
        return 0
