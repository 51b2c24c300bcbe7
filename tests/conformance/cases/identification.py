"""Request ids in and out, their limits, and TraceId (R4.10 to R4.13)."""

from __future__ import annotations

from tests.conformance.case import (
    ABSENT,
    NOT_FOUND,
    PRESENT,
    UUID,
    Answer,
    Case,
    HeaderValue,
    Raw,
    error,
    get,
    like,
    post,
    serve,
)

TEXT = serve(folder="echo_text")
# Where nobody ever calls run(), a line of it can only come from the case at hand.
QUIET = serve(folder="echo_text", environment={"QUIET": "1"})
WARNING = (
    "azmlinfsrv - x-ms-request-id header has been deprecated and will be removed from future "
    "versions of the server. Please use x-ms-client-request-id."
)


def ids(
    request: HeaderValue, legacy: HeaderValue, client: HeaderValue, status: int = 200
) -> Answer:
    """The three headers that come back."""
    return Answer(
        status,
        headers={
            "x-request-id": request,
            "x-ms-request-id": legacy,
            "x-ms-client-request-id": client,
        },
    )


def matrix(name: str, headers: dict[str, str], expected: Answer) -> list[Case]:
    """A row of R4.10, on the scoring route and on the probe's."""
    names = {key.replace("-", "_"): value for key, value in headers.items()}
    return [
        Case(f"{name}_on_score", TEXT, post("x", **names), expected, "R4.10"),
        Case(f"{name}_on_root", TEXT, get("/", **names), expected, "R4.10"),
    ]


R, L, C = "x-request-id", "x-ms-request-id", "x-ms-client-request-id"
LONG, LONGEST = "i" * 101, "i" * 100
TOO_LONG_R = "x-request-id must not exceed 100 characters"
TOO_LONG_LC = "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"

CASES = [
    *matrix("no_id", {}, ids(UUID, UUID, ABSENT)),
    *matrix("r_only", {R: "A"}, ids("A", "A", ABSENT)),
    *matrix("l_only", {L: "B"}, ids(UUID, "B", "B")),
    *matrix("c_only", {C: "C"}, ids(UUID, "C", "C")),
    *matrix("r_and_l", {R: "A", L: "B"}, ids("A", "B", "B")),
    *matrix("l_and_c", {L: "B", C: "C"}, ids(UUID, "B", "C")),
    *matrix("r_and_c", {R: "A", C: "C"}, ids("A", "C", "C")),
    *matrix("r_and_l_and_c", {R: "A", L: "B", C: "C"}, ids("A", "B", "C")),
    Case(
        "names_are_case_insensitive",
        TEXT,
        post("x", X_REQUEST_ID="A", X_Ms_Client_Request_Id="C"),
        ids("A", "C", "C"),
        "R4.10",
    ),
    Case(
        "ids_are_on_swagger",
        TEXT,
        get("/swagger.json", X_Request_Id="A"),
        ids("A", "A", ABSENT),
        "R4.10",
    ),
    Case(
        "ids_are_on_bad_input",
        TEXT,
        post(b"\xff", X_Request_Id="A", X_Ms_Client_Request_Id="C"),
        ids("A", "C", "C", 400),
        "R4.10 R4.7",
    ),
    Case(
        "ids_are_on_a_path_that_does_not_exist",
        TEXT,
        get("/nothing", X_Request_Id="A", X_Ms_Client_Request_Id="C"),
        ids("A", "C", "C", 404),
        "0:R4.1",
        reference=error(404, NOT_FOUND, {R: ABSENT, L: ABSENT, C: ABSENT}),
    ),
    Case(
        "the_deprecated_header_logs_one_warning",
        TEXT,
        post("x", x_ms_request_id="B"),
        Answer(200, log=(r" W \[\d+\] " + WARNING,)),
        "R4.10",
    ),
    Case(
        "the_deprecated_header_warns_once_a_request",
        TEXT,
        get("/", x_ms_request_id="B"),
        Answer(200, log=(WARNING,), unlogged=(rf"(?s){WARNING}.*{WARNING}",)),
        "R4.10",
    ),
    Case(
        "an_empty_deprecated_header_does_not_warn",
        TEXT,
        post("x", x_ms_request_id=""),
        Answer(200, unlogged=(WARNING,)),
        "R4.10 R4.11",
    ),
    Case(
        "repeated_ids_are_joined_with_a_comma",
        TEXT,
        Raw(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"x-request-id: a\r\nx-request-id: b\r\n\r\n",
            ("GET",),
        ),
        ids("a,b", "a,b", ABSENT),
        "R4.10",
    ),
    Case(
        "blanks_around_an_id_are_trimmed",
        TEXT,
        get("/", X_Request_Id="  a b \t"),
        ids("a b", "a b", ABSENT),
        "R4.10",
    ),
    Case(
        "latin_1_is_echoed_unchanged",
        TEXT,
        get("/", X_Request_Id="caf\xe9", X_Ms_Client_Request_Id="\xfc"),
        ids("caf\xe9", "\xfc", "\xfc"),
        "R4.10",
    ),
    Case(
        "printable_text_of_any_kind_is_echoed",
        TEXT,
        get("/", X_Request_Id='a;b="c"/{d}<e>,%41'),
        ids('a;b="c"/{d}<e>,%41', PRESENT, ABSENT),
        "R4.10",
    ),
    # --- empty
    Case(
        "an_empty_request_id_counts_as_absent",
        TEXT,
        get("/", X_Request_Id=""),
        ids(UUID, UUID, ABSENT),
        "R4.11 0:R4.11 D22",
        reference=ids(ABSENT, ABSENT, ABSENT),
    ),
    Case(
        "an_empty_request_id_beside_a_client_id",
        TEXT,
        get("/", X_Request_Id="", X_Ms_Client_Request_Id="C"),
        ids(UUID, "C", "C"),
        "R4.11 0:R4.11 D22",
        reference=ids(ABSENT, "C", "C"),
    ),
    Case(
        "empty_client_ids_count_as_absent",
        TEXT,
        get("/", x_ms_request_id="", x_ms_client_request_id=""),
        ids(UUID, UUID, ABSENT),
        "R4.11",
    ),
    # --- limits
    Case(
        "a_hundred_characters_are_accepted",
        TEXT,
        post("x", x_request_id=LONGEST, x_ms_client_request_id=LONGEST),
        ids(LONGEST, LONGEST, LONGEST),
        "R4.12",
    ),
    Case(
        "a_request_id_of_101_characters_is_431",
        QUIET,
        post("x", X_Request_Id=LONG, TraceId="t"),
        error(
            431,
            TOO_LONG_R,
            {
                R: ABSENT,
                L: ABSENT,
                C: ABSENT,
                "traceid": "t",
                "x-ms-server-version": like(r"azmlinfsrv/.+"),
            },
            unlogged=("run was called",),
        ),
        "R4.12 R4.7 R4.13",
    ),
    Case(
        "a_client_id_of_101_characters_is_431",
        TEXT,
        post("x", X_Request_Id="A", X_Ms_Client_Request_Id=LONG),
        error(431, TOO_LONG_LC, {R: "A", L: ABSENT, C: ABSENT}),
        "R4.12 R4.7",
    ),
    Case(
        "a_deprecated_id_of_101_characters_is_431_beside_a_good_client_id",
        TEXT,
        post("x", x_ms_request_id=LONG, x_ms_client_request_id="C"),
        error(431, TOO_LONG_LC, {R: UUID, L: ABSENT, C: ABSENT}),
        "R4.12",
    ),
    Case(
        "the_limit_holds_on_the_probe",
        TEXT,
        get("/", X_Request_Id=LONG),
        error(431, TOO_LONG_R),
        "R4.12",
    ),
    Case(
        "the_limit_holds_on_swagger",
        TEXT,
        get("/swagger.json", X_Ms_Client_Request_Id=LONG),
        error(431, TOO_LONG_LC),
        "R4.12",
    ),
    Case(
        "the_limit_is_checked_before_the_body",
        TEXT,
        post(b"\xff", X_Request_Id=LONG),
        error(431, TOO_LONG_R),
        "R4.12",
    ),
    Case(
        "joined_ids_count_together",
        TEXT,
        Raw(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"x-request-id: " + b"a" * 60 + b"\r\nx-request-id: " + b"b" * 60 + b"\r\n\r\n",
            ("GET",),
        ),
        error(431, TOO_LONG_R),
        "R4.12",
    ),
    # --- TraceId
    Case(
        "trace_id_is_echoed",
        TEXT,
        post("x", TraceId="t-1"),
        Answer(200, headers={"traceid": "t-1"}),
        "R4.13",
    ),
    Case(
        "trace_id_has_no_limit",
        TEXT,
        get("/", TraceId="t" * 500),
        Answer(200, headers={"traceid": "t" * 500}),
        "R4.13",
    ),
    Case(
        "trace_id_with_a_hyphen_is_not_recognised",
        TEXT,
        get("/", trace_id="t"),
        Answer(200, headers={"traceid": ABSENT, "trace-id": ABSENT}),
        "R4.13",
    ),
    Case(
        "no_trace_id_no_header", TEXT, get("/"), Answer(200, headers={"traceid": ABSENT}), "R4.13"
    ),
    Case(
        "a_client_id_cut_to_forty_characters_is_echoed",
        TEXT,
        post("x", X_Ms_Client_Request_Id="0123456789" * 4),
        ids(UUID, "0123456789" * 4, "0123456789" * 4),
        "X13",
    ),
]
