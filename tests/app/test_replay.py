"""The curl line of a report: a shell must read it as the request that was sent."""

from __future__ import annotations

import shlex

import pytest

from azmlinfsrv.app.replay import MAX_BODY_BYTES, curl_line
from azmlinfsrv.messages import Headers, Request

HOST: Headers = [(b"host", b"localhost:5001")]
URL = "http://localhost:5001/score"


def words(request: Request) -> list[str]:
    return shlex.split(curl_line(request), comments=True)


CASES = [
    ("a body is POST", Request("POST", "/score", b"", HOST, b"{}"),
     ["curl", "-H", "content-type:", "--data-raw", "{}", URL]),
    ("no body is GET", Request("GET", "/score", b"", HOST), ["curl", URL]),
    ("POST without a body says so", Request("POST", "/score", b"", HOST),
     ["curl", "-X", "POST", URL]),
    ("HEAD has its own flag", Request("HEAD", "/score", b"", HOST), ["curl", "--head", URL]),
    ("another method is named", Request("PUT", "/score", b"", HOST, b"x"),
     ["curl", "-X", "PUT", "-H", "content-type:", "--data-raw", "x", URL]),
    ("quotes and dollars survive", Request("POST", "/score", b"", HOST, b"it's `$HOME` \"q\"\n@x"),
     ["curl", "-H", "content-type:", "--data-raw", "it's `$HOME` \"q\"\n@x", URL]),
    ("a file sign is no file", Request("POST", "/score", b"", HOST, b"@/etc/passwd"),
     ["curl", "-H", "content-type:", "--data-raw", "@/etc/passwd", URL]),
    ("the type is sent",
     Request("POST", "/score", b"", [*HOST, (b"content-type", b"text/csv")], b"1"),
     ["curl", "-H", "content-type: text/csv", "--data-raw", "1", URL]),
    ("an empty header is sent", Request("GET", "/score", b"", [*HOST, (b"x-a", b"")]),
     ["curl", "-H", "x-a;", URL]),
    ("the query is kept", Request("GET", "/score", b"a=1&b=%20'", HOST),
     ["curl", URL + "?a=1&b=%20'"]),
    ("what curl says itself is left out",
     Request("GET", "/score", b"", [*HOST, (b"user-agent", b"x"), (b"content-length", b"0"),
                                    (b"connection", b"close"), (b"sec-fetch-mode", b"cors")]),
     ["curl", URL]),
    ("without a host the address stands in", Request("GET", "/score", server="127.0.0.1:5001"),
     ["curl", "http://127.0.0.1:5001/score"]),
]  # fmt: skip


@pytest.mark.parametrize(("_says", "request_", "expected"), CASES, ids=[row[0] for row in CASES])
def test_line_repeats_the_request(_says: str, request_: Request, expected: list[str]) -> None:
    assert words(request_) == expected


@pytest.mark.parametrize("body", [b"x" * (MAX_BODY_BYTES + 1), b"\xff\xfe", b"a\0b"])
def test_body_that_cannot_stand_on_a_command_line_comes_from_a_file(body: bytes) -> None:
    line = curl_line(Request("POST", "/score", b"", HOST, body))

    assert "--data-binary @request.bin" in line
    assert line.endswith(f"# put the request's body, {len(body)} bytes, into request.bin first")


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"proxy-authorization",
        b"api-key",
        b"x-api-key",
        b"ocp-apim-subscription-key",
        b"x-functions-key",
        b"cookie",
        b"x-amz-security-token",
        b"x-my-secret",
        b"x-password",
        b"x-hub-signature",
    ],
)
def test_secret_header_is_masked(name: bytes) -> None:
    line = curl_line(Request("GET", "/score", b"", [*HOST, (name, b"s3cr3t")]))

    assert f"{name.decode()}: ***" in line
    assert "s3cr3t" not in line


@pytest.mark.parametrize("name", ["api_key", "access_token", "sig", "code", "password", "auth"])
def test_secret_parameter_is_masked(name: str) -> None:
    line = curl_line(Request("GET", "/score", f"a=1&{name}=s3cr3t&b=2".encode(), HOST))

    assert f"a=1&{name}=***&b=2" in line
    assert "s3cr3t" not in line
