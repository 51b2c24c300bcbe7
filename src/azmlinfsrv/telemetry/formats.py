"""The two forms of a log record: a line of text (R6.1), and a JSON object a line.

Both formatters can be asked for a line directly (`line`), without a `logging.LogRecord`:
making one costs more than everything else that is done for a request line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

LEVEL_NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
# What every record has; anything else was passed with ``extra={...}``. The last three
# appear when a record is formatted, or are ours.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "request_id"}


class LineFormatter(logging.Formatter):
    """``2026-01-31 08:05:09,123 I [4711] azmlinfsrv - text``, UTC (R6.1).

    The id of the request, if there is one, follows the first line of the text: a search
    for it finds the line that says what happened, and the texts of the contract stay
    whole. The lines below it are the record's own, without a prefix.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        text, tail = split_text(record)
        return self.line(
            record.created,
            record.levelno,
            record.process or 0,
            record.name,
            text,
            getattr(record, "request_id", ""),
            tail,
        )

    def line(
        self,
        created_s: float,
        level: int,
        pid: int,
        logger: str,
        text: str,
        request_id: str = "",
        tail: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """The line of a record given in parts.

        Args:
            created_s: Seconds since the epoch.
            tail: The exception and the stack, if any.
            extra: Not shown in this form.
        """
        if tail:
            text = f"{text}\n{tail}" if text else tail
        if request_id:
            first, newline, rest = text.partition("\n")
            text = f"{first} (request {escape(request_id)}){newline}{rest}"
        second = int(created_s)
        if second != self._second:  # the text of a second is made once
            self._second_text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
            self._second = second
        milliseconds = int((created_s - second) * 1000)
        name = LEVEL_NAMES.get(level) or logging.getLevelName(level)
        return f"{self._second_text},{milliseconds:03d} {name[0]} [{pid}] {logger} - {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    Its keys are ``time`` (RFC 3339, UTC), ``level``, ``pid``, ``logger``, ``message``;
    ``request_id`` and ``exception`` if there are any; and what was passed with
    ``extra={...}``, as it is if JSON can say it, else as text. A key of the server's own
    is not replaced by an extra one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        text, tail = split_text(record)
        return self.line(
            record.created,
            record.levelno,
            record.process or 0,
            record.name,
            text,
            getattr(record, "request_id", ""),
            tail,
            extra_of(record),
        )

    def line(
        self,
        created_s: float,
        level: int,
        pid: int,
        logger: str,
        text: str,
        request_id: str = "",
        tail: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """The line of a record given in parts; see `LineFormatter.line`."""
        second = int(created_s)
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        entry: dict[str, Any] = {
            "time": f"{clock}.{int((created_s - second) * 1000):03d}Z",
            "level": LEVEL_NAMES.get(level) or logging.getLevelName(level),
            "pid": pid,
            "logger": logger,
            "message": text,
        }
        if request_id:
            entry["request_id"] = request_id
        if tail:
            entry["exception"] = tail
        if extra:
            for key, value in extra.items():
                entry.setdefault(key, value)
        try:
            return _encode(entry).decode()
        except (ValueError, UnicodeEncodeError):  # lone surrogates, which UTF-8 cannot say
            return _encode(_printable(entry)).decode()


Formatter = LineFormatter | JsonFormatter


def formatter_for(log_format: str) -> Formatter:
    """The formatter the setting ``log_format`` names: ``text`` or ``json``."""
    return JsonFormatter() if log_format == "json" else LineFormatter()


def split_text(record: logging.LogRecord) -> tuple[str, str]:
    """The message of a record, and its exception and stack as text (empty if it has none).

    Raises:
        Exception: the format string and its arguments do not fit; it is the caller's.
    """
    tail = record.exc_text or ""
    if not tail and record.exc_info:
        tail = _plain.formatException(record.exc_info)
    if record.stack_info:
        stack = _plain.formatStack(record.stack_info)
        tail = f"{tail}\n{stack}" if tail else stack
    return record.getMessage(), tail


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was passed with ``extra={...}``, in values JSON has."""
    extra = {key: value for key, value in record.__dict__.items() if key not in _OWN}
    return {key: _json_value(value) for key, value in extra.items()}


def escape(text: str) -> str:
    r"""*text* with everything that is no printable character as ``\xNN`` or ``\uNNNN``.

    For what a client chose: it cannot end a line, nor command a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _json_value(value: object) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_as_text, order=None))
    except Exception:  # noqa: BLE001  # the script's own objects: anything can come out
        return _as_text(value)


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # as above
        return f"<{type(value).__name__}>"


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(each) for key, each in value.items()}
    return value


_plain = logging.Formatter()
_encode = msgspec.json.Encoder(enc_hook=_as_text).encode
