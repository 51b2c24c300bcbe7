"""A scoring process that connects back to its front end (`azmlinfsrv.pool.loopback`)."""

from __future__ import annotations

import os
import socket
import threading

from azmlinfsrv.worker import main as worker


def main() -> int:
    """Connect, then serve one script; returns the exit status."""
    try:
        connection = _connect_back()
    except (OSError, ValueError):
        return 0  # the front end has gone
    return worker.main(connection)


def _connect_back() -> socket.socket:
    """The connection, greeted; the script finds its standard input empty."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise ConnectionAbortedError
        line += byte
    port, secret = line.decode().split()
    lifeline = os.dup(0)  # not inherited by the script's own child processes
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(bytes.fromhex(secret))
    return connection


def _end_with(lifeline: int) -> None:
    """End when the front end does, even in the middle of user code."""
    try:
        while os.read(lifeline, 1):
            pass
    except OSError:
        pass
    os._exit(0)
