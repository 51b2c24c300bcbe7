"""One readable report for a failure of the user's script.

Says what failed, shows the user's own line with the lines around it, the cause, the
traceback without the server's frames, and a hint where the mistake is a known one
(`azmlinfsrv.script.hints`). Where the report goes, and what of it may, is decided by the
callers: its location may go to a client, the rest to the log only.
"""

from __future__ import annotations

import linecache
import os
import traceback
from typing import Any

from msgspec import Struct

from azmlinfsrv.errors import ServerError
from azmlinfsrv.script.location import (
    SERVER_FOLDER,
    Spot,
    Surroundings,
    encodable,
    find_spot,
    location_of,
    user_error,
    user_file_name,
)

__all__ = [
    "Report",
    "SourceLine",
    "Surroundings",
    "describe",
    "format_failure",
    "format_report",
    "location_of",
    "user_traceback",
]

_LINES_AROUND = 3
# A line of minified or generated source must not fill the screen.
_MAX_LINE_LENGTH = 200
_MAX_ERROR_TEXT = 8 * 1024
# A log record much longer than this is cut or dropped by common collectors.
_MAX_TRACEBACK = 64 * 1024
# Python itself folds one line that repeats; functions that call each other it does not.
_MAX_FRAMES = 80
_FIRST_FRAMES = 30
_SERVER_FOLDERS = tuple(
    folder + os.sep
    for folder in (
        SERVER_FOLDER,
        os.path.join(os.path.dirname(SERVER_FOLDER), "azureml_inference_server_http"),
    )
)
_WRAPPERS = tuple(os.sep + name + os.sep for name in ("flask", "werkzeug"))


class SourceLine(Struct, frozen=True):
    """One line of source; *text* is without its end of line."""

    number: int
    text: str
    is_failing: bool = False


class Report(Struct, frozen=True):
    """What is known about one failure; travels from worker to front end as msgpack.

    Attributes:
        title: What failed, in the words of the caller.
        location: As `location_of` says it; empty if no line of the user's was involved.
        source: The lines around that line; empty if they cannot be read.
        error_type: With its module unless it is a built-in: ``json.decoder.JSONDecodeError``.
        error_text: The exception's own text, at most 8 Ki characters.
        traceback: As `user_traceback` says it.
        hint: One or two sentences with the next step; empty if the mistake is not known.
        arguments: What ``run()`` was given, as `azmlinfsrv.script.summary` tells it: types
            and sizes, no values. Never in the log.
    """

    title: str
    location: str = ""
    source: list[SourceLine] = []
    error_type: str = ""
    error_text: str = ""
    traceback: str = ""
    hint: str = ""
    arguments: dict[str, Any] = {}


def describe(
    error: BaseException, title: str, where: Surroundings, *, hides_values: bool = False
) -> Report:
    """Everything we can tell about *error*; never raises.

    Args:
        error: The user's exception, or one of the server's raised from it.
        title: What failed, such as ``User's init function failed``.
        where: Where the user's code lives.
        hides_values: The hint names nothing that may have come with a request.
    """
    # Imported for a failure only: most workers never need them.
    from azmlinfsrv.script.hints import Case, hint_for
    from azmlinfsrv.script.masking import without_values

    user = user_error(error)
    try:
        spot = find_spot(error, where)
    except Exception:  # noqa: BLE001  # an exception's own attributes may be anything
        spot = None
    text = _text_of(user)
    case = Case(_only_member(user), where, spot, text)
    hint = hint_for(case)
    if hint and hides_values:
        hint = without_values(hint, case)
    spot = case.spot  # a hint may know the line of a failure that has no frames
    return Report(
        title=encodable(title),
        location="" if spot is None else str(spot),
        source=[] if spot is None else _source_around(spot),
        error_type=encodable(_type_name(user)),
        error_text=encodable(_cut(text, _MAX_ERROR_TEXT)),
        # One of the server's own says it all in its text.
        traceback="" if isinstance(user, ServerError) else user_traceback(user, where),
        hint=encodable(hint),
    )


def format_report(report: Report) -> str:
    """The report as plain text for the log; lines without an end of line at the end."""
    lines = [report.title, *_place(report)]
    # The words are the contract's (R3.6, R3.9): log queries match on them.
    cause = "Encountered Exception " + report.error_type
    cause += f": {report.error_text}" if report.error_text else ""
    if cause:
        lines += ["", cause]
    if report.hint:
        lines += ["", f"Hint: {report.hint}"]
    if report.traceback:
        lines += ["", report.traceback.rstrip("\n")]
    return "\n".join(lines)


def format_failure(report: Report) -> str:
    """The same of a failed call: the traceback first, since log queries match on it."""
    lines = [report.traceback.rstrip("\n"), *_place(report)]
    if report.hint:
        lines += ["", f"Hint: {report.hint}"]
    return "\n".join(lines)


def _place(report: Report) -> list[str]:
    """The user's line with those around it, after an empty one; nothing if it is not known."""
    if not report.location:
        return []
    lines = ["", f"At {report.location}:"]
    width = len(str(report.source[-1].number)) if report.source else 0
    for line in report.source:
        mark = ">" if line.is_failing else " "
        lines.append(f"  {mark} {line.number:>{width}} | {line.text}".rstrip())
    return lines


def user_traceback(error: BaseException, where: Surroundings) -> str:
    """The traceback from the user's first frame on, without frames of this server.

    Like `traceback.format_exception`, with causes, contexts and members of groups. At most
    64 Ki characters; a long stack or text is cut in its middle. Never raises.
    """
    try:
        # Lines are looked up when they are printed: a deep recursion prints few of them.
        told = traceback.TracebackException.from_exception(
            user_error(error), lookup_lines=False, compact=True
        )
        _keep_user_frames(told, where)
        text = "".join(told.format())
    except Exception:  # noqa: BLE001  # whatever an exception holds, we report what we can
        text = f"{_type_name(error)}: {_text_of(error)}\n"
    return encodable(_cut(text, _MAX_TRACEBACK))


class _Stack(traceback.StackSummary):
    """A stack that leaves out its middle when it is long."""

    def format(self, **options: Any) -> list[str]:
        lines = super().format(**options)
        left_out = len(lines) - _MAX_FRAMES
        if left_out <= 0:
            return lines
        last = _FIRST_FRAMES + left_out
        return [*lines[:_FIRST_FRAMES], f"  [{left_out} more calls left out]\n", *lines[last:]]


def _keep_user_frames(told: traceback.TracebackException, where: Surroundings) -> None:
    # A loop, not a recursion: a chain of causes may be as long as the program ran.
    waiting = [told]
    while waiting:
        one = waiting.pop()
        kept = _Stack(_without_server(one.stack, where)) if one.stack else None
        # None leaves out the heading "Traceback (most recent call last):" too.
        one.stack = kept or None  # type: ignore[assignment]  # read so by the standard library
        waiting += [it for it in (one.__cause__, one.__context__) if it is not None]
        waiting += getattr(one, "exceptions", None) or []  # since Python 3.11


def _without_server(
    frames: list[traceback.FrameSummary], where: Surroundings
) -> list[traceback.FrameSummary]:
    names = [user_file_name(frame.filename, where) for frame in frames]
    first = next((index for index, name in enumerate(names) if name), None)
    if first is not None:
        kept = list(zip(frames[first:], names[first:], strict=True))
        return [frame for frame, name in kept if name or not _is_ours(frame.filename)]
    kept_frames = [frame for frame in frames if not _is_ours(frame.filename)]
    while kept_frames and any(part in kept_frames[0].filename for part in _WRAPPERS):
        del kept_frames[0]
    return kept_frames


def _is_ours(file: str) -> bool:
    return file.startswith((*_SERVER_FOLDERS, "<frozen importlib", "<frozen runpy"))


def _source_around(spot: Spot) -> list[SourceLine]:
    try:
        linecache.checkcache(spot.file)
        lines = linecache.getlines(spot.file, spot.frame.f_globals if spot.frame else None)
    except Exception:  # noqa: BLE001  # a loader of the user's may fail in any way
        return []
    if not 0 < spot.line <= len(lines):
        return []
    first = max(1, spot.line - _LINES_AROUND)
    last = min(len(lines), spot.line + _LINES_AROUND)
    return [
        SourceLine(number, _source_text(lines[number - 1]), number == spot.line)
        for number in range(first, last + 1)
    ]


def _source_text(line: str) -> str:
    text = line.rstrip("\r\n")
    return encodable(text if len(text) <= _MAX_LINE_LENGTH else text[:_MAX_LINE_LENGTH] + " …")


def _only_member(error: BaseException) -> BaseException:
    """What a group of one exception is about (groups are new in Python 3.11)."""
    members = getattr(error, "exceptions", None)
    while isinstance(members, tuple) and len(members) == 1:
        error = members[0]
        members = getattr(error, "exceptions", None)
    return error


def _type_name(error: BaseException) -> str:
    kind = type(error)
    hidden = isinstance(error, ServerError) or kind.__module__ in (
        "builtins",
        "__main__",
        "entry_module",
    )
    return kind.__qualname__ if hidden else f"{kind.__module__}.{kind.__qualname__}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  # the user's __str__ is user code
        return f"(its text cannot be shown: __str__ raised {type(broken).__name__})"


def _cut(text: str, limit: int) -> str:
    """The text with its middle left out if it is longer than *limit* characters."""
    if len(text) <= limit:
        return text
    first = limit // 3
    last = limit - first
    return f"{text[:first]}\n[… {len(text) - limit} characters left out …]\n{text[-last:]}"
