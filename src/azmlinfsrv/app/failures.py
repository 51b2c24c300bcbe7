"""The one place where an error becomes a response (R4.5, R4.7)."""

from __future__ import annotations

import json

from azmlinfsrv.errors import RequestError
from azmlinfsrv.messages import Response

FUNCTION_FAILED = b"x-ms-run-function-failed"
# Every response has it: a browser takes what a script returns for what we say it is, and
# for nothing else (Fetch, X-Content-Type-Options).
NOSNIFF = (b"X-Content-Type-Options", b"nosniff")


def response_for(error: RequestError) -> Response:
    """The JSON error: ``{"message": "…"}``, and ``location`` if it lies in the user's code."""
    content = {"message": error.message}
    if error.location:
        content["location"] = error.location
    return Response(
        error.status,
        [
            (b"Content-Type", b"application/json"),
            (FUNCTION_FAILED, b"True" if error.function_failed else b"False"),
            *error.headers,
        ],
        # Not orjson: clients have always seen this spacing and ASCII escapes.
        json.dumps(content).encode(),
    )
