"""An editor for tests of debugging: it speaks the Debug Adapter Protocol to debugpy."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from typing import Any

from tests.harness import free_port, until

# What is debugged.
SCRIPT = """\
import json

def init():
    global factor
    factor = 2

def run(data):
    number = json.loads(data)["number"]
    result = number * factor
    return {"result": result}
"""
STOP_LINE = 9  # where `number` is known and `result` is not


class Editor:
    """A minimal client of the Debug Adapter Protocol.

    Args:
        port: Where an adapter listens, as under ``debugpy --listen``; an adapter of the
            editor's own is started if None.
    """

    def __init__(self, port: int | None = None) -> None:
        self._adapter: subprocess.Popen[bytes] | None = None
        if port is None:
            port = free_port()
            self._adapter = _start_adapter(port)
        self._connections: list[socket.socket] = []
        until(lambda: self._connect(port), 20, lambda: "the adapter does not listen")
        self._socket = self._connections[0]
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._unseen: list[dict[str, Any]] = []

    def _connect(self, port: int) -> bool:
        try:
            self._connections.append(socket.create_connection(("127.0.0.1", port), 30))
        except ConnectionRefusedError:
            return False
        return True

    def send(self, command: str, **arguments: object) -> int:
        """Send a request; its number."""
        number = next(self._numbers)
        message = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return number

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """The body of the response to a request."""
        return self.response(self.send(command, **arguments))

    def response(self, number: int) -> dict[str, Any]:
        """The body of the response to request *number*."""
        message = self._wait(lambda m: m["type"] == "response" and m["request_seq"] == number)
        assert message["success"], message
        return dict(message.get("body") or {})

    def event(self, name: str) -> dict[str, Any]:
        """The body of the next event of this name."""
        message = self._wait(lambda m: m["type"] == "event" and m["event"] == name)
        return dict(message.get("body") or {})

    def _wait(self, is_wanted: Any) -> dict[str, Any]:
        for message in self._unseen:
            if is_wanted(message):
                self._unseen.remove(message)
                return message
        while True:
            message = self._receive()
            if is_wanted(message):
                return message
            self._unseen.append(message)

    def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            if not line:
                raise AssertionError("the adapter has closed the connection")
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return dict(json.loads(self._file.read(length)))

    def close(self) -> None:
        """Hang up; end the adapter, if it is the editor's own."""
        self._file.close()
        self._socket.close()
        if self._adapter is not None:
            self._adapter.kill()
            self._adapter.wait(5)


def _start_adapter(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "debugpy.adapter", "--host", "127.0.0.1", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
