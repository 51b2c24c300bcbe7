"""Responses that a script builds itself: Flask's and AMLResponse (R3.26 to R3.31)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import (
    ABSENT,
    BARE_HTML,
    MS,
    PRESENT,
    UUID,
    WERKZEUG_ERROR,
    Answer,
    Case,
    Expected,
    error,
    like,
    observed_script_error,
    post,
    script_error,
    serve,
)

RESPONSES = serve(folder="responses")
HTML = "text/html; charset=utf-8"
FAILED, EXEC = "x-ms-run-function-failed", "x-ms-run-fn-exec-ms"


def returned(
    name: str, says: str, expected: Expected, shows: str, reference: Expected | None = None
) -> Case:
    """The response *name* of ``scripts/responses``."""
    return Case(f"{name}: {says}", RESPONSES, post(name), expected, shows, reference)


def sent(status: int, body: Any, headers: dict[str, Any], **more: Any) -> Answer:
    """A script's own response, with what the server adds."""
    return Answer(status, body, {EXEC: MS, "x-request-id": UUID, **headers}, **more)


def bad(name: str, says: str, reference: Expected, shows: str = "R3.29") -> Case:
    """A response that cannot be sent: a JSON error, function-failed True (0:R3.29)."""
    expected = Answer(
        500,
        like(r'\{"message": ".*'),
        {"content-type": "application/json", FAILED: "True", "x-request-id": UUID},
    )
    return returned(name, says, expected, f"{shows} 0:R3.29", reference)


CASES = [
    # --- Flask
    returned(
        "flask",
        "as is, without function-failed",
        sent(202, "hi", {"content-type": HTML, "x-a": "b", FAILED: ABSENT}),
        "R3.26 D34",
    ),
    Case(
        "a response is noted in the log with the length",
        RESPONSES,
        post("flask"),
        Answer(202, log=(r"azmlinfsrv - POST /score 202 \d+\.\d{3}ms 2$",)),
        "R3.26 R6.6",
    ),
    returned(
        "flask_503", "function-failed is added", sent(503, "later", {FAILED: "True"}), "R3.26 R3.28"
    ),
    returned(
        "jsonify",
        "as Flask writes it",
        sent(200, '{"a":[1,2],"b":1}\n', {"content-type": "application/json", FAILED: ABSENT}),
        "R3.26",
    ),
    returned("make_response", "its status", sent(201, "made", {"content-type": HTML}), "R3.26"),
    returned(
        "redirect",
        "302 with HTML",
        sent(302, like("<!doctype html>.*"), {"location": "/", "content-type": HTML}),
        "R3.26",
    ),
    returned(
        "no_content", "the body is dropped", sent(204, "", {"transfer-encoding": ABSENT}), "R3.29"
    ),
    returned(
        "not_modified",
        "body and type are dropped",
        sent(304, "", {"content-type": ABSENT}),
        "R3.29",
    ),
    returned("abort_response", "any status", sent(410, "gone", {FAILED: ABSENT}), "R3.26"),
    # --- AMLResponse: bodies
    returned(
        "text",
        "is HTML in UTF-8",
        sent(200, "é", {"content-type": HTML, FAILED: "False"}),
        "R3.27 X5",
    ),
    returned("octets", "are sent", sent(200, b"\x00\xff", {"content-type": HTML}), "R3.27 X5"),
    returned(
        "none",
        "is an empty object",
        sent(202, "{}", {"content-type": "application/json", FAILED: "False"}),
        "R3.27",
    ),
    returned(
        "json",
        "is written by json.dumps",
        sent(201, '{"b": 1, "a": "\\u00e9"}', {"content-type": "application/json"}),
        "R3.27",
    ),
    returned(
        "json_not_serialisable",
        "is a script error",
        script_error(),
        "R3.27 0:R3.36",
        observed_script_error(),
    ),
    returned("dict", "sends its keys", sent(200, "ab", {"content-type": HTML}), "R3.27 X5"),
    returned("strings", "are joined", sent(200, "ab", {"content-type": HTML}), "R3.27"),
    returned("failed", "is passed on below 500", sent(200, "x", {FAILED: "True"}), "R3.27 R3.28"),
    returned("failed_by_keyword", "all by keyword", sent(404, "x", {FAILED: "False"}), "R3.27 X5"),
    returned("five_hundred", "is always failed", sent(500, "x", {FAILED: "True"}), "R3.28"),
    returned("reason", "is the script's", sent(404, "x", {}, reason="Oops"), "R3.27"),
    returned(
        "mimetype",
        "may be set afterwards",
        sent(200, b"\x89PNG", {"content-type": "image/png"}),
        "X5 R3.27",
    ),
    # --- AMLResponse: headers
    returned(
        "headers", "are split at commas", sent(200, "x", {"b": ("A", "B"), "c": "one"}), "R3.27 D8"
    ),
    returned(
        "type", "replaces the default", sent(200, "a,b", {"content-type": "text/csv"}), "R3.27"
    ),
    returned(
        "type_lower",
        "is never doubled",
        sent(200, "a,b", {"content-type": "text/csv"}),
        "R3.27 0:R3.27 D8",
        sent(200, "a,b", {"content-type": (HTML, "text/csv")}),
    ),
    returned(
        "none_with_type",
        "JSON wins and is never doubled",
        sent(200, "{}", {"content-type": like("application/json|text/csv")}),
        "R3.27 0:R3.27 D8",
        sent(200, "{}", {"content-type": ("application/json", "text/csv")}),
    ),
    returned(
        "json_with_type",
        "is never doubled",
        sent(200, "[1]", {"content-type": like("application/json|text/csv")}),
        "R3.27 0:R3.27 D8",
        sent(200, "[1]", {"content-type": ("application/json", "text/csv")}),
    ),
    returned(
        "length",
        "is ours",
        sent(200, "abc", {"content-length": "3"}),
        "R3.27 0:R3.27 D8",
        sent(200, "abc", {"content-length": ("3", "3")}),
    ),
    returned(
        "expires",
        "a date keeps its comma",
        sent(200, "x", {"expires": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        "R3.27 0:R3.27 D8",
        sent(200, "x", {"expires": ("Wed", "21 Oct 2015 07:28:00 GMT")}),
    ),
    returned(
        "cookie",
        "a cookie keeps its comma",
        sent(200, "x", {"set-cookie": "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/"}),
        "R3.27 0:R3.27 D8",
        sent(200, "x", {"set-cookie": ("a=1; Expires=Wed", "21 Oct 2015 07:28:00 GMT; Path=/")}),
    ),
    returned(
        "quoted",
        "a quoted comma is no separator",
        sent(200, "x", {"x-q": '"a, b"'}),
        "R3.27 0:R3.27 D8",
        sent(200, "x", {"x-q": ('"a', 'b"')}),
    ),
    # --- what the server sets
    Case(
        "own_ids: are overwritten",
        RESPONSES,
        post("own_ids", X_Request_Id="A", X_Ms_Client_Request_Id="C"),
        Answer(
            200,
            "x",
            {"x-request-id": "A", "x-ms-request-id": "C", "x-ms-client-request-id": "C"},
        ),
        "R3.31",
    ),
    returned("own_time", "is kept beside ours", Answer(200, "x", {EXEC: PRESENT}), "R3.30"),
    returned(
        "own_version",
        "ours is there too",
        Answer(200, "x", {"x-ms-server-version": PRESENT}),
        "R3.31",
    ),
    # --- bad responses
    returned(
        "header_int", "is a script error", script_error(), "R3.29 0:R3.36", observed_script_error()
    ),
    returned(
        "header_line_end",
        "is a script error",
        script_error(),
        "R3.29 0:R3.36",
        observed_script_error(),
    ),
    bad("header_not_latin_1", "is a JSON error", BARE_HTML, "R3.29 R4.8"),
    bad("status_99", "is a JSON error", BARE_HTML, "R3.29 R4.8"),
    bad("message_int", "is a JSON error", BARE_HTML, "R3.29 R4.8"),
    bad("message_ints", "is a JSON error", error(500, WERKZEUG_ERROR), "R3.29 R4.7"),
]
