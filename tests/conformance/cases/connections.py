"""Connections: keep-alive, pipelining, bodies cut short, clients that wait (R4.15, R8.2)."""

from __future__ import annotations

from typing import Any

from tests.conformance import scenarios
from tests.conformance.case import (
    Answer,
    Answers,
    Case,
    Outcome,
    Raw,
    like,
    ok,
    post,
    serve,
)

TEXT = serve(folder="echo_text")
BUSY = serve(
    """
    import time
    def init(): pass
    def run(data):
        print("run has begun")
        time.sleep(2.5 if data == "slow" else 0)
        return data
    """
)
SMALL = serve(
    folder="echo_text",
    environment={"AZMLINFSRV_MAX_BODY_BYTES": "100"},
)
POST_X = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"


def text(value: str) -> Answer:
    return ok('{"type": "str", "text": "' + value + '"}')


def differs(
    name: str, scenario: Any, ours: dict[str, Any], theirs: dict[str, Any], rows: str
) -> Case:
    setup = BUSY if "scoring" in name else TEXT
    return Case(name, setup, scenario, Outcome(ours), rows, reference=Outcome(theirs))


CASES = [
    Case(
        "http_1_0_is_answered",
        TEXT,
        Raw(b"POST /score HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"),
        text("x"),
        "R4.15",
    ),
    Case(
        "expect_100_continue_is_answered",
        TEXT,
        scenarios.expect_continue,
        Outcome({"interim": "HTTP/1.1 100", "status": 200}),
        "R4.15",
    ),
    Case(
        "connection_close_is_honoured",
        TEXT,
        post("x"),
        Answer(200, headers={"connection": like("(?i)close")}),
        "R4.15",
    ),
    differs(
        "keep_alive_works",
        scenarios.keep_alive,
        {"statuses": [200, 200]},
        {"statuses": [200, None]},
        "R4.15 0:R4.15 D39",
    ),
    Case(
        "pipelining_works",
        TEXT,
        Raw(POST_X + b"\r\na" + POST_X + b"Connection: close\r\n\r\nb", ("POST", "POST")),
        Answers((text("a"), text("b"))),
        "R4.15 0:R4.15",
        reference=Answers((text("a"),)),
    ),
    differs(
        "a_truncated_body_is_never_scored",
        scenarios.truncated_body,
        {"scored": False, "status": 400},
        {"scored": True, "status": 200},
        "R4.15 0:R4.15 D10",
    ),
    Case(
        "a_body_over_the_limit_is_413",
        SMALL,
        post("x" * 101),
        Answer(
            413,
            like(r'\{"message": ".*'),
            {"x-ms-run-function-failed": "False"},
            unlogged=("run was called",),
        ),
        "0:R4.15 D50",
        reference=text("x" * 101),
    ),
    Case(
        "a_chunked_body_over_the_limit_is_413",
        SMALL,
        Raw(
            b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            + b"40\r\n"
            + b"x" * 64
            + b"\r\n"
            + b"40\r\n"
            + b"x" * 64
            + b"\r\n0\r\n\r\n"
        ),
        Answer(413),
        "0:R4.15 D50",
        reference=text("x" * 128),
    ),
    Case("a_body_at_the_limit_is_scored", SMALL, post("x" * 100), text("x" * 100), "0:R4.15"),
    differs(
        "an_idle_connection_costs_nobody_else",
        scenarios.idle_connection,
        {"other_client": 200},
        {"other_client": None},
        "R8.2 0:R8.2 D3",
    ),
    differs(
        "a_slow_header_costs_nobody_else",
        scenarios.slow_header,
        {"other_client": 200},
        {"other_client": None},
        "R8.2 0:R8.2 D3",
    ),
    differs(
        "the_probe_is_answered_while_scoring",
        scenarios.probe_while_scoring,
        {"scored": 200, "probe_answered_meanwhile": True},
        {"scored": 200, "probe_answered_meanwhile": False},
        "R8.2 0:R8.2 D3",
    ),
    Case(
        "calls_at_once_are_all_answered",
        TEXT,
        scenarios.calls_at_once,
        Outcome({"statuses": [200, 200, 200, 200]}),
        "R8.2",
    ),
]
