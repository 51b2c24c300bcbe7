"""Bodies that come piece by piece (R3.32 to R3.35)."""

from __future__ import annotations

from tests.conformance import scenarios
from tests.conformance.case import (
    ABSENT,
    BARE_HTML,
    MS,
    Answer,
    Case,
    HeaderValue,
    Outcome,
    Raw,
    like,
    post,
    serve,
)

STREAMS = serve(folder="streams")
SHORT = serve(folder="streams", environment={"SCORING_TIMEOUT_MS": "1000"})
KEY = "12345678-1234-1234-1234-123456789abc"
CHUNKED: dict[str, HeaderValue] = {
    "transfer-encoding": "chunked",
    "content-length": ABSENT,
    "x-ms-run-fn-exec-ms": MS,
}
PIECES = ("one,", "two,", "three")

CASES = [
    Case(
        "a_flask_stream_is_chunked_item_by_item",
        STREAMS,
        post("flask"),
        Answer(200, "one,two,three", CHUNKED, chunks=PIECES),
        "R3.32 R3.33 R3.26",
    ),
    Case(
        "an_aml_stream_is_chunked_item_by_item",
        STREAMS,
        post("aml"),
        Answer(
            200, "one,two,three", {**CHUNKED, "x-ms-run-function-failed": "False"}, chunks=PIECES
        ),
        "R3.27 R3.33",
    ),
    Case(
        "status_and_type_are_the_scripts",
        STREAMS,
        post("typed"),
        Answer(
            206, "one,two,three", {**CHUNKED, "content-type": "text/event-stream; charset=utf-8"}
        ),
        "R3.33",
    ),
    Case(
        "octets_are_streamed", STREAMS, post("octets"), Answer(200, b"\x01\x02", CHUNKED), "R3.33"
    ),
    Case("an_empty_stream_is_empty", STREAMS, post("empty"), Answer(200, ""), "R3.33"),
    Case(
        "a_stream_is_logged_without_length",
        STREAMS,
        post("flask"),
        Answer(200, log=(r"azmlinfsrv - POST /score 200 \d+\.\d{3}ms N/A$",)),
        "R3.33 R6.6",
    ),
    Case(
        "http_1_0_gets_it_without_chunks",
        STREAMS,
        Raw(b"POST /score HTTP/1.0\r\nContent-Length: 3\r\n\r\naml"),
        Answer(200, "one,two,three", {"transfer-encoding": ABSENT}),
        "R3.33 R4.15",
    ),
    Case(
        "a_failure_after_the_first_item_cuts_the_body",
        STREAMS,
        post("breaks_later"),
        Answer(200, "one,", CHUNKED, truncated=True),
        "R3.34 0:R3.33",
    ),
    Case(
        "a_failure_before_the_first_item_is_a_json_error",
        STREAMS,
        post("breaks_at_once"),
        Answer(
            500,
            like(r'\{"message": ".*'),
            {"content-type": "application/json", "x-ms-run-function-failed": "True"},
            unlogged=(),
        ),
        "R3.34 0:R3.29",
        reference=BARE_HTML,
    ),
    Case(
        "items_arrive_before_the_stream_ends",
        STREAMS,
        scenarios.first_chunk_arrives_early,
        Outcome({"first": "first,", "early": True}),
        "R3.33",
    ),
    Case(
        "the_scoring_timeout_covers_the_stream",
        SHORT,
        post("slow"),
        Answer(200, like("first,second,"), truncated=True),
        "R3.33 R3.38 0:R3.33 D38",
        reference=Answer(200, "first,second,third"),
    ),
    Case(
        "telemetry_never_buffers_a_stream",
        serve(
            folder="streams",
            environment={"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": KEY},
        ),
        post("aml"),
        Answer(200, "one,two,three", CHUNKED, chunks=PIECES),
        "R3.35 0:R7 D2",
        reference=Answer(
            200, "one,two,three", {"transfer-encoding": ABSENT, "content-length": "13"}
        ),
    ),
]
