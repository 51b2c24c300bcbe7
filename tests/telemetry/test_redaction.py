"""What must not reach a disk, and what comes through untouched."""

from __future__ import annotations

import json

import pytest

from azmlinfsrv.telemetry.redaction import Redactor, names_in

JSON = "application/json"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def redactor() -> Redactor:
    return Redactor(["patient_id", "Größe"])


def test_headers_are_blanked_by_name() -> None:
    headers = [
        (b"Authorization", b"Bearer s3cret"),
        (b"api_key", b"s3cret"),
        (b"Set-Cookie", b"s3cret"),
        (b"Patient-Id", b"s3cret"),
        (b"accept", b"authorization"),
    ]

    kept, names = redactor().headers(headers)

    assert "s3cret" not in str(kept)
    assert names == ["authorization", "api_key", "set-cookie", "patient-id"]
    assert kept[-1] == ("accept", "authorization")


@pytest.mark.parametrize(
    ("query", "expected", "names"),
    [
        ("", "", []),
        ("a=1&b=2", "a=1&b=2", []),
        ("a=1&api-key=s3cret&b=2", "a=1&api-key=[redacted]&b=2", ["api-key"]),
        ("API%2DKEY=s3cret", "API%2DKEY=[redacted]", ["API-KEY"]),
        ("api-key=s3;cret", "api-key=[redacted]", ["api-key"]),
        ("a=1;api-key=s3cret", "a=[redacted]", ["a"]),
        ("a=cookie", "a=cookie", []),
    ],
)
def test_parameters_are_blanked_by_name(query: str, expected: str, names: list[str]) -> None:
    assert redactor().query(query) == (expected, names)


@pytest.mark.parametrize(
    ("body", "media_type", "expected", "places"),
    [
        (b'{"a": 1}', JSON, b'{"a": 1}', []),
        (b'{"a" :1,  "b": NaN}', JSON, b'{"a" :1,  "b": NaN}', []),
        (b"\xff\x00", "image/png", b"\xff\x00", []),
        (b'{"note": "my api-key"}', JSON, b'{"note": "my api-key"}', []),
        (
            b'{"a": [{"Api_Key": {"x": "s3cret"}}]}',
            JSON,
            b'{"a": [{"Api_Key": "[redacted]"}]}',
            ["a[0].Api_Key"],
        ),
        (
            b'{"api\\u002dkey": "s3cret"}',
            JSON,
            b'{"api-key": "[redacted]"}',
            ["api-key"],
        ),
        ('{"GRÖßE": "s3cret"}'.encode(), JSON, '{"GRÖßE": "[redacted]"}'.encode(), ["GRÖßE"]),
        (b"x=1&cookie=s3cret", FORM, b"x=1&cookie=[redacted]", ["cookie"]),
        # JSON in a JSON string, as SDKs of some clients send it.
        (
            b'{"data": "{\\"cookie\\": \\"s3cret\\"}"}',
            JSON,
            json.dumps({"data": '{"cookie": "[redacted]"}'}).encode(),
            ["data.cookie"],
        ),
        (b"\xff\\u0063\xff" * 9, "image/png", b"\xff\\u0063\xff" * 9, []),
        (b'{"Api\\u005fkey": "s3cret"}', JSON, b'{"Api_key": "[redacted]"}', ["Api_key"]),
        # Nobody can say where the value ends: not kept.
        (b'{"cookie": "s3cret"', JSON, None, []),
        (b'{"a": {"cookie": "s3cret"}, "a": 1}', JSON, None, []),
        (b"cookie: s3cret", "text/plain", None, []),
        (b"\xff cookie: s3cret", "image/png", None, []),
        (b'"cookie=s3cret"', JSON, None, []),
        (b"[" * 100_000 + b'"cookie"', JSON, None, []),
    ],
)
def test_bodies(body: bytes, media_type: str, expected: bytes | None, places: list[str]) -> None:
    assert redactor().body(body, media_type) == (expected, places)


def test_the_beginning_of_a_long_body_is_kept_only_if_it_names_nothing() -> None:
    assert redactor().may_keep_part(b'{"rows": [1, 2')
    assert not redactor().may_keep_part(b'{"patient-ID": 47')


def test_names_are_separated_by_commas() -> None:
    assert names_in(" a, b_c ,,") == ["a", "b_c"]
