"""The real server behind a `ScoringClient`: a process of its own on a free port."""

from __future__ import annotations

import http.client
from collections.abc import Generator
from contextlib import ExitStack

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.testing.answer import Head, IncompleteAnswer
from azmlinfsrv.testing.request import TestRequest
from azmlinfsrv.tools.peers import CannotStart, our_command, started

_PIECE_BYTES = 64 * 1024


class RealServer:
    """A server with one script.

    Args:
        flags: Settings by field name, as texts; the address is not among them.
        variables: Of its environment, besides what is inherited.
    Raises:
        ScriptError: it does not start; the text is its report.
    """

    def __init__(self, flags: dict[str, str], variables: dict[str, str]) -> None:
        self._stack = ExitStack()
        # In JSON its report can be told from the rest.
        command = our_command({"log_format": "json", **flags}, variables)
        try:
            self._peer = self._stack.enter_context(started(command))
        except CannotStart as error:
            raise ScriptError(str(error)) from None
        self.port = self._peer.address.port

    def send(self, request: TestRequest) -> tuple[Head, Generator[bytes]]:
        """The head of the answer, and its body; each request has its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.putrequest(
                request.method, request.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers:
                connection.putheader(name, value)
            connection.endheaders(request.body)
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        head = Head(response.status, response.reason, response.getheaders())
        pieces = _pieces(connection, response)
        next(pieces)  # so that closing it reaches its `finally`
        return head, pieces

    def log(self) -> str:
        """What the server has written so far."""
        return self._peer.log()

    def close(self) -> None:
        """End the server."""
        self._stack.close()


def _pieces(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse
) -> Generator[bytes]:
    try:
        yield b""
        while piece := response.read1(_PIECE_BYTES):
            yield piece
    except (http.client.IncompleteRead, ConnectionError):
        raise IncompleteAnswer from None
    finally:
        connection.close()
