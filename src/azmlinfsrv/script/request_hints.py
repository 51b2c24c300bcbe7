"""Hints about calls that end without an exception of the script's.

What is said of a request names the script's own words, never what is in it.
"""

from __future__ import annotations

import ast

from azmlinfsrv.errors import Interruption, UnsupportedMediaType
from azmlinfsrv.script.case import Case, all_arguments, top_level_function
from azmlinfsrv.script.json_text import NOT_JSON

# How a JSON text begins that was made into a JSON string once more.
_TWICE = (b'"{\\"', b'"[{\\"', b'"[\\"', b'"[[', b'"{}"', b'"[]"')


def time_limit(case: Case) -> str:
    error = case.error
    if not isinstance(error, Interruption) or error.reason != "timeout":
        return ""
    return (
        "run() was here when its time was up. If it only needs longer, raise "
        "--scoring_timeout_ms (SCORING_TIMEOUT_MS); if it waits for something, give that a "
        "time limit of its own."
    )


def result_not_json(case: Case) -> str:
    if not case.text.startswith(NOT_JSON):
        return ""
    run = top_level_function(case.script_tree, "run")
    returns = [it for it in ast.walk(run) if isinstance(it, ast.Return) and it.value] if run else []
    if len(returns) == 1:
        case.point_at(returns[0].lineno)
    return (
        "Convert that value before it is returned: an object into a dict of what it holds, "
        "anything else into a number or a text."
    )


def content_type(case: Case) -> str:
    if not isinstance(case.error, UnsupportedMediaType):
        return ""
    return (
        "run() takes declared types, so the body has to be JSON and to say so: send "
        "`Content-Type: application/json` (curl: -H 'Content-Type: application/json')."
    )


def body_of_bad_input(case: Case) -> str:
    run = top_level_function(case.script_tree, "run")
    if run is None or getattr(case.error, "arguments", None) is not None:
        return ""  # or it is one value that does not fit; the message says which
    names = [it.arg for it in all_arguments(run) if it.arg != "request_headers"]
    if any("input_schema" in ast.unparse(it) for it in run.decorator_list):
        keys = ", ".join(f'"{name}": ...' for name in names)
        return f"run() takes its arguments by name: send the JSON object {{{keys}}}."
    return (
        "run() receives text, and the body is none. Send UTF-8, or take the request as it comes: "
        "decorate run() with @rawhttp and read request.get_data()."
    )


def double_encoded(body: bytes) -> str:
    """What to say of an answer that is JSON inside a JSON string; empty if it is not."""
    if not body.startswith(_TWICE):
        return ""
    return (
        "run() returned a text that is JSON already (json.dumps), so the client gets JSON inside "
        "a JSON string and has to parse it twice. Return the object itself."
    )
