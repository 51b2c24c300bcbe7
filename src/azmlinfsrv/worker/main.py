"""A scoring process: the script in the main thread, one call after another.

Started by the front end with its socket as standard input. Theory of the file: the main
thread alternates between waiting for a frame and running user code; only user code can
be interrupted (`interrupts`), only the main thread receives (`channel`), any thread may
log. The process ends when the socket does, so it never outlives its front end.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
from collections.abc import Iterator
from typing import NoReturn

import msgspec

from azmlinfsrv.errors import Interruption, RequestError, ScoringFailed
from azmlinfsrv.messages import BUFFERS, Buffer, Request, Response
from azmlinfsrv.script.compat import provide_azureml_names
from azmlinfsrv.script.loader import add_import_paths, script_path
from azmlinfsrv.script.location import Surroundings
from azmlinfsrv.script.scorer import ScriptScorer
from azmlinfsrv.telemetry.document import apply_document, find_document, read_document
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import (
    Answer,
    Cancel,
    Credit,
    Failure,
    Formatted,
    Interrupt,
    Ready,
    Score,
    Skipped,
    Start,
    StreamEnd,
    StreamItem,
    StreamStart,
)
from azmlinfsrv.worker.interrupts import Interrupts
from azmlinfsrv.worker.memory import limit_memory
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.output import (
    FrameHandler,
    FrameStream,
    Printer,
    configure_logging,
    has_output,
    keep_server_loggers,
    write_lines_at_once,
)
from azmlinfsrv.worker.parent import die_with
from azmlinfsrv.worker.reporter import Reporter
from azmlinfsrv.worker.startup import LoadedScript, Unusable, start_script, unusable_document

START_FAILED = 3  # the exit status; the front end has the report already

# R4.7 row G, to the letter.
INTERNAL = "An unexpected internal error occurred. Check the logs for more info."

# Bytes of a stream under way to a client that has not taken them yet.
STREAM_WINDOW_BYTES = 256 * 1024

_log = logging.getLogger("azmlinfsrv")
_script_log = logging.getLogger("azmlinfsrv.user_script")
_trace_log = logging.getLogger("azmlinfsrv.trace")


def main(connection: socket.socket | None = None) -> int:
    """Serve one script over *connection*, or the socket on standard input; the exit status."""
    channel = Channel(connection or take_socket())
    try:
        start = channel.receive_start()
        options = msgspec.msgpack.decode(start.options, type=WorkerOptions)
        if not die_with(options.parent_pid):
            raise Closed
        worker = Worker(channel, options)
        try:
            loaded = worker.load(start)
        except Unusable as unusable:
            unusable.tell(channel.send)
            return START_FAILED
        worker.serve(loaded)
    except Closed:
        return 0


def take_socket() -> socket.socket:
    """The socket, moved away from standard input so that the script finds that empty."""
    descriptor = os.dup(0)  # not inherited by the script's own child processes
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return socket.socket(fileno=descriptor)


class Worker:
    """One script and the socket its calls come from."""

    def __init__(self, channel: Channel, options: WorkerOptions) -> None:
        self._channel = channel
        self._options = options
        self._call_id = 0
        self._interrupts = Interrupts(channel)
        self._printer = Printer(sys.stdout)
        self._where = Surroundings(
            script=script_path(options.entry_script, options.app_root),
            app_root=options.app_root,
            source_dir=options.source_dir,
            model_dir=options.model_dir,
        )
        self._reporter = Reporter(options, self._where)

    def load(self, start: Start) -> LoadedScript:
        """Import the script and call ``init()``; once in the life of a process.

        Raises:
            Unusable: it cannot be served; the text is the report.
        """
        self._prepare(start)
        self._start_logging()
        if self._options.debug_port:
            # 100 ms and 20 MB that nobody else needs.
            from azmlinfsrv.worker.debugger import NoDebugger, wait_for_debugger

            try:
                wait_for_debugger(self._options.debug_port, self._say)
            except NoDebugger as error:
                raise Unusable(str(error)) from error
        return start_script(self._options, self._where, self._printer.finish_line)

    def serve(self, loaded: LoadedScript) -> NoReturn:
        """Say that it is ready, then answer calls.

        Raises:
            Closed: the front end has closed the socket; there is no other end.
        """
        scorer = loaded.scorer
        self._limit_memory()  # anew: what init() has mapped is known now
        self._channel.send(Ready(os.getpid()), loaded.facts)
        while True:
            call, body = self._channel.next_call()
            if call.is_ahead and not self._channel.claim():
                self._channel.send(Skipped(call.call_id))
                continue
            self._answer(scorer, call, body)

    # --- start --------------------------------------------------------------------------

    def _prepare(self, start: Start) -> None:
        for name in start.forget:
            os.environ.pop(name, None)
        os.environ.update(start.environment)
        sys.argv = ["azmlinfsrv"]
        if start.path_head:
            sys.path.insert(0, start.path_head)
        provide_azureml_names(self._options.model_dir or None)
        add_import_paths(self._where.script, self._options.app_root, self._options.source_dir)
        self._take_process()

    def _take_process(self) -> None:
        """Make the process the script's: its output, its signals."""
        write_lines_at_once()
        faulthandler.enable()  # a crash in C code says where, on standard error (R8.10)
        self._interrupts.install()
        self._limit_memory()

    def _limit_memory(self) -> None:
        if self._options.memory_bytes:
            limit_memory(self._options.memory_bytes)

    def _start_logging(self) -> None:
        """Logging as the settings and a ``logging.json`` say, and the first records (R6.5)."""
        options = self._options
        is_json = options.log_format == "json"
        handler = FrameHandler(self._channel, lambda: self._call_id, with_extra=is_json)
        configure_logging(handler, options.log_level)
        path = find_document(options.app_root, self._where.script)
        if path:
            stdout, stderr = FrameStream(self._channel, 1), FrameStream(self._channel, 2)
            try:
                apply_document(read_document(path), stdout, stderr)
            except Exception as error:  # it may name anything of theirs
                raise unusable_document(path) from error
            _log.info("Loaded logging config from %s", path)
        else:
            keep_server_loggers()
        self._say("Initializing logger")
        self._printer.install()
        model_dir = options.model_dir
        if model_dir and not os.path.exists(model_dir):
            # Without telemetry nothing else needs it: no word if it is not set (D31).
            _trace_log.warning("Model directory is not set or does not exist: %s", model_dir)

    def _say(self, line: str) -> None:
        """Write a line without a prefix, as R6.4 and R8.1 have it; in JSON a record."""
        if self._options.log_format == "json":
            _log.info("%s", line)
        else:
            self._channel.send(Formatted(1), f"{line}\n".encode())

    # --- calls --------------------------------------------------------------------------

    def _answer(self, scorer: ScriptScorer, call: Score, body: Buffer) -> None:
        self._call_id = call.call_id
        try:
            response = self._score(scorer, call, body)
            if self._options.dev:
                self._reporter.answer(response)
            if isinstance(response.body, BUFFERS):
                self._send_whole(response, response.body)
            else:
                self._send_stream(response, response.body)  # type: ignore[arg-type]  # a plain iterator on this side
        except Interruption as interruption:
            report = self._reporter.interruption(interruption, body)
            self._fail(ScoringFailed(f"interrupted: {interruption.reason}"), report)
        except RequestError as error:
            self._fail(error, self._reporter.failure(error, call, body))
        except Closed:
            raise
        except BaseException as error:  # noqa: BLE001  # ours, not the script's: never lose a call
            self._reporter.exception(error)
            self._fail(ScoringFailed(INTERNAL))
        finally:
            self._call_id = 0

    def _score(self, scorer: ScriptScorer, call: Score, body: Buffer) -> Response:
        request = Request(
            call.method,
            call.path,
            call.query,
            call.headers,
            body,
            call.scheme,
            call.client,
            call.server,
            call.http_version,
            call.request_id,
            call.client_request_id,
        )
        self._interrupts.enter(call.call_id)
        try:
            return scorer.score(request)
        finally:
            self._interrupts.leave()

    def _send_whole(self, response: Response, body: Buffer) -> None:
        self._printer.finish_line()
        self._channel.send(
            Answer(
                self._call_id,
                response.status,
                response.headers,
                response.reason,
                response.timings,
                has_output(),
            ),
            body,
        )

    def _fail(self, error: RequestError, report: bytes = b"") -> None:
        self._printer.finish_line()
        self._channel.send(
            Failure(
                self._call_id, type(error).__name__, error.message, error.location, has_output()
            ),
            report,
        )

    # --- streams ------------------------------------------------------------------------

    def _send_stream(self, response: Response, items: Iterator[bytes]) -> None:
        """Send items as they are produced, no further ahead than the client reads."""
        call_id = self._call_id
        self._channel.send(
            StreamStart(
                call_id, response.status, response.headers, response.reason, response.timings
            )
        )
        complete = False
        try:
            complete = self._send_items(call_id, items)
        except Interruption as interruption:
            self._reporter.interruption(interruption, b"")
        except Closed:
            raise
        except BaseException as error:  # noqa: BLE001  # their generator: anything can come out
            self._reporter.exception(error)
        finally:
            self._close_items(call_id, items)
        self._printer.finish_line()
        self._channel.send(StreamEnd(call_id, complete, has_output()))

    def _send_items(self, call_id: int, items: Iterator[bytes]) -> bool:
        ahead = 0  # bytes sent that the client has not taken
        self._interrupts.credit_bytes = 0
        while True:
            self._interrupts.enter(call_id)
            try:
                item = next(items, None)
            finally:
                self._interrupts.leave()
            if item is None:
                return True
            if not item:
                continue
            self._channel.send(StreamItem(call_id), item)
            ahead += len(item) - self._interrupts.credit_bytes
            self._interrupts.credit_bytes = 0
            while True:
                found = self._channel.next_control(wait=ahead >= STREAM_WINDOW_BYTES)
                if found is None:
                    break
                if isinstance(found, Cancel | Interrupt) and found.call_id == call_id:
                    return False
                if isinstance(found, Credit) and found.call_id == call_id:
                    ahead -= found.body_bytes

    def _close_items(self, call_id: int, items: Iterator[bytes]) -> None:
        close = getattr(items, "close", None)
        if close is None:
            return
        self._interrupts.enter(call_id)
        try:
            close()
        except BaseException as error:  # noqa: BLE001  # their `finally:` block
            self._reporter.exception(error)
        finally:
            self._interrupts.leave()
