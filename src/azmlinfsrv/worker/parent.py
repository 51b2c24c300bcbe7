"""Processes that do not outlive the one that started them, as far as Linux sees to it."""

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
    _prctl(1, signal.SIGTERM if gently else signal.SIGKILL)  # PR_SET_PDEATHSIG
    return os.getppid() == parent_pid


def adopt_orphans() -> None:
    """Be the parent of descendants whose own parent has ended (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _prctl(option: int, value: int) -> None:
    import ctypes  # only where it is needed

    ctypes.CDLL(None).prctl(option, value)
