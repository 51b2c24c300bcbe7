"""A scoring process: the script in the main thread, one call, or one batch, after another.

With ``--threads`` or an ``async def run`` calls are computed side by side, in `threads` and
`async_calls`; what is sent for a call is in `answers`.

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
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import msgspec

from azmlinfsrv.messages import BUFFERS, Buffer, Response
from azmlinfsrv.script.compat import provide_azureml_names
from azmlinfsrv.script.loader import add_import_paths, script_path
from azmlinfsrv.script.location import Surroundings
from azmlinfsrv.script.scorer import ScriptScorer
from azmlinfsrv.telemetry.document import apply_document, find_document, read_document
from azmlinfsrv.worker import quick_json
from azmlinfsrv.worker.answers import (
    CURRENT_CALL,
    STREAM_WINDOW_BYTES,
    Answers,
    request_of,
)
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import (
    Cancel,
    Credit,
    Formatted,
    Interrupt,
    Ready,
    Score,
    Skipped,
    Start,
)
from azmlinfsrv.worker.interrupts import Interrupts
from azmlinfsrv.worker.memory import limit_memory
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.output import (
    FrameHandler,
    FrameStream,
    Printer,
    configure_logging,
    keep_server_loggers,
    write_lines_at_once,
)
from azmlinfsrv.worker.parent import die_with
from azmlinfsrv.worker.reporter import Reporter
from azmlinfsrv.worker.startup import LoadedScript, Unusable, start_script, unusable_document

START_FAILED = 3  # the exit status; the front end has the report already

# Calls of an ``async def run`` at once, unless ``--max_concurrency`` says otherwise.
DEFAULT_CONCURRENCY = 100

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
        self._answers = Answers(channel, self._printer, Reporter(options, self._where))

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
        scorer, batch = loaded.scorer, loaded.batch
        self._limit_memory()  # anew: what init() has mapped is known now
        slots = self._slots(loaded)
        ready = Ready(os.getpid(), slots, batch.max_size, batch.max_wait_s)
        self._channel.send(ready, loaded.facts)
        if slots > 1:
            self._serve_several(scorer, slots)
        while True:
            call, body = self._channel.next_call()
            if call.is_ahead and not self._channel.claim():
                self._channel.send(Skipped(call.call_id))
                continue
            if batch.max_size > 1:
                more = [self._channel.next_call() for _ in range(call.more_in_batch)]
                self._answer_batch(scorer, [(call, body), *more])
            else:
                self._answer(scorer, call, body)

    def _slots(self, loaded: LoadedScript) -> int:
        """How many calls are computed at once."""
        if loaded.batch.max_size > 1:
            return 1
        if loaded.scorer.is_concurrent:
            return self._options.max_concurrency or DEFAULT_CONCURRENCY
        return self._options.threads

    def _serve_several(self, scorer: ScriptScorer, slots: int) -> NoReturn:
        # 15 ms that a script which computes one call at a time does not need.
        if scorer.is_concurrent:
            from azmlinfsrv.worker.async_calls import AsyncCalls

            AsyncCalls(self._channel, self._answers, scorer).serve(scorer.event_loop())
        from azmlinfsrv.worker.threads import ThreadedCalls

        ThreadedCalls(self._channel, self._answers, scorer, slots).serve()

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
        if self._options.quick_json:
            quick_json.install()

    def _limit_memory(self) -> None:
        if self._options.memory_bytes:
            limit_memory(self._options.memory_bytes)

    def _start_logging(self) -> None:
        """Logging as the settings and a ``logging.json`` say, and the first records (R6.5)."""
        options = self._options
        is_json = options.log_format == "json"
        handler = FrameHandler(self._channel, self._current_call, with_extra=is_json)
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

    def _current_call(self) -> int:
        return self._call_id or CURRENT_CALL.get()

    def _say(self, line: str) -> None:
        """Write a line without a prefix, as R6.4 and R8.1 have it; in JSON a record."""
        if self._options.log_format == "json":
            _log.info("%s", line)
        else:
            self._channel.send(Formatted(1), f"{line}\n".encode())

    # --- calls --------------------------------------------------------------------------

    def _answer(self, scorer: ScriptScorer, call: Score, body: Buffer) -> None:
        self._call_id = call_id = call.call_id
        try:
            self._interrupts.enter(call_id)
            try:
                response = scorer.score(request_of(call, body))
            finally:
                self._interrupts.leave()
            if isinstance(response.body, BUFFERS):
                self._answers.whole(call_id, response, response.body)
            else:
                self._answers.stream(
                    call_id,
                    response,
                    response.body,  # type: ignore[arg-type]  # a plain iterator on this side
                    _StreamWindow(self._channel, self._interrupts, call_id),
                    partial(self._interrupts.user_code, call_id),
                )
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            self._answers.failed(call, body, error)
        finally:
            self._call_id = 0

    def _answer_batch(self, scorer: ScriptScorer, calls: list[tuple[Score, Buffer]]) -> None:
        """Answer several calls with one call of ``run()``."""
        self._call_id = first_id = calls[0][0].call_id
        outcomes: Sequence[Response | BaseException]
        try:
            with self._interrupts.user_code(first_id):
                outcomes = scorer.score_many([request_of(call, body) for call, body in calls])
        except BaseException as error:  # noqa: BLE001  # theirs, or `Closed`
            outcomes = [error] * len(calls)
        told: set[int] = set()
        for (call, body), outcome in zip(calls, outcomes, strict=True):
            self._call_id = call.call_id
            if isinstance(outcome, BaseException):
                # What fails all of them is reported once.
                self._answers.failed(call, body, outcome, is_told=id(outcome) in told)
                told.add(id(outcome))
            else:
                self._answers.whole(call.call_id, outcome, outcome.body)  # type: ignore[arg-type]  # no streams
        self._call_id = 0


class _StreamWindow:
    """How far the one stream there is may be ahead of its client (`answers.Window`)."""

    def __init__(self, channel: Channel, interrupts: Interrupts, call_id: int) -> None:
        self._channel = channel
        self._interrupts = interrupts
        self._call_id = call_id
        self._ahead = 0
        interrupts.credit_bytes = 0

    def sent(self, count: int) -> bool:
        """So many bytes were sent; waits while they are too many. False: it shall end."""
        self._ahead += count - self._interrupts.credit_bytes
        self._interrupts.credit_bytes = 0
        while True:
            found = self._channel.next_control(wait=self._ahead >= STREAM_WINDOW_BYTES)
            if found is None:
                return True
            if isinstance(found, Cancel | Interrupt) and found.call_id == self._call_id:
                return False
            if isinstance(found, Credit) and found.call_id == self._call_id:
                self._ahead -= found.body_bytes
