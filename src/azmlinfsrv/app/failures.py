"""The one place where an error becomes a response (R4.5, R4.7)."""

from __future__ import annotations

import json

from azmlinfsrv.errors import RequestError
from azmlinfsrv.messages import Response

FUNCTION_FAILED = b"x-ms-run-function-failed"


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
