"""The WSGI environment of a request: what Flask's request is made of in a worker."""

from __future__ import annotations

import sys
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import quote

from azmlinfsrv.messages import Request


def environ_of(request: Request) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of *request*."""
    server, _, port = request.server.rpartition(":")
    query = request.query.decode("latin-1")
    target = "/score" if request.path == "/score" else quote(request.path)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # WSGI's text is bytes in disguise (PEP 3333, "Unicode issues").
        "PATH_INFO": request.path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{target}?{query}" if query else target,
        "SERVER_NAME": server.strip("[]") or "localhost",
        "SERVER_PORT": port or ("443" if request.scheme == "https" else "80"),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "SERVER_SOFTWARE": "azmlinfsrv",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(request.body),  # shares the memory of bytes
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if request.client:
        environ["REMOTE_ADDR"] = request.client
    for raw_name, raw_value in request.headers:
        key = _environ_key(raw_name)
        if not key:
            continue
        value = raw_value.decode("latin-1")
        if key not in environ:
            environ[key] = value
        elif key != "CONTENT_LENGTH" and key != "CONTENT_TYPE":
            # RFC 9110, 5.3; cookies have a separator of their own (RFC 6265, 4.2.1).
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value
    if request.body and "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    return environ


@lru_cache(maxsize=512)
def _environ_key(name: bytes) -> str:
    """The WSGI name of a header; empty for ``a_b``, which would pass for ``a-b`` (R3.11)."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
