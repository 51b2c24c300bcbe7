"""Who may call, in memory."""

from __future__ import annotations

import pytest

from azmlinfsrv.app.authentication import Authentication, is_preflight
from azmlinfsrv.errors import Unauthorized
from azmlinfsrv.messages import Headers, Request
from azmlinfsrv.settings import Secret, split_keys

KEYS = Authentication(split_keys(Secret(" old-key ,, new.key=+/~ ,")))
OTHER = (b"content-type", b"application/json")


def request(*headers: tuple[bytes, bytes], method: str = "POST") -> Request:
    return Request(method, "/score", headers=list(headers))


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer old-key"),
        (b"authorization", b"Bearer new.key=+/~"),
        (b"authorization", b"bearer old-key"),
        (b"authorization", b"BEARER   old-key "),
        (b"api-key", b"old-key"),
        (b"api-key", b" new.key=+/~ "),
    ],
)
def test_each_key_is_taken_in_both_headers_and_goes_no_further(
    header: tuple[bytes, bytes],
) -> None:
    admitted = KEYS.admit(request(OTHER, header))

    assert admitted.headers == [OTHER]


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ([], b'Bearer realm="score"'),
        ([(b"authorization", b"Basic b2xkLWtleQ==")], b'Bearer realm="score"'),
        ([(b"authorization", b"old-key")], b'Bearer realm="score"'),
        ([(b"authorization", b"Bearer")], b'Bearer realm="score"'),
        ([(b"x-api-key", b"old-key")], b'Bearer realm="score"'),
        ([(b"authorization", b"Bearer ")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"authorization", b"Bearer old-ke")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"authorization", b"Bearer old-keyy")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"authorization", b"Bearer OLD-KEY")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"api-key", b"")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"api-key", b"old-key,new.key=+/~")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"api-key", b"old-key\xff")], b'Bearer realm="score", error="invalid_token"'),
        ([(b"api-key", b"Bearer old-key")], b'Bearer realm="score", error="invalid_token"'),
    ],
)
def test_anything_else_is_refused_and_says_how_to_come_in(
    headers: Headers, challenge: bytes
) -> None:
    with pytest.raises(Unauthorized) as refusal:
        KEYS.admit(request(OTHER, *headers))

    assert refusal.value.headers == ((b"WWW-Authenticate", challenge),)
    assert "old" not in refusal.value.message


def test_what_is_no_key_of_ours_stays_for_the_script() -> None:
    theirs = (b"authorization", b"Basic dXNlcjpwYXNz")
    also_theirs = (b"authorization", b"Bearer a-token-for-something-else")

    admitted = KEYS.admit(request(theirs, (b"api-key", b"old-key"), also_theirs))

    assert admitted.headers == [theirs, also_theirs]


def test_a_preflight_is_told_by_its_method_and_two_headers() -> None:
    origin = (b"origin", b"https://example.com")
    wanted = (b"access-control-request-method", b"POST")

    assert is_preflight(request(origin, wanted, method="OPTIONS"))
    assert not is_preflight(request(origin, method="OPTIONS"))
    assert not is_preflight(request(wanted, method="OPTIONS"))
    assert not is_preflight(request(origin, wanted))
