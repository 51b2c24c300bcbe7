"""Scoring processes where there are no Unix sockets and no signals: Windows.

The process connects back over a loopback TCP socket and says a secret that it was given
on its standard input, so that nobody else on the machine can take its place. Its standard
input stays open as long as the front end lives: when it ends, so does the process.
Nothing is sent ahead to it (`claims`), and a call over its time ends with its process.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Mapping

from azmlinfsrv.pool.spawn import interpreter_command

# How long a new interpreter may take to connect, in seconds.
_CONNECT_S = 60.0
# How often it is asked meanwhile whether it still lives.
_TURN_S = 0.2
_SECRET_BYTES = 32
# A stranger that connects and says nothing is not waited for longer than this.
_GREETING_S = 2.0


class LoopbackInterpreters:
    """Every process is a new interpreter that connects back (see `pool.spawn.Spawner`).

    Args:
        environment: What it is started with; this process's own if None.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment

    def attach(self) -> None:
        """See `Spawner`."""

    def close(self) -> None:
        """See `Spawner`; nothing is kept."""

    def spawn(self) -> LoopbackChild:
        """A new one; `accept` waits for its connection."""
        listener = socket.create_server(("127.0.0.1", 0))
        output, errors = os.pipe(), os.pipe()
        try:
            popen = subprocess.Popen(
                interpreter_command("loopback"),
                stdin=subprocess.PIPE,
                stdout=output[1],
                stderr=errors[1],
                env=self._environment,
                # The console's Ctrl-C is the front end's business.
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError:
            listener.close()
            os.close(output[0])
            os.close(errors[0])
            raise
        finally:
            os.close(output[1])
            os.close(errors[1])
        return LoopbackChild(popen, listener, (output[0], errors[0]))


class LoopbackChild:
    """One scoring process (see `pool.spawn.Child`); its `socket` is usable after `accept`."""

    def __init__(
        self, popen: subprocess.Popen[bytes], listener: socket.socket, output: tuple[int, int]
    ) -> None:
        self._popen = popen
        self.pid = self.loader_pid = popen.pid
        self.socket = listener
        self.output = output
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        assert popen.stdin is not None
        port = listener.getsockname()[1]
        try:
            popen.stdin.write(f"{port} {self._secret.hex()}\n".encode())
            popen.stdin.flush()
        except OSError:
            pass  # it has ended already; `accept` notices

    def accept(self) -> socket.socket:
        """Its connection; blocks until it is there.

        Raises:
            OSError: it ended, or did not connect in time.
        """
        listener = self.socket
        deadline = time.monotonic() + _CONNECT_S
        with listener:
            listener.settimeout(_TURN_S)
            while self._popen.poll() is None and time.monotonic() < deadline:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                if self._knows_secret(connection):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.settimeout(None)
                    self.socket = connection
                    return connection
                connection.close()
        raise ConnectionAbortedError("the scoring process did not connect")

    def _knows_secret(self, connection: socket.socket) -> bool:
        connection.settimeout(_GREETING_S)
        said = b""
        try:
            while len(said) < _SECRET_BYTES and (piece := connection.recv(_SECRET_BYTES)):
                said += piece
        except OSError:
            return False
        return hmac.compare_digest(said, self._secret)

    def started(self, pid: int) -> None:
        """See `Child`; known already."""

    def wait(self) -> int:
        """See `Child`."""
        status = self._popen.wait()
        if self._popen.stdin is not None:
            try:
                self._popen.stdin.close()
            except OSError:
                pass
        return status

    def kill(self) -> None:
        """End it, and what it started as far as it can still be found."""
        if self._popen.returncode is not None:
            return
        # In a thread: it takes a tenth of a second, and the event loop calls.
        threading.Thread(target=self._kill_tree, name="kill", daemon=True).start()

    def _kill_tree(self) -> None:
        if os.name == "nt":
            # The only tool at hand that knows the tree; it has to come before the end of
            # the process, by whose number its children are found.
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(self.pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        try:
            self._popen.kill()
        except OSError:
            pass  # it was quicker

    def sweep(self) -> None:
        """Nothing: once a process has ended its children cannot be found."""
