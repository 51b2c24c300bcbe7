"""Logging of the server's own processes: which loggers, where to, and how not to wait.

The arbiter and the front end hand lines to a `Sink` for each of their two descriptors. As
long as nobody has configured logging otherwise, the lines that come with every request are
put together and handed over here without a `logging.LogRecord`; with a ``logging.json`` of
the user's they take the ordinary way.

Theory of the file: like `logging` itself, it holds one configuration a process, because a
process has one standard output. It is set by `FrontEndLogs` and by nothing else.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from azmlinfsrv.messages import Request, Response
from azmlinfsrv.telemetry.access import (
    ACCESS_FORMAT,
    RootAccessFilter,
    access_atoms,
    request_text,
)
from azmlinfsrv.telemetry.document import (
    apply_document,
    find_document,
    foreign_names,
    levels_of,
    read_document,
)
from azmlinfsrv.telemetry.formats import Formatter, formatter_for
from azmlinfsrv.telemetry.sink import Sink, SinkStream

ROOT = "azmlinfsrv"
ACCESS = "gunicorn.access"
STDERR = "azmlinfsrv.stderr"
CRITICAL = logging.CRITICAL
ERROR = logging.ERROR
WARNING = logging.WARNING
INFO = logging.INFO

# Records a handler of the user's may be behind, before the front end drops some.
_DEFERRED_RECORDS = 10_000

_ours = logging.getLogger(ROOT)
_access = logging.getLogger(ACCESS)


class SinkHandler(logging.Handler):
    """Hands formatted records to a `Sink`."""

    def __init__(self, sink: Sink, formatter: Formatter) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._sink.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  # a wrong format string must not end a request
            self.handleError(record)


class DeferredHandler(logging.Handler):
    """Leaves a handler of the user's to a thread: files and sockets may be slow."""

    def __init__(self, target: logging.Handler, thread: DeferredThread) -> None:
        super().__init__(target.level)
        self._target = target
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record."""
        self._thread.put(self._target, record)


class DeferredThread:
    """Runs handlers one record after another; drops what it is too far behind with."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._dropped = 0
        self._queue: queue.Queue[tuple[logging.Handler, logging.LogRecord] | None] = queue.Queue(
            _DEFERRED_RECORDS
        )
        self._thread = threading.Thread(target=self._run, name="log handlers", daemon=True)
        self._thread.start()

    def put(self, target: logging.Handler, record: logging.LogRecord) -> None:
        """Queue one record; never blocks."""
        try:
            self._queue.put_nowait((target, record))
        except queue.Full:
            self._dropped += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Handle what is queued, for at most *timeout_s*.

        A handler that stands still keeps its lock, which `logging` would wait for when
        the interpreter ends, and the process with it.
        """
        try:
            self._queue.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)
        except queue.Full:
            pass
        if self._thread.is_alive():
            atexit.unregister(logging.shutdown)

    def _run(self) -> None:
        reported = 0
        while (item := self._queue.get()) is not None:
            target, record = item
            target.handle(record)
            if self._dropped > reported:
                count = self._dropped - reported
                self._say(f"{count} log records were dropped: a handler of logging.json is slow.")
                reported += count


def configure(make_handler: Callable[[int], logging.Handler], level: str) -> None:
    """Set up the server's loggers: ours to stdout, Gunicorn's to stderr (R6.2).

    Args:
        make_handler: Given a file descriptor, the handler that writes there.
        level: Lowest level that is logged.
    """
    try:
        sys.stdout.flush()
    except OSError:
        pass  # nobody reads
    for name, descriptor in ((ROOT, 1), (ACCESS, 1), ("gunicorn.error", 2)):
        logger = logging.getLogger(name)
        logger.handlers = [make_handler(descriptor)]
        logger.propagate = False
        logger.disabled = False
        logger.setLevel(level)
    _access.handlers[0].addFilter(RootAccessFilter())


def silence_uvicorn() -> None:
    """Its words on malformed requests and on streams cut short are for its authors; what
    matters of them is in our own lines."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = []
    logger.propagate = False
    logger.setLevel(logging.CRITICAL)


class ArbiterLogs:
    """Logging of the process that looks after the front end: a stalled reader must keep it
    neither from its signals nor from starting another front end.

    Args:
        log_format: ``text`` or ``json``.
        log_level: Lowest level that is logged.
    """

    def __init__(self, log_format: str, log_level: str = "INFO") -> None:
        formatter = formatter_for(log_format)
        self._sinks = {
            descriptor: Sink(
                descriptor,
                form=lambda text: formatter.line(time.time(), WARNING, os.getpid(), ROOT, text),
            )
            for descriptor in (1, 2)
        }
        configure(lambda descriptor: SinkHandler(self._sinks[descriptor], formatter), log_level)

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is held, and end the threads that do; they start again when needed.

        Call before a fork, too: it is better made by a process with one thread.
        """
        for sink in self._sinks.values():
            sink.close(timeout_s)


class FrontEndLogs:
    """Logging of the process that answers requests: never blocks it.

    Args:
        log_format: ``text`` or ``json``.
        log_level: Lowest level that is logged.
        app_root: Where a ``logging.json`` is looked for; nowhere if empty.
        script: The entry script, beside which it is looked for as well.
    Attributes:
        is_json: Records are written in JSON.
        is_custom: A document of the user's decides about the server's own records.
    """

    def __init__(
        self, log_format: str, log_level: str = "INFO", app_root: str = "", script: str = ""
    ) -> None:
        global _console
        self._formatter = formatter_for(log_format)
        self.is_json = log_format == "json"
        self._level = log_level
        self._pid = os.getpid()
        self._sinks = {
            descriptor: Sink(descriptor, form=lambda text: self._line(WARNING, text))
            for descriptor in (1, 2)
        }
        self._deferred: DeferredThread | None = None
        self.is_custom = False
        self._configure()
        _console = self
        path = find_document(app_root, script) if app_root else ""
        if path:
            self._customise(path)

    def record(
        self,
        name: str,
        level: int,
        text: str,
        pid: int = 0,
        request_id: str = "",
        created_s: float | None = None,
        tail: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a record to standard output in the server's own form, whatever is configured.

        Args:
            pid: Whose it is; 0 for this process.
            created_s: Seconds since the epoch; now, if None.
        """
        now_s = time.time() if created_s is None else created_s
        line = self._formatter.line(
            now_s, level, pid or self._pid, name, text, request_id, tail, extra
        )
        self._sinks[1].write(line + "\n")

    def formatted(self, descriptor: int, text: str) -> None:
        """Write lines as they are."""
        self._sinks[2 if descriptor == 2 else 1].write(text)

    def apply(self, path: str) -> None:
        """Apply a document whole, to a process without a wall; raises what `dictConfig` raises."""
        apply_document(read_document(path), SinkStream(self._sinks[1]), SinkStream(self._sinks[2]))
        self.is_custom = True
        silence_uvicorn()

    def close(self) -> None:
        """Write what is held; a reader that has stalled gets a second, not more."""
        if self._deferred is not None:
            self._deferred.close()
        for sink in self._sinks.values():
            sink.close()

    def _line(self, level: int, text: str) -> str:
        return self._formatter.line(time.time(), level, self._pid, ROOT, text)

    def _configure(self) -> None:
        # A handler of its own for each logger: filters are a handler's.
        configure(
            lambda descriptor: SinkHandler(self._sinks[descriptor], self._formatter), self._level
        )

    def _customise(self, path: str) -> None:
        """Apply the document to the server's own records, as far as that is safe.

        A document that is wrong is reported by the scoring process, which applies it too.
        """
        try:
            document = read_document(path)
            foreign = list(foreign_names(document))
            if foreign:
                apply_document(levels_of(document))
                _ours.info(
                    "%s names %s: it is applied where the script runs. The server's own records "
                    "take their levels from it, but keep their form, since what a script may "
                    "bring along is not loaded where requests are answered.",
                    path,
                    foreign[0],
                )
                return
            apply_document(document, SinkStream(self._sinks[1]), SinkStream(self._sinks[2]))
        except Exception:  # noqa: BLE001  # whatever json and dictConfig say
            self._configure()
            return
        silence_uvicorn()
        self.is_custom = True
        self._defer_handlers()

    def _defer_handlers(self) -> None:
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        for logger in loggers:
            if isinstance(logger, logging.Logger):
                logger.handlers = [self._deferred_handler(each) for each in logger.handlers]

    def _deferred_handler(self, handler: logging.Handler) -> logging.Handler:
        stream = getattr(handler, "stream", None)
        if isinstance(handler, SinkHandler | DeferredHandler) or isinstance(stream, SinkStream):
            return handler
        if self._deferred is None:
            self._deferred = DeferredThread(lambda text: self.record(ROOT, WARNING, text))
        return DeferredHandler(handler, self._deferred)


ApplyDocument = Callable[[str], None]

# Set by the front end; None in every other process, and in tests of the parts.
_console: FrontEndLogs | None = None


def relay(
    name: str,
    level: int,
    text: str,
    pid: int,
    request_id: str,
    created_s: float | None = None,
    tail: str = "",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a record that a scoring process decided to write.

    Its levels, filters and handlers were asked there; here it is only written.
    """
    if _console is None:
        _handle(name, level, text, pid, request_id, created_s, tail, extra)
    else:
        _console.record(name, level, text, pid, request_id, created_s, tail, extra)


def captured(name: str, text: str, pid: int, request_id: str) -> None:
    """Log a line that a scoring process wrote to its standard output or error.

    Nobody said how important it is. It counts as INFO; but standard error is where a
    library says its last words, so the level does not hide that.
    """
    if name != STDERR and not logging.getLogger(name).isEnabledFor(INFO):
        return
    if _console is None or _console.is_custom:
        _handle(name, INFO, text, pid, request_id)
    else:
        _console.record(name, INFO, text, pid, request_id)


def formatted(descriptor: int, text: str) -> None:
    """Write lines that a handler of the user's has formatted, as they are."""
    if _console is not None:
        _console.formatted(descriptor, text)
    else:
        stream = sys.stderr if descriptor == 2 else sys.stdout
        stream.write(text)
        stream.flush()


def error(text: str, request_id: str) -> None:
    """Log an error of this process that concerns one request."""
    _handle(ROOT, ERROR, text, os.getpid(), request_id)


def note(text: str, request_id: str) -> None:
    """Log what happened to one request and is nobody's error."""
    if _ours.isEnabledFor(INFO):
        _handle(ROOT, INFO, text, os.getpid(), request_id)


def report(text: str, level: int = ERROR) -> None:
    """Say why the script cannot be served; no configuration can hide that."""
    if _console is None or (_ours.isEnabledFor(level) and _ours.hasHandlers()):
        _ours.log(level, "%s", text)
    else:
        _console.record(ROOT, level, text)


def request_line(
    request: Request, status: int, seconds: float, length: int | None, request_id: str
) -> None:
    """The one line a request (R6.6); *length* is None for a stream."""
    if not _ours.isEnabledFor(INFO):
        return
    text = request_text(request.method, request.path, request.query, status, seconds, length)
    if _console is None or _console.is_custom:
        _handle(ROOT, INFO, text, os.getpid(), "")
    elif not _console.is_json:
        _console.record(ROOT, INFO, text)
    else:
        fields = {
            "method": request.method,
            "path": request.path,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "bytes": length,
        }
        _console.record(ROOT, INFO, text, 0, request_id, None, "", fields)


def access_line(request: Request, response: Response, seconds: float) -> None:
    """A line in the common access log format, for whatever was asked."""
    if not _access.isEnabledFor(INFO):
        return
    atoms = access_atoms(request, response, seconds, time.time())
    record = logging.LogRecord(ACCESS, INFO, "", 0, ACCESS_FORMAT, (atoms,), None)
    _access.handle(record)


def _handle(
    name: str,
    level: int,
    text: str,
    pid: int,
    request_id: str,
    created_s: float | None = None,
    tail: str = "",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """The ordinary way of a record, through whatever handlers there are."""
    record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    record.process = pid
    record.request_id = request_id
    record.exc_text = tail or None
    for key, value in (extra or {}).items():
        record.__dict__.setdefault(key, value)
    if created_s is not None:
        record.created = created_s
        record.msecs = (created_s - int(created_s)) * 1000
    logger = logging.getLogger(name)
    (logger if name == ROOT or name.startswith(ROOT + ".") else _ours).handle(record)
