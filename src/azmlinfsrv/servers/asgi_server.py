"""uvicorn's server as the front ends use it: what is set, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import sys
from typing import Any

import uvicorn

from azmlinfsrv.adapters.asgi import AsgiApplication
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.servers.limits import Limits
from azmlinfsrv.servers.protocol import HttpProtocol
from azmlinfsrv.servers.tls import GOODBYE_S, HANDSHAKE_S
from azmlinfsrv.servers.watch import SWEEP_S, Watch

UVICORN_OPTIONS: dict[str, Any] = {
    "loop": "asyncio" if sys.platform == "win32" else "uvloop",
    "ws": "none",
    "interface": "asgi3",
    "lifespan": "on",
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
}


class DrainingServer(uvicorn.Server):
    """uvicorn's server, with limits, which answers what it has taken before it stops.

    Args:
        application: Starts and stops with the server, and answers its requests.
        limits: How long is waited for whom.
        tls: What connections are accepted with; None for plain HTTP.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: AsgiApplication,
        pool: ProcessPool,
        limits: Limits,
        drain_timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # What is left when the drain is over has a second to be written.
        config.timeout_graceful_shutdown = round(drain_timeout_s) + 1
        config.app = application
        config.http = functools.partial(HttpProtocol, limits, application.handle, pool)  # type: ignore[assignment]  # it is called, no more
        super().__init__(config)
        self._pool = pool
        self._limits = limits
        self._drain_timeout_s = drain_timeout_s
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._open(sockets)
        self._sweeping = asyncio.create_task(self._sweep())

    async def _open(self, sockets: list[socket.socket] | None) -> None:
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
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping

    async def _sweep(self) -> None:
        """Look at every connection once a second, and end those that take too long."""
        loop = asyncio.get_running_loop()
        watches: dict[object, Watch] = {}
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = loop.time()
            before, watches = watches, {}
            for connection in list(self.server_state.connections):
                assert isinstance(connection, HttpProtocol)
                watch = before.get(connection) or Watch(self._limits, now_s)
                watches[connection] = watch
                verdict = watch.look(connection.observe(), now_s)
                if verdict is not None:
                    connection.obey(verdict)
