"""A report in the colours of a terminal."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.text import Text

from azmlinfsrv.script.report import Report, format_failure, format_report

_FAILING = "bold red"


def painted(report: Report) -> str:
    """`format_failure` with colours, as escape sequences."""
    return _paint(format_failure(report))


def painted_report(report: Report) -> str:
    """`format_report` with colours; its first line, the title, has none."""
    title, newline, rest = format_report(report).partition("\n")
    return f"{title}{newline}{_paint(rest)}"


def _paint(text: str) -> str:
    styled = Text()
    # What the text itself may say to a terminal is not passed on.
    for line in text.translate(_HARMLESS).split("\n"):
        styled.append(line, _style(line)).append("\n")
    out = StringIO()
    console = Console(
        file=out, force_terminal=True, color_system="standard", no_color=False, legacy_windows=False
    )
    console.print(styled, soft_wrap=True, end="", highlight=False, markup=False)
    return out.getvalue().rstrip("\n")


# ESC and the like as their pictures (Unicode, Control Pictures); tabs and line ends stay.
_HARMLESS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)}


def _style(line: str) -> str:
    if line.startswith("  > "):
        return _FAILING
    if line.startswith("Hint: "):
        return "bold cyan"
    if line.startswith("At "):
        return "bold"
    if line.startswith(("  ", "Traceback ")):
        return "dim"
    return ""
