"""The one place where an error becomes a response (R4.5, R4.7)."""

from __future__ import annotations

import json

from azmlinfsrv.app.accept import prefers_html
from azmlinfsrv.app.batch import batch_headers
from azmlinfsrv.errors import RequestError
from azmlinfsrv.messages import Headers, Request, Response

FUNCTION_FAILED = b"x-ms-run-function-failed"
# Every response has it: a browser takes what a script returns for what we say it is, and
# for nothing else (Fetch, X-Content-Type-Options).
NOSNIFF = (b"X-Content-Type-Options", b"nosniff")

# The page needs no script, and what it shows must not be able to start one.
_PAGE_POLICY = b"default-src 'none'; style-src 'unsafe-inline'"


def response_for(error: RequestError) -> Response:
    """The JSON error: ``{"message": "…"}``, and ``location`` if it lies in the user's code."""
    content = {"message": error.message}
    if error.location:
        content["location"] = error.location
    # Not orjson: clients have always seen this spacing and ASCII escapes.
    return _failed(error, [(b"Content-Type", b"application/json")], json.dumps(content).encode())


def report_response(error: RequestError, request: Request, request_id: str) -> Response:
    """All that is known about a failed call, for the development mode.

    JSON (`azmlinfsrv.app.development`), or a page for those who would rather have HTML.
    """
    from azmlinfsrv.app.development import full_report, page

    report = full_report(error, request, request_id)
    if prefers_html(request.header(b"accept")):
        headers = [
            (b"Content-Type", b"text/html; charset=utf-8"),
            (b"Content-Security-Policy", _PAGE_POLICY),
        ]
        body = page(report)
    else:
        headers, body = [(b"Content-Type", b"application/json")], json.dumps(report).encode()
    response = _failed(error, headers, body)
    response.headers.extend(batch_headers(error.batch))
    return response


def _failed(error: RequestError, headers: Headers, body: bytes) -> Response:
    failed = b"True" if error.function_failed else b"False"
    return Response(error.status, [*headers, (FUNCTION_FAILED, failed), *error.headers], body)
