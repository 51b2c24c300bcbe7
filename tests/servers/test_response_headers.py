"""What every response says, and what none does, whatever the server and whatever went wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Serve

SERVERS = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}
LIMIT = 200_000
SCRIPT = """
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


def run(data):
    if data == "stream":
        return (f"{number}\\n" for number in range(3))
    if data == "raise":
        raise ValueError("no")
    if data == "own":
        return AMLResponse("mine", 200, {"X-Content-Type-Options": "sniff"})
    if data == "object":
        return object()
    return data
"""


def post(body: bytes, *fields: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join(
        [b"POST /score HTTP/1.1", b"Host: x", b"Connection: close", length, *fields, b"", body]
    )


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: x\r\nConnection: close\r\n\r\n"


# What is sent, and the status.
REQUESTS: dict[str, tuple[bytes, int]] = {
    "a result": (post(b"abc"), 200),
    "a stream": (post(b"stream"), 200),
    "a stream of HTTP/1.0": (post(b"stream").replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
    "a header of the script's own": (post(b"own"), 200),
    "an exception": (post(b"raise"), 500),
    "a result without JSON": (post(b"object"), 500),
    "a body that is no text": (post(b"\xff"), 400),
    "a body over the limit": (post(b"x" * (LIMIT + 1)), 413),
    "an id that is too long": (post(b"abc", b"x-request-id: " + b"x" * 101), 431),
    "a probe": (line(b"GET / HTTP/1.1"), 200),
    "a probe's head": (line(b"HEAD / HTTP/1.1"), 200),
    "readiness": (line(b"GET /health/ready HTTP/1.1"), 200),
    "liveness": (line(b"GET /health/live HTTP/1.1"), 200),
    "what is allowed": (line(b"OPTIONS /score HTTP/1.1"), 200),
    "a document": (line(b"GET /swagger.json HTTP/1.1"), 200),
    "no such document": (line(b"GET /swagger.json?version=9 HTTP/1.1"), 404),
    "no such path": (line(b"GET /nothing HTTP/1.1"), 404),
    "not this method": (line(b"DELETE /score HTTP/1.1"), 405),
    "an unknown method": (line(b"BREW /score HTTP/1.1"), 405),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a bad field": (b"GET / HTTP/1.1\r\nHost: x\r\nb\x01d field\r\n\r\n", 400),
    "two lengths": (post(b"abc", b"Transfer-Encoding: chunked"), 400),
    "a head without an end": (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"x" * 2_000_000, 431),
}
NAMES = re.compile(rb"(?i)gunicorn|uvicorn|waitress|werkzeug|flask|httptools|uvloop|python")


@pytest.mark.parametrize("flags", SERVERS.values(), ids=SERVERS)
def test_every_response_is_marked_and_none_names_what_it_is_made_of(
    serve: Serve, flags: tuple[str, ...], tmp_path: Path
) -> None:
    server = serve(SCRIPT, *flags, "--max_body_bytes", str(LIMIT))

    for name, (data, status) in REQUESTS.items():
        answer = server.exchange(data)
        head = answer.partition(b"\r\n\r\n")[0]
        fields = [field.partition(b":")[0].lower() for field in head.split(b"\r\n")[1:]]
        assert re.match(rb"HTTP/1\.[01] %d " % status, head), (name, answer)
        assert re.findall(rb"(?im)^x-content-type-options: (\S+)\r?$", head) == [b"nosniff"], name
        assert not {b"server", b"via", b"x-powered-by", b"x-aspnet-version"} & set(fields), name
        assert not NAMES.search(answer), (name, answer)
        assert str(tmp_path).encode() not in answer, name
