"""Keys, over every server: what is open, what is not, and who gets to see a key."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.harness import Server

SERVERS = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}
OLD, NEW = "old-key-4711", "new-key-0815"
ENVIRON = {"AZMLINFSRV_AUTH_KEYS": f" {OLD} , ,{NEW},", "AML_CORS_ORIGINS": "https://example.com"}
SCRIPT = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):
    print("run was called with", request.method)
    return AMLResponse(sorted(dict(request.headers).items()), 200, {}, json_str=True)
"""
OPEN = ("/", "/health/live", "/health/ready", "//")
CLOSED = (
    ("GET", "/score"),
    ("POST", "/score"),
    ("POST", "//score"),
    ("HEAD", "/score"),
    ("OPTIONS", "/score"),
    ("PUT", "/score"),
    ("GET", "/swagger.json"),
    ("GET", "/metrics"),
    ("GET", "/score/"),
    ("GET", "/nothing"),
)

each_server = pytest.mark.parametrize("flags", SERVERS.values(), ids=SERVERS)


@each_server
def test_only_the_probes_are_open(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, *flags, environ=ENVIRON)

    assert [server.get(path).status for path in OPEN] == [200] * len(OPEN)
    for method, target in CLOSED:
        answer = server.request(method, target, headers={"x-ms-client-request-id": "mine"})
        assert answer.status == 401, (method, target)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["x-ms-run-function-failed"] == "False"
        assert answer.headers["x-ms-client-request-id"] == "mine"
        assert answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/json"
        if method != "HEAD":
            assert json.loads(answer.body).keys() == {"message"}
    assert "run was called" not in server.log()


@each_server
def test_every_key_opens_and_the_script_sees_none_of_ours(
    shared: Serve, flags: tuple[str, ...]
) -> None:
    server = shared(SCRIPT, *flags, environ=ENVIRON)

    for header, value in (
        ("Authorization", f"Bearer {OLD}"),
        ("Authorization", f"bearer {NEW}"),
        ("api-key", OLD),
        ("Api-Key", NEW),
    ):
        answer = server.score(headers={header: value, "X-Mine": "stays"})
        assert answer.status == 200
        assert b"stays" in answer.body
        assert header.lower().encode() not in answer.body.lower()
    both = server.score(headers={"api-key": NEW, "Authorization": "Basic dXNlcjpwYXNz"})
    assert b"Basic dXNlcjpwYXNz" in both.body
    assert server.get("/swagger.json", {"api-key": OLD}).status == 200
    assert server.get("/nothing", {"api-key": OLD}).status == 404
    assert server.request("PUT", "/score", headers={"api-key": OLD}).status == 405
    wrong = server.score(headers={"api-key": OLD[:-1]})
    assert wrong.status == 401
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    log = server.log()
    assert OLD not in log
    assert NEW not in log


@each_server
def test_a_browser_may_ask_first_and_may_read_the_refusal(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *flags, environ=ENVIRON)
    origin = {"Origin": "https://example.com"}

    preflight = server.request(
        "OPTIONS",
        "/score",
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    refused = server.score(headers=origin)

    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "https://example.com"
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://example.com"
    assert "run was called" not in server.log()


@each_server
def test_a_body_without_a_key_is_not_read(shared: Serve, flags: tuple[str, ...]) -> None:
    server = shared(SCRIPT, *flags, environ=ENVIRON)
    head = b"POST /score HTTP/1.1\r\nHost: x\r\n%b: 90000000\r\n%b\r\n"

    # Answered though not one byte of the body has been sent, and nobody is invited to send it.
    for expect in (b"", b"Expect: 100-continue\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(head % (b"Content-Length", expect))
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        assert b"\r\nconnection: close\r\n" in answer.lower()
    # A client that sends first and reads later gets the answer as well, or is cut off.
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head % (b"Content-Length", b""))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(bytes(65536))
        with contextlib.suppress(ConnectionError):
            assert connection.recv(65536)[:13] in (b"HTTP/1.1 401 ", b"")
    assert server.score(headers={"api-key": OLD}, body=bytes(1_000_000)).status == 200


def test_keys_from_a_file_count_and_a_list_without_a_key_is_an_error(
    serve: Serve, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"AZMLINFSRV_AUTH_KEYS": OLD}))
    server = serve(SCRIPT, "--config_file", str(config))

    assert server.score().status == 401
    assert server.score(headers={"api-key": OLD}).status == 200
    for value in ("", " ", ",", " , ,"):
        config.write_text(json.dumps({"AZMLINFSRV_AUTH_KEYS": value}))
        refused = Server(
            tmp_path / "score.py", "--config_file", str(config), root=tmp_path, environ={}
        )
        try:
            assert refused.exit_status() == 3
            assert "AZMLINFSRV_AUTH_KEYS" in refused.log()
        finally:
            refused.close()


@pytest.mark.parametrize("value", ["good-key,bad key", "good-key,k\u00e4y", "good-key,a\tb"])
def test_a_key_no_client_could_send_is_an_error_that_does_not_show_it(
    tmp_path: Path, value: str
) -> None:
    server = Server(tmp_path / "score.py", root=tmp_path, environ={"AZMLINFSRV_AUTH_KEYS": value})

    try:
        assert server.exit_status() == 3
        assert "Key 2 of 2" in server.log()
        assert "good-key" not in server.log()
        assert value.partition(",")[2] not in server.log()
    finally:
        server.close()
