"""Code examples in the documentation: finding them, and comparing what they promise.

Every fenced block has a marker in the line above it that says how the tests try it:

=============================== ========================================================
``<!-- example: file NAME -->``  the block is written to the page's folder under this name
``<!-- example: serve -->``      one ``$`` command; it serves until the next such block;
                                ``--port N`` is appended unless it names port 5001
``<!-- example: run -->``        ``$`` commands, each followed by what it prints
``<!-- example: log -->``        lines the log of the running server holds
``<!-- example: none REASON -->`` not tried, for this reason
=============================== ========================================================

A line of ``...`` in what is promised stands for any lines. What differs from run to run
(time, process id, request id, duration) is not compared. No I/O here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = ("file", "serve", "run", "log", "none")

# The folder that examples show as theirs.
FOLDER = "/home/you/service"
PORT = 5001

_FENCE = re.compile(r"^(\s*)```+\s*(\w*)\s*$")
_MARKER = re.compile(r"^\s*<!-- example: (\w+) ?(.*?) -->$")
_VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[,.]\d{3}Z?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\[\d+\] "), "[<pid>] "),
    (re.compile(r"(\"pid\":|\bpid:? |\bprocess )\d+\b"), r"\1<pid>"),
    (re.compile(r"\(\d{2,}\)$"), "(<pid>)"),
    (re.compile(r"\b\d+\.\d{3}ms\b"), "<ms>"),
    (re.compile(r"\b\d+\.\d ms\b"), "<ms>"),
    (re.compile(r"\b\d{8}T\d{6}\.\d{6}Z-(\w{3})-[0-9a-f]{8}\b"), r"<recording \1>"),
    (re.compile(r"(?i)^(date|x-ms-run-fn-exec-ms|server-timing): .*"), r"\1: <varies>"),
    (re.compile(r"(?i)^(gunicorn|uvicorn)/?[\d.]+"), r"\1"),
    (re.compile(r"(?<=\S) {2,}"), "  "),
    (re.compile(r"Starting gunicorn [\d.]+"), "Starting gunicorn"),
]
# Names of headers are case-insensitive, and servers write them as they like.
_HEADER = re.compile(r"^[A-Za-z][\w-]*:(?= )")
# Python 3.11 and later underline the place in a traceback, each version in its own way.
_UNDERLINE = re.compile(r"^\s+[~^]+\s*$")


@dataclass(frozen=True)
class Example:
    """One fenced block.

    Attributes:
        kind: One of `KINDS`, or empty if the block has no marker.
        argument: What follows the kind in the marker.
        line: Of the fence in the page, from 1.
        text: The block, with an end of line.
    """

    kind: str
    argument: str
    line: int
    text: str


def examples_in(page: str) -> list[Example]:
    """Every fenced block of a page, in order."""
    found: list[Example] = []
    lines = page.splitlines()
    index = 0
    while index < len(lines):
        fence = _FENCE.match(lines[index])
        if fence is None:
            index += 1
            continue
        marker = _MARKER.match(lines[index - 1]) if index else None
        begin = index
        index += 1
        while not _FENCE.match(lines[index]):
            index += 1
        text = "".join(f"{line.removeprefix(fence[1])}\n" for line in lines[begin + 1 : index])
        kind, argument = (marker[1], marker[2]) if marker else ("", "")
        found.append(Example(kind, argument, begin + 1, text))
        index += 1
    return found


def commands_in(text: str) -> list[tuple[str, str]]:
    """The ``$`` commands of a block, each with what it is said to print."""
    found: list[tuple[str, str]] = []
    continued = False
    for line in text.splitlines():
        if continued:
            command, output = found[-1]
            found[-1] = (f"{command}\n{line}", output)
            continued = line.endswith("\\")
        elif line.startswith("$ "):
            found.append((line[2:], ""))
            continued = line.endswith("\\")
        elif found:
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
        else:
            raise ValueError(f"the block does not begin with a command: {line!r}")
    return found


def matches(promised: str, actual: str) -> bool:
    """Whether the text is the one promised, from its first line to its last."""
    return re.fullmatch(_pattern(promised), _comparable(actual)) is not None


def is_within(promised: str, actual: str) -> bool:
    """Whether the promised lines stand together somewhere in the text."""
    return re.search("(?m:^)" + _pattern(promised), _comparable(actual)) is not None


def _pattern(promised: str) -> str:
    parts = []
    for line in _comparable(promised).splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line) + r"\n")
    return "".join(parts)


def _comparable(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if _UNDERLINE.match(line):
            continue
        plain = line.rstrip()
        for varying, name in _VARYING:
            plain = varying.sub(name, plain)
        plain = _HEADER.sub(lambda name: name[0].lower(), plain)
        lines.append(plain + "\n")
    return "".join(lines)
