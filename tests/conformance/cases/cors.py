"""Cross-origin headers (R4.14)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.conformance.case import ABSENT, Answer, Case, Started, ask, get, post, serve

A, B, EVIL = "https://a.com", "https://b.org", "https://evil.org"


def configured(origins: str) -> Any:
    return serve(folder="echo_text", environment={"AML_CORS_ORIGINS": origins})


def allows(allowed: Any, vary: bool, status: int = 200, **headers: Any) -> Answer:
    return Answer(
        status,
        headers={
            "access-control-allow-origin": allowed,
            "vary": "Origin" if vary else ABSENT,
            **{f"access-control-{k.replace('_', '-')}": v for k, v in headers.items()},
        },
    )


NONE = allows(ABSENT, False)
METHODS, HEADERS = "allow_methods", "allow_headers"


def row(
    name: str,
    origins: str,
    origin: str | None,
    expected: Answer,
    reference: Answer | None = None,
    shows: str = "",
) -> Case:
    """One line of the table of R4.14: what is configured, who asks, what is allowed."""
    headers = {} if origin is None else {"Origin": origin}
    decided = " 0:R4.14 D20 D21" if reference else ""
    return Case(
        name,
        configured(origins),
        post("x", **headers),
        expected,
        f"R4.14{decided}{shows}",
        reference,
    )


def preflight(
    name: str, origins: str, origin: str, method: str, wanted: str, answer: Answer
) -> Case:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if wanted:
        headers["Access-Control-Request-Headers"] = wanted
    return Case(
        name, configured(origins), ask("OPTIONS", "/score", b"", **headers), answer, "R4.14"
    )


def rows() -> Iterable[Case]:
    yield row("star_without_origin", "*", None, allows("*", False))
    yield row("star_echoes_any_origin", "*", EVIL, allows(EVIL, True))
    yield row("star_echoes_null", "*", "null", allows("null", True))
    yield row("one_without_origin", A, None, allows(A, False))
    yield row("one_equal", A, A, allows(A, False))
    yield row("one_equal_in_another_case", A, "HTTPS://A.com", allows("HTTPS://A.com", False))
    yield row("one_different", A, EVIL, NONE)
    yield row("one_with_another_port", A, f"{A}:8080", NONE)
    yield row("one_with_another_scheme", A, "http://a.com", NONE)
    yield row("one_with_a_suffix", A, f"{A}.evil.org", NONE)
    yield row("several_without_origin", f"{B}, {A}", None, allows(A, True))
    yield row("several_listed", f"{B}, {A}", B, allows(B, True))
    yield row("several_not_listed", f"{B}, {A}", EVIL, NONE)
    yield row("blanks_are_trimmed", f"  {B} ,{A} ", A, allows(A, True))
    # Decided: hosts without a scheme, wildcards for labels, nothing else is a pattern.
    yield row("a_host_matches_https", "a.com", A, allows(A, False), NONE)
    yield row("a_host_matches_http", "a.com", "http://a.com", allows("http://a.com", False), NONE)
    yield row("a_host_does_not_match_a_longer_one", "a.com", "https://xa.com", NONE)
    wild = "https://*.a.com"
    one, two = "https://x.a.com", "https://x.y.a.com"
    yield row("a_wildcard_stands_for_a_label", wild, one, allows(one, True), NONE)
    yield row("a_wildcard_stands_for_labels", wild, two, allows(two, True), NONE)
    yield row("a_wildcard_needs_a_label", wild, A, NONE, allows(A, True))
    yield row("a_wildcard_is_matched_in_full", wild, f"{one}.evil.org", NONE)
    pattern = r"https://.*\.a\.com"
    yield row("a_regular_expression_is_no_pattern", pattern, one, NONE, allows(one, True))
    yield row(
        "nor_at_the_start_only", pattern, f"{one}.evil.org", NONE, allows(f"{one}.evil.org", True)
    )


CASES = [
    *rows(),
    Case("not_configured", serve(folder="echo_text"), post("x", Origin=A), NONE, "R4.14"),
    Case("on_the_probe", configured(A), get("/", Origin=A), allows(A, False), "R4.14"),
    Case("on_swagger", configured(A), get("/swagger.json", Origin=A), allows(A, False), "R4.14"),
    Case(
        "on_bad_input", configured(A), post(b"\xff", Origin=A), allows(A, False, 400), "R4.14 R4.7"
    ),
    Case(
        "on_a_header_that_is_too_long",
        configured(A),
        post("x", Origin=A, X_Request_Id="i" * 101),
        allows(A, False, 431),
        "R4.14 R4.12",
    ),
    Case(
        "not_on_404",
        configured(A),
        get("/nothing", Origin=A),
        allows(ABSENT, False, 404),
        "R4.14 R4.7",
    ),
    Case(
        "not_on_405",
        configured(A),
        ask("PUT", "/score", Origin=A),
        allows(ABSENT, False, 405),
        "R4.14 R4.7",
    ),
    preflight(
        "preflight_names_methods_and_headers",
        A,
        A,
        "POST",
        "X-B, authorization, X-A",
        allows(A, False, allow_methods="GET, POST", allow_headers="X-A, X-B, authorization"),
    ),
    preflight(
        "preflight_without_headers",
        A,
        A,
        "GET",
        "",
        allows(A, False, allow_methods="GET, POST", allow_headers=ABSENT),
    ),
    preflight(
        "preflight_for_another_method",
        A,
        A,
        "DELETE",
        "X-A",
        allows(A, False, allow_methods=ABSENT, allow_headers=ABSENT),
    ),
    preflight(
        "preflight_from_another_origin",
        A,
        EVIL,
        "POST",
        "X-A",
        allows(ABSENT, False, allow_methods=ABSENT, allow_headers=ABSENT),
    ),
    preflight(
        "preflight_has_no_age_and_no_credentials",
        "*",
        EVIL,
        "POST",
        "",
        allows(EVIL, True, max_age=ABSENT, allow_credentials=ABSENT, expose_headers=ABSENT),
    ),
    Case(
        "a_header_of_the_script_stands",
        serve(
            """
            import flask
            def init(): pass
            def run(data):
                return flask.Response("x", headers={"Access-Control-Allow-Origin": "https://own"})
            """,
            environment={"AML_CORS_ORIGINS": "*"},
        ),
        post("x", Origin=A),
        Answer(200, "x", {"access-control-allow-origin": "https://own", "vary": ABSENT}),
        "R4.14",
    ),
    Case(
        "the_origins_are_logged",
        configured(f"{B}, {A}"),
        None,
        Started(log=(f"azmlinfsrv - Enabling CORS for the following origins: {B}, {A}$",)),
        "R4.14 R6.5",
    ),
    Case(
        "the_flag_sets_them",
        serve(
            folder="echo_text",
            arguments=("--entry_script", "score.py", "--access_control_allow_origins", A),
        ),
        post("x", Origin=A),
        allows(A, False),
        "R1.2 R4.14",
    ),
    Case(
        "an_empty_value_enables_nothing",
        configured(""),
        post("x", Origin=A),
        NONE,
        "R4.14",
    ),
]
