"""Which path and method does what, and what an error looks like (R4.1 to R4.8)."""

from __future__ import annotations

from tests.conformance.case import (
    ABSENT,
    ANY,
    NOT_ALLOWED,
    NOT_FOUND,
    UUID,
    Answer,
    Case,
    Raw,
    ask,
    error,
    get,
    like,
    ok,
    post,
    serve,
)

TEXT = serve(folder="echo_text")
RAW = serve(folder="echo_raw")
# Where nobody ever calls run(), a line of it can only come from the case at hand.
QUIET = serve(folder="echo_text", environment={"QUIET": "1"})

HTML = "text/html; charset=utf-8"
VERSION = like(r"azmlinfsrv/\d+\.\d+\.\d+\S*")
HEALTHY = Answer(200, "Healthy", {"content-type": HTML, "content-length": "7"})
# Since 0:R4.1 the ids and the version are on every response, and a 405 says what is allowed.
ALWAYS = {"x-request-id": UUID, "x-ms-request-id": UUID, "x-ms-server-version": VERSION}
NEVER = {"x-request-id": ABSENT, "x-ms-request-id": ABSENT, "x-ms-server-version": ABSENT}
SERVER_TIMING = like(
    r"queue;dur=\d+\.\d{3}, parse;dur=\d+\.\d{3}, run;dur=\d+\.\d{3}, encode;dur=\d+\.\d{3}"
)
ALLOW = {"allow": like(r"[A-Z]+(, [A-Z]+)*")}


def not_routed(name: str, method: str, target: str) -> Case:
    return Case(
        name,
        TEXT,
        ask(method, target),
        error(405, NOT_ALLOWED, {**ALWAYS, **ALLOW}),
        "R4.1 R4.4 R4.7 0:R4.1 D32",
        reference=error(405, NOT_ALLOWED, {**NEVER, "allow": ABSENT}),
    )


def not_found(name: str, method: str, target: str, shows: str = "R4.1 R4.3") -> Case:
    return Case(
        name,
        TEXT,
        ask(method, target),
        error(404, NOT_FOUND, ALWAYS),
        f"{shows} R4.7 0:R4.1 D32",
        reference=error(404, NOT_FOUND, NEVER),
    )


def malformed(name: str, data: bytes, reference: Answer, shows: str = "R4.8") -> Case:
    return Case(
        name,
        TEXT,
        Raw(data, ("GET",)),
        Answer((400, 404, 414, 431, 501, 505), ANY),
        f"{shows} 0:R4.8",
        reference=reference,
    )


def html(status: int) -> Answer:
    return Answer(
        status,
        like(r"<html>.*"),
        {
            "content-type": "text/html",
            "connection": "close",
            "server": ABSENT,
            "date": ABSENT,
            "x-request-id": ABSENT,
            "x-ms-run-function-failed": ABSENT,
        },
    )


CASES = [
    # --- /
    Case("root_is_healthy", TEXT, get("/"), HEALTHY, "R4.1"),
    Case(
        "root_has_ids_and_version_but_no_function_failed",
        TEXT,
        get("/"),
        Answer(200, "Healthy", {**ALWAYS, "x-ms-run-function-failed": ABSENT}),
        "R4.1 R4.9 R4.10",
    ),
    Case("root_ignores_a_query", TEXT, get("/?a=1&version=9"), HEALTHY, "R4.1"),
    Case("root_in_raw_mode_is_not_the_script", RAW, get("/"), HEALTHY, "R4.1"),
    Case(
        "root_head_has_length_without_body",
        TEXT,
        ask("HEAD", "/"),
        Answer(200, "", {"content-length": "7", "content-type": HTML}),
        "R4.1",
    ),
    Case(
        "root_options_allows_get_head_options",
        TEXT,
        ask("OPTIONS", "/"),
        Answer(200, "", {"allow": like(r"(?=.*GET)(?=.*HEAD)(?=.*OPTIONS)[A-Z, ]{18}")}),
        "R4.1",
    ),
    not_routed("root_post_is_405", "POST", "/"),
    not_routed("root_delete_is_405", "DELETE", "/"),
    Case(
        "root_unknown_method_is_a_client_error",
        TEXT,
        ask("BREW", "/"),
        Answer((400, 405, 501)),
        "R4.1 0:R4.8",
        reference=error(405, NOT_ALLOWED, {**NEVER, "allow": ABSENT}),
        why="A parser may know the registered methods only.",
    ),
    # --- /score
    Case("score_post_scores", TEXT, post("x"), ok('{"type": "str", "text": "x"}'), "R4.1"),
    Case("score_get_scores", TEXT, get(), ok('{"type": "str", "text": "{}"}'), "R4.1"),
    Case(
        "score_options_is_empty_and_does_not_call_run",
        QUIET,
        ask("OPTIONS", "/score"),
        Answer(
            200,
            "",
            {
                "content-type": HTML,
                "x-ms-run-function-failed": "False",
                "allow": ABSENT,
                "x-ms-run-fn-exec-ms": ABSENT,
            },
            unlogged=("run was called",),
        ),
        "R3.16 R4.1",
    ),
    Case(
        "score_head_is_405_with_ids",
        QUIET,
        ask("HEAD", "/score"),
        Answer(
            405,
            "",
            {
                **ALWAYS,
                "content-length": "33",
                "content-type": "application/json",
                "x-ms-run-function-failed": "False",
            },
            unlogged=("run was called",),
        ),
        "R3.16 R4.1 R4.4 R4.7",
    ),
    not_routed("score_put_is_405", "PUT", "/score"),
    not_routed("score_delete_is_405", "DELETE", "/score"),
    not_routed("score_patch_is_405", "PATCH", "/score"),
    # --- /swagger.json
    Case(
        "swagger_get_is_json",
        TEXT,
        get("/swagger.json"),
        Answer(
            200,
            like(r'\{"swagger": "2\.0", .*'),
            {"content-type": "application/json", "x-ms-run-function-failed": "False", **ALWAYS},
        ),
        "R4.1 R5.1",
    ),
    Case(
        "swagger_head_has_length_without_body",
        TEXT,
        ask("HEAD", "/swagger.json"),
        Answer(200, "", {"content-type": "application/json", "content-length": like(r"\d{4}")}),
        "R4.1",
    ),
    Case(
        "swagger_options_allows_get_head_options",
        TEXT,
        ask("OPTIONS", "/swagger.json"),
        Answer(200, "", {"allow": like(r"(?=.*GET)(?=.*HEAD)(?=.*OPTIONS)[A-Z, ]{18}")}),
        "R4.1",
    ),
    not_routed("swagger_post_is_405", "POST", "/swagger.json"),
    # --- everything else
    not_found("unknown_path_is_404", "GET", "/nothing"),
    not_found("unknown_path_post_is_404", "POST", "/v1/score"),
    not_found("unknown_path_options_is_404", "OPTIONS", "/nothing"),
    not_found("trailing_slash_is_404", "POST", "/score/", "R4.2"),
    not_found("other_case_is_404", "POST", "/Score", "R4.2"),
    not_found("encoded_slash_is_404", "POST", "/score%2f", "R4.2"),
    not_found("dot_segment_is_not_resolved", "GET", "/a/../score", "R4.2"),
    not_found("static_file_is_404", "GET", "/static/x.css"),
    Case(
        "static_options_is_no_route",
        TEXT,
        ask("OPTIONS", "/static/x.css"),
        error(404, NOT_FOUND, ALWAYS),
        "R4.1 0:R4.1",
        reference=Answer(200, ""),
    ),
    Case(
        "repeated_leading_slashes_collapse",
        TEXT,
        post("x", target="//score"),
        ok('{"type": "str", "text": "x"}'),
        "R4.2",
    ),
    Case(
        "escaped_letter_is_the_letter",
        TEXT,
        post("x", target="/scor%65"),
        ok('{"type": "str", "text": "x"}'),
        "R4.2",
    ),
    # --- form of errors
    Case(
        "error_body_is_message_and_reason_phrase_is_standard",
        TEXT,
        post(b"\xff"),
        error(400, like(r"Input cannot be decoded as UTF-8: .*"), ALWAYS, reason="Bad Request"),
        "R4.5 R4.7 X12",
        why="The phrase is compared in any case: RFC 9112, 4: a client should ignore it.",
    ),
    Case(
        "method_not_allowed_phrase_is_short",
        TEXT,
        ask("PUT", "/score"),
        error(405, NOT_ALLOWED, reason="Method Not Allowed"),
        "R4.5 X12",
    ),
    Case(
        "success_headers_come_in_the_known_order",
        TEXT,
        post("x", X_Ms_Client_Request_Id="c", TraceId="t"),
        Answer(
            200,
            order=(
                "x-ms-run-function-failed",
                "x-ms-run-fn-exec-ms",
                "x-ms-server-version",
                "x-request-id",
                "x-ms-request-id",
                "x-ms-client-request-id",
                "TraceId",
            ),
        ),
        "R4.6",
    ),
    Case(
        "a_success_says_where_the_time_went",
        TEXT,
        post("x"),
        Answer(200, headers={"server-timing": SERVER_TIMING}),
        "R4.6 0:R4.6",
        Answer(200, headers={"server-timing": ABSENT}),
    ),
    # --- the HTTP layer's own errors
    malformed("request_line_that_is_not_http", b"nonsense\r\n\r\n", html(400)),
    malformed(
        "header_line_without_colon", b"GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n", html(400)
    ),
    malformed(
        "negative_content_length",
        b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        html(400),
    ),
    malformed(
        "content_length_that_is_no_number",
        b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
        html(400),
    ),
    malformed(
        "content_length_beside_chunked",
        b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        html(400),
    ),
    Case(
        "missing_host_is_accepted",
        TEXT,
        Raw(b"GET / HTTP/1.0\r\n\r\n", ("GET",)),
        Answer(200, "Healthy"),
        "R4.8",
    ),
    Case(
        "long_request_line_is_never_a_server_error",
        TEXT,
        Raw(b"GET /score?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        Answer((200, 400, 414, 431)),
        "R4.8 0:R4.8",
        reference=html(414),
    ),
    Case(
        "many_headers_are_never_a_server_error",
        TEXT,
        Raw(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            + b"".join(b"x-%d: 1\r\n" % i for i in range(120))
            + b"\r\n"
        ),
        Answer((200, 400, 431)),
        "R4.8 0:R4.8",
        reference=html(431),
    ),
    Case(
        "a_long_header_is_never_a_server_error",
        TEXT,
        Raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx-a: " + b"x" * 9000 + b"\r\n\r\n"),
        Answer((200, 400, 431)),
        "R4.8 0:R4.8",
        reference=html(431),
    ),
    Case(
        "raw_bytes_in_the_query_are_never_a_server_error",
        TEXT,
        Raw(b"GET /score?a=\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        Answer((200, 400)),
        "R4.8 0:R4.8",
        reference=html(400),
    ),
    # --- R4.9
    Case(
        "server_version_is_on_a_score",
        TEXT,
        post("x"),
        ok(ANY, {"x-ms-server-version": VERSION}),
        "R4.9 R2.1",
    ),
    Case(
        "server_version_is_what_the_environment_says_when_the_switch_is_off",
        serve(
            folder="echo_text",
            environment={
                "SERVER_VERSION_LOG_RESPONSE_ENABLED": "no",
                "HTTP_X_MS_SERVER_VERSION": "mine/7",
            },
        ),
        get("/"),
        Answer(200, "Healthy", {"x-ms-server-version": "mine/7"}),
        "R4.9 R2.1",
    ),
    Case(
        "server_version_is_absent_when_the_switch_is_off",
        serve(folder="echo_text", environment={"SERVER_VERSION_LOG_RESPONSE_ENABLED": "1"}),
        get("/"),
        Answer(200, "Healthy", {"x-ms-server-version": ABSENT}),
        "R4.9 R2.1",
    ),
    Case(
        "inherited_server_version_is_overwritten_when_the_switch_is_on",
        serve(
            folder="echo_text",
            environment={
                "SERVER_VERSION_LOG_RESPONSE_ENABLED": "TRUE",
                "HTTP_X_MS_SERVER_VERSION": "mine/7",
            },
        ),
        get("/"),
        Answer(200, "Healthy", {"x-ms-server-version": VERSION}),
        "R4.9 R2.1",
    ),
    Case(
        "prefix_does_not_change_routing",
        serve(folder="echo_text", environment={"SERVICE_PATH_PREFIX": "pfx"}),
        post("x"),
        ok('{"type": "str", "text": "x"}'),
        "R4.2 R2.2",
    ),
    Case(
        "prefixed_path_is_404",
        serve(folder="echo_text", environment={"SERVICE_PATH_PREFIX": "pfx"}),
        post("x", target="/pfx/score"),
        error(404, NOT_FOUND),
        "R4.2 R2.2",
    ),
]
