"""What the processes that run scripts may not find: the server's own secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Serve

SECRETS = {
    "AZMLINFSRV_AUTH_KEYS": "key-4711,key-0815",
    "azmlinfsrv_tls_key_password": "opensesame",  # names are read in any case
}
OTHERS = {"MY_OWN_SECRET": "stays", "AML_APP_INSIGHTS_KEY": "stays-as-well"}
SCRIPT = """
import os
import subprocess
import sys

AT_IMPORT = dict(os.environ)


def init():
    pass


def run(data):
    print_environment = "import json, os; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        [sys.executable, "-c", print_environment], capture_output=True, text=True, check=True
    )
    return {"import": AT_IMPORT, "now": dict(os.environ), "child": done.stdout}
"""
WALLS = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "preloaded": ("--worker_preload",),
}
SERVERS = {**WALLS, "in_process": ("--in_process",)}


def _leaks(text: str) -> list[str]:
    names = [name for name in SECRETS if name.lower() in text.lower()]
    values = [value for value in ("4711", "0815", "opensesame") if value in text]
    return names + values


@pytest.mark.parametrize("flags", SERVERS.values(), ids=SERVERS)
def test_a_script_and_what_it_starts_find_no_secret_of_the_server(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *flags, environ={**SECRETS, **OTHERS})

    answer = server.score(headers={"api-key": "key-0815"})

    assert answer.status == 200
    text = answer.body.decode()
    assert _leaks(text) == []
    for found in (json.loads(text)["import"], json.loads(text)["now"]):
        assert {name: found[name] for name in OTHERS} == OTHERS


@pytest.mark.parametrize("flags", WALLS.values(), ids=WALLS)
def test_the_environment_a_worker_was_born_with_has_none_either(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, *flags, "--worker_count", "2", environ={**SECRETS, **OTHERS})
    speaks_http = {process.pid for process in server.tree() if "-m" in process.cmdline()}

    workers = [process for process in server.tree() if process.pid not in speaks_http]

    assert len(workers) >= 2
    for process in workers:
        born_with = Path(f"/proc/{process.pid}/environ").read_bytes().decode()
        assert "MY_OWN_SECRET=stays" in born_with
        assert _leaks(born_with) == []
    for process in server.tree():
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        assert _leaks(command) == []
    assert _leaks(server.log()) == []
