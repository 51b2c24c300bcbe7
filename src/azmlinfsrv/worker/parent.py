"""A process that does not outlive the one that started it."""

from __future__ import annotations

import os
import signal
import sys


def die_with(parent_pid: int, *, gently: bool = False) -> bool:
    """End this process when its parent dies (Linux; elsewhere nothing).

    Args:
        gently: By SIGTERM; otherwise by SIGKILL, even in the middle of user code.
    Returns:
        False if the parent has died already.
    """
    if sys.platform != "linux":
        return True
    import ctypes  # only where it is needed

    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    number = signal.SIGTERM if gently else signal.SIGKILL
    ctypes.CDLL(None).prctl(set_parent_death_signal, number)
    return os.getppid() == parent_pid
