"""Keeps what a caller sent out of a hint that goes to the log.

A hint may name what an exception is about: a module, a key, a column, a file. If that
stands in the user's source it is the author's word; if not, it may have come with a
request, and an ellipsis takes its place.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator

from azmlinfsrv.script.case import Case

# What messages quote: `No module named 'x'`, `Index(["x"])`.
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"|`([^`]+)`")
_ATTRIBUTES = ("name", "path", "filename", "filename2", "doc", "object", "reason", "msg")
# Shorter ones are in every text.
_SHORTEST = 2


def without_values(hint: str, case: Case) -> str:
    """The hint with an ellipsis for what the exception names and the source does not."""
    values = sorted(set(_named(case.error, case.text)), key=len, reverse=True)
    source = ""
    for value in values:
        if len(value) < _SHORTEST or value not in hint:
            continue
        source = source or _source(case)
        if value not in source:
            hint = hint.replace(value, "…")
    return hint


def _named(error: BaseException, text: str) -> Iterator[str]:
    given = [*error.args, *(getattr(error, name, None) for name in _ATTRIBUTES), text]
    for each in given:
        value = each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else each
        if not isinstance(value, str):
            continue
        yield from _pieces(value)
        for quoted in _QUOTED.finditer(value):
            yield from _pieces(next(filter(None, quoted.groups())))


def _pieces(value: str) -> Iterator[str]:
    """A value, its parts if it is a path or a dotted name, and what follows a colon."""
    value = value.strip("'\"`")
    yield value
    yield value.rpartition("/")[2]
    yield value.partition(".")[0]
    if ": " in value:
        yield value.rpartition(": ")[2]


def _source(case: Case) -> str:
    files = {frame.f_code.co_filename for frame in case.frames}
    files.add(case.where.script_path)
    folders = tuple(case.where.folders)
    return "\n".join(
        "".join(linecache.getlines(file)) for file in files if file.startswith(folders)
    )
