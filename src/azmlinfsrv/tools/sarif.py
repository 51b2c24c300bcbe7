"""A report as SARIF 2.1.0 (OASIS, 2020), as code hosts read it: results at lines of the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azmlinfsrv import __version__
from azmlinfsrv.tools.findings import KINDS, Finding, Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_document(report: Report, root: Path) -> dict[str, Any]:
    """The log, ready for JSON.

    Args:
        root: Files below it are named relative to it, as code hosts want them.
    """
    ids = list(KINDS)
    rules = [
        {
            "id": kind.id,
            "shortDescription": {"text": kind.meaning},
            "help": {"text": kind.next_step},
            "defaultConfiguration": {"level": kind.severity.name},
            "properties": {"section": kind.section},
        }
        for kind in KINDS.values()
    ]
    driver = {"name": "azmlinfsrv check", "version": __version__, "rules": rules}
    results = [_result(finding, ids.index(finding.id), root) for finding in report.findings]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "originalUriBaseIds": {"SRCROOT": {"uri": root.resolve().as_uri() + "/"}},
                "results": results,
            }
        ],
    }


def _result(finding: Finding, rule: int, root: Path) -> dict[str, Any]:
    text = "\n".join([finding.text, *finding.details, f"Next: {finding.kind.next_step}"])
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": finding.kind.severity.name,
        "message": {"text": text},
    }
    if finding.place is not None:
        location: dict[str, Any] = {"artifactLocation": _artifact(finding.place.file, root)}
        # A file as a whole has no region (SARIF 2.1.0, 3.29.4).
        if finding.place.line:
            location["region"] = {"startLine": finding.place.line}
        result["locations"] = [{"physicalLocation": location}]
    return result


def _artifact(file: Path, root: Path) -> dict[str, str]:
    path = file.resolve()
    if root.resolve() in path.parents:
        relative = path.relative_to(root.resolve()).as_posix()
        # Written as a URI reference: a blank is %20 (RFC 3986, 2.1).
        from urllib.parse import quote

        return {"uri": quote(relative), "uriBaseId": "SRCROOT"}
    return {"uri": path.as_uri()}
