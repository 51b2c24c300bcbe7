"""How many connections a process may have open."""

from __future__ import annotations

import sys

# Enough for a front end, and far from what makes programs slow that count to the limit.
_ENOUGH = 65_536


def raise_limit() -> int:
    """Raise the soft limit on descriptors as far as it is useful; the limit there is then.

    A shell's usual 1,024 would be what a few hundred idle clients and their proxies use up.
    """
    if sys.platform == "win32":
        return 512  # what `select` takes there
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # forbidden, or over the kernel's own limit
        return soft
    return wanted
