"""A debugger attaches to a worker, through the real server and debugpy's own adapter.

The test is the editor: it speaks the Debug Adapter Protocol to the adapter, as VS Code
does for a configuration with "request": "attach" and "listen".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Answer, Server, free_port, until
from tests.servers.editor import SCRIPT, STOP_LINE, Editor

DEBUGGING = (
    "!! Starting the inference server in DEBUGGING mode because AZUREML_DEBUG_PORT is set.",
    "!! This environment variable should not be set in a production environment.",
)


@pytest.fixture
def editor() -> Iterator[Editor]:
    client = Editor()
    yield client
    client.close()


def started(tmp_path: Path, **environ: str) -> Server:
    script = tmp_path / "score.py"
    script.write_text(SCRIPT)
    return Server(script, root=tmp_path, environ=environ)


def test_a_call_stops_at_a_breakpoint_for_longer_than_its_limit(
    editor: Editor, tmp_path: Path
) -> None:
    port = free_port()
    editor.ask("initialize", adapterID="debugpy", pathFormat="path")
    attaching = editor.send("attach", listen={"host": "127.0.0.1", "port": port})
    editor.event("debugpyWaitingForServer")
    server = started(tmp_path, AZUREML_DEBUG_PORT=str(port), SCORING_TIMEOUT_MS="200")
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(server.score(b'{"number": 21}')))
    try:
        editor.event("initialized")
        (breakpoint_,) = editor.ask(
            "setBreakpoints",
            source={"path": str(tmp_path / "score.py")},
            breakpoints=[{"line": STOP_LINE}],
        )["breakpoints"]
        editor.ask("configurationDone")
        editor.response(attaching)
        server.wait_until_ready()
        caller.start()

        stopped = editor.event("stopped")
        (frame, *_) = editor.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"]
        (scope, *_) = editor.ask("scopes", frameId=frame["id"])["scopes"]
        found = editor.ask("variables", variablesReference=scope["variablesReference"])
        began = time.monotonic()
        until(lambda: time.monotonic() > began + 0.5, 5, lambda: "")
        probe = server.get("/")
        editor.ask("continue", threadId=stopped["threadId"])
        caller.join(20)
        log = server.log()
    finally:
        server.close()

    assert breakpoint_["line"] == STOP_LINE
    assert stopped["reason"] == "breakpoint"
    assert (frame["name"], frame["line"]) == ("run", STOP_LINE)
    assert {v["name"]: v["value"] for v in found["variables"]}["number"] == "21"
    assert probe.status == 200
    assert [(a.status, a.body) for a in answers] == [(200, b'{"result": 42}')]
    assert all(line in log for line in (*DEBUGGING, f"** Connecting to debugger at port {port}..."))
    assert "Scoring has no time limit, since a debugger is configured." in log
    assert "Scoring timeout is set to 0" in log


def test_without_a_debugger_that_listens_the_server_ends_with_one_report(tmp_path: Path) -> None:
    port = free_port()
    server = started(tmp_path, AZUREML_DEBUG_PORT=str(port), WORKER_COUNT="2")
    try:
        status = server.exit_status()
        log = server.log()
    finally:
        server.close()

    assert status == 3
    assert all(line in log for line in DEBUGGING)
    assert log.count(f"No debugger listens at 127.0.0.1:{port}") == 1
    assert "Traceback" not in log
    assert "Found user script" not in log


def test_without_debugpy_the_server_ends_with_one_report(tmp_path: Path) -> None:
    # The current directory comes first under `python -m`: this is a debugpy that is not there.
    (tmp_path / "debugpy.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'debugpy'\", name='debugpy')\n"
    )
    server = started(tmp_path, AZUREML_DEBUG_PORT="5678")
    try:
        status = server.exit_status()
        log = server.log()
    finally:
        server.close()

    assert status == 3
    assert "** Cannot connect to a debugger because debugpy is not installed." in log
    assert log.count("AZUREML_DEBUG_PORT is set, but debugpy is not installed") == 1
    assert "Connecting to debugger" not in log


def test_port_0_is_no_debugger(tmp_path: Path) -> None:
    server = started(tmp_path, AZUREML_DEBUG_PORT="0")
    try:
        server.wait_until_ready()
        log = server.log()
    finally:
        server.close()

    assert "DEBUGGING" not in log


def test_a_second_worker_is_warned_of_since_no_debugger_follows_it(tmp_path: Path) -> None:
    server = started(tmp_path, AZUREML_DEBUG_PORT=str(free_port()), WORKER_COUNT="2")
    try:
        server.exit_status()
        log = server.log()
    finally:
        server.close()

    assert log.count("only one of the 2 scoring processes stops at breakpoints") == 1


def test_preloading_is_off_while_a_debugger_is_configured(tmp_path: Path) -> None:
    server = started(tmp_path, AZUREML_DEBUG_PORT=str(free_port()), WORKER_PRELOAD="true")
    try:
        server.exit_status()
        log = server.log()
    finally:
        server.close()

    assert log.count("WORKER_PRELOAD is ignored while a debugger is configured") == 1
