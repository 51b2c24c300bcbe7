from __future__ import annotations

import pytest

from azmlinfsrv.messages import Request, Response
from azmlinfsrv.telemetry.access import ACCESS_FORMAT, access_atoms, request_text


def access_text(request: Request, response: Response) -> str:
    return ACCESS_FORMAT % access_atoms(request, response, 0.25, 1769846709.9)


ACCESS = [
    (
        Request("POST", "/score", client="192.0.2.7"),
        Response(200, [], b"12345"),
        '192.0.2.7 - - [31/Jan/2026:08:05:09 +0000] "POST /score HTTP/1.1" 200 5 "-" "-"',
    ),
    (
        Request("GET", '/a b\n"é', b"x=\"'%20", http_version="1.0"),
        Response(404, [], b""),
        '- - - [31/Jan/2026:08:05:09 +0000] "GET /a%20b%0A%22%C3%A9?x=\\"\'%20 HTTP/1.0" '
        '404 0 "-" "-"',
    ),
    (
        Request(
            "GET",
            "/score",
            headers=[(b"referer", b'a\x85" \\'), (b"user-agent", b"one"), (b"user-agent", b"two")],
        ),
        Response(200, [], iter([b"stream"])),
        '- - - [31/Jan/2026:08:05:09 +0000] "GET /score HTTP/1.1" 200 - "a\\x85\\" \\\\" "one,two"',
    ),
]


@pytest.mark.parametrize(("request_", "response", "text"), ACCESS, ids=["plain", "odd", "stream"])
def test_an_access_line_is_one_line_of_whole_fields(
    request_: Request, response: Response, text: str
) -> None:
    assert access_text(request_, response) == text


@pytest.mark.parametrize(
    ("query", "length", "text"),
    [
        (b"", 20, "POST /score 200 0.867ms 20"),
        (b"", None, "POST /score 200 0.867ms N/A"),
        (b"a=1&b=%0A", 0, "POST /score?a=1&b=%0A 200 0.867ms 0"),
        (b"a=\x85\x1b\xe9", 0, "POST /score?a=\\x85\\x1bé 200 0.867ms 0"),
    ],
)
def test_a_request_line_has_the_form_of_the_contract(
    query: bytes, length: int | None, text: str
) -> None:
    assert request_text("POST", "/score", query, 200, 0.000867, length) == text
