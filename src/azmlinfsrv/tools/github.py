"""A report as GitHub's workflow commands: annotations at files and lines.

The form is that of "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from azmlinfsrv.tools.findings import Finding, Report, Severity

_COMMANDS = {Severity.error: "error", Severity.warning: "warning", Severity.note: "notice"}


def workflow_commands(report: Report, root: Path) -> Iterator[str]:
    """A line for each finding; files below *root* are named relative to it."""
    for finding in report.findings:
        yield _annotation(finding, root)


def _annotation(finding: Finding, root: Path) -> str:
    properties = []
    if finding.place is not None:
        path = finding.place.file.resolve()
        name = path.relative_to(root.resolve()) if root.resolve() in path.parents else path
        properties.append(f"file={_property(name.as_posix())}")
        if finding.place.line:
            properties.append(f"line={finding.place.line}")
    properties.append(f"title={_property(finding.id)}")
    text = "\n".join([finding.text, *finding.details, f"Next: {finding.kind.next_step}"])
    return f"::{_COMMANDS[finding.kind.severity]} {','.join(properties)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
