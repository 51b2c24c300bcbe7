"""The two lines a request may have: the server's own (R6.6), and an access log line.

Everything in them that a client chose is escaped, so that no request can end a line or
write another one.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from azmlinfsrv.messages import BUFFERS, Request, Response
from azmlinfsrv.telemetry.formats import escape

HEALTH_PATHS = frozenset({"/", "/health/live", "/health/ready"})
# Gunicorn's own format, by its own names.
ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
# The request line is the first thing in quotes; what the client chose comes later (D46).
_REQUEST_LINE = re.compile(r'[^"]*"(\S+) (\S+)(?: HTTP/[\d.]+)?"')
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"  # RFC 3986, 3.3; the others it has are never quoted
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class RootAccessFilter(logging.Filter):
    """Drops the access records of health probes, told by method and path alone (R6.7).

    Knows the records of Gunicorn (a mapping), of uvicorn (a tuple), and any line whose
    first quoted part is the request line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        method, path = _method_and_path(record)
        return method not in ("GET", "HEAD") or path.partition("?")[0] not in HEALTH_PATHS


def _method_and_path(record: logging.LogRecord) -> tuple[str, str]:
    arguments: Any = record.args
    if isinstance(arguments, Mapping) and "m" in arguments and "U" in arguments:
        return str(arguments["m"]), str(arguments["U"])
    if isinstance(arguments, tuple) and len(arguments) == 5:
        return str(arguments[1]), str(arguments[2])
    match = _REQUEST_LINE.match(record.getMessage())
    return (match.group(1), match.group(2)) if match else ("", "")


def request_text(
    method: str, path: str, query: bytes, status: int, seconds: float, length: int | None
) -> str:
    """``POST /score 200 0.867ms 20`` (R6.6); *length* is None for a stream."""
    target = escape(f"{path}?{query.decode('latin-1')}") if query else path
    return (
        f"{method} {target} {status} {seconds * 1000:.3f}ms {'N/A' if length is None else length}"
    )


def access_atoms(
    request: Request, response: Response, seconds: float, now_s: float
) -> dict[str, str]:
    """What Gunicorn calls the parts of an access line, by its names.

    Args:
        seconds: How long the answer took.
        now_s: Seconds since the epoch.
    """
    path = quote(request.path, safe=_PATH_CHARACTERS)
    query = _quoted(request.query.decode("latin-1"))
    method = _quoted(request.method)
    protocol = f"HTTP/{request.http_version}"
    body = response.body
    size = str(len(body)) if isinstance(body, BUFFERS) else "-"
    return {
        "h": _quoted(request.client) or "-",
        "l": "-",
        "u": "-",
        "t": _clf_time(now_s),
        "r": f"{method} {path}?{query} {protocol}" if query else f"{method} {path} {protocol}",
        "m": method,
        "U": path,
        "q": query,
        "H": protocol,
        "s": str(response.status),
        "b": size,
        "B": size.replace("-", "0"),
        "f": _quoted(_header(request, b"referer")) or "-",
        "a": _quoted(_header(request, b"user-agent")) or "-",
        "D": str(int(seconds * 1e6)),
        "M": str(int(seconds * 1e3)),
        "L": f"{seconds:.6f}",
    }


def _header(request: Request, name: bytes) -> str:
    return (request.header(name) or b"").decode("latin-1")


def _quoted(text: str) -> str:
    """Safe between quotes: neither ends them nor the line."""
    if not text.isprintable() or '"' in text or "\\" in text:
        text = escape(text.replace("\\", "\\\\").replace('"', '\\"'))
    return text


def _clf_time(now_s: float) -> str:
    """``[31/Jan/2026:08:05:10 +0000]``, whatever the locale says months are called."""
    now = time.gmtime(now_s)
    clock = f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d}"
    return f"[{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}:{clock} +0000]"
