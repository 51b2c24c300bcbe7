"""uvicorn's server as the front ends use it: what is set, and how it stops."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Any

import uvicorn

from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.servers.tls import GOODBYE_S, HANDSHAKE_S

# Longer than the 60 s most proxies keep an idle connection to us: the proxy closes
# first, and never sends a request into a connection that is just being closed.
KEEP_ALIVE_S = 75

UVICORN_OPTIONS: dict[str, Any] = {
    "loop": "asyncio" if sys.platform == "win32" else "uvloop",
    "http": "azmlinfsrv.servers.protocol:HttpProtocol",
    "ws": "none",
    "interface": "asgi3",
    "lifespan": "on",
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
}


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which answers what it has taken before it stops.

    Args:
        tls: What connections are accepted with; None for plain HTTP.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        pool: ProcessPool,
        drain_timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # What is left when the drain is over has a second to be written.
        config.timeout_graceful_shutdown = round(drain_timeout_s) + 1
        super().__init__(config)
        self._pool = pool
        self._drain_timeout_s = drain_timeout_s
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])  # it has no limits for a handshake
        loop = asyncio.get_running_loop()
        limits: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_S}
        if sys.version_info >= (3, 11) or sys.platform != "win32":  # asyncio of 3.10 lacks it
            limits["ssl_shutdown_timeout"] = GOODBYE_S
        for listener in sockets or []:
            server = await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=self._tls,
                backlog=self.config.backlog,
                **limits,
            )
            self.servers.append(server)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        # Connections that are kept alive take no further requests: or a drain would last
        # as long as there is load.
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._pool.drain(self._drain_timeout_s)
        # The sockets are closed with the servers above; a second time is an error.
        await super().shutdown(None)
