"""What is printed before the server starts: settings and addresses (R1.8, R1.9).

People and scripts read it line by line, so labels and order are contract.
"""

from __future__ import annotations

import re

from azmlinfsrv import __version__
from azmlinfsrv.app.buffers import SMALL_BYTES
from azmlinfsrv.settings import Loaded, health_port, math_threads

_RULE = "-" * 15


def banner(
    loaded: Loaded,
    score_address: str | None = None,
    health_address: str | None = None,
    slots: int | None = None,
) -> str:
    """The whole text, ending in a blank line; print it once and flush.

    Args:
        score_address: ``host:port`` the calls arrive at; as set, unless given.
        health_address: The same for probes.
        slots: Calls one worker scores at once (X12); its threads, unless given.
    """
    host = loaded.settings.host
    score_address = score_address or address(host, loaded.settings.port)
    health_address = health_address or address(host, health_port(loaded))
    lines = []
    if loaded.settings.model_dir is None:
        lines += [
            "The environment variable 'AZUREML_MODEL_DIR' has not been set.",
            "Use the --model_dir command line argument to set it.",
        ]
    lines += loaded.lines
    lines += ["", f"Azure ML Inferencing HTTP server v{__version__}", ""]
    lines += ["", "Server Settings", _RULE]
    lines += (f"{label}: {value}" for label, value in settings_rows(loaded, slots))
    lines += ["", "", "Server Routes", _RULE]
    scheme = "" if loaded.settings.tls_cert is None else "https://"
    lines += [
        f"Liveness Probe: GET   {scheme}{health_address}/",
        f"Score:          POST  {scheme}{score_address}/score",
    ]
    if loaded.settings.dev or loaded.settings.playground:
        # An address that a browser can open: it cannot be at every one at once.
        page = re.sub(r"^(0\.0\.0\.0|\[::\]):", "localhost:", score_address)
        lines.append(f"Playground:     GET   {scheme or 'http://'}{page}/playground")
    lines.append("")
    return "\n".join(lines) + "\n"


def address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settings_rows(loaded: Loaded, slots: int | None = None) -> list[tuple[str, object]]:
    """Label and value of each row: the reference server's twelve, then ours."""
    settings, origins = loaded.settings, loaded.origins
    timeout_s = settings.worker_timeout_s
    cors = settings.cors_origins
    separate: str | None = str(settings.separate_health_endpoint).lower()
    if origins["separate_health_endpoint"].source == "default":
        separate = None
    script = settings.entry_script
    if origins["entry_script"].source == "file":
        script = None  # the row shows what was given beside the file (R1.9)
    rows: list[tuple[str, object]] = [
        ("Entry Script Name", script),
        ("Model Directory", settings.model_dir),
        ("Config File", settings.config_file),
        ("Worker Count", settings.worker_count),
        ("Worker Timeout (seconds)", None if timeout_s is None else f"{timeout_s:.15g}"),
        ("Server Port", settings.port),
        ("Health Port", health_port(loaded)),
        ("Application Insights Enabled", str(settings.app_insights_enabled).lower()),
        (
            "Application Insights Key",
            None if settings.app_insights_key is None else "AppInsights key provided",
        ),
        ("Inferencing HTTP server version", settings.server_version or None),
        (
            "CORS for the specified origins",
            None if cors is None else f"Enabling CORS for {cors}",
        ),
        ("Create dedicated endpoint for health", separate),
        ("Scoring calls at once", settings.worker_count * (slots or settings.threads)),
        ("Threads of BLAS and OpenMP in each worker", math_threads(settings) or "their own choice"),
        (
            "Memory for request bodies (at most)",
            f"{settings.queue_size} waiting x {_mib(min(SMALL_BYTES, settings.max_body_bytes))}, "
            f"{_mib(settings.max_buffered_bytes)} for larger ones "
            f"(each up to {_mib(settings.max_body_bytes)})",
        ),
    ]
    if settings.dev:
        rows.append(("Development mode", "on: failed calls are answered with source code"))
    if settings.reload:
        rows.append(("Reload", "on: the script is loaded anew when it changes"))
    return rows


def _mib(count: int) -> str:
    return f"{count / 1024**2:.3g} MiB"
