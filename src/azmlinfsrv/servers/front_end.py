"""The pieces of a front end, put together from the settings; the same for every server."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from azmlinfsrv.app.application import Application, Policy
from azmlinfsrv.pool.fleet import Policy as FleetPolicy
from azmlinfsrv.pool.interface import Pool
from azmlinfsrv.pool.loopback import LoopbackInterpreters
from azmlinfsrv.pool.preloaded import Preloaded
from azmlinfsrv.pool.process_groups import ProcessGroups
from azmlinfsrv.pool.process_pool import Policy as CallPolicy
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.pool.reloader import Reloader
from azmlinfsrv.pool.spawn import FreshInterpreters, Spawner
from azmlinfsrv.pool.warm_up import read_warm_up
from azmlinfsrv.pool.watched_files import WatchedFiles
from azmlinfsrv.script.loader import script_path
from azmlinfsrv.settings import (
    Loaded,
    Settings,
    environment,
    removed_variables,
    script_environment,
    worker_environment,
)
from azmlinfsrv.telemetry.logs import FrontEndLogs
from azmlinfsrv.telemetry.metrics import Batches
from azmlinfsrv.worker.frames import Start
from azmlinfsrv.worker.options import WorkerOptions

if TYPE_CHECKING:
    from azmlinfsrv.telemetry.capture import Capture  # 10 ms that most servers do not need

_log = logging.getLogger("azmlinfsrv")


def build_pool(
    loaded: Loaded,
    cannot_start: Callable[[str], None],
    make_spawner: Callable[[], Spawner] | None = None,
    groups: ProcessGroups | None = None,
) -> ProcessPool:
    """The pool the settings ask for; nothing is started yet.

    Call in the process that will be the parent of the scoring processes.

    Args:
        groups: Where these are known to a process that outlives this one, if any.
    """
    settings = loaded.settings
    options = WorkerOptions.of(settings, os.getpid(), has_colour=_has_colour())
    start = Start(
        environment=script_environment(loaded),
        forget=list(removed_variables(environment())),
        path_head=_path_head(),
        options=msgspec.msgpack.encode(options),
    )
    if settings.worker_memory_limit and (settings.in_process or sys.platform != "linux"):
        _log.warning("--worker_memory_limit is ignored: it needs Linux, and workers of their own.")
    jitter = settings.max_requests_jitter
    return ProcessPool(
        start=start,
        policy=CallPolicy(
            queue_size=settings.queue_size,
            max_concurrency=settings.max_concurrency,
            grace_s=settings.interrupt_grace_s,
            cancel_running=settings.cancel_running,
            # Whoever mends a script sends the same request until it works.
            has_quarantine=settings.quarantine and not settings.dev,
            waits_for_reports=settings.dev,
        ),
        fleet_policy=FleetPolicy(
            worker_count=settings.worker_count,
            max_requests=settings.max_requests,
            max_requests_jitter=settings.max_requests // 10 if jitter is None else jitter,
            memory_bytes=0 if settings.in_process else settings.worker_memory_limit,
            warm_up=read_warm_up(settings.warmup_requests) if settings.warmup_requests else (),
            is_fixed=settings.in_process,
        ),
        cannot_start=cannot_start,
        make_spawner=make_spawner or functools.partial(_spawner, settings, start, groups),
        reloader=_reloader(settings) if settings.reload else None,
        batches=Batches() if settings.metrics else None,
    )


def _reloader(settings: Settings) -> Reloader:
    script = script_path(settings.entry_script, settings.app_root)
    return Reloader(WatchedFiles(script, settings.source_dir or "", settings.model_dir or ""))


def _has_colour() -> bool:
    """Whether standard output is a terminal that wants colours (https://no-color.org)."""
    variables = environment()
    if variables.get("NO_COLOR") or variables.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def _spawner(settings: Settings, start: Start, groups: ProcessGroups | None) -> Spawner:
    if settings.debug_port and settings.worker_count > 1:
        _log.warning(
            "A debugger is configured, and only one of the %d scoring processes stops at "
            "breakpoints. Use --worker_count 1.",
            settings.worker_count,
        )
    if not settings.worker_preload:
        return _fresh(groups)
    if not hasattr(os, "fork"):
        _log.warning("WORKER_PRELOAD is ignored: this platform cannot fork processes.")
        return _fresh(groups)
    if settings.debug_port:
        _log.warning("WORKER_PRELOAD is ignored while a debugger is configured: it cannot follow.")
        return _fresh(groups)
    return Preloaded(start, worker_environment(environment()), groups)


def _fresh(groups: ProcessGroups | None) -> Spawner:
    variables = worker_environment(environment())
    if sys.platform == "win32":
        return LoopbackInterpreters(variables)
    return FreshInterpreters(environment=variables, groups=groups)


def build_logs(settings: Settings) -> FrontEndLogs:
    """Logging of the front end; call in its own process, before anything is logged there."""
    return FrontEndLogs(
        settings.log_format,
        settings.log_level,
        settings.app_root,
        script_path(settings.entry_script, settings.app_root),
    )


def build_application(settings: Settings, pool: Pool) -> Application:
    """The application over a pool."""
    return Application(
        pool,
        Policy(
            max_body_bytes=settings.max_body_bytes,
            max_buffered_bytes=settings.max_buffered_bytes,
            limit_s=call_limit_s(settings),
            server_version=settings.server_version,
            cors_origins=settings.cors_origins or "",
            health_port=settings.health_port if settings.separate_health_endpoint else 0,
            has_access_log=settings.access_log,
            auth_keys=settings.auth_keys,
            dev=settings.dev,
            reload=settings.reload,
            playground=script_path(settings.entry_script, settings.app_root)
            if settings.dev or settings.playground
            else "",
            metrics=settings.metrics,
        ),
        build_capture(settings),
    )


def build_capture(settings: Settings) -> Capture | None:
    """Where exchanges are kept, if anywhere; the folder is there (`open_folder`)."""
    if not settings.record_dir:
        return None
    from azmlinfsrv.telemetry.capture import Capture
    from azmlinfsrv.telemetry.redaction import names_in

    _log.info("Recording requests and answers in %s", settings.record_dir)
    return Capture(
        settings.record_dir,
        settings.record_sample_rate,
        settings.record_max_bytes,
        names_in(settings.record_redact),
    )


def call_limit_s(settings: Settings) -> float:
    """Seconds a call may take, 0.0 for no limit.

    ``WORKER_TIMEOUT`` caps it only if it was set (section 0, R3.42). With a debugger
    there is none: a call may stand at a breakpoint.
    """
    if settings.debug_port:
        return 0.0
    limits = [settings.scoring_timeout_ms / 1000]
    if settings.worker_timeout_s is not None:
        limits.append(settings.worker_timeout_s)
    return min((limit for limit in limits if limit > 0), default=0.0)


def _path_head() -> str:
    """First in the script's ``sys.path``: the current directory under ``python -m`` (R1.1)."""
    return os.getcwd() if getattr(sys.modules["__main__"], "__spec__", None) else ""
