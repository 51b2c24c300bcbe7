"""Everything in one process: uvicorn in a thread, the script in the main thread.

For debuggers: a breakpoint in the script stops the main thread of the process that was
started, with its terminal. It gives up what the wall is for: the script can end the
server, and what it prints to the descriptors is not captured.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import msgspec
import uvicorn
from msgspec.structs import replace

from azmlinfsrv.adapters.asgi import AsgiApplication
from azmlinfsrv.errors import ScriptError
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.pool.this_process import ThisProcess
from azmlinfsrv.servers.asgi_server import UVICORN_OPTIONS, DrainingServer
from azmlinfsrv.servers.descriptors import raise_limit
from azmlinfsrv.servers.front_end import build_application, build_logs, build_pool
from azmlinfsrv.servers.limits import Limits
from azmlinfsrv.servers.tls import scheme, server_context
from azmlinfsrv.settings import Loaded
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.in_process import InProcessWorker, take_signals
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.startup import Unusable

_log = logging.getLogger("azmlinfsrv")


def serve(loaded: Loaded, listeners: list[socket.socket]) -> int:
    """Serve until a signal ends it; returns the exit status. Call in the main thread."""
    raise_limit()
    front_end_logs = build_logs(loaded.settings)
    logs.silence_uvicorn()
    front_end = _FrontEnd(loaded, listeners)
    take_signals(front_end.stop, front_end.reload)
    try:
        front_end.start()
        front_end.run_script(front_end_logs.apply)
        front_end.join()
    finally:
        front_end_logs.close()
    return ScriptError.exit_status if front_end.has_failed else 0


class _FrontEnd:
    def __init__(self, loaded: Loaded, listeners: list[socket.socket]) -> None:
        if loaded.settings.worker_count > 1:
            _log.warning("--in_process has one scoring thread; --worker_count is not used.")
            loaded = replace(loaded, settings=replace(loaded.settings, worker_count=1))
        settings = loaded.settings
        self.has_failed = False
        self._listeners = listeners
        self._main_thread = ThisProcess()
        self._pool: ProcessPool = build_pool(loaded, self._cannot_start, lambda: self._main_thread)
        application = AsgiApplication(
            build_application(settings, self._pool),
            startup=self._pool.attach,
            shutdown=self._pool.close,
        )
        config = uvicorn.Config(application, log_config=None, **UVICORN_OPTIONS)
        self._settings = settings
        self._server = DrainingServer(
            config,
            application,
            self._pool,
            Limits.of(settings),
            settings.drain_timeout_s,
            server_context(loaded),
        )
        self._config = config
        self._thread = threading.Thread(target=self._serve, name="front end")

    def start(self) -> None:
        """Take requests from now on; calls wait for the script."""
        for listener in self._listeners:
            host, port = listener.getsockname()[:2]
            place = f"[{host}]" if ":" in host else host
            _log.info("Listening at: %s://%s:%s", scheme(self._settings), place, port)
        self._pool.launch()
        self._thread.start()

    def run_script(self, apply_document: logs.ApplyDocument) -> None:
        """Load the script and answer calls until the server has stopped."""
        channel = Channel(self._main_thread.connection)
        try:
            start = channel.receive_start()
            options = msgspec.msgpack.decode(start.options, type=WorkerOptions)
            worker = InProcessWorker(channel, options, apply_document)
            try:
                worker.serve(worker.load(start))
            except Unusable as unusable:
                unusable.tell(channel.send)
        except Closed:
            pass
        finally:
            self._main_thread.connection.close()
            self._main_thread.ended()

    def stop(self) -> None:
        """Drain, then end; may be called from a signal handler."""
        self._server.should_exit = True

    def reload(self) -> None:
        """Asked for by SIGHUP; may be called from a signal handler."""
        _log.warning("The script cannot be reloaded with --in_process. Restart the server.")

    def join(self) -> None:
        """Wait until the server has stopped."""
        self._thread.join()

    def _serve(self) -> None:
        factory = self._config.get_loop_factory()
        loop = factory() if factory is not None else asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._server.serve(sockets=self._listeners))
        finally:
            loop.close()

    def _cannot_start(self, _report: str) -> None:
        self.has_failed = True
        self._server.should_exit = True
