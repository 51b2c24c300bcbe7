"""The script in the server's own process, under a debugger that started that process.

What an editor does for a configuration with "request": "launch": debugpy runs the server,
the editor attaches to it before the first line.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.harness import Answer, Server, free_port
from tests.servers.editor import SCRIPT, STOP_LINE, Editor


def launched(tmp_path: Path, port: int) -> Server:
    (tmp_path / "score.py").write_text(SCRIPT)
    return Server(
        "score.py",
        "--in_process",
        root=tmp_path,
        command=(
            *(sys.executable, "-m", "debugpy", "--listen", f"127.0.0.1:{port}"),
            *("--wait-for-client", "-m", "azmlinfsrv"),
        ),
    )


def test_a_call_stops_at_a_breakpoint_and_goes_on(tmp_path: Path) -> None:
    port = free_port()
    server = launched(tmp_path, port)
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(server.score(b'{"number": 21}')))
    try:
        editor = Editor(port)
        try:
            editor.ask("initialize", adapterID="debugpy", pathFormat="path")
            attaching = editor.send("attach", justMyCode=True)
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
            editor.ask("continue", threadId=stopped["threadId"])
            caller.join(20)
        finally:
            editor.close()
    finally:
        server.close()

    assert breakpoint_["line"] == STOP_LINE
    assert stopped["reason"] == "breakpoint"
    assert (frame["name"], frame["line"]) == ("run", STOP_LINE)
    assert {v["name"]: v["value"] for v in found["variables"]}["number"] == "21"
    assert [(a.status, a.body) for a in answers] == [(200, b'{"result": 42}')]
