"""The worker without a wall: it shares its process, and so its loggers, with the front end."""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
from collections.abc import Callable

from azmlinfsrv.telemetry.document import find_document
from azmlinfsrv.worker.channel import Channel
from azmlinfsrv.worker.main import Worker
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.output import FrameHandler, RootHandler
from azmlinfsrv.worker.startup import unusable_document


class InProcessWorker(Worker):
    """Runs the script in the main thread of the server's own process.

    Args:
        apply_document: Applies a ``logging.json`` to this process; raises whatever it raises.
    """

    def __init__(
        self, channel: Channel, options: WorkerOptions, apply_document: Callable[[str], None]
    ) -> None:
        super().__init__(channel, options)
        self._apply_document = apply_document

    def _take_process(self) -> None:
        """The terminal and Ctrl-C stay what they are: this is the server's process."""
        faulthandler.enable()
        self._interrupts.install()

    def _start_logging(self) -> None:
        options = self._options
        path = find_document(options.app_root, self._where.script)
        if path:
            try:
                self._apply_document(path)
            except Exception as error:  # it may name anything of theirs
                raise unusable_document(path) from error
            logging.getLogger("azmlinfsrv").info("Loaded logging config from %s", path)
        else:
            is_json = options.log_format == "json"
            frames = FrameHandler(self._channel, self._current_call, with_extra=is_json)
            ours = logging.getLogger("azmlinfsrv")
            handler = _ScriptsOwn(frames, ours.handlers[0])
            ours.handlers = [handler]
            RootHandler(handler).install(options.log_level)
        self._say("Initializing logger")
        # Somebody at a terminal may step through the script: what it prints is for them.
        if not (sys.stdin and sys.stdin.isatty()):
            self._printer.install()


class _ScriptsOwn(logging.Handler):
    """Tells records of the script's thread from the server's own, by their thread."""

    def __init__(self, scripts: logging.Handler, others: logging.Handler) -> None:
        super().__init__(logging.NOTSET)
        self._scripts = scripts
        self._others = others

    def emit(self, record: logging.LogRecord) -> None:
        is_scripts = threading.current_thread() is threading.main_thread()
        (self._scripts if is_scripts else self._others).emit(record)


def take_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """Call *stop* at the first signal that ends a server; a second Ctrl-C ends it at once.

    SIGHUP calls *reload*; the signals for more and fewer workers mean nothing here.
    """

    def on_signal(number: int, _frame: object) -> None:
        stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK"):
        if (known := getattr(signal, name, None)) is not None:
            signal.signal(known, on_signal)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, lambda _number, _frame: reload())
        for known in (signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(known, signal.SIG_IGN)
