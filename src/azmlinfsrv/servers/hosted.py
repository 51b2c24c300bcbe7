"""The application inside a server that is not ours: Gunicorn, uvicorn, any other (R8.5).

There is no command line then and no banner; the settings come from the environment. A
host has its application once ``init()`` has returned, and fails to start if it does not:
that is how the reference server behaves there, and hosts know what to do about it.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from azmlinfsrv.adapters.asgi import AsgiApplication, Message, Receive, Send, live
from azmlinfsrv.adapters.loop_thread import LoopThread
from azmlinfsrv.adapters.wsgi import Environ, StartResponse, WsgiApplication
from azmlinfsrv.app import correlation
from azmlinfsrv.app.application import Application
from azmlinfsrv.errors import ScriptError, Unavailable
from azmlinfsrv.servers.front_end import build_application, build_logs, build_pool
from azmlinfsrv.settings import Loaded, Settings, environment, read_settings
from azmlinfsrv.telemetry.metrics import check_available

_log = logging.getLogger("azmlinfsrv")

_APP_ROOT = "/var/azureml-app"  # where images for such hosts have it (R8.5)
_CLOSE_S = 3.0


def read_hosted_settings() -> Loaded:
    """The settings of a server without a command line.

    Raises:
        SettingsError: one of them is malformed.
    """
    environ = environment()
    given = {name.upper(): value for name, value in environ.items()}
    if "AML_APP_ROOT" not in given:
        environ["AML_APP_ROOT"] = _APP_ROOT
    loaded = read_settings({}, environ, Path.cwd())
    # There is no launcher that names its own version.
    version = given.get("HTTP_X_MS_SERVER_VERSION", "")
    return replace(loaded, settings=replace(loaded.settings, server_version=version))


class Hosted:
    """The application and its pool, in one process of a host."""

    def __init__(self) -> None:
        loaded = read_hosted_settings()
        _log_to_stdout(loaded.settings)
        correlation.reseed()  # the host may have forked this process
        for level, text in loaded.notices:
            _log.log(level, "%s", text)
        if loaded.settings.record_dir:
            from azmlinfsrv.telemetry.capture import open_folder

            open_folder(loaded.settings.record_dir, loaded.origins["record_dir"].name)
        if loaded.settings.metrics:
            check_available(loaded.origins["metrics"].name)
        self._report = ""
        self._limit_s = loaded.settings.scoring_timeout_ms / 1000
        self._pool = build_pool(loaded, self._cannot_start)
        self.application: Application = build_application(loaded.settings, self._pool)

    async def start(self) -> None:
        """Return once the script can score.

        Raises:
            ScriptError: it cannot be served; the report is in the log, too.
        """
        self._pool.launch()
        await self._pool.attach()
        try:
            await self._pool.facts(0.0)
        except Unavailable:
            await self._pool.close()
            raise ScriptError(self._report) from None

    async def stop(self) -> None:
        """End the scoring processes."""
        await self._pool.close()

    def _cannot_start(self, report: str) -> None:
        self._report = report


class HostedWsgi:
    """The application as a WSGI callable that looks after itself.

    A host that forks after it has called `start` gets another pool in each child, with
    the child's first request: threads and connections do not survive a fork.
    """

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._owner = 0
        self._wsgi: WsgiApplication | None = None

    def start(self) -> None:
        """Return once the script can score.

        Raises:
            StartupError: it cannot.
        """
        with self._starting:
            if self._owner != os.getpid():
                self._start()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._owner != os.getpid():
            if self._owner:
                self._starting = threading.Lock()  # another thread of the parent may hold it
                self._owner = 0
            self.start()
        assert self._wsgi is not None
        return self._wsgi(environ, start_response)

    def _start(self) -> None:
        thread = LoopThread()
        thread.start()
        hosted = Hosted()
        # In the loop's thread, which lives long enough: on Linux a child dies with the
        # thread that made it.
        thread.run(hosted.start())
        self._wsgi = WsgiApplication(hosted.application, thread)
        self._owner = os.getpid()
        atexit.register(_stop, hosted, thread, self._owner)


def _stop(hosted: Hosted, thread: LoopThread, owner: int) -> None:
    if owner == os.getpid() and thread.is_running:
        thread.run(hosted.stop(), _CLOSE_S)
        thread.stop()


class HostedAsgi:
    """The application as an ASGI callable that looks after itself.

    The pool starts and stops with the host's lifespan, or with the first request of a
    host that has none.
    """

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._hosted: Hosted | None = None
        self._asgi: AsgiApplication | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection scope."""
        if scope["type"] == "lifespan":
            await live(receive, send, self._start, self._stop)
            return
        asgi = self._asgi
        await (asgi if asgi is not None else await self._started())(scope, receive, send)

    async def _start(self) -> None:
        await self._started()

    async def _started(self) -> AsgiApplication:
        async with self._starting:
            if self._asgi is None:
                self._hosted = Hosted()
                await self._hosted.start()
                self._asgi = AsgiApplication(self._hosted.application, self._start, self._stop)
            return self._asgi

    async def _stop(self) -> None:
        if self._hosted is not None:
            await self._hosted.stop()


def _log_to_stdout(settings: Settings) -> None:
    """Our lines, as everywhere (R6.2); the host keeps its own loggers."""
    of_the_host = [logging.getLogger(name) for name in ("gunicorn.access", "gunicorn.error")]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in of_the_host]
    ours = build_logs(settings)
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    atexit.register(ours.close)
