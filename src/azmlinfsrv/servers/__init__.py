"""One file a server: how it is configured and started."""

from __future__ import annotations

import socket
from collections.abc import Callable

from azmlinfsrv.collector import resting
from azmlinfsrv.errors import SettingsError
from azmlinfsrv.pool.reloader import MISSING, is_available
from azmlinfsrv.pool.warm_up import read_warm_up
from azmlinfsrv.servers.listening import open_listener
from azmlinfsrv.settings import Loaded, Origin, Settings
from azmlinfsrv.telemetry.metrics import check_available


def check(loaded: Loaded) -> None:
    """Look at what the settings name, before anything is started or said.

    Raises:
        SettingsError: it cannot be used.
    """
    settings = loaded.settings
    if settings.warmup_requests:
        read_warm_up(settings.warmup_requests)
    is_asked = loaded.origins["reload"] not in (Origin(), loaded.origins["dev"])
    if settings.reload and is_asked and not is_available():
        name = loaded.origins["reload"].name
        raise SettingsError([(name, f"Changes of the script cannot be noticed. {MISSING}")])
    if settings.metrics:
        check_available(loaded.origins["metrics"].name)
    if settings.tls_cert or settings.tls_key or settings.tls_client_ca:
        from azmlinfsrv.servers.tls import server_context  # 10 ms that most starts do not need

        server_context(loaded)


def serve(loaded: Loaded) -> int:
    """Serve with the server the settings name, until it is told to stop.

    Returns:
        The exit status.
    Raises:
        AddressUnavailable: the address cannot be listened on.
        SettingsError: the folder for recordings cannot be written to.
    """
    settings = loaded.settings
    if settings.record_dir:
        from azmlinfsrv.telemetry.capture import open_folder

        open_folder(settings.record_dir, loaded.origins["record_dir"].name)
    ports = [settings.port]
    if settings.separate_health_endpoint:
        ports.append(settings.health_port)
    listeners = [open_listener(settings.host, port) for port in ports]
    with resting():
        start = _find_start(settings)
    return start(loaded, listeners)


def _find_start(settings: Settings) -> Callable[[Loaded, list[socket.socket]], int]:
    if settings.in_process:
        from azmlinfsrv.servers import in_process

        return in_process.serve
    if settings.server == "waitress":
        from azmlinfsrv.servers import waitress

        return waitress.serve
    from azmlinfsrv.servers import gunicorn  # not there on Windows

    return gunicorn.serve
