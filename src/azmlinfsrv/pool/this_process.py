"""A scoring process that is no other process: the script in this one's main thread.

For ``--in_process``: the frames, the queue and the deadlines are the same, only the wall
is missing. A call that does not stop when it is interrupted cannot be ended here.
"""

from __future__ import annotations

import os
import socket
import threading

from azmlinfsrv.telemetry import logs


class ThisProcess:
    """Makes the one child there can be (see `azmlinfsrv.pool.spawn.Spawner`)."""

    def __init__(self) -> None:
        self._ours, self.connection = socket.socketpair()
        self._ended = threading.Event()

    def attach(self) -> None:
        """See `Spawner`."""

    def close(self) -> None:
        """See `Spawner`."""

    def ended(self) -> None:
        """The main thread takes no more calls."""
        self._ended.set()

    def spawn(self) -> ThisChild:
        """The child; its frames come out of `connection`."""
        return ThisChild(self._ours, self._ended)


class ThisChild:
    """The main thread, as a child (see `azmlinfsrv.pool.spawn.Child`)."""

    def __init__(self, connection: socket.socket, ended: threading.Event) -> None:
        self.pid = self.loader_pid = os.getpid()
        self.socket = connection
        # Nothing is captured without a wall: a terminal stays one, for a debugger.
        self.output = (_nothing_to_read(), _nothing_to_read())
        self._ended = ended

    def started(self, pid: int) -> None:
        """See `Child`."""

    def wait(self) -> int:
        """See `Child`; it ends with the server."""
        self._ended.wait()
        return 0

    def kill(self) -> None:
        """See `Child`; the only process there is cannot be replaced."""
        logs.error(
            "run() has not stopped, and with --in_process nothing can end it: calls wait until "
            "it returns. Without --in_process its process would be replaced.",
            "",
        )

    def sweep(self) -> None:
        """See `Child`."""


def _nothing_to_read() -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end
