"""The application inside servers that are not ours (R8.5)."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.harness import Server, until

SCRIPT = """
import os, time

def init():
    print("init here")

def items():
    for index in range(3):
        yield f"item {index}\\n"

def run(data):
    if data == "stream":
        return items()
    if data == "root":
        return os.environ["AML_APP_ROOT"]
    return {"pid": os.getpid(), "parent": os.getppid()}
"""

BIN = Path(sys.executable).parent
# Each ends in its own way of naming a port; the harness appends `--port N`.
HOSTS = {
    "uvicorn": (str(BIN / "uvicorn"), "azmlinfsrv.asgi:app"),
    "waitress": (str(BIN / "waitress-serve"), "azmlinfsrv.wsgi:app"),
    "gunicorn": (str(BIN / "gunicorn"), "azureml_inference_server_http.server.entry:app"),
}

Start = Callable[..., Server]


class HostedServer(Server):
    """A host with our application; it takes no flags of ours."""

    def __init__(self, host: str, *flags: str, root: Path, environ: dict[str, str]) -> None:
        program, app = HOSTS[host]
        # waitress-serve wants its flags before the application's name.
        port = "import sys,os; a=sys.argv; os.execv(a[1], [a[1], *a[4:-2], {}, a[2]])".format(
            {
                "uvicorn": "'--port='+a[-1]",
                "waitress": "'--listen=127.0.0.1:'+a[-1]",
                "gunicorn": "'--bind=127.0.0.1:'+a[-1]",
            }[host]
        )
        super().__init__(
            None,
            root=root,
            environ=environ,
            command=(sys.executable, "-c", port, program, app, "--", *flags),
        )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(
            host: str, *flags: str, ready: bool = True, environ: dict[str, str] | None = None
        ) -> Server:
            (tmp_path / "score.py").write_text(SCRIPT, encoding="utf-8")
            server = HostedServer(
                host,
                *flags,
                root=tmp_path,
                environ={
                    "AML_APP_ROOT": str(tmp_path),
                    "AZUREML_ENTRY_SCRIPT": "score.py",
                    **(environ or {}),
                },
            )
            stack.callback(server.close)
            if ready:
                server.wait_until_ready()
            return server

        yield start


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_serves_the_script(start: Start, host: str) -> None:
    server = start(host)

    answer = server.score(b"{}", {"x-request-id": "mine"})
    stream = server.score(b"stream")
    missing = server.get("/nope")

    assert answer.status == 200
    assert answer.headers["x-request-id"] == "mine"
    assert stream.body == b"item 0\nitem 1\nitem 2\n"
    assert missing.status == 404
    assert "init here" in server.wait_for_log("azmlinfsrv - POST /score 200")


@pytest.mark.parametrize("host", HOSTS)
def test_there_is_no_banner_and_no_version_unless_the_variable_is_set(
    start: Start, host: str
) -> None:
    server = start(host)

    assert "x-ms-server-version" not in server.score().headers
    assert "Server Settings" not in server.log()


def test_the_version_header_is_what_the_variable_says(start: Start) -> None:
    server = start("gunicorn", environ={"HTTP_X_MS_SERVER_VERSION": "mine/9"})

    assert server.score().headers["x-ms-server-version"] == "mine/9"


@pytest.mark.parametrize("host", HOSTS)
def test_the_scoring_processes_end_with_the_host(start: Start, host: str) -> None:
    server = start(host)
    processes = server.tree()

    server.terminate()

    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


@pytest.mark.parametrize(("host", "status"), [("uvicorn", 3), ("gunicorn", 3), ("waitress", 1)])
def test_a_script_that_cannot_be_served_keeps_the_host_from_starting(
    start: Start, host: str, status: int
) -> None:
    server = start(host, ready=False, environ={"AZUREML_ENTRY_SCRIPT": "missing.py"})

    assert server.exit_status() == status
    assert "missing.py does not exist" in server.log()


def test_a_malformed_setting_keeps_the_host_from_starting(start: Start) -> None:
    server = start("uvicorn", ready=False, environ={"SCORING_TIMEOUT_MS": "soon"})

    assert server.exit_status() == 3
    assert "SCORING_TIMEOUT_MS" in server.log()


@pytest.mark.parametrize("flags", [("-w", "2"), ("-w", "2", "--preload")])
def test_each_worker_of_a_forking_host_has_a_pool_of_its_own(
    start: Start, flags: tuple[str, ...]
) -> None:
    server = start("gunicorn", *flags)
    hosts: dict[int, set[int]] = {}

    def both_have_answered() -> bool:
        answer = json.loads(server.score().body)
        hosts.setdefault(answer["parent"], set()).add(answer["pid"])
        return len(hosts) == 2

    until(both_have_answered, 20, server.log)

    assert [len(pids) for pids in hosts.values()] == [1, 1]
    assert set.intersection(*hosts.values()) == set()


def test_the_application_root_has_a_default(start: Start, tmp_path: Path) -> None:
    server = start(
        "gunicorn",
        environ={"AZUREML_ENTRY_SCRIPT": str(tmp_path / "score.py"), "AML_APP_ROOT": "/srv"},
    )

    assert json.loads(server.score(b"root").body) == "/srv"


def test_importing_the_modules_starts_nothing() -> None:
    import subprocess

    code = (
        "import azmlinfsrv.wsgi, azmlinfsrv.asgi, azureml_inference_server_http.server.entry, "
        "sys, threading, psutil\n"
        "assert 'flask' not in sys.modules\n"
        "assert threading.active_count() == 1\n"
        "assert psutil.Process().children() == []\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stderr == ""
    assert done.returncode == 0


def test_the_default_root_is_where_images_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from azmlinfsrv.servers.hosted import read_hosted_settings

    monkeypatch.delenv("AML_APP_ROOT", raising=False)
    monkeypatch.delenv("HTTP_X_MS_SERVER_VERSION", raising=False)

    settings = read_hosted_settings().settings

    assert settings.app_root == "/var/azureml-app"
    assert settings.server_version == ""


def test_a_signal_to_uvicorn_is_answered_with_status_0_or_the_signal(start: Start) -> None:
    server = start("uvicorn")

    assert server.terminate() in (0, -signal.SIGTERM)
