"""Log lines: their form (R6.1), their loggers (R6.2), and the one line a request (R6.6)."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from azmlinfsrv.telemetry.sink import Sink

ROOT = "azmlinfsrv"
ERROR = logging.ERROR
_LEVEL_LETTERS = {10: "D", 20: "I", 30: "W", 40: "E", 50: "C"}


class LineFormatter(logging.Formatter):
    """``2026-01-31 08:05:09,123 I [4711] azmlinfsrv - text``, UTC (R6.1).

    A record that belongs to a request carries its id behind the text.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        text = super().format(record)  # the message and its traceback, by the default "%(message)s"
        request_id = getattr(record, "request_id", "")
        suffix = f" (request {request_id})" if request_id else ""
        return (
            f"{self.stamp(record.created)} {record.levelname[:1]} [{record.process}] "
            f"{record.name} - {text}{suffix}"
        )

    def stamp(self, created_s: float) -> str:
        """Time of day with milliseconds; the text of a second is made once."""
        second = int(created_s)
        if second != self._second:
            self._second_text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._second_text},{int((created_s - second) * 1000):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, pid, logger, message, request_id."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "pid": record.process,
            "logger": record.name,
            "message": super().format(record),
        }
        if request_id := getattr(record, "request_id", ""):
            entry["request_id"] = request_id
        return msgspec.json.encode(entry).decode()


class SinkHandler(logging.Handler):
    """Hands formatted records to a `Sink`."""

    def __init__(self, sink: Sink, formatter: logging.Formatter) -> None:
        super().__init__()
        self.sink = sink
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self.sink.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  # a wrong format string must not end a request
            self.handleError(record)


class DirectHandler(logging.Handler):
    """Writes records at once; for the processes that hold no request (the arbiter)."""

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            os.write(self._descriptor, (self.format(record) + "\n").encode("utf-8", "replace"))
        except OSError:
            pass  # nobody reads


def formatter_for(log_format: str) -> logging.Formatter:
    """The formatter the setting ``log_format`` names: ``text`` or ``json``."""
    return JsonFormatter() if log_format == "json" else LineFormatter()


def configure(make_handler: Callable[[int], logging.Handler]) -> None:
    """Set up the server's loggers: ours to stdout, Gunicorn's to stderr (R6.2).

    Args:
        make_handler: Given a file descriptor, the handler that writes there.
    """
    sys.stdout.flush()
    for name, descriptor in ((ROOT, 1), ("gunicorn.access", 1), ("gunicorn.error", 2)):
        logger = logging.getLogger(name)
        logger.handlers = [make_handler(descriptor)]
        logger.propagate = False
        logger.setLevel(logging.INFO)


def silence_uvicorn() -> None:
    """Its words on malformed requests and on streams cut short are for its authors; what
    matters of them is in our own lines."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = []
    logger.propagate = False
    logger.setLevel(logging.CRITICAL)


def configure_direct(log_format: str) -> None:
    """Logging of the launcher and the arbiter."""
    formatter = formatter_for(log_format)
    configure(lambda descriptor: DirectHandler(descriptor, formatter))


class FrontEndLogs:
    """Logging of the process that answers requests: never blocks it."""

    def __init__(self, log_format: str) -> None:
        formatter = formatter_for(log_format)
        self._sinks: list[Sink] = []

        def make_handler(descriptor: int) -> logging.Handler:
            self._sinks.append(Sink(descriptor))
            return SinkHandler(self._sinks[-1], formatter)

        configure(make_handler)
        self._handler = logging.getLogger(ROOT).handlers[0]

    def close(self) -> None:
        """Write what is held; a reader that has stalled gets a second, not more."""
        for sink in self._sinks:
            sink.close()


def relay(
    name: str, level: int, text: str, pid: int, request_id: str, created_s: float | None = None
) -> None:
    """Write a record that came from a scoring process."""
    logger = logging.getLogger(name)
    ours = logging.getLogger(ROOT)
    record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    record.process = pid
    record.request_id = request_id
    if created_s is not None:
        record.created = created_s
        record.msecs = (created_s - int(created_s)) * 1000
    (logger if name == ROOT or name.startswith(ROOT + ".") else ours).handle(record)


def request_line(
    method: str, path: str, query: bytes, status: int, seconds: float, length: int | None
) -> None:
    """The one line a request (R6.6); *length* is None for a stream."""
    target = f"{path}?{query.decode('latin-1')}" if query else path
    size = "N/A" if length is None else length
    logging.getLogger(ROOT).info(f"{method} {target} {status} {seconds * 1000:.3f}ms {size}")
