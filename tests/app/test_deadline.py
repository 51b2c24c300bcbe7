"""How long a caller will wait, as its headers say."""

from __future__ import annotations

import math

import pytest

from azmlinfsrv.app.deadline import callers_limit_s
from azmlinfsrv.errors import BadInput
from azmlinfsrv.messages import Headers

MS, S = b"x-ms-request-timeout-ms", b"request-timeout"


@pytest.mark.parametrize(
    ("headers", "limit_s"),
    [
        ([], math.inf),
        ([(b"content-type", b"5")], math.inf),
        ([(MS, b"1500")], 1.5),
        ([(MS, b" 20 ")], 0.02),
        ([(S, b"2")], 2.0),
        ([(S, b"0.5")], 0.5),
        ([(S, b"2"), (MS, b"500")], 0.5),
        ([(S, b"2"), (S, b"1")], 1.0),
        ([(MS, b"999999999999")], 999999999.999),
    ],
)
def test_the_least_that_is_said_counts(headers: Headers, limit_s: float) -> None:
    assert callers_limit_s(headers) == pytest.approx(limit_s)


@pytest.mark.parametrize(
    "value",
    [b"", b"0", b"0.0", b"-1", b"+1", b"1e3", b"nan", b"inf", b"1_000", b"0x10", b"1,2", b"5s",
     b"\xb2", b"9" * 13, b"1." + b"1" * 10, b"1 2"],
)  # fmt: skip
@pytest.mark.parametrize("name", [MS, S])
def test_anything_else_is_a_client_error_that_names_the_header(name: bytes, value: bytes) -> None:
    with pytest.raises(BadInput, match=name.decode()):
        callers_limit_s([(name, value)])
