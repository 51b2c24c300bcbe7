"""Waitress and the Flask application in front of the pool: everywhere, Windows included.

One process speaks HTTP and is the parent of the scoring processes. Its main thread runs
Waitress's sockets, a second one the event loop with the application and the pool
(`adapters.loop_thread`), a few more write answers (`waitress_channel`). Told to stop, it
answers what is running and waiting, as the other front end does.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future, wait

from waitress.adjustments import Adjustments

from azmlinfsrv.adapters.loop_thread import LoopThread
from azmlinfsrv.adapters.wsgi import WsgiApplication, flask_app
from azmlinfsrv.errors import ScriptError
from azmlinfsrv.servers.allocator import give_back_large_blocks
from azmlinfsrv.servers.descriptors import raise_limit
from azmlinfsrv.servers.front_end import build_application, build_logs, build_pool
from azmlinfsrv.servers.limits import Limits
from azmlinfsrv.servers.waitress_channel import AnswerThreads, Server
from azmlinfsrv.servers.waitress_poller import Poller
from azmlinfsrv.settings import Loaded, Settings
from azmlinfsrv.telemetry import logs

_log = logging.getLogger("azmlinfsrv")

# A client that does not take what it asked for is waited for with this much held, no more.
_OUTPUT_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024
_BACKLOG = 2048
# Listening sockets, pipes and sockets of the scoring processes, log, libraries.
_OWN_DESCRIPTORS = 32 if sys.platform == "win32" else 128
# How often the main thread looks after itself when nothing happens, in seconds.
_TURN_S = 1.0
_STOPPING_TURN_S = 0.02
# How long answers may take to reach their clients after the last one is known, in seconds.
_FLUSH_S = 2.0

_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGBREAK")  # where they exist


def serve(loaded: Loaded, listeners: list[socket.socket]) -> int:
    """Serve until a signal ends it; returns the exit status. Call in the main thread."""
    return FrontEnd(loaded, listeners).run()


class FrontEnd:
    """The process that speaks HTTP, and the parent of the scoring processes."""

    def __init__(self, loaded: Loaded, listeners: list[socket.socket]) -> None:
        self._loaded = loaded
        self._listeners = listeners
        self._thread = LoopThread()
        self._stop_asked = threading.Event()
        self._report = ""
        self._servers: list[Server] = []
        self._poller = Poller()

    def run(self) -> int:
        """Start, serve, drain, end."""
        settings = self._loaded.settings
        front_end_logs = build_logs(settings)
        _adopt_waitress_loggers()
        for name in _SIGNALS:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._on_signal)
        for name in ("SIGHUP", "SIGTTIN", "SIGTTOU"):
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._on_order)
        try:
            # In the main thread, which lives longest: on Linux a child dies with the
            # thread that made it. They start while this process still imports.
            self._pool = build_pool(self._loaded, self._cannot_start)
            self._pool.launch()
            give_back_large_blocks()
            self._thread.start()
            # Not waited for: `/health/live` answers while a process is still to connect.
            self._attached = self._thread.submit(self._pool.attach())
            self._answer_threads = AnswerThreads()
            self._open(settings)
            self._serve(settings.drain_timeout_s)
        finally:
            self._close()
            front_end_logs.close()
        return ScriptError.exit_status if self._report else 0

    # --- life ---------------------------------------------------------------------------

    def _open(self, settings: Settings) -> None:
        application = build_application(settings, self._pool)
        wsgi = WsgiApplication(application, self._thread)
        app = flask_app(wsgi)
        adjustments = _adjustments(settings, self._listeners)
        for listener in self._listeners:
            self._servers.append(
                Server(
                    app,
                    wsgi.begin,
                    application.admits,
                    application.bodies,
                    poller=self._poller,
                    sock=listener,
                    dispatcher=self._answer_threads,
                    adjustments=adjustments,
                    limits=Limits.of(settings),
                )
            )
            host, port = listener.getsockname()[:2]
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            _log.info("Listening at: http://%s", place)

    def _serve(self, drain_timeout_s: float) -> None:
        while not self._stop_asked.is_set():
            self._turn(_TURN_S)
        for server in self._servers:
            server.stop_accepting()
        drained = self._thread.submit(self._pool.drain(drain_timeout_s))
        deadline = time.monotonic() + drain_timeout_s + _FLUSH_S
        while time.monotonic() < deadline and not self._is_drained(drained):
            self._turn(_STOPPING_TURN_S)

    def _turn(self, timeout_s: float) -> None:
        for server in self._servers:
            server.sweep()
            # Whether it takes connections depends on the time, and on how many there are.
            self._poller.look_at(server)
        self._poller.turn(timeout_s)

    def _is_drained(self, drained: Future[None]) -> bool:
        return drained.done() and not any(server.is_busy() for server in self._servers)

    def _close(self) -> None:
        for server in self._servers:
            server.close_channels()
        if self._thread.is_running:
            wait([self._attached])
            self._thread.run(self._pool.close())
        if self._servers:
            self._answer_threads.shutdown(timeout=1)
        for server in self._servers:
            server.close()
        self._poller.close()
        self._thread.stop()

    # --- asked to stop ------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop()

    def _on_order(self, number: int, _frame: object) -> None:
        """Reload the script, or have a worker more, or less."""
        loop = self._thread.loop
        if number == signal.SIGHUP:
            loop.call_soon_threadsafe(self._pool.swap)
        else:
            loop.call_soon_threadsafe(self._pool.resize, 1 if number == signal.SIGTTIN else -1)

    def _cannot_start(self, report: str) -> None:
        """Called in the loop's thread."""
        self._report = report
        self._stop()

    def _stop(self) -> None:
        self._stop_asked.set()
        for server in self._servers[:1]:
            server.pull_trigger()


def _adjustments(settings: Settings, listeners: list[socket.socket]) -> Adjustments:
    limit = settings.max_body_bytes + 1  # Waitress refuses what reaches its limit
    return Adjustments(
        sockets=listeners,
        backlog=_BACKLOG,
        connection_limit=_connection_limit(),
        # Read on while a call waits: that is how a caller that leaves is noticed.
        channel_request_lookahead=1,
        max_request_header_size=settings.max_header_bytes + 1,
        max_request_body_size=limit,
        # Never to a temporary file: containers have read-only disks, and the body is
        # needed in memory anyway.
        inbuf_overflow=limit,
        outbuf_overflow=2**31,
        outbuf_high_watermark=_OUTPUT_BYTES,
        recv_bytes=_READ_BYTES,
        ident=None,
        expose_tracebacks=False,
        log_socket_errors=False,
        # Scripts see the headers the client sent, as on the other server.
        clear_untrusted_proxy_headers=False,
        asyncore_use_poll=True,
    )


def _connection_limit() -> int:
    """Connections at once: what the process may open, less what it needs itself."""
    return max(8, raise_limit() - _OWN_DESCRIPTORS)


def _adopt_waitress_loggers() -> None:
    """What goes wrong in Waitress is said in our lines; its queue is none here."""
    logger = logging.getLogger("waitress")
    logger.handlers = list(logging.getLogger(logs.ROOT).handlers)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
