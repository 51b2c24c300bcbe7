"""Servers that cannot serve: what they say, and the status they leave with."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import Server, free_port

RUN = "\n\ndef run(data):\n    return data\n"


@dataclass
class Outcome:
    status: int
    log: str


def start(folder: Path, source: str | bytes | None, *flags: str, name: str = "score.py") -> Outcome:
    """Start a server that is expected to end by itself."""
    script = folder / name
    if isinstance(source, bytes):
        script.write_bytes(source)
    elif source is not None:
        script.write_text(source, encoding="utf-8")
    with closing(Server(script, *flags, root=folder)) as server:
        return Outcome(server.exit_status(20.0), server.log())


# Source, what the report says, and the user's own place in it (empty: there is none).
BROKEN: dict[str, tuple[str | bytes, tuple[str, ...], str]] = {
    "syntax error": (
        "def init():\n    pass\n\ndef run(data)\n    return data\n",
        ("SyntaxError",),
        "score.py:4",
    ),
    "indentation": ("def init():\npass\n" + RUN, ("IndentationError",), "score.py:2"),
    "not text": (b"\xff\xfe\x00\x01\x02", ("Error",), ""),
    "missing package": (
        "import package_that_is_not_there\n\ndef init():\n    pass\n" + RUN,
        ("package_that_is_not_there", "ModuleNotFoundError"),
        "score.py:1",
    ),
    "raises at import": (
        "def init():\n    pass\n" + RUN + "\nraise ValueError('while importing')\n",
        ("ValueError", "while importing"),
        "score.py:8",
    ),
    "leaves at import": (
        "import sys\nsys.exit(0)\n",
        ("Failed to import user script", "SystemExit"),
        "score.py:2",
    ),
    "no init": (RUN, ("does not have a init() function defined",), ""),
    "no run": (
        "def init():\n    pass\n",
        ("does not have a run() function defined",),
        "",
    ),
    "misspelt": (
        "def Init():\n    pass\n\ndef Run(data):\n    return data\n",
        ("does not have a init() function defined", "Init"),
        "",
    ),
    "run is a value": ("def init():\n    pass\n\nrun = 5\n", ("run is not a function",), ""),
    "init is a value": ("init = 5\n" + RUN, ("init is not a function",), ""),
    "run takes nothing": (
        "def init():\n    pass\n\ndef run():\n    return 1\n",
        ("run() needs to accept an argument for input data.",),
        "",
    ),
    "run takes headers only": (
        "def init():\n    pass\n\ndef run(request_headers):\n    return 1\n",
        ('run() needs to accept an argument other than "request_headers".',),
        "",
    ),
    "run takes anything": (
        "def init():\n    pass\n\ndef run(*args):\n    return 1\n",
        ("run() cannot accept positional-only arguments, *args, or **kwargs.",),
        "",
    ),
    "positional only": (
        "def init():\n    pass\n\ndef run(data, /):\n    return 1\n",
        ("run() cannot accept positional-only arguments, *args, or **kwargs.",),
        "",
    ),
    "init wants an argument": (
        "def init(model):\n    pass\n" + RUN,
        ("User's init function failed", "TypeError"),
        "",
    ),
    "init raises": (
        "import os\n\n# far down\n\n\n\n\n\n\n\ndef init():\n    open('model/that/is/not.there')\n"
        + RUN,
        ("User's init function failed", "FileNotFoundError", "> 12 |     open('model"),
        "score.py:12 in init",
    ),
    "init leaves": (
        "import sys\ndef init():\n    sys.exit(0)\n" + RUN,
        ("User's init function failed", "SystemExit"),
        "score.py:3 in init",
    ),
    "init is interrupted": (
        "def init():\n    raise KeyboardInterrupt\n" + RUN,
        ("User's init function failed",),
        "score.py:2 in init",
    ),
    "init ends the process": (
        "import os\ndef init():\n    os._exit(0)\n" + RUN,
        ("exited with status 0 before init() returned",),
        "",
    ),
    "init crashes": (
        "import ctypes\ndef init():\n    ctypes.string_at(0)\n" + RUN,
        ("was ended by signal SIGSEGV before init() returned",),
        "",
    ),
    "init is killed": (
        "import os\ndef init():\n    os.kill(os.getpid(), 9)\n" + RUN,
        ("was ended by signal SIGKILL before init() returned",),
        "",
    ),
}


@pytest.mark.parametrize(("source", "texts", "place"), BROKEN.values(), ids=list(BROKEN))
def test_a_script_that_cannot_be_served_is_one_report_and_status_3(
    tmp_path: Path, source: str | bytes, texts: tuple[str, ...], place: str
) -> None:
    outcome = start(tmp_path, source)

    assert outcome.status == 3, outcome.log
    for text in texts:
        assert text in outcome.log
    assert place in outcome.log
    assert reports(outcome.log) == 1, outcome.log
    # None of our own frames; faulthandler's dump of a crash is not ours to shorten.
    ours = [line for line in outcome.log.splitlines() if "azmlinfsrv/worker/" in line]
    assert [line for line in ours if "azmlinfsrv.stderr" not in line] == []


def reports(log: str) -> int:
    """Records that tell why the server ends: errors of our own logger."""
    return len(re.findall(r"^\S+ \S+ [EC] \[\d+\] azmlinfsrv - ", log, re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [
        ("nothing.py", None, "No such file or directory."),
        ("score.txt", "def init(): pass\ndef run(d): 1\n", "is not a Python file"),
    ],
)
def test_a_file_that_is_no_script_is_one_report_and_status_3(
    tmp_path: Path, name: str, source: str | None, text: str
) -> None:
    outcome = start(tmp_path, source, name=name)

    assert outcome.status == 3
    assert text in outcome.log
    assert reports(outcome.log) == 1


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    (tmp_path / "score.py").mkdir()

    outcome = start(tmp_path, None)

    assert outcome.status == 3
    assert reports(outcome.log) == 1


def test_several_workers_that_fail_alike_are_one_report(tmp_path: Path) -> None:
    outcome = start(tmp_path, "def init():\n    raise KeyError('k')\n" + RUN, "--worker_count", "4")

    assert outcome.status == 3
    assert reports(outcome.log) == 1
    assert outcome.log.count("> 2 |") == 1


def test_a_report_shows_the_lines_and_gives_a_hint(tmp_path: Path) -> None:
    outcome = start(tmp_path, "import numppy\n\ndef init():\n    pass\n" + RUN)

    assert "> 1 | import numppy" in outcome.log
    assert "Hint: " in outcome.log


# --- addresses and settings ---------------------------------------------------------------


def test_a_port_in_use_is_said_at_once_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init():\n    pass\n" + RUN)
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        began = time.monotonic()
        with closing(Server(tmp_path / "score.py", "--port", str(port), root=tmp_path)) as server:
            status = server.exit_status(20.0)
            took_s = time.monotonic() - began
            log = server.log()

    assert status == 1
    assert took_s < 2.0
    assert f"0.0.0.0:{port}: the port is already in use" in log
    assert "--port" in log
    assert "Traceback" not in log


def test_a_configuration_error_comes_before_the_banner_with_status_3(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init():\n    pass\n" + RUN)
    with closing(
        Server(tmp_path / "score.py", root=tmp_path, environ={"SCORING_TIMEOUT_MS": "soon"})
    ) as server:
        status, log = server.exit_status(20.0), server.log()

    assert status == 3
    assert "===============Configuration Error=================" in log
    assert "SCORING_TIMEOUT_MS" in log
    assert "Server Settings" not in log


def test_nothing_to_serve_is_status_1(tmp_path: Path) -> None:
    with closing(Server(None, root=tmp_path)) as server:
        status, log = server.exit_status(20.0), server.log()

    assert status == 1
    assert "Either provide an entry_script using --entry_script" in log


def test_the_banner_is_printed_once_into_a_pipe_before_the_first_answer(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init():\n    print('hello from init')\n" + RUN)
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "azmlinfsrv",
            "--entry_script",
            "score.py",
            "--port",
            str(port),
            "--worker_count",
            "4",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if sum("ready for serving traffic" in it for it in lines) == 4:
                break
        process.terminate()
        lines += process.stdout.readlines()
        status = process.wait(20)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    text = "".join(lines)
    assert status == 0
    assert text.count("Azure ML Inferencing HTTP server v") == 1
    assert text.count("Server Settings") == 1
    assert text.count("Server Routes") == 1
    assert text.count("azmlinfsrv.print - hello from init") == 4
    assert text.index("Server Routes") < text.index("hello from init")
