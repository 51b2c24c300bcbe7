"""Gunicorn's arbiter over one uvicorn front end (POSIX).

Gunicorn keeps what it is best at: the sockets, signals, and a new front end should one
die. Its worker here is the front end; the scoring processes are the front end's own.
Only what we set applies: no ``gunicorn.conf.py``, no ``GUNICORN_CMD_ARGS`` (D45), and no
control socket in anybody's home folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn_worker import UvicornWorker

from azmlinfsrv.adapters.asgi import AsgiApplication
from azmlinfsrv.app import correlation
from azmlinfsrv.collector import settle
from azmlinfsrv.errors import ScriptError
from azmlinfsrv.pool.process_groups import ProcessGroups
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.servers.allocator import give_back_large_blocks
from azmlinfsrv.servers.asgi_server import UVICORN_OPTIONS, DrainingServer
from azmlinfsrv.servers.descriptors import raise_limit
from azmlinfsrv.servers.front_end import build_application, build_logs, build_pool
from azmlinfsrv.servers.limits import Limits
from azmlinfsrv.servers.tls import Tls
from azmlinfsrv.settings import Loaded
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker.parent import adopt_orphans, die_with

# A front end whose event loop has stood still for this long is replaced.
_FRONT_END_TIMEOUT_S = 60
# What the arbiter waits beyond the drain before it kills the front end.
_ARBITER_PATIENCE_S = 3
# What it waits for a front end that it has killed, and for what that left behind.
_KILLED_S = 1.0
# How long its lines may take to get out before it forks.
_LINES_S = 0.2


def serve(loaded: Loaded, listeners: list[socket.socket]) -> int:
    """Serve until a signal ends it; returns the exit status."""
    arbiter_logs = logs.ArbiterLogs(loaded.settings.log_format, loaded.settings.log_level)
    try:
        adopt_orphans()
        _Gunicorn(loaded, listeners, arbiter_logs).run()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        arbiter_logs.close()
    return 0


class _Gunicorn(BaseApplication):
    def __init__(
        self, loaded: Loaded, listeners: list[socket.socket], arbiter_logs: logs.ArbiterLogs
    ) -> None:
        self.loaded = loaded
        self.tls = Tls(loaded)
        self.groups = ProcessGroups()
        self._arbiter_logs = arbiter_logs
        # Gunicorn takes them over, and asks again when it reloads.
        self._addresses = [f"fd://{listener.detach()}" for listener in listeners]
        super().__init__()

    def load_config(self) -> None:
        settings = self.loaded.settings
        values = {
            "bind": self._addresses,
            "worker_class": FrontEnd,
            "workers": 1,
            "timeout": _FRONT_END_TIMEOUT_S,
            "graceful_timeout": round(settings.drain_timeout_s) + _ARBITER_PATIENCE_S,
            "logger_class": _Logger,
            "pre_fork": lambda _arbiter, _worker: self._arbiter_logs.close(_LINES_S),
        }
        if settings.tls_cert is not None:  # only so that it says https
            values["certfile"] = settings.tls_cert
        for name, value in values.items():
            self.cfg.set(name, value)
        if "control_socket_disable" in self.cfg.settings:  # Gunicorn 25.1 and later
            self.cfg.set("control_socket_disable", True)

    def load(self) -> None:
        """Nothing: the front end builds its application itself, after the fork."""

    def run(self) -> None:
        """Serve until a signal ends it."""
        _Arbiter(self).run()


class _Arbiter(Arbiter):
    """Passes on what concerns the scoring processes, where Gunicorn would replace the front end.

    Its own handlers would change the number of front ends, or start another one, which
    would load the script before it is known whether it can be served.
    """

    def handle_hup(self) -> None:
        """Reload the script."""
        self.kill_workers(signal.SIGHUP)

    def handle_ttin(self) -> None:
        """One worker more."""
        self.kill_workers(signal.SIGTTIN)

    def handle_ttou(self) -> None:
        """One worker less."""
        self.kill_workers(signal.SIGTTOU)

    def reap_workers(self) -> None:
        """Take note of children that have ended, and end what a front end has left behind."""
        groups: ProcessGroups = self.app.groups
        # First: while they are not waited for their numbers are theirs.
        if any(_has_ended(pid) for pid in list(self.WORKERS)):
            groups.inherit()
        groups.end_inherited()
        _reap_adopted()
        super().reap_workers()

    def stop(self, graceful: bool = True) -> None:
        """End the front end; Gunicorn does not wait for one that it kills in the end."""
        super().stop(graceful)
        deadline_s = time.monotonic() + _KILLED_S
        while (self.WORKERS or self.app.groups.has_inherited) and time.monotonic() < deadline_s:
            time.sleep(0.01)
            self.reap_workers()


class _Logger(Logger):
    """Gunicorn's records through the server's own handlers (R6.2)."""

    def setup(self, cfg: Any) -> None:
        self.loglevel = logging.INFO


class FrontEnd(UvicornWorker):
    """The process that speaks HTTP, and the parent of the scoring processes."""

    CONFIG_KWARGS = UVICORN_OPTIONS

    _pool: ProcessPool
    _report = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn's worker has just given Gunicorn's handlers to uvicorn's loggers.
        logs.silence_uvicorn()
        # TLS is not uvicorn's configuration's to make (`tls`).
        self.config.ssl_certfile = self.config.ssl_keyfile = None

    def init_process(self) -> None:
        """After the fork: the scoring processes start while this one still imports."""
        loaded: Loaded = self.app.loaded
        self._loaded = loaded
        die_with(self.ppid, gently=True)  # drain; where this is not to be had, see below
        correlation.reseed()
        raise_limit()
        self._logs = build_logs(loaded.settings)
        self._pool = build_pool(loaded, self._cannot_start, groups=self.app.groups)
        self._pool.launch()
        give_back_large_blocks()
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # uvicorn raises the signal that ended it once more, to end the process by it;
        # this process ends by itself, when its last lines are written.
        signal.signal(signal.SIGTERM, _nothing)
        signal.signal(signal.SIGINT, _nothing)
        # The last three are heard once there is a loop; until then there is nothing to change.
        for name in ("SIGUSR1", "SIGHUP", "SIGTTIN", "SIGTTOU"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._logs.close()
        if self._report:
            sys.exit(ScriptError.exit_status)

    async def _serve(self) -> None:
        settings = self._loaded.settings
        self._tls: Tls = self.app.tls
        if self.age > 1:  # what the arbiter has read may be old by now
            self._tls.renew()
        self._server = DrainingServer(
            self.config,
            AsgiApplication(
                build_application(settings, self._pool),
                startup=self._pool.attach,
                shutdown=self._pool.close,
            ),
            self._pool,
            Limits.of(settings),
            settings.drain_timeout_s,
            self._tls.context,
        )
        self._install_sigquit_handler()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGTTIN, self._pool.resize, 1)
        loop.add_signal_handler(signal.SIGTTOU, self._pool.resize, -1)
        settle()
        # The sockets themselves: uvloop closes Gunicorn's wrappers of them twice.
        await self._server.serve(sockets=[wrapper.sock for wrapper in self.sockets])
        if not self._server.started:
            sys.exit(ScriptError.exit_status)

    def _reload(self) -> None:
        """SIGHUP: the script, and the certificate."""
        self._tls.renew()
        self._pool.swap()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGQUIT, which is how the arbiter passes a Ctrl-C on: drain as for SIGTERM."""
        self._server.should_exit = True

    async def callback_notify(self) -> None:
        """A sign of life for the arbiter, and a look whether there is one."""
        await super().callback_notify()
        if os.getppid() != self.ppid:
            self._server.should_exit = True

    def _cannot_start(self, report: str) -> None:
        self._report = report
        self._server.should_exit = True


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is still to be waited for."""
    if sys.platform != "linux":
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _reap_adopted() -> None:
    """Wait for adopted processes that have ended: Gunicorn before 27 takes each for its own.

    They are those of other groups: scoring processes lead their own.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        while child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if os.getpgid(child.si_pid) == os.getpgrp():
                break
            os.waitpid(child.si_pid, 0)


def _nothing(_signum: int, _frame: Any) -> None:
    """A handler, where the default would end the process."""
