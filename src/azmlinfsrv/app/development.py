"""The report on a failed call that the development mode answers with.

Its shape, always with all of these keys:

``message``     the text that is answered in every mode
``location``    ``score.py:12 in run``; empty if no line of the script was involved
``status``      the status of the answer
``kind``        the class of the failure: ``ScoringFailed``, ``BadInput``, ``ScoringTimeout``, …
``error``       ``{"type", "text"}`` of the script's exception; null if there was none
``source``      lines around the location: ``{"number", "text", "is_failing"}`` each
``traceback``   from the script's first frame on, without those of the server
``arguments``   of ``run()``, by name, as `azmlinfsrv.script.summary` tells them; the request's
                body as ``(body)`` if it did not come to arguments
``hint``        one or two sentences with the next step; empty if the mistake is not known
``replay``      a curl line that sends the request again; secrets are left out
``request_id``  as in ``x-request-id``

Texts are empty and lists and maps are empty where there is nothing to tell.
"""

from __future__ import annotations

from html import escape
from importlib import resources
from string import Template
from typing import Any

import msgspec

from azmlinfsrv.app.replay import curl_line
from azmlinfsrv.errors import RequestError
from azmlinfsrv.messages import Request
from azmlinfsrv.script.report import Report

_NOTHING = Report("")


def full_report(error: RequestError, request: Request, request_id: str) -> dict[str, Any]:
    """Everything that is known, in JSON's types."""
    report = _sent_report(error)
    return {
        "message": error.message,
        "location": error.location or report.location,
        "status": error.status,
        "kind": type(error).__name__,
        "error": {"type": report.error_type, "text": report.error_text}
        if report.error_type
        else None,
        "source": msgspec.to_builtins(report.source),
        "traceback": report.traceback,
        "arguments": report.arguments,
        "hint": report.hint or error.hint,
        "replay": curl_line(error.request or request),
        "request_id": request_id,
    }


def _sent_report(error: RequestError) -> Report:
    """What the process has told; nothing if it did not, or not in our form."""
    try:
        return msgspec.msgpack.decode(error.report, type=Report) if error.report else _NOTHING
    except msgspec.MsgspecError:
        return _NOTHING


def page(report: dict[str, Any]) -> bytes:
    """The report as a page to be read, without scripts and without anything from elsewhere."""
    template = resources.files("azmlinfsrv.app").joinpath("report.html").read_text("utf-8")
    error = report["error"] or {"type": report["kind"], "text": ""}
    sections = (
        ("Hint", _hint(report["hint"])),
        (report["location"] or "Source", _source(report["source"])),
        ("Arguments of run()", _arguments(report["arguments"])),
        ("Traceback", _block(report["traceback"])),
        ("Send it again", _block(report["replay"])),
    )
    filled = Template(template).substitute(
        title=escape(error["type"]),
        text=escape(error["text"]),
        message=escape(report["message"]),
        status=report["status"],
        request_id=escape(report["request_id"]),
        sections="".join(
            f"<section><h2>{escape(heading)}</h2>{content}</section>"
            for heading, content in sections
            if content
        ),
    )
    return filled.encode("utf-8", "backslashreplace")


def _hint(text: str) -> str:
    return f'<p class="hint">{escape(text)}</p>' if text else ""


def _block(text: str) -> str:
    return f"<pre>{escape(text.rstrip())}</pre>" if text else ""


def _source(lines: list[dict[str, Any]]) -> str:
    rows = [
        f"<tr{' class=failing' if line['is_failing'] else ''}><th>{line['number']}</th>"
        f"<td><code>{escape(line['text']) or ' '}</code></td></tr>"
        for line in lines
    ]
    return f'<table class="source">{"".join(rows)}</table>' if rows else ""


def _arguments(told: dict[str, Any]) -> str:
    rows = [
        f"<tr><th>{escape(name)}</th><td><code>{escape(_facts(facts))}</code></td></tr>"
        for name, facts in told.items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _facts(facts: dict[str, Any]) -> str:
    kind, *rest = (msgspec.json.encode(value).decode() for value in facts.values())
    names = list(facts)[1:]
    more = "".join(f", {name} {value}" for name, value in zip(names, rest, strict=True))
    return f"{kind.strip(chr(34))}{more}"
