"""Recording on real servers."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from azmlinfsrv.telemetry.recording import Recording, decode_recording
from tests.conftest import Serve
from tests.harness import Server, until

SCRIPT = """
import json

def init():
    pass

def run(data):
    if data == "stream":
        return words()
    return {"sum": sum(json.loads(data)["data"])}

def words():
    yield "one "
    raise ValueError("s3cret")
"""
SERVERS = [("--server", "gunicorn"), ("--server", "waitress"), ("--in_process",)]


def recorded(folder: Path, count: int) -> list[Recording]:
    """Once there are as many, by time."""
    until(
        lambda: len(list(folder.glob("*.json"))) >= count,
        10,
        lambda: f"{len(list(folder.glob('*.json')))} of {count} recordings",
    )
    return [decode_recording(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


@pytest.mark.parametrize("flags", SERVERS)
def test_every_server_records(serve: Serve, tmp_path: Path, flags: tuple[str, ...]) -> None:
    folder = tmp_path / "kept"
    server = serve(SCRIPT, *flags, "--record", str(folder), "--record_sample_rate", "1")
    secret = {"Authorization": "Bearer s3cret", "x-request-id": "one"}

    answers = [
        server.score(b'{"data": [1, 2]}', secret),
        server.score(b'{"data": 1}'),
        server.request("PATCH", "/score", b"{}"),
        server.get("/"),
    ]
    with pytest.raises((ConnectionError, OSError, Exception)):  # a stream that breaks off
        server.score(b"stream")

    assert [answer.status for answer in answers] == [200, 500, 405, 200]
    fine, failed, broken = recorded(folder, 3)
    assert (fine.request_id, fine.response.status) == ("one", 200)
    assert json.loads(fine.response.content) == {"sum": 3}
    assert fine.request.content == b'{"data": [1, 2]}'
    assert fine.redacted == ["request.headers.authorization"]
    assert (failed.response.status, failed.is_failure) == (500, True)
    assert (broken.response.content, broken.response.is_complete) == (b"one ", False)
    assert not any("s3cret" in path.read_text() for path in folder.iterdir())


def test_a_compressed_request_is_kept_as_the_script_saw_it(serve: Serve, tmp_path: Path) -> None:
    server = serve(SCRIPT, "--record", str(tmp_path / "kept"), "--record_sample_rate", "1")
    plain = b'{"api-key": "s3cret", "data": [1, 2' + b", 0" * 5000 + b"]}"
    coded = {"Content-Encoding": "gzip"}

    assert server.score(gzip.compress(plain), coded).body == b'{"sum": 3}'
    assert server.score(b"not gzip", coded).status == 400

    fine, broken = recorded(tmp_path / "kept", 2)
    assert fine.request.header("content-encoding") == ""
    assert json.loads(fine.request.content)["data"][:2] == [1, 2]
    assert fine.redacted == ["request.body.api-key"]
    assert (broken.request.content, broken.request.cut) == (b"", "redaction")


def test_successes_are_not_kept_at_rate_0(serve: Serve, tmp_path: Path) -> None:
    server = serve(SCRIPT, "--record", str(tmp_path / "kept"), "--record_sample_rate", "0")

    server.score(b'{"data": [1]}')
    server.score(b"no json")

    (only,) = recorded(tmp_path / "kept", 1)
    assert only.response.status == 500


def test_what_is_held_is_written_when_the_server_stops(serve: Serve, tmp_path: Path) -> None:
    server = serve(SCRIPT, "--record", str(tmp_path / "kept"))
    for _ in range(20):
        server.score(b"no json")

    assert server.terminate() == 0

    assert len(list((tmp_path / "kept").glob("*.json"))) == 20


def test_a_folder_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    (tmp_path / "file").write_text("")
    server = Server("score.py", "--record", "file", root=tmp_path)
    try:
        assert server.exit_status() == 3
        assert "--record" in server.log()
        assert "Recordings cannot be written to" in server.log()
    finally:
        server.close()


def test_a_host_of_its_own_records_too(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    environ = {
        "AML_APP_ROOT": str(tmp_path),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZMLINFSRV_RECORD_DIR": str(tmp_path / "kept"),
    }
    command = (sys.executable, "-m", "uvicorn", "azmlinfsrv.asgi:app")
    server = Server(None, root=tmp_path, environ=environ, command=command)
    try:
        server.wait_until_ready()
        server.score(b"no json")
        (only,) = recorded(tmp_path / "kept", 1)
    finally:
        server.close()

    assert only.response.status == 500
