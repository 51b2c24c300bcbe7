"""Starting servers to send requests to."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import Answer, BadUrl, Client
from azmlinfsrv.tools.peers import (
    CannotStart,
    Peer,
    any_command,
    our_command,
    server_at,
    started,
    under_prefix,
)

FINE = "def init():\n    pass\n\ndef run(data):\n    return data\n"
SMALL_SERVER = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def ask(peer: Peer, request: SampleRequest) -> Answer:
    client = Client(peer.address)
    try:
        return client.send(request)
    finally:
        client.close()


def test_a_server_of_ours_has_its_settings_and_ends(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(FINE)
    before = psutil.Process().children()
    flags = {"entry_script": str(script), "worker_count": "2", "access_log": "false"}

    with started(our_command(flags)) as peer:
        answer = ask(peer, SampleRequest(body=b"x"))
        (server,) = set(psutil.Process().children()) - set(before)
        family = [server, *server.children(recursive=True)]

    assert answer.body == b'"x"'
    assert len(family) == 4
    psutil.wait_procs(family, 10)
    assert not any(process.is_running() for process in family)


@pytest.mark.parametrize("arguments", [["{port}"], ["--port", "{port}"], []])
def test_any_server_can_be_started(tmp_path: Path, arguments: list[str]) -> None:
    program = tmp_path / "server.py"
    program.write_text(SMALL_SERVER)

    with started(any_command([sys.executable, str(program), *arguments])) as peer:
        assert ask(peer, SampleRequest("GET", "/")).status == 200


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no such flag')", "no such flag"),
        ("print('hello'); raise SystemExit(7)", "hello"),
    ],
)
def test_a_server_that_ends_says_why(code: str, words: str) -> None:
    command = any_command([sys.executable, "-c", code])

    with pytest.raises(CannotStart, match=words), started(command):
        pass


def test_a_server_that_is_never_ready_is_ended() -> None:
    command = any_command([sys.executable, "-c", "input() if 0 else __import__('signal').pause()"])

    with (
        pytest.raises(CannotStart, match=r"not ready within 0\.2 s"),
        started(command, timeout_s=0.2),
    ):
        pass


def test_a_command_that_is_none_is_said() -> None:
    with (
        pytest.raises(CannotStart, match="no-such-server cannot be started"),
        started(any_command(["no-such-server"])),
    ):
        pass
    with pytest.raises(ValueError, match="it is empty"):
        any_command([])


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://a:1", "/score"),
        ("http://a:1/score", "/score"),
        ("https://a/models/wine/score?x=1", "/models/wine/score"),
        ("http://a/models/", "/models/score"),
    ],
)
def test_a_url_may_have_a_prefix(url: str, path: str) -> None:
    assert under_prefix(SampleRequest(), server_at(url)).path == path


def test_a_url_that_is_none_is_said() -> None:
    with pytest.raises(BadUrl):
        server_at("ftp://a")
