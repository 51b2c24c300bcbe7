"""uvicorn's HTTP/1.1 protocol, with what the contract asks beyond it."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from azmlinfsrv.adapters.asgi import TRUNCATED


class HttpProtocol(HttpToolsProtocol):
    """httptools parses; uvicorn keeps the connection; this answers a truncated body."""

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes a bool here
        """The peer sends no more.

        In the middle of a body that is a client error with an answer (D10): the
        connection stays open to be written to. Anywhere else the peer has left.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return False
        cycle.scope[TRUNCATED] = True  # type: ignore[typeddict-unknown-key]  # scopes are open to extension
        cycle.keep_alive = False
        cycle.more_body = False
        cycle.message_event.set()
        return True
