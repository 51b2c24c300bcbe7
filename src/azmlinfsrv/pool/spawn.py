"""How a scoring process comes into being, and what the front end holds of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Protocol

from azmlinfsrv.pool.process_groups import ProcessGroups


def interpreter_command(module: str) -> list[str]:
    """The command of a fresh interpreter that runs ``main`` of a module of the worker.

    The current directory is taken from its path (PYTHONSAFEPATH does so itself): nothing
    of it may stand in for what the worker imports.
    """
    return [
        sys.executable,
        "-c",
        "import sys; sys.path[:1] == [''] and sys.path.pop(0)\n"
        "from azmlinfsrv.collector import resting\n"
        f"with resting(): from azmlinfsrv.worker.{module} import main\n"
        "sys.exit(main())",
    ]


class Child(Protocol):
    """One scoring process.

    Attributes:
        pid: Process id.
        socket: Connected to the process; frames go over it. Blocking when handed over.
        output: Read ends of its standard output and standard error.
        loader_pid: The process that loaded the script: itself, or what it was forked from.
    """

    pid: int
    loader_pid: int
    socket: socket.socket
    output: tuple[int, int]

    def started(self, pid: int) -> None:
        """It says that it is ready, and its process id."""

    def wait(self) -> int:
        """Block until it has ended; its exit status, or minus the signal's number."""

    def kill(self) -> None:
        """End it, and everything it started, now; nothing if it has ended."""

    def sweep(self) -> None:
        """End what it started and left behind; call once it has ended."""


class Spawner(Protocol):
    """Makes scoring processes."""

    def spawn(self) -> Child:
        """A new one, which waits for its `Start` frame."""

    def attach(self) -> None:
        """There is an event loop now, and it runs; everything is logged in its thread."""

    def close(self) -> None:
        """No more are needed, and all have ended; may block for a few seconds."""


class FreshInterpreters:
    """Every process is a new interpreter.

    Never a fork: the front end's memory and locks are not the script's. Each leads a
    session of its own, so that a Ctrl-C in the terminal does not reach it, and everything
    it started can be ended with it.

    Args:
        module: Of the worker; what the interpreter runs.
        environment: What it is started with; this process's own if None.
        groups: Where they are known to who outlives this process.
    """

    def __init__(
        self,
        module: str = "main",
        environment: Mapping[str, str] | None = None,
        groups: ProcessGroups | None = None,
    ) -> None:
        self._command = interpreter_command(module)
        self._environment = environment
        self._groups = groups or ProcessGroups()

    def attach(self) -> None:
        """See `Spawner`."""

    def close(self) -> None:
        """See `Spawner`."""

    def spawn(self) -> Child:
        """See `Spawner`."""
        ours, theirs = socket.socketpair()
        output, errors = os.pipe(), os.pipe()
        try:
            popen = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=output[1],
                stderr=errors[1],
                env=self._environment,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            os.close(output[0])
            os.close(errors[0])
            raise
        finally:
            theirs.close()
            os.close(output[1])
            os.close(errors[1])
        self._groups.add(popen.pid)
        return _Interpreter(popen, ours, (output[0], errors[0]), self._groups)


class _Interpreter:
    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        connection: socket.socket,
        output: tuple[int, int],
        groups: ProcessGroups,
    ) -> None:
        self._popen = popen
        self._groups = groups
        self.pid = self.loader_pid = popen.pid
        self.socket = connection
        self.output = output

    def started(self, pid: int) -> None:
        pass  # known already

    def wait(self) -> int:
        return self._popen.wait()

    def kill(self) -> None:
        if self._popen.returncode is None:
            self.sweep()

    def sweep(self) -> None:
        self._groups.end(self.pid)
