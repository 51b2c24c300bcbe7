"""What clients are told while the script on disk cannot be served, and the one before it is."""

from __future__ import annotations

import json

import msgspec

from azmlinfsrv.messages import Response
from azmlinfsrv.pool.interface import FailedReload
from azmlinfsrv.script.report import Report

RELOAD_FAILED = b"x-ms-reload-failed"
_MAX_BYTES = 500
_UNKNOWN = "see the log"


def reload_header(failed: FailedReload) -> tuple[bytes, bytes]:
    """The header: where the script fails, as ``score.py:12 in init``, and no more."""
    place = failed.location or _UNKNOWN
    # A field value is visible characters and blanks (RFC 9110, 5.5); a worker is not trusted.
    text = "".join(each if each.isprintable() else "?" for each in place)
    return RELOAD_FAILED, text.encode("ascii", "backslashreplace")[:_MAX_BYTES]


def reload_response(failed: FailedReload | None) -> Response:
    """For the development mode: everything that is known, as JSON."""
    content = None if failed is None else _content(failed)
    return Response(200, [(b"Content-Type", b"application/json")], json.dumps(content).encode())


def _content(failed: FailedReload) -> dict[str, object]:
    try:
        report = msgspec.msgpack.decode(failed.told, type=Report)
    except msgspec.MsgspecError:  # its process ended without one, or is not to be believed
        report = Report(failed.reason)
    error = {"type": report.error_type, "text": report.error_text} if report.error_type else None
    return {
        "message": failed.reason,
        "location": failed.location,
        "error": error,
        "source": msgspec.to_builtins(report.source),
        "traceback": report.traceback,
        "hint": report.hint,
    }
