"""Where log lines leave the process, without ever holding it up.

Whoever reads our output may be slow, stalled or gone; a request must not wait for it.
Lines are handed to a thread that writes them; what does not fit the bound is dropped,
counted, and the count is written as soon as lines get through again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

# About 60,000 ordinary lines: enough for a reader that pauses, small beside the budget.
_LIMIT_BYTES = 8 * 1024 * 1024
# Lines of one burst go out in one system call; nobody notices this much delay in a log.
# Under load it is also how often the thread asks for the interpreter: 50 times a second.
_GATHER_S = 0.02


class Sink:
    """Writes text to a file descriptor from a thread of its own.

    The thread starts with the first line: it would not survive a fork. In a child of a
    fork the sink begins anew, without the lines of its parent, who writes them.

    Args:
        descriptor: Where to.
        limit_bytes: Most that is held.
        form: Makes a log line of what the sink itself has to say.
    """

    def __init__(
        self,
        descriptor: int,
        limit_bytes: int = _LIMIT_BYTES,
        form: Callable[[str], str] = str,
    ) -> None:
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        self._form = form
        self._begin()

    def _begin(self) -> None:
        self._lines: deque[str] = deque()
        # Each is changed on one side only: one counter for both would lose counts when
        # two threads change it at once, until nothing seems to fit any more.
        self._taken_bytes = 0
        self._written_bytes = 0
        self._dropped = 0
        self._wake = threading.Event()
        self._is_woken = False  # what the event says, for less than the event takes to say it
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner = os.getpid()

    @property
    def dropped(self) -> int:
        """Lines that were not written because the reader did not keep up."""
        return self._dropped

    def write(self, line: str) -> None:
        """Take one line, with its line end; never blocks, never raises."""
        if self._owner != os.getpid():
            self._begin()
        size = len(line)
        if self._taken_bytes - self._written_bytes + size > self._limit_bytes:
            self._dropped += 1
            return
        self._taken_bytes += size
        self._lines.append(line)
        if not self._is_woken:
            self._is_woken = True
            self._wake.set()
        if self._thread is None:  # also when a thread that ended has left the event set
            self._start()

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is held, for at most *timeout_s*; later lines start a new thread.

        A thread that is stuck stays, and goes on when its reader does: with one more at
        every close, a reader that has stalled would cost more and more of them.
        """
        if self._owner != os.getpid() or self._thread is None:
            return
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._thread = None
        self._closing.clear()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        reported = 0
        while True:
            self._wake.wait()
            self._closing.wait(_GATHER_S)
            self._wake.clear()
            self._is_woken = False  # in this order: who has seen it set has left a line already
            # After the event is cleared: `close` sets it once more.
            closing = self._closing.is_set()
            count = len(self._lines)
            text = "".join(self._lines.popleft() for _ in range(count))
            size = len(text)
            if self._dropped > reported:
                count = self._dropped - reported
                text += self._form(f"{count} log lines were dropped: the reader is slow.") + "\n"
                reported += count
            self._write_all(text.encode("utf-8", "backslashreplace"))
            self._written_bytes += size
            if closing and not self._lines:
                return

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                time.sleep(_GATHER_S)  # somebody made the descriptor non-blocking
            except OSError:  # closed, or the reader has gone: there is nobody to tell
                self._dropped += view.tobytes().count(b"\n")
                return


class SinkStream:
    """A `Sink` as the text stream of a `logging.StreamHandler`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: str) -> int:
        """Take one formatted record with its end."""
        self._sink.write(text)
        return len(text)

    def flush(self) -> None:
        """The sink decides when."""
