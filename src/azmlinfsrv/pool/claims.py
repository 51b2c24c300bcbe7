"""Calls sent ahead to a busy process, and how they are taken back.

A process that answers in microseconds spends most of its time being woken up. To such a
process calls are sent before it is idle, so that it finds the next one waiting. But a
call must not be stuck behind one that suddenly takes long while another process is idle.
So each call sent ahead comes with a claim: a byte in a pipe that both sides can read.
Whoever reads a byte owns one call, the process the next, the front end the last. The
kernel hands out every byte once, so a call is run once, whatever the timing. Bytes are
alike, so after taking calls back nothing more is sent ahead until the process has said
(`Skipped`) that it has passed all of those.
"""

from __future__ import annotations

import os

# A call may wait this long behind others in a process, in seconds, when they take as
# long as they did lately.
_AHEAD_S = 0.001
_MOST_AHEAD = 32
# How slowly a long call is forgotten: a process is trusted after some 70 quick calls.
_DECAY = 0.9
_UNKNOWN_S = 1.0


class Claims:
    """The front end's side of the pipe, and how far ahead a process may be sent calls."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self._typical_s = _UNKNOWN_S
        self._skips_due = 0
        self._is_trusted = True

    def room(self) -> int:
        """How many calls may be with the process at once, counting the one it computes."""
        if self._skips_due or not self._is_trusted:
            return 1
        return 1 + min(_MOST_AHEAD, int(_AHEAD_S / self._typical_s))

    def took(self, seconds: float) -> None:
        """A call was computed in this time."""
        self._typical_s = max(seconds, self._typical_s * _DECAY)

    def forget(self) -> None:
        """How long calls take has to be learnt anew."""
        self._typical_s = _UNKNOWN_S

    def distrust(self) -> None:
        """Send nothing ahead any more: what it writes could not be told apart by call."""
        self._is_trusted = False

    def give(self, count: int) -> None:
        """*count* calls are being sent ahead."""
        os.write(self._write_end, b"." * count)

    def take_back(self) -> int:
        """How many of the calls sent ahead are the front end's again: the last ones."""
        try:
            count = len(os.read(self.read_end, 2 * _MOST_AHEAD))
        except BlockingIOError:
            return 0
        self._skips_due += count
        self.forget()
        return count

    def skipped(self) -> None:
        """The process has passed a call that was taken back."""
        self._skips_due -= 1

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.read_end)
        os.close(self._write_end)
