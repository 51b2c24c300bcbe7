"""How long a caller will wait, if it says so."""

from __future__ import annotations

import math
import re

from azmlinfsrv.errors import BadInput
from azmlinfsrv.messages import Headers

# Seconds in one of what the header counts in, by its name.
TIMEOUTS = {b"x-ms-request-timeout-ms": 0.001, b"request-timeout": 1.0}
_NUMBER = re.compile(rb"\d{1,12}(?:\.\d{1,9})?")


def callers_limit_s(headers: Headers) -> float:
    """Seconds from the request's arrival that its caller allows; infinite if it does not say.

    Two headers say so: ``x-ms-request-timeout-ms`` in milliseconds, ``Request-Timeout`` in
    seconds. The least of what is given counts.

    Raises:
        BadInput: a value is no number above 0.
    """
    limit_s = math.inf
    for name, value in headers:
        if name in TIMEOUTS:
            limit_s = min(limit_s, _seconds(name, value))
    return limit_s


def _seconds(name: bytes, value: bytes) -> float:
    text = value.strip()
    seconds = float(text) * TIMEOUTS[name] if _NUMBER.fullmatch(text) else 0.0
    if not seconds:
        unit = "milliseconds" if name == b"x-ms-request-timeout-ms" else "seconds"
        raise BadInput(
            f"The header {name.decode()} must be a number of {unit} above 0, such as 1500."
        )
    return seconds
