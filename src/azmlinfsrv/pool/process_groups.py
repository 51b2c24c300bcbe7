"""The process groups that scoring processes lead: where one ends, all of its group ends.

The front end ends them. What it has not ended when it is killed itself is ended by the
process that it was forked from, if that one adopts orphans (`worker.parent`).

Theory: the leaders' process ids are in memory that both processes see, each in a place
of its own that is written at once, so a kill leaves no half of one. A process id can be
used again once it is nobody's; the heir ends a group only while a process in it is its
own child, which holds the number. What has left the group (a daemon) is left alone.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading

# Room for 16384 processes; a page of it is there only once it is used.
_TABLE_BYTES = 1 << 16


class ProcessGroups:
    """Those that live, seen from the front end and, after a fork, from the process it left."""

    def __init__(self) -> None:
        self._leaders = memoryview(mmap.mmap(-1, _TABLE_BYTES)).cast("i")  # 0: nobody
        self._places: dict[int, int] = {}
        self._lock = threading.Lock()
        self._inherited: set[int] = set()

    # --- the front end --------------------------------------------------------------------

    def add(self, leader: int) -> None:
        """A process leads a group; call before it runs user code.

        One for whom there is no room is ended by the front end only.
        """
        with self._lock:
            place = next((at for at, other in enumerate(self._leaders) if not other), None)
            if place is not None:
                self._places[leader] = place
                self._leaders[place] = leader

    def end(self, leader: int) -> None:
        """End every process in its group, now; nothing if there is none."""
        _kill(leader, signal.SIGKILL)
        with self._lock:
            place = self._places.pop(leader, None)
            if place is not None:
                self._leaders[place] = 0

    # --- the process that outlives it -----------------------------------------------------

    @property
    def has_inherited(self) -> bool:
        """There are groups it is to end, and has not seen ended."""
        return bool(self._inherited)

    def inherit(self) -> None:
        """The front end has ended: what it left is this process's to end."""
        for place, leader in enumerate(self._leaders):
            if leader:
                self._inherited.add(leader)
                self._leaders[place] = 0

    def end_inherited(self) -> None:
        """End the groups that can be: call again when another child has ended.

        The parent of a forked worker is its template, and only when that has ended is the
        worker this process's child.
        """
        for leader in list(self._inherited):
            if _has_child_in(leader):
                _kill(leader, signal.SIGKILL)
                self._inherited.discard(leader)
            elif not _kill(leader, 0):
                self._inherited.discard(leader)


def _has_child_in(group: int) -> bool:
    """Whether a process of the group, which may have ended, is this one's child."""
    if sys.platform != "linux":
        return False  # nobody is adopted there
    try:
        os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _kill(group: int, number: int) -> bool:
    """Signal a group, 0 for only a look; False if it is not there, or somebody else's."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
