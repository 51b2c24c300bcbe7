"""What a script prints becomes log records (R6.4).

``print`` is replaced by a function that makes a record ``azmlinfsrv.print`` of every
line, tagged with its request. All else that reaches file descriptors 1 and 2
(``sys.stdout.write``, C code, subprocesses) goes through two pipes; the front end reads
them a line at a time. ``logging`` works as Python documents it (D14): a record that no
handler of the script's takes goes to the front end as it is.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from azmlinfsrv.telemetry.formats import extra_of, split_text
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import Formatted, Record

PRINT_LOGGER = "azmlinfsrv.print"


class FrameHandler(logging.Handler):
    """Sends records to the front end, which formats and writes them.

    Args:
        channel: To the front end.
        current_call: The id of the call at hand, 0 between calls.
        with_extra: Whether the log format shows what is passed with ``extra={...}``.
    """

    def __init__(
        self, channel: Channel, current_call: Callable[[], int], *, with_extra: bool = False
    ) -> None:
        super().__init__(logging.NOTSET)
        self._channel = channel
        self._current_call = current_call
        self._with_extra = with_extra

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            text, tail = split_text(record)
        except Exception:  # noqa: BLE001  # a wrong format string is the script's, as in logging itself
            self.handleError(record)
            return
        text = getattr(record, "painted", text)  # for a terminal (`azmlinfsrv.worker.reporter`)
        tail_bytes = tail.encode("utf-8", "backslashreplace")
        header = Record(
            self._current_call(),
            record.name,
            record.levelno,
            record.created,
            len(tail_bytes),
            extra_of(record) if self._with_extra else None,
        )
        try:
            self._channel.send(header, text.encode("utf-8", "backslashreplace") + tail_bytes)
        except Closed:
            pass


class FrameStream:
    """Standard output or error for the handlers of a ``logging.json``.

    What they write is formatted already: the front end passes it on as it is. The pipes
    would make each line a record once more.
    """

    def __init__(self, channel: Channel, descriptor: int) -> None:
        self._channel = channel
        self._header = Formatted(descriptor)

    def write(self, text: str) -> int:
        """Send one formatted record with its end."""
        try:
            self._channel.send(self._header, text.encode("utf-8", "backslashreplace"))
        except Closed:
            pass
        return len(text)

    def flush(self) -> None:
        """A frame is sent at once."""


class RootHandler(logging.Handler):
    """Stands on the root logger until the script configures logging itself (X2).

    It takes a record only if no other handler does, so nothing is doubled; an explicit
    ``basicConfig()`` finds the root logger as Python would have left it, so nothing is
    silenced.
    """

    def __init__(self, target: logging.Handler) -> None:
        super().__init__(logging.NOTSET)
        self._target = target

    def install(self, level: str) -> None:
        """Take the root logger's records from *level* on."""
        root = logging.getLogger()
        root.setLevel(level)
        root.addHandler(self)
        configure = logging.basicConfig

        @functools.wraps(configure)
        def basic_config(**options: Any) -> None:
            root.removeHandler(self)
            configure(**options)

        logging.basicConfig = basic_config

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record that nobody else takes."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(self._is_taken(record, handler) for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        self._target.emit(record)

    def _is_taken(self, record: logging.LogRecord, handler: logging.Handler) -> bool:
        # Libraries put a NullHandler on their loggers; it takes nothing.
        return (
            handler is not self
            and record.levelno >= handler.level
            and not isinstance(handler, logging.NullHandler)
        )


class _ServerLogger(logging.Logger):
    """One of ours: a `dictConfig` of the script's disables every logger it does not name,
    and would silence ``print`` and the reports of its own errors with them."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass


def configure_logging(handler: logging.Handler, level: str) -> None:
    """Send the server's and the script's records to *handler*, from *level* on."""
    ours = logging.getLogger("azmlinfsrv")
    ours.handlers = [handler]
    ours.propagate = False
    ours.setLevel(level)
    RootHandler(handler).install(level)


def keep_server_loggers() -> None:
    """From here on no ``dictConfig`` of the script's can disable what the server says."""
    for name in ("azmlinfsrv", PRINT_LOGGER, "azmlinfsrv.user_script"):
        logging.getLogger(name).__class__ = _ServerLogger


class _Partial(threading.local):
    """A line that a thread has begun."""

    text = ""


class Printer:
    """Stands in for ``print``: a record a line."""

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout
        self._print = builtins.print
        self._logger = logging.getLogger(PRINT_LOGGER)
        self._partial = _Partial()

    def install(self) -> None:
        """Replace ``print`` for the whole process."""
        builtins.print = self

    def __call__(
        self,
        *values: object,
        sep: str | None = None,
        end: str | None = None,
        file: Any = None,
        flush: bool = False,
    ) -> None:
        """Print; what goes elsewhere than to standard output is left to the real one."""
        if (file is None and sys.stdout is not self._stdout) or (
            file is not None and file is not self._stdout
        ):
            self._print(*values, sep=sep, end=end, file=file, flush=flush)
            return
        for name, text in (("sep", sep), ("end", end)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} must be None or a string, not {type(text).__name__}")
        text = (" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end)
        self._emit(text)

    def finish_line(self) -> None:
        """What was printed without a line end is a line when the call is over."""
        partial = self._partial.text
        if partial:
            self._partial.text = ""
            self._logger.info("%s", partial)
        if sys.stdout is not self._stdout:
            self._flush_theirs()

    def _flush_theirs(self) -> None:
        """A script that wraps ``sys.stdout``, for its encoding say, rarely flushes it."""
        try:
            sys.stdout.flush()
        except Exception:  # noqa: BLE001  # theirs may be None, closed, or anything
            pass

    def _emit(self, text: str) -> None:
        text = self._partial.text + text
        *lines, self._partial.text = text.split("\n")
        for line in lines:
            self._logger.info("%s", line)


def write_lines_at_once() -> None:
    """Flush what C code prints at every line end, so that it is logged with its request.

    C streams are block-buffered when they do not lead to a terminal; Python's own are
    set here as well.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # text streams at start
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        line_buffered = 1  # _IOLBF of glibc and musl
        for name in ("stdout", "stderr"):
            libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, line_buffered, 0)


if sys.platform == "win32":

    def has_output() -> bool:
        """Nobody can tell here; the front end's readers are threads that do not wait."""
        return False

else:
    from fcntl import ioctl
    from termios import FIONREAD

    _NOTHING = bytes(4)  # an int of C

    def has_output() -> bool:
        """Whether the pipes on 1 and 2 hold bytes that the front end has not read yet."""
        try:
            return (
                ioctl(1, FIONREAD, _NOTHING) != _NOTHING or ioctl(2, FIONREAD, _NOTHING) != _NOTHING
            )
        except OSError:  # the script closed or replaced one
            return True
