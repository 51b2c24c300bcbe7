"""Failed calls, told: to the log in every mode, to the front end in development mode.

The log gets the traceback, the user's line with those around it, and a hint, but no value
of an argument. What costs time (source and hint) is found once for each failure and only
for the first few hundred: a script that fails at every call must not slow down others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from azmlinfsrv.errors import Interruption, RequestError, ScoringFailed
from azmlinfsrv.messages import Buffer, Request, Response
from azmlinfsrv.script.location import Surroundings, location_of
from azmlinfsrv.telemetry.formats import escape
from azmlinfsrv.worker.frames import Score
from azmlinfsrv.worker.options import WorkerOptions

if TYPE_CHECKING:
    # Only needed when something is wrong; a start without it is a tenth quicker.
    from azmlinfsrv.script.report import Report

_log = logging.getLogger("azmlinfsrv")

# Failures of which source and hint are known: some milliseconds each in the life of a process.
_MAX_KNOWN = 256


class Reporter:
    """Tells of every failed call what is to be told, where it may be told.

    Args:
        options: ``dev`` decides whether there are reports for the caller.
        where: Where the user's code lives.
    """

    def __init__(self, options: WorkerOptions, where: Surroundings) -> None:
        self._is_dev = options.dev
        self._is_json = options.log_format == "json"
        self._has_colour = options.has_colour
        self._where = where
        self._has_warned = False
        # By type, line, and the hash of the text, which may hold what a caller sent.
        self._known: dict[tuple[type[BaseException], str, int], Report] = {}

    def failure(self, error: RequestError, call: Score | Request, body: Buffer) -> bytes:
        """Log what the script is to blame for; the report as msgpack in development mode."""
        if not isinstance(error, ScoringFailed):
            # The client's mistake; the answer says it all.
            return self._for_caller(error, error.arguments, body) if self._is_dev else b""
        kinds = [value for name, value in call.headers if name == b"content-type"]
        kind = escape(kinds[0].decode("latin-1")) if kinds else "not given"
        facts = f"The request's body: {len(body)} bytes, content type {kind}"
        self.exception(error.__cause__ or error, facts)
        return self._for_caller(error, error.arguments, body) if self._is_dev else b""

    def interruption(self, interruption: Interruption, body: Buffer) -> bytes:
        """Log where it struck; the report as msgpack in development mode."""
        _log.error(
            "Encountered Exception: run() was interrupted (%s) here:\n%s",
            interruption.reason,
            interruption.stack.rstrip("\n"),
        )
        if not self._is_dev:
            return b""
        stack = f"run() was interrupted ({interruption.reason}) here:\n{interruption.stack}"
        return self._for_caller(interruption, interruption.arguments, body, stack)

    def answer(self, response: Response) -> None:
        """Log what is odd about an answer, once; in development mode only."""
        body = response.body
        if not self._is_dev or self._has_warned or not isinstance(body, bytes):
            return
        from azmlinfsrv.script.request_hints import double_encoded

        hint = double_encoded(body[:16])
        if hint:
            self._has_warned = True
            _log.warning("Hint: %s", hint)

    def exception(self, error: BaseException, facts: str = "") -> None:
        """Log an exception out of the script.

        Args:
            facts: What else is to be said, a line.
        """
        from azmlinfsrv.script.report import format_failure

        report = self._report_on(error)
        if self._is_json:
            more = {"exception": report.traceback}
            found = {"location": report.location, "hint": report.hint}
            more.update((key, text) for key, text in found.items() if text)
            facts = facts and f"\n{facts}"
            _log.error("Encountered Exception: %s%s", type(error).__name__, facts, extra=more)
            return
        facts = facts and f"\n\n{facts}"
        extra: dict[str, Any] = {}
        if self._has_colour:
            from azmlinfsrv.script.painting import painted

            extra["painted"] = f"Encountered Exception: {painted(report)}{facts}"
        _log.error("Encountered Exception: %s%s", format_failure(report), facts, extra=extra)

    def _report_on(self, error: BaseException) -> Report:
        from azmlinfsrv.script.report import Report, describe, user_traceback

        told = user_traceback(error, self._where)
        location = location_of(error, self._where)
        key = (type(error), location, hash(told))
        report = self._known.get(key)
        if report is None:
            if len(self._known) >= _MAX_KNOWN:
                return Report("", location, traceback=told)
            report = describe(error, "", self._where, hides_values=True)
            report = self._known[key] = replace(report, error_text="", traceback="")
        return replace(report, traceback=told)

    def _for_caller(
        self,
        error: BaseException,
        arguments: Mapping[str, object] | None,
        body: Buffer,
        stack: str = "",
    ) -> bytes:
        from azmlinfsrv.script.report import describe
        from azmlinfsrv.script.summary import summarise

        told = arguments if arguments is not None else {"(body)": body}
        report = replace(describe(error, "", self._where), arguments=summarise(told))
        if stack or not report.traceback:  # there was no exception of the script's
            report = replace(report, error_type="", error_text="", traceback=stack)
        return msgspec.msgpack.encode(report)
